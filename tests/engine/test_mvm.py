"""The analog matrix-vector product, against hand-worked numbers and against recorded behaviour."""

import math

import pytest
import torch

from conformance.cases import build, load
from engine.products import BACKWARD, FORWARD, circuits, identity_product, product, quiet
from ohmgrad.engine.draws import Draws, Stream
from ohmgrad.engine.management import check_io, new_average
from ohmgrad.engine.mvm import mvm, read_slices, unmanaged
from ohmgrad.errors import ConfigError, TileError
from ohmgrad.parameters.enums import AnalogMVType, BoundManagementType, NoiseManagementType, WeightNoiseType
from ohmgrad.parameters.io import IOParameters

NM, BM = NoiseManagementType, BoundManagementType
PRODUCTS = list(load("mvm"))
NOISY_PRODUCTS = list(load("mvm_statistics"))
IMPLEMENTATIONS = pytest.mark.parametrize("implementation", ["reference", "cpu"])


# Recorded behaviour


def test_every_recorded_product_within_the_parameters_is_selected():
    names = {case["name"] for case in PRODUCTS + NOISY_PRODUCTS}
    assert names == {f"mvm/{n}" for n in range(24)} | {f"mvmnoise/{n}" for n in range(5)}


@IMPLEMENTATIONS
@pytest.mark.parametrize("case", PRODUCTS, ids=lambda case: case["name"])
def test_noise_free_products_are_those_recorded(case, implementation):
    forward, backward = build(case["config"]["forward"]), build(case["config"]["backward"])
    weight, x, d = (torch.tensor(case[name]) for name in ("weight", "x", "d"))
    average, draws, numbers = new_average(), Draws(1, implementation), torch.arange(len(x))
    there, back = circuits(weight, forward, draws), circuits(weight.t(), backward, draws)
    y = mvm(weight, x, forward, draws, FORWARD, numbers, average, periphery=there)
    dx = mvm(weight.t(), d, backward, draws, BACKWARD, numbers, average, forward=False, periphery=back)
    assert torch.allclose(y, torch.tensor(case["y"]), rtol=0, atol=1e-5)
    assert torch.allclose(dx, torch.tensor(case["dx"]), rtol=0, atol=1e-5)


@IMPLEMENTATIONS
@pytest.mark.parametrize("case", NOISY_PRODUCTS, ids=lambda case: case["name"])
def test_noisy_products_have_the_recorded_moments(case, implementation):
    count = case["samples"]
    x = torch.tensor([case["x"]]).expand(count, -1)
    y = product(case["weight"], x, build(case["config"]["forward"]), implementation).double()
    mean, std = torch.tensor(case["mean"]).double(), torch.tensor(case["std"]).double()
    error = std * math.sqrt(2 / count)
    assert ((y.mean(0) - mean).abs() < 5 * error).all()
    assert ((y.std(0) - std).abs() < 5 * error / math.sqrt(2)).all()


# Noise management

VECTORS = torch.tensor([[0.5, -2.0, 1.0], [-0.25, -0.5, -0.125], [4.0, 0.0, 3.0]])


@pytest.mark.parametrize(
    ("fields", "scales"),
    [
        ({"noise_management": NM.NONE}, [1, 1, 1]),
        ({"noise_management": NM.ABS_MAX}, [2, 0.5, 4]),
        ({"noise_management": NM.ABS_MAX, "nm_thres": 1.5}, [1.5, 0.5, 1.5]),
        ({"noise_management": NM.MAX}, [1, None, 4]),
        ({"noise_management": NM.MAX, "nm_thres": 3.0}, [1, None, 3]),
        ({"noise_management": NM.CONSTANT}, [1, 1, 1]),
        ({"noise_management": NM.CONSTANT, "nm_thres": 2.5}, [2.5, 2.5, 2.5]),
        # 0.6 times the larger of the sums of one sign (2, 0.875, 7), over an output bound of 0.5.
        ({"noise_management": NM.ABS_MAX_NP_SUM, "out_bound": 0.5}, [2.4, 1.05, 8.4]),
        # Steps of 1/4: never coarser than a quarter step for the largest input, so at most 1 times that input.
        ({"noise_management": NM.ABS_MAX_NP_SUM, "out_bound": 0.5, "inp_res": 1 / 8}, [2, 0.5, 4]),
        ({"noise_management": NM.ABS_MAX_NP_SUM, "out_bound": -1.0, "nm_thres": 3.0}, [2, 0.525, 4.2]),
    ],
)
def test_noise_management_scales_each_vector_by_a_hand_worked_number(fields, scales):
    io = quiet(out_asymmetry=0.0, bound_management=BM.NONE, **fields)
    y = identity_product(VECTORS, io)
    for x, got, scale in zip(VECTORS, y, scales, strict=True):
        if scale is None:
            assert (got == 0).all()
        else:
            bound = io.out_bound if io.out_bound > 0 else math.inf
            dac = (x / scale * 4).round() / 4 if io.inp_res > 0 else x / scale
            expected = dac.clamp(-1, 1).clamp(-bound, bound) * scale
            assert torch.allclose(got, expected, rtol=1e-6)


def test_the_running_average_starts_at_the_first_vector_and_moves_by_a_thousandth():
    io, average = quiet(noise_management=NM.AVERAGE_ABS_MAX, bound_management=BM.NONE), new_average()
    y = identity_product([[2.0, 1.0], [4.0, -1.0]], io, average=average)
    assert average.item() == pytest.approx(0.999 * 2 + 0.001 * 4)
    # The second vector meets a scale of 2.002 and clips there.
    assert torch.allclose(y, torch.tensor([[2.0, 1.0], [2.002, -1.0]]))


def test_a_zero_vector_counts_in_the_running_average_even_if_it_is_the_first():
    io, average = quiet(noise_management=NM.AVERAGE_ABS_MAX), new_average()
    assert (identity_product([[0.0, 0.0]], io, average=average) == 0).all()
    assert average.item() == 0
    identity_product([[2.0, 1.0]], io, average=average)
    assert average.item() == pytest.approx(0.002)


def test_the_running_average_does_not_depend_on_how_vectors_are_batched():
    io, x = quiet(noise_management=NM.AVERAGE_ABS_MAX), torch.randn(50, 3, generator=torch.Generator().manual_seed(1))
    together, apart = new_average(), new_average()
    y = identity_product(x, io, average=together)
    alone = torch.cat([identity_product(vector[None], io, average=apart) for vector in x])
    assert torch.equal(y, alone)
    assert torch.equal(together, apart)


def test_the_running_average_must_be_given():
    with pytest.raises(TileError, match="AVERAGE_ABS_MAX"):
        identity_product([[1.0]], quiet(noise_management=NM.AVERAGE_ABS_MAX))


# Converters


def test_the_input_converter_has_the_steps_it_is_given():
    io = quiet(inp_res=1 / 8, noise_management=NM.NONE)  # steps of 1/4
    x = [[0.12, 0.13, 0.125, 0.375, -0.125, -0.9, 1.4]]
    assert identity_product(x, io).tolist() == [[0.0, 0.25, 0.0, 0.5, 0.0, -1.0, 1.0]]


def test_a_resolution_above_one_is_a_number_of_steps():
    x = torch.linspace(-1, 1, 101)[None]
    fraction, number = quiet(inp_res=1 / 32, out_res=1 / 64), quiet(inp_res=32.0, out_res=64.0)
    assert torch.equal(identity_product(x, fraction), identity_product(x, number))


def test_the_output_converter_has_the_steps_it_is_given_and_clips_after_them():
    io = quiet(out_res=1 / 10, out_bound=1.0, noise_management=NM.NONE, inp_bound=0.0, bound_management=BM.NONE)
    y = identity_product([[0.29, 0.31, -0.11, 0.95, 5.0, -5.0]], io)
    assert torch.allclose(y, torch.tensor([[0.2, 0.4, -0.2, 1.0, 1.0, -1.0]]))


@pytest.mark.parametrize("levels", [2**bits - 2 for bits in range(2, 13)])
@pytest.mark.parametrize("bound", [0.3, 0.8, 1.0, 12.0])
def test_the_last_code_of_the_output_converter_is_not_taken_for_clipping(levels, bound):
    io = quiet(out_res=1 / levels, out_bound=bound, noise_management=NM.NONE, inp_bound=0.0)
    assert identity_product([[bound, -bound]], io)[0].tolist() == pytest.approx([bound, -bound])
    assert identity_product([[bound, -bound]], io).equal(identity_product([[bound, -bound]], unmanaged(io)))


def test_asymmetry_weakens_negative_inputs_and_outputs():
    io = quiet(inp_asymmetry=0.1, out_asymmetry=0.05)
    y = product([[1.0], [-1.0]], [[1.0], [-1.0]], io)
    assert torch.allclose(y, torch.tensor([[1.0, -0.95], [-0.9 * 0.95, 0.9]]))


def test_a_negative_output_asymmetry_does_nothing():
    assert identity_product([[-1.0]], quiet(out_asymmetry=-0.5)).item() == -1.0


def test_the_digital_factor_applies_to_real_and_ideal_products_alike():
    weight, x = torch.tensor([[0.5, 0.25]]), torch.tensor([[1.0, 0.5]])
    for io in (quiet(), quiet(is_perfect=True), IOParameters(mv_type=AnalogMVType.IDEAL)):
        assert product(weight, x, io.replaced(out_scale=3.0)).item() == pytest.approx(3 * 0.625)


@pytest.mark.parametrize("bound", [math.inf, 0.0, -1.0, -math.inf])
def test_a_range_without_end_neither_clips_nor_quantises(bound):
    x = torch.tensor([[300.0, -0.01, 0.3], [0.0, 0.0, 0.0]])
    io = IOParameters(inp_bound=bound, out_bound=bound, out_noise=0.0, noise_management=NM.NONE)
    assert torch.equal(identity_product(x, io), x)


@pytest.mark.parametrize("kind", NM)
def test_an_endless_output_range_suits_every_noise_management(kind):
    io = IOParameters(out_bound=math.inf, out_noise=0.0, noise_management=kind)
    assert identity_product(VECTORS, io, average=new_average()).isfinite().all()


def test_the_tiniest_vector_survives_its_scaling():
    y = identity_product([[1e-40, -1e-40]], quiet())
    assert torch.allclose(y, torch.tensor([[1e-40, -1e-40]]), rtol=1e-3, atol=0)


# Vectors of zeros

ALL_NOISE = {
    "inp_noise": 0.03,
    "out_noise": 0.05,
    "w_noise": 0.02,
    "w_noise_type": WeightNoiseType.ADDITIVE_CONSTANT,
    "inp_sto_round": True,
    "out_sto_round": True,
}


def test_a_zero_vector_is_silent_unless_the_forward_input_is_noisy():
    zeros = torch.zeros(2, 3)
    silent, loud = quiet(out_noise=0.5), quiet(inp_noise=0.5)
    assert (identity_product(zeros, silent) == 0).all()
    assert (identity_product(zeros, silent, forward=False) == 0).all()
    assert (identity_product(zeros, loud) != 0).all()
    assert (identity_product(zeros, loud, forward=False) == 0).all()


def test_without_noise_management_a_zero_vector_meets_the_output_noise():
    assert (identity_product(torch.zeros(2, 3), quiet(out_noise=0.5, noise_management=NM.NONE)) != 0).all()


def test_a_silent_vector_is_silent_next_to_one_that_clips():
    io = quiet(out_bound=0.5, out_noise=0.3)
    y = product(torch.full((1, 2), 1.0), [[0.0, 0.0], [1.0, 1.0]], io)
    assert y[0].item() == 0
    assert y[1].item() != 0


# Bound management


def test_bound_management_halves_the_input_until_no_output_clips():
    io = quiet(out_bound=1.0)
    weight, x = torch.tensor([[3.0, 0.0], [0.0, 0.5]]), torch.tensor([[1.0, 1.0], [0.1, 1.0]])
    assert torch.allclose(product(weight, x, io), x @ weight.t())
    clipped = product(weight, x, io.replaced(bound_management=BM.NONE))
    assert torch.allclose(clipped, torch.tensor([[1.0, 0.5], [0.3, 0.5]]))


@pytest.mark.parametrize(
    ("fields", "reduction"),
    [
        ({"max_bm_factor": 0}, 1),
        ({"max_bm_factor": 1}, 2),
        ({"max_bm_factor": 5}, 8),
        ({"inp_res": 1 / 126}, 16),  # 0.25 * 63 = 15.75
        ({"inp_res": 1 / 128}, 32),  # 0.25 * 64 = 16 is not yet above 16
        ({"inp_res": 1 / 126, "max_bm_factor": 2}, 4),
        ({"max_bm_factor": 2**31 - 1}, 2**31),
    ],
)
def test_bound_management_ends_with_a_clipped_output_at_the_first_reduction_above_a_limit(fields, reduction):
    y = product([[1e30]], [[1.0]], quiet(out_bound=1.0, **fields))
    assert y.item() == pytest.approx(reduction)


def test_bound_management_ends_though_the_noise_alone_always_clips():
    y = product(torch.ones(200, 1), [[1.0]], quiet(out_bound=0.01, out_noise=50.0))
    assert y.isfinite().all()


def test_a_positive_clip_repeats_and_a_negative_one_only_if_tested():
    io = quiet(out_bound=1.0)
    for weight in ([[3.0], [-3.0]], [[-3.0], [3.0]]):
        for tested in (True, False):
            assert product(weight, [[1.0]], io.replaced(bm_test_negative_bound=tested)).abs().tolist() == [[3.0, 3.0]]
    assert product([[-3.0]], [[1.0]], io).item() == -3.0
    assert product([[-3.0]], [[1.0]], io.replaced(bm_test_negative_bound=False)).item() == -1.0


def test_the_second_try_of_the_worst_case_takes_the_scale_that_should_suffice():
    io = quiet(out_bound=1.0, bound_management=BM.ITERATIVE_WORST_CASE, max_bm_factor=1)
    # Two inputs of 1 need a scale of 0.6 * 2 / 1 = 1.2. From there the input is halved, once until the limit.
    assert product([[0.5, 0.3]], [[1.0, 1.0]], io).item() == pytest.approx(0.8)
    assert product([[9.0, 9.0]], [[1.0, 1.0]], io).item() == pytest.approx(2 * 1.2)
    assert product([[9.0, 9.0]], [[1.0, 1.0]], io.replaced(bound_management=BM.ITERATIVE)).item() == pytest.approx(2)
    assert product([[9.0, 9.0]], [[1.0, 1.0]], io.replaced(max_bm_factor=0)).item() == pytest.approx(1)
    assert product([[9.0, 9.0]], [[1.0, 1.0]], io.replaced(max_bm_factor=1000)).item() == pytest.approx(18)
    # The limit of the scale holds for the largest input, and the resolution of the input converter for the worst case.
    assert product([[9.0, 9.0]], [[2.0, 2.0]], io.replaced(nm_thres=1.0)).item() == pytest.approx(2 * 2.4)
    assert product([[9.0, 9.0]], [[1.0, 1.0]], io.replaced(inp_res=0.12)).item() == pytest.approx(2 * 0.25 / 0.24)


def test_the_worst_case_of_a_vector_that_noise_management_has_scaled_for_it_is_iterative():
    io = quiet(out_bound=1.0, noise_management=NM.ABS_MAX_NP_SUM, max_bm_factor=3, out_noise=1e-3)
    worst = io.replaced(bound_management=BM.ITERATIVE_WORST_CASE)
    for weight in ([[1.0, 1.0]], [[0.7, 0.7]]):  # the noise is that of the last round, so it tells how many there were
        assert torch.equal(product(weight, [[1.0, 1.0]], worst), product(weight, [[1.0, 1.0]], io))


@pytest.mark.parametrize("kind", NM)
def test_the_worst_case_suits_every_noise_management(kind):
    io = quiet(out_bound=0.3, inp_noise=1e-9, noise_management=kind, bound_management=BM.ITERATIVE_WORST_CASE)
    x = torch.tensor([[1.0, -0.5], [0.0, 0.0], [-0.25, -1.0]])
    assert torch.allclose(identity_product(x, io, average=new_average()), x, atol=1e-6)


def test_the_backward_direction_clips_without_a_second_try():
    assert product([[3.0]], [[2.0]], quiet(out_bound=1.0), forward=False).item() == 2.0


def test_every_round_has_fresh_noise():
    # Without clipping after the first round, the result is the second round's: its noise, times two.
    io = quiet(out_bound=1.0, out_noise=1e-3)
    x = torch.ones(1, 1)
    first = product([[1.5]], x, io.replaced(out_bound=100.0)).item() - 1.5
    second = product([[1.5]], x, io).item() / 2 - 0.75
    assert abs(second) > 1e-5
    assert abs(first - second) > 1e-5


# Noise


def dyadic(rows, columns, seed):
    """Numbers in [-1, 1] with few bits, whose products and sums a float32 holds exactly in any order."""
    return torch.randint(-64, 65, (rows, columns), generator=torch.Generator().manual_seed(seed)) / 64


@IMPLEMENTATIONS
@pytest.mark.parametrize("forward", [True, False], ids=["forward", "backward"])
@pytest.mark.parametrize("kind", [NM.NONE, NM.ABS_MAX, NM.MAX])
def test_64_vectors_at_once_are_64_vectors_alone(kind, forward, implementation):
    fields = {**ALL_NOISE, "inp_noise": 0.0, "inp_res": 1 / 128, "out_bound": 3.0, "noise_management": kind}
    io, draws = IOParameters(**fields), Draws(3, implementation)
    weight, x, numbers = dyadic(17, 31, 1), dyadic(64, 31, 2), torch.arange(100, 164)
    together = mvm(weight, x, io, draws, FORWARD, numbers, forward=forward)
    alone = [mvm(weight, x[n : n + 1], io, draws, FORWARD, numbers[n : n + 1], forward=forward) for n in range(64)]
    assert torch.equal(together, torch.cat(alone))


def test_input_noise_too_does_not_depend_on_how_vectors_are_batched():
    # With input noise the order of a sum shows in its last bits, and that order is the matrix library's choice.
    io, draws = IOParameters(**ALL_NOISE, out_bound=3.0, out_res=0.0), Draws(3, "reference")
    weight, x, numbers = dyadic(17, 31, 1), dyadic(64, 31, 2), torch.arange(64)
    together = mvm(weight, x, io, draws, FORWARD, numbers)
    alone = [mvm(weight, x[n : n + 1], io, draws, FORWARD, numbers[n : n + 1]) for n in range(64)]
    assert torch.allclose(together, torch.cat(alone), atol=1e-5)


def test_both_implementations_of_the_random_numbers_give_the_same_product():
    io, x = IOParameters(**{**ALL_NOISE, "inp_noise": 0.0, "inp_res": 1 / 128}), dyadic(20, 31, 2)
    assert torch.equal(product(dyadic(17, 31, 1), x, io, "reference"), product(dyadic(17, 31, 1), x, io, "cpu"))


def test_another_number_stream_or_seed_is_other_noise():
    io, x, weight = quiet(out_noise=0.1), torch.ones(1, 4), torch.ones(5, 4)
    runs = [
        mvm(weight, x, io, Draws(seed, "reference"), stream, torch.tensor([number]))
        for seed, stream, number in [(1, FORWARD, 0), (2, FORWARD, 0), (1, BACKWARD, 0), (1, FORWARD, 1)]
    ]
    assert not any((runs[a] == runs[b]).any() for a in range(4) for b in range(a))


def test_the_uses_within_one_product_have_independent_noise():
    fields = {"inp_noise": 0.1, "out_noise": 0.1, "w_noise": 0.1, "w_noise_type": WeightNoiseType.ADDITIVE_CONSTANT}
    x = torch.tensor([[1.0, 0.0, 0.0, 0.0]]).expand(4000, -1)
    noises = []
    for name in ("inp_noise", "out_noise", "w_noise"):
        alone = quiet(**{**fields, **{other: 0.0 for other in fields if other.endswith("noise") and other != name}})
        noises.append((identity_product(x, alone) - x).flatten())
    correlation = torch.corrcoef(torch.stack(noises)) - torch.eye(3)
    assert correlation.abs().max() < 5 / math.sqrt(16000)


PCM_READ = {"w_noise": 0.07, "w_noise_type": WeightNoiseType.PCM_READ}


@IMPLEMENTATIONS
@pytest.mark.parametrize(
    ("fields", "std"),
    [
        ({"out_noise": 0.06}, 2 * 0.06),
        ({"inp_noise": 0.05}, 2 * 0.05 * math.sqrt(0.3**2 + 0.4**2)),
        ({"w_noise": 0.07, "w_noise_type": WeightNoiseType.ADDITIVE_CONSTANT}, 2 * 0.07 * math.sqrt(1 + 0.5**2)),
        (PCM_READ, 2 * 0.07 * math.sqrt(0.3 + 0.35 * 0.5**2)),
        # The noises of two products are independent, so their variances add up.
        ({**PCM_READ, "mv_type": AnalogMVType.POS_NEG_SEPARATE}, 2 * 0.07 * math.sqrt(0.3 + 0.35 * 0.5**2)),
        ({"out_noise": 0.06, "mv_type": AnalogMVType.POS_NEG_SEPARATE}, 2 * 0.06),
        ({"out_noise": 0.06, "mv_type": AnalogMVType.POS_NEG_SEPARATE_DIGITAL_SUM}, 2 * 0.06 * math.sqrt(2)),
        # A step of 1/2, and a product a quarter step above a code: up with chance 1/4.
        ({"out_res": 1 / 48, "out_sto_round": True}, 2 * 0.5 * math.sqrt(0.25 * 0.75)),
    ],
)
def test_each_noise_has_its_strength_in_the_units_of_the_result(fields, std, implementation):
    x, weight = torch.tensor([[2.0, -1.0]]).expand(20000, -1), torch.tensor([[0.3, 0.4 - 0.05]])
    if "inp_noise" in fields:
        weight = torch.tensor([[0.3, 0.4]])
    elif "out_res" in fields:
        weight = torch.tensor([[0.5, -0.25]])  # the scaled product is 0.625
    noise = (product(weight, x, quiet(**fields), implementation) - x @ weight.t()).double()
    assert abs(noise.mean()) < 5 * std / math.sqrt(len(x))
    assert noise.std() == pytest.approx(std, abs=5 * std / math.sqrt(len(x)))


def test_stochastic_rounding_of_the_input_is_right_on_average():
    io = quiet(inp_res=1 / 4, inp_sto_round=True, noise_management=NM.NONE)  # steps of 1/2
    u = identity_product(torch.full((20000, 1), 0.2), io)
    assert set(u.flatten().tolist()) == {0.0, 0.5}
    assert u.mean().item() == pytest.approx(0.2, abs=5 * 0.5 * math.sqrt(0.4 * 0.6 / 20000))


# Reading slices


@IMPLEMENTATIONS
@pytest.mark.parametrize(
    "io",
    [
        quiet(),
        IOParameters(out_noise=0.0),
        IOParameters(out_noise=0.0, inp_res=0.3, out_bound=0.5, out_scale=1.7, out_asymmetry=0.1, inp_asymmetry=0.2),
        IOParameters(is_perfect=True, out_scale=0.3),
        IOParameters(out_noise=0.0, inp_res=1 / 30, noise_management=NM.CONSTANT, nm_thres=0.5),
        IOParameters(w_noise=0.1, w_noise_type=WeightNoiseType.ADDITIVE_CONSTANT, out_sto_round=True, inp_res=0.3),
        IOParameters(w_noise=0.1, w_noise_type=WeightNoiseType.PCM_READ, inp_res=0.3),
        IOParameters(ir_drop=1.0, ir_drop_g_ratio=50.0, inp_res=0.3),
        IOParameters(v_offset_std=0.1, r_series=0.2, v_offset_w_min=-0.7, inp_res=0.3),
        IOParameters(v_offset_std=0.1, inp_res=0.3),
        IOParameters(out_nonlinearity=2.0, out_nonlinearity_std=0.3, slope_calibration=0.5, out_noise_std=0.5),
        IOParameters(mv_type=AnalogMVType.POS_NEG_SEPARATE, w_read_asymmetry_dtod=0.3, v_offset_std=0.1, ir_drop=9e3),
        IOParameters(mv_type=AnalogMVType.POS_NEG_SEPARATE_DIGITAL_SUM, w_read_asymmetry_dtod=0.3, out_bound=0.5),
    ],
)
def test_reading_a_slice_is_the_product_with_a_one_hot_vector(io, implementation):
    weight = torch.randn(33, 10, generator=torch.Generator().manual_seed(5))
    draws, stream, numbers = Draws(11, implementation), Stream.READ.of(1), torch.arange(40, 50)
    for matrix in (weight, weight.t()):
        n = numbers[: matrix.shape[1]].repeat(4)[: matrix.shape[1]]
        lines, periphery = matrix.shape[1], circuits(matrix, io, draws)
        whole = mvm(matrix, torch.eye(lines), unmanaged(io), draws, stream, n, periphery=periphery)
        read = read_slices(matrix.t(), torch.arange(lines), lines, io, draws, stream, n, periphery)
        assert torch.equal(read, whole)


def test_reading_a_slice_leaves_the_weights_alone():
    slices = torch.full((2, 3), 0.4)
    io = IOParameters(ir_drop=1.0, r_series=0.1, mv_type=AnalogMVType.POS_NEG_SEPARATE)
    read_slices(slices, torch.arange(2), 2, io, Draws(1, "reference"), Stream.READ.of(0), torch.arange(2))
    assert (slices == 0.4).all()


def test_input_noise_cannot_be_read_slice_by_slice():
    one = torch.arange(1)
    with pytest.raises(TileError, match=r"inp_noise = 0\.1"):
        read_slices(torch.ones(1, 2), one, 1, IOParameters(inp_noise=0.1), Draws(1, "reference"), 0, one)


# Arguments and settings


def test_weights_and_inputs_are_left_alone():
    weight, x = torch.rand(3, 4), torch.rand(5, 4)
    before = weight.clone(), x.clone()
    io = IOParameters(**ALL_NOISE, out_bound=0.3, noise_management=NM.NONE, inp_bound=0.5)
    product(weight, x, io)
    assert torch.equal(weight, before[0])
    assert torch.equal(x, before[1])


def test_no_vectors_give_no_results():
    assert product(torch.ones(3, 4), torch.ones(0, 4), IOParameters(**ALL_NOISE)).shape == (0, 3)
    none = torch.arange(0)
    assert read_slices(torch.ones(0, 3), none, 3, IOParameters(), Draws(1, "reference"), 0, none).shape == (0, 3)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"inp_bound": 0.8}, r"backward\.inp_bound = 0\.8: noise management ABS_MAX"),
        ({"w_noise": 0.1}, r"backward\.w_noise = 0\.1 has no effect"),
        (
            {"w_read_asymmetry_dtod": 0.1},
            r"backward\.w_read_asymmetry_dtod = 0\.1 has no effect .* ONE_PASS\. Set mv_type",
        ),
        ({"v_offset_w_min": -math.inf}, r"backward\.v_offset_w_min = -inf"),
        ({"ir_drop_g_ratio": math.inf}, r"backward\.ir_drop_g_ratio = inf"),
        ({"max_bm_factor": 2**31}, r"backward\.max_bm_factor = 2147483648"),
        ({"out_noise": math.inf}, r"backward\.out_noise = inf"),
        ({"noise_management": NM.CONSTANT, "nm_thres": math.inf}, r"backward\.nm_thres = inf"),
    ],
)
def test_settings_that_do_not_fit_together_are_named(fields, message):
    with pytest.raises(ConfigError, match=message):
        check_io(IOParameters(**fields), "backward")
    check_io(IOParameters(**fields, is_perfect=True), "backward")


def test_settings_that_fit_together_pass():
    check_io(IOParameters(), "forward")
    check_io(IOParameters(inp_bound=0.8, noise_management=NM.NONE), "forward")
    check_io(IOParameters(nm_thres=math.inf, out_bound=math.inf), "forward")
    check_io(IOParameters(w_read_asymmetry_dtod=0.1, mv_type=AnalogMVType.POS_NEG_SEPARATE), "forward")
