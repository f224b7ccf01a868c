"""Steps and symmetric points of sampled cells, by their law, and the portrait of a device."""

from pathlib import Path
from typing import Any

import pytest
import torch

from ohmgrad.analysis.plots import response
from ohmgrad.analysis.portrait import portray
from ohmgrad.analysis.response import Row
from ohmgrad.analysis.steps import SampledCells
from ohmgrad.configs import ConstantStepDevice, LinearStepDevice, SoftBoundsDevice
from ohmgrad.devices.base import PulsedDevice
from ohmgrad.presets import device_class

ALIKE: dict[str, Any] = {"dw_min_dtod": 0.0, "up_down_dtod": 0.0, "w_max_dtod": 0.0, "w_min_dtod": 0.0}
SOFT = SoftBoundsDevice(dw_min=0.1, up_down=0.2, w_max=1.0, w_min=-1.0, dw_min_std=0.3, **ALIKE)
"""Up step 0.1 (1 - w), down step 0.08 (1 + w), equal at w = 0.02 / 0.18."""


def cells_of(device: PulsedDevice, count: int = 50) -> SampledCells:
    torch.manual_seed(0)
    return SampledCells(device, Row(device, count, "reference").parameters())


def test_a_soft_bounds_cell_has_the_symmetry_point_of_its_formula() -> None:
    expected = torch.full((50,), 0.02 / 0.18, dtype=torch.float64)
    torch.testing.assert_close(cells_of(SOFT).symmetry_points(), expected, atol=1e-6, rtol=0.0)


def test_measured_cells_have_their_symmetry_point_at_zero_if_it_is_subtracted() -> None:
    device = device_class("ReRamArrayOM")(reference_std=0.0, dw_min=0.001)  # no step reaches a bound
    expected = torch.zeros(50, dtype=torch.float64)
    torch.testing.assert_close(cells_of(device).symmetry_points(), expected, atol=1e-6, rtol=0.0)


def test_a_cell_that_steps_faster_upwards_has_its_symmetry_point_at_the_upper_bound() -> None:
    cells = cells_of(ConstantStepDevice(dw_min=0.002, dw_min_dtod=0.0, up_down=0.2, up_down_dtod=0.0))
    points = cells.symmetry_points()
    # A pair leads back where the bound leaves of the up step as much as the down step has: 0.8 x 0.002.
    torch.testing.assert_close(points, cells.upper - 0.0016, atol=1e-6, rtol=0.0)
    assert cells.at_bound(points).all()


def test_a_cell_with_equal_steps_has_no_symmetry_point() -> None:
    cells = cells_of(device_class("Idealized")())
    assert cells.symmetry_points().isnan().all()
    assert not cells.at_bound(cells.symmetry_points()).any()


def test_steps_of_soft_bounds_have_mean_and_deviation_of_the_law() -> None:
    steps = cells_of(SOFT).statistics()
    middle = len(steps.weights) // 2
    assert steps.weights[middle] == pytest.approx(0.0)
    assert steps.up_mean[middle] == pytest.approx(0.1, rel=1e-5)
    assert steps.up_std[middle] == pytest.approx(0.03, rel=1e-5)
    assert steps.down_mean[middle] == pytest.approx(-0.08, rel=1e-5)
    assert steps.down_std[middle] == pytest.approx(0.024, rel=1e-5)
    assert steps.up_mean[-1] == pytest.approx(0.0, abs=1e-6)


def test_trains_begin_at_the_lower_bound_and_the_mean_cell_follows_the_law() -> None:
    before = torch.random.get_rng_state()
    portrait = portray(SOFT, 3)
    assert torch.equal(before, torch.random.get_rng_state())  # it leaves the random numbers of torch alone
    assert portrait.each == 1
    assert torch.equal(portrait.trains[0], torch.full((3,), -1.0))
    gone = torch.arange(len(portrait.mean) // 2 + 1, dtype=torch.float64)
    torch.testing.assert_close(
        portrait.mean[: len(gone)], 1.0 - 2.0 * 0.9**gone, atol=1e-6, rtol=0.0
    )  # w <- w + 0.1 (1 - w)
    assert torch.equal(portrait.turns[:, 0], torch.tensor([[-1.0] * 3, [1.0] * 3]))
    assert portrait.turns[:, -5:].mean() == pytest.approx(0.02 / 0.18, abs=0.05)
    assert portrait.apparent is None


def test_the_weight_that_is_read_scatters_about_the_stored_one() -> None:
    device = LinearStepDevice(dw_min=0.05, write_noise_std=2.0, **ALIKE)
    portrait = portray(device, 40)
    assert portrait.apparent is not None
    noise = portrait.apparent - portrait.trains
    assert noise.std() == pytest.approx(0.1, abs=5 * 0.1 / (2 * noise.numel()) ** 0.5)


@pytest.mark.parametrize(("variation", "said"), [(0.0, ["that of every cell is 0.111"]), (0.1, [])])
def test_equal_symmetric_points_are_said_in_words(
    variation: float, said: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    figures: list[Any] = []
    monkeypatch.setattr(response, "save", lambda figure, path: figures.append(figure))
    device = SOFT.replaced(up_down_dtod=variation)
    response.draw_portrait(portray(device, 3), "", "", device.dw_min, tmp_path / "device.png")
    assert [text.get_text() for axes in figures[0].axes for text in axes.texts] == said
