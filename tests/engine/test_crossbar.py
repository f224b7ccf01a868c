"""What an array does to its product: wires, offsets, noisy weights and separate signs, by hand-worked numbers."""

import pytest
import torch

from engine.products import FORWARD, circuits, product, quiet
from ohmgrad.engine.draws import Draws
from ohmgrad.engine.mvm import mvm, unmanaged
from ohmgrad.errors import TileError
from ohmgrad.parameters.enums import AnalogMVType, BoundManagementType, NoiseManagementType, WeightNoiseType

SEPARATE, DIGITAL = AnalogMVType.POS_NEG_SEPARATE, AnalogMVType.POS_NEG_SEPARATE_DIGITAL_SUM
NM, BM = NoiseManagementType, BoundManagementType

# The drop along the wires


def wired(**fields):
    return quiet(**{"ir_drop": 1.0, "ir_drop_g_ratio": 4.0, **fields})


def test_the_drop_along_a_wire_is_the_hand_worked_number():
    # The wire carries a current of 0.75 over 2 lines, a = 0.75 * 2 / 4 = 0.375, and c = 0.162012. Only the second line
    # is away from the end of the wire: its current of 0.25 meets 1 - (1 - 1/2)^2 = 0.75 of the drop.
    y = product([[0.5, -0.25]], [[1.0, -1.0]], wired())
    assert y.item() == pytest.approx(0.75 - 0.162012 * 0.75 * 0.25, abs=1e-6)


def test_the_drop_grows_with_its_strength_and_the_resistance_of_the_wire():
    def drop(**fields):
        return 0.75 - product([[0.5, -0.25]], [[1.0, -1.0]], wired(**fields)).item()

    assert drop(ir_drop=2.0) == pytest.approx(2 * drop(), rel=1e-5)
    assert drop(ir_drop=0.0) == 0
    # a = 0.1875: c = 0.05 a^3 - 0.2 a^2 + 0.5 a = 0.087048
    assert drop(ir_drop_g_ratio=8.0) == pytest.approx(0.087048 * 0.75 * 0.25, abs=1e-6)


def test_the_line_at_the_end_of_the_wire_loses_nothing_and_the_others_the_more_the_farther_they_are():
    y = product(torch.full((1, 4), 0.5), torch.eye(4), wired()).flatten()
    assert y[0].item() == 0.5
    assert (y.diff() < 0).all()
    # a = 0.5 * 4 / 4, c = 0.05 / 8 - 0.2 / 4 + 0.5 / 2 = 0.20625; the lines meet 0, 7/16, 12/16 and 15/16 of it.
    assert torch.allclose(0.5 - y, 0.20625 * 0.5 * torch.tensor([0, 7, 12, 15]) / 16, atol=1e-6)


# Offsets and series resistance


@pytest.mark.parametrize(
    ("offset", "w_min", "resistance", "expected"),
    [
        (0.1, 0.0, 0.0, 0.9 * 0.5),
        (0.1, -1.0, 0.0, 0.9 * 0.5 - 2 * 0.1 * 1),
        (0.1, -0.5, 0.0, 0.9 * 0.5 - 2 * 0.1 * 0.5),
        (0.1, 0.0, 0.2, 0.9 * 0.5 / 1.1),
        (0.1, -1.0, 0.2, 0.9 * 1.5 / 1.3 - 1.1 / 1.2),
        (0.0, -1.0, 0.2, 1.5 / 1.3 - 1 / 1.2),
        (0.0, 0.0, 0.2, 0.5 / 1.1),
    ],
)
def test_an_offset_and_a_resistance_act_on_the_array_and_on_the_reference(offset, w_min, resistance, expected):
    io = quiet(v_offset_std=0.1 if offset else 0.0, v_offset_w_min=w_min, r_series=resistance)
    drawn = {"v_offset": torch.tensor([offset])} if offset else {}
    assert product([[0.5]], [[1.0]], io, drawn=drawn).item() == pytest.approx(expected, abs=1e-6)


def test_the_reference_follows_the_sum_of_all_inputs():
    io = quiet(v_offset_std=0.1, v_offset_w_min=-1.0)
    drawn = {"v_offset": torch.tensor([0.1, 0.2])}
    y = product([[0.5, 0.25, 0.0], [0.0, 0.0, 1.0]], [[1.0, -1.0, 0.5]], io, drawn=drawn)
    expected = [0.9 * 0.25 - 2 * 0.1 * 0.5, 0.8 * 0.5 - 2 * 0.2 * 0.5]
    assert y[0].tolist() == pytest.approx(expected, abs=1e-6)


# Noisy weights


def test_the_noise_of_pcm_weights_grows_with_their_magnitude_whatever_their_sign():
    io = quiet(w_noise=0.1, w_noise_type=WeightNoiseType.PCM_READ)
    noise = product([[0.3, -0.3], [0.9, 0.0]], torch.ones(20000, 2), io) - torch.tensor([0.0, 0.9])
    expected = 0.1 * torch.tensor([0.6, 0.9]).sqrt()
    assert torch.allclose(noise.std(0), expected, atol=5 * 0.1 / 40000**0.5)


# Separate products for positive and negative inputs


def test_each_sign_has_its_own_resistance_to_overcome():
    io = quiet(r_series=0.5, v_offset_w_min=0.0)
    weight, x = [[1.0, 0.5]], [[1.0, -1.0]]
    assert product(weight, x, io).item() == pytest.approx(0.5 / 1.25)
    separate = 1 / 1.5 - 0.5 / 1.25
    for kind in (SEPARATE, DIGITAL):
        assert product(weight, x, io.replaced(mv_type=kind)).item() == pytest.approx(separate)


def test_signs_are_added_before_or_after_the_output_converter():
    io = quiet(out_bound=0.75, bound_management=BM.NONE)
    weight, x = [[1.0, 0.5]], [[1.0, -1.0]]
    assert product(weight, x, io.replaced(mv_type=SEPARATE)).item() == pytest.approx(0.5)
    assert product(weight, x, io.replaced(mv_type=DIGITAL)).item() == pytest.approx(0.75 - 0.5)
    coarse = io.replaced(out_bound=1.0, out_res=0.25)  # steps of 1/2
    weight = [[0.7, 0.4]]
    assert product(weight, x, coarse.replaced(mv_type=SEPARATE)).item() == pytest.approx(0.5)  # 0.3 rounded
    assert product(weight, x, coarse.replaced(mv_type=DIGITAL)).item() == pytest.approx(0.5 - 0.5)


def test_bound_management_repeats_if_either_converter_clips():
    io = quiet(out_bound=0.75, mv_type=DIGITAL)
    x = [[1.0, -1.0]]
    assert product([[1.0, 0.5]], x, io).item() == pytest.approx(0.5)
    assert product([[0.5, 1.0]], x, io).item() == pytest.approx(-0.5)
    assert product([[0.5, 1.0]], x, io.replaced(bm_test_negative_bound=False)).item() == pytest.approx(0.5 - 0.75)
    assert product([[1.0, 1.0]], x, io.replaced(bm_test_negative_bound=False)).item() == pytest.approx(0.0)


@pytest.mark.parametrize("kind", [SEPARATE, DIGITAL])
def test_negative_inputs_read_other_weights(kind):
    io = quiet(mv_type=kind, w_read_asymmetry_dtod=0.1)
    drawn = {"w_asymmetry": torch.tensor([[0.9, 1.2], [1.1, 0.5]])}
    y = product([[1.0, 0.5], [0.4, 0.8]], [[1.0, -1.0], [-1.0, 0.5]], io, drawn=drawn)
    expected = [[1.0 - 0.5 * 1.2, 0.4 - 0.8 * 0.5], [-0.9 + 0.25, -0.4 * 1.1 + 0.4]]
    assert torch.allclose(y, torch.tensor(expected), atol=1e-6)


# Everything at once

EVERYTHING = {
    "ir_drop": 1.0,
    "ir_drop_g_ratio": 40.0,
    "v_offset_std": 0.1,
    "r_series": 0.05,
    "out_nonlinearity": 0.5,
    "out_nonlinearity_std": 0.3,
    "slope_calibration": 0.5,
    "w_read_asymmetry_dtod": 0.1,
    "out_noise": 0.05,
    "out_noise_std": 0.4,
    "w_noise": 0.02,
    "w_noise_type": WeightNoiseType.PCM_READ,
    "out_sto_round": True,
    "out_bound": 3.0,
    "bound_management": BM.ITERATIVE_WORST_CASE,
}


@pytest.mark.parametrize("forward", [True, False], ids=["forward", "backward"])
@pytest.mark.parametrize("kind", [SEPARATE, DIGITAL])
def test_with_everything_on_vectors_may_be_batched_in_any_way_and_both_implementations_agree(kind, forward):
    io = quiet(**EVERYTHING, mv_type=kind)
    generator = torch.Generator().manual_seed(1)
    weight, x = torch.rand(7, 31, generator=generator) - 0.5, torch.randn(40, 31, generator=generator)
    together = product(weight, x, io, forward=forward)
    assert (together - x @ weight.t()).abs().mean() > 0.05
    assert torch.allclose(product(weight, x, io, implementation="cpu", forward=forward), together, atol=1e-5)
    draws = Draws(7, "reference")
    periphery, numbers = circuits(weight, io, draws), torch.arange(40)
    cut = [
        mvm(weight, x[part], io, draws, FORWARD, numbers[part], None, forward, periphery)
        for part in (slice(0, 1), slice(1, 13), slice(13, 40))
    ]
    assert torch.allclose(torch.cat(cut), together, atol=1e-5)


@pytest.mark.parametrize("field", ["v_offset_std", "out_nonlinearity", "out_noise_std", "w_read_asymmetry_dtod"])
def test_a_product_whose_circuits_were_never_made_says_so(field):
    io = quiet(**{field: 0.1, "out_noise": 0.1, "mv_type": SEPARATE})
    one = torch.ones(1, 1)
    with pytest.raises(TileError, match="Periphery"):
        mvm(one, one, unmanaged(io), Draws(1, "reference"), FORWARD, torch.arange(1))
