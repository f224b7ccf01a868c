"""The response of cells: what the picture of a device shows."""

import pytest
import torch

from ohmgrad.analysis.response import measure_response
from ohmgrad.configs import SoftBoundsDevice
from ohmgrad.lab.cells import CELLS, make_cell


@pytest.mark.parametrize("name", list(CELLS))
def test_pulses_up_raise_every_cell_and_pulses_down_lower_it(name: str) -> None:
    response = measure_response(make_cell(name, 20).replaced(dw_min_std=0.0), 50)
    steps = response.phase // response.each
    up, down = response.trains[: steps + 1].diff(dim=0), response.trains[steps : 2 * steps + 1].diff(dim=0)
    assert (up >= 0.0).all()
    assert (down <= 0.0).all()


def test_pulses_in_turns_lead_a_soft_bounds_cell_to_its_symmetry_point() -> None:
    # Without variation: up step 0.1 (1 - w), down step 0.08 (1 + w), equal at w = 0.02 / 0.18.
    device = SoftBoundsDevice(
        dw_min=0.1, dw_min_dtod=0.0, dw_min_std=0.0, up_down=0.2, up_down_dtod=0.0,
        w_max=1.0, w_max_dtod=0.0, w_min=-1.0, w_min_dtod=0.0,
    )  # fmt: skip
    end = measure_response(device, 3).pairs[-1]
    torch.testing.assert_close(end, torch.full((3,), 0.02 / 0.18), atol=0.05, rtol=0.0)


def test_measuring_leaves_the_random_numbers_of_torch_alone() -> None:
    before = torch.random.get_rng_state()
    measure_response(make_cell("constant", 10), 5)
    assert torch.equal(before, torch.random.get_rng_state())
