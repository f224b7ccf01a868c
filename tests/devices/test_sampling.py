"""How the parameters of cells vary from one to the other."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from scipy import stats
from torch import Tensor

from builders import COMPOUNDS, steady
from ohmgrad.configs import (
    ConstantStepDevice,
    ExpStepDevice,
    LinearStepDevice,
    PiecewiseStepDevice,
    PowerResponseDevice,
    PowStepDevice,
    PowStepReferenceDevice,
    PulsedDevice,
    SingleRPUConfig,
    SoftBoundsDevice,
    SoftBoundsPmaxDevice,
    SoftBoundsReferenceDevice,
    UnitCellRPUConfig,
)
from ohmgrad.tile import AnalogTile

IMPLEMENTATIONS = pytest.mark.parametrize("implementation", ["reference", "cpu"])
KINDS: list[type[PulsedDevice]] = [
    ConstantStepDevice,
    LinearStepDevice,
    SoftBoundsDevice,
    SoftBoundsReferenceDevice,
    ExpStepDevice,
    PowStepDevice,
    PowStepReferenceDevice,
    PiecewiseStepDevice,
]
DEVICES = pytest.mark.parametrize("kind", KINDS)
REFERENCES = pytest.mark.parametrize("kind", [SoftBoundsReferenceDevice, PowStepReferenceDevice])


class Drawn:
    """A sampler that gives the numbers it was told, one cell for each."""

    def __init__(self, normals: dict[int, Any], uniforms: dict[int, Any] | None = None) -> None:
        self.normals, self.uniforms = normals, uniforms or {}

    def normal(self, purpose: int) -> Tensor:
        return torch.as_tensor(self.normals.get(purpose, 0.0), dtype=torch.float32).reshape(1, -1)

    def uniform(self, purpose: int) -> Tensor:
        return torch.as_tensor(self.uniforms[purpose], dtype=torch.float32).reshape(1, -1)


def cells_of(device: PulsedDevice, size: int = 128, seed: int = 3, implementation: str = "cpu") -> dict[str, Tensor]:
    torch.manual_seed(seed)
    config = SingleRPUConfig(device=device)
    config.runtime.implementation = implementation
    return AnalogTile(size, size, config).get_hidden_parameters()


# Numbers worked by hand


@DEVICES
@pytest.mark.parametrize(
    ("up_down", "up", "down"), [(0.0, 0.00105, 0.00107), (0.1, 0.00105, 0.00097), (-0.1, 0.00095, 0.00107)]
)
def test_cells_are_sampled_as_worked_by_hand(kind: type[PulsedDevice], up_down: float, up: float, down: float) -> None:
    cells = kind(up_down=up_down).sample(Drawn({0: 1.0, 1: -0.5, 2: 0.2, 3: -1.0}))
    found = [cells[name].item() for name in ("max_bound", "min_bound", "dwmin_up", "dwmin_down")]
    assert found == pytest.approx([0.78, -0.51, up, down], rel=1e-6)
    assert list(cells)[:7] == [
        "max_bound", "min_bound", "dwmin_up", "dwmin_down", "decay_scales", "diffusion_rates", "reset_bias",
    ]  # fmt: skip


def test_slopes_are_sampled_as_worked_by_hand() -> None:
    device = LinearStepDevice(dw_min=0.01, gamma_up=0.5, gamma_down=0.2)
    cells = device.sample(Drawn({}))
    assert cells["slope_up"].item() == pytest.approx(-0.5 * 0.01 / 0.6)
    assert cells["slope_down"].item() == pytest.approx(0.2 * 0.01 / 0.6)
    spread = device.sample(Drawn({16: [2.0, -12.0], 17: [-1.0, -8.0]}))  # gamma 0.6 and -0.1, 0.15 and -0.2
    assert spread["slope_up"].flatten().tolist() == pytest.approx([-0.01, -0.01 * 0.1 / 0.6])
    assert spread["slope_down"].flatten().tolist() == pytest.approx([0.0025, 0.01 * 0.2 / 0.6])
    increasing = device.replaced(allow_increasing=True).sample(Drawn({16: [2.0, -12.0], 17: [-1.0, -8.0]}))
    assert increasing["slope_up"].flatten().tolist() == pytest.approx([-0.01, 0.01 * 0.1 / 0.6])
    assert increasing["slope_down"].flatten().tolist() == pytest.approx([0.0025, -0.01 * 0.2 / 0.6])


@pytest.mark.parametrize(("mean_bounds", "up"), [(True, -0.5 * 0.01 / 0.6), (False, -0.5 * 0.01 / 0.78)])
def test_slopes_refer_to_mean_bounds_or_to_those_of_the_cell(mean_bounds: bool, up: float) -> None:
    device = LinearStepDevice(dw_min=0.01, gamma_up=0.5, gamma_up_dtod=0.0, mean_bound_reference=mean_bounds)
    assert device.sample(Drawn({0: 1.0}))["slope_up"].item() == pytest.approx(up, rel=1e-6)


def test_a_cell_whose_bound_is_0_has_no_slope() -> None:
    cells = steady(SoftBoundsDevice, w_max=0.0).sample(Drawn({}))
    assert cells["slope_up"].item() == 0.0
    assert torch.isfinite(torch.stack(list(cells.values()))).all()


def test_exponents_are_sampled_as_worked_by_hand() -> None:
    device = PowStepDevice(pow_gamma=2.0, pow_gamma_dtod=0.1, pow_up_down_dtod=0.05, pow_up_down=0.2)
    cells = device.sample(Drawn({16: [1.0, -20.0], 17: [2.0, 0.0]}))
    # q = 1.1 and -1; a = 0.1 and 0; only the down exponent is lowered by pow_up_down, and signs are repaired.
    assert cells["gamma_up"].flatten().tolist() == pytest.approx([2.4, 2.0])
    assert cells["gamma_down"].flatten().tolist() == pytest.approx([1.6, 2.4])
    other = device.replaced(pow_up_down=-0.2, enforce_consistency=False).sample(Drawn({16: [1.0, -20.0]}))
    assert other["gamma_up"].flatten().tolist() == pytest.approx([1.8, -2.4])
    assert other["gamma_down"].flatten().tolist() == pytest.approx([2.2, -2.0])


def test_steeper_slopes_move_the_bounds_and_keep_the_steps_at_0() -> None:
    device = steady(SoftBoundsReferenceDevice, w_max=1.0, w_min=-0.5, slope_up_dtod=0.1, slope_down_dtod=0.25)
    cells = device.sample(Drawn({16: 1.0, 17: -2.0}))  # slopes of 1.25 and 0.8 times the mean
    assert cells["max_bound"].item() == pytest.approx(1.25)
    assert cells["min_bound"].item() == pytest.approx(-0.4)
    assert cells["dwmin_up"].item() == cells["dwmin_down"].item() == pytest.approx(0.001)


@pytest.mark.parametrize(
    ("device", "point"),
    [
        (steady(SoftBoundsReferenceDevice, w_max=1.0, w_min=-1.0, dw_min=0.01, up_down=0.3), 0.003 / 0.017),
        (
            steady(PowStepReferenceDevice, w_max=1.0, w_min=-1.0, dw_min=0.01, up_down=0.3, pow_gamma=2.0),
            (1 - 0.7**0.5) / (1 + 0.7**0.5),
        ),
        (
            steady(
                PowStepReferenceDevice, w_max=1.0, w_min=-1.0, dw_min=0.01, up_down=0.3, pow_gamma=2.0,
                n_estimation_steps=2857,
            ),
            0.0889327,
        ),
    ],
)  # fmt: skip
def test_the_symmetry_point_of_a_cell_is_added_to_its_reference(device: PulsedDevice, point: float) -> None:
    cells = device.replaced(subtract_symmetry_point=True, reference_mean=0.1, reference_std=0.5).sample(
        Drawn({24: 1.0})
    )
    assert cells["reference"].item() == pytest.approx(0.6 + point, abs=1e-5)
    assert cells["reset_bias"].item() == 0.0  # as seen from the reference


@REFERENCES
def test_a_cell_whose_bounds_do_not_lie_around_0_has_no_symmetry_point(kind: type[PulsedDevice]) -> None:
    device = steady(kind, w_max=0.0, subtract_symmetry_point=True, reference_mean=0.1, corrupt_devices_prob=0.5)
    cells = device.sample(Drawn({}, {4: [0.1, 0.9], 5: [0.5, 0.5]}))
    assert cells["reference"].flatten().tolist() == pytest.approx([0.1, 0.1])


# Repair


def test_signs_of_steps_and_bounds_are_repaired() -> None:
    draws = Drawn({0: [-5.0, 0.0, -9.0], 1: [0.0, -5.0, -9.0], 2: [-10.0, 0.0, 0.0]})
    cells = ConstantStepDevice(w_max_dtod=1.0, w_min_dtod=1.0).sample(draws)
    # The bounds were (-2.4, -0.6), (0.6, 2.4) and (-4.8, 4.8), in the order of upper and lower.
    assert cells["max_bound"].flatten().tolist() == pytest.approx([0.6, 2.4, 4.8])
    assert cells["min_bound"].flatten().tolist() == pytest.approx([-2.4, -0.6, -4.8])
    assert cells["dwmin_up"].flatten().tolist() == pytest.approx([0.002, 0.001, 0.001])
    assert cells["dwmin_down"].flatten().tolist() == pytest.approx([0.002, 0.001, 0.001])


def test_without_repair_crossed_bounds_meet_in_the_middle_and_steps_may_be_negative() -> None:
    draws = Drawn({0: [-2.0, 0.0], 1: [0.0, 0.0], 2: [-10.0, 0.0]})
    device = ConstantStepDevice(w_max_dtod=1.0, w_min_dtod=1.0, enforce_consistency=False)
    cells = device.sample(draws)  # bounds -0.6 and -0.6: not crossed
    assert cells["max_bound"].flatten().tolist() == pytest.approx([-0.6, 0.6])
    assert cells["dwmin_up"].flatten().tolist() == pytest.approx([-0.002, 0.001])
    crossed = device.sample(Drawn({0: [-3.0], 1: [0.0]}))  # -1.2 and -0.6
    assert crossed["max_bound"].item() == crossed["min_bound"].item() == pytest.approx(-0.9)


@DEVICES
def test_repaired_cells_have_bounds_around_0_and_positive_steps(kind: type[PulsedDevice]) -> None:
    cells = cells_of(kind(w_max_dtod=2.0, w_min_dtod=2.0, dw_min_dtod=2.0))
    assert (cells["max_bound"] >= 0.0).all()
    assert (cells["min_bound"] <= 0.0).all()
    assert (cells["dwmin_up"] >= 0.0).all()
    assert (cells["dwmin_down"] >= 0.0).all()


# Stuck cells


@DEVICES
def test_stuck_cells_lie_in_their_range_and_never_move(kind: type[PulsedDevice]) -> None:
    torch.manual_seed(1)
    tile = AnalogTile(40, 30, SingleRPUConfig(device=kind(corrupt_devices_prob=1.0)))
    cells = tile.get_hidden_parameters()
    assert torch.equal(cells["max_bound"], cells["min_bound"])
    assert cells["max_bound"].abs().max() <= 0.1
    assert stats.kstest(cells["max_bound"].flatten().numpy(), "uniform", (-0.1, 0.2)).pvalue > 0.001
    assert not cells["dwmin_up"].any()
    assert not cells["dwmin_down"].any()
    stuck = cells["max_bound"] - cells.get("reference", 0.0)
    assert torch.equal(tile.get_weights(), stuck)
    tile.update(torch.randn(5, 30), torch.randn(5, 40))
    assert torch.equal(tile.get_weights(), stuck)


@IMPLEMENTATIONS
def test_as_many_cells_are_stuck_as_asked_for(implementation: str) -> None:
    healthy = cells_of(ConstantStepDevice(), implementation=implementation)
    cells = cells_of(ConstantStepDevice(corrupt_devices_prob=0.3), implementation=implementation)
    stuck = cells["max_bound"] == cells["min_bound"]
    assert abs(float(stuck.float().mean()) - 0.3) <= 4 * (0.3 * 0.7 / stuck.numel()) ** 0.5
    for name in ("max_bound", "dwmin_up"):
        assert torch.equal(cells[name][~stuck], healthy[name][~stuck])


def test_stuck_cells_stay_within_the_bounds_they_would_have_had() -> None:
    cells = cells_of(steady(ConstantStepDevice, w_max=0.05, w_min=-0.02, corrupt_devices_prob=1.0))
    assert cells["max_bound"].max() <= 0.05
    assert cells["max_bound"].min() >= -0.02


# Distributions


@IMPLEMENTATIONS
@pytest.mark.parametrize("field", ["max_bound", "min_bound", "dwmin_up", "dwmin_down", "diffusion_rates", "reset_bias"])
def test_a_parameter_has_its_normal_distribution(field: str, implementation: str) -> None:
    device = ConstantStepDevice(
        w_max=0.8, w_max_dtod=0.1, w_min=-0.5, w_min_dtod=0.15, dw_min=0.01, dw_min_dtod=0.12, up_down=0.2,
        up_down_dtod=0.05, diffusion=0.02, diffusion_dtod=0.1, reset=0.1, reset_dtod=0.03,
    )  # fmt: skip
    step = (0.12**2 + 0.05**2) ** 0.5 * 0.01
    mean, std = {
        "max_bound": (0.8, 0.08),
        "min_bound": (-0.5, 0.075),
        "dwmin_up": (0.01, step),
        "dwmin_down": (0.008, step),
        "diffusion_rates": (0.02, 0.002),
        "reset_bias": (0.1, 0.03),  # absolute
    }[field]
    values = cells_of(device, implementation=implementation)[field].flatten().numpy()
    assert stats.kstest(values, "norm", (mean, std)).pvalue > 0.001


def test_the_gain_may_be_log_normal() -> None:
    device = steady(ConstantStepDevice, dw_min=0.01, dw_min_dtod=0.7, dw_min_dtod_log_normal=True)
    steps = cells_of(device)["dwmin_up"]
    assert stats.kstest((steps / 0.01).log().flatten().numpy(), "norm", (0.0, 0.7)).pvalue > 0.001
    asymmetric = cells_of(device.replaced(up_down=0.3))
    assert (asymmetric["dwmin_down"] - (steps - 0.003).abs()).abs().max() <= 1e-7


@pytest.mark.parametrize("kind", [LinearStepDevice])
def test_gammas_vary_by_an_absolute_amount(kind: type[PulsedDevice]) -> None:
    device = steady(kind, dw_min=0.01, gamma_up=0.3, gamma_up_dtod=0.05, gamma_down=0.6, gamma_down_dtod=0.1)
    cells = cells_of(device)
    for name, mean, std in (("slope_up", -0.3, 0.05), ("slope_down", 0.6, 0.1)):
        gammas = cells[name].flatten().numpy() * 60.0
        assert stats.kstest(gammas, "norm", (mean, std)).pvalue > 0.001


@IMPLEMENTATIONS
@REFERENCES
def test_references_have_their_normal_distribution(kind: type[PulsedDevice], implementation: str) -> None:
    device = steady(kind, reference_mean=0.2, reference_std=0.05)
    reference = cells_of(device, implementation=implementation)["reference"].flatten().numpy()
    assert stats.kstest(reference, "norm", (0.2, 0.05)).pvalue > 0.001


@pytest.mark.parametrize("kind", [PowStepDevice, PowStepReferenceDevice])
def test_exponents_have_their_normal_distribution(kind: type[PulsedDevice]) -> None:
    device = steady(kind, pow_gamma=2.0, pow_gamma_dtod=0.1, pow_up_down=0.2, pow_up_down_dtod=0.05)
    cells, std = cells_of(device), 2.0 * (0.1**2 + 0.05**2) ** 0.5
    for name, mean in (("gamma_up", 2.0), ("gamma_down", 1.6)):
        assert stats.kstest(cells[name].flatten().numpy(), "norm", (mean, std)).pvalue > 0.001


def test_slopes_against_a_reference_have_their_normal_distribution() -> None:
    device = steady(SoftBoundsReferenceDevice, w_max=1.0, w_min=-0.5, slope_up_dtod=0.1, slope_down_dtod=0.05)
    cells = cells_of(device)
    for name, mean, std in (("max_bound", 1.0, 0.1), ("min_bound", -2.0, 0.1)):
        slopes = (1.0 / cells[name]).flatten().numpy()
        assert stats.kstest(slopes, "norm", (mean, std)).pvalue > 0.001


def test_cells_of_a_measured_curve_vary_about_what_follows_from_it() -> None:
    device = SoftBoundsPmaxDevice(range_min=-1.0, range_max=1.0, p_max=1000, alpha=0.0005, w_max_dtod=0.1)
    bounds = cells_of(device)["max_bound"].flatten().numpy()
    mean = -1.0 + 2.0 / (1.0 - 2.718281828**-0.5)
    assert stats.kstest(bounds, "norm", (mean, 0.1 * mean)).pvalue > 0.001


def test_cells_of_a_response_are_alike_unless_asked_for() -> None:
    cells = cells_of(PowerResponseDevice(tau=0.5, dw_min=0.01), 8)
    for name, value in (("max_bound", 0.5), ("min_bound", -0.5), ("dwmin_up", 0.01), ("dwmin_down", 0.01)):
        assert torch.equal(cells[name], torch.full((8, 8), value))
    varied = cells_of(PowerResponseDevice(tau=0.5, w_max_dtod=0.1))["max_bound"].flatten().numpy()
    assert stats.kstest(varied, "norm", (0.5, 0.05)).pvalue > 0.001


def test_soft_bounds_steps_vanish_at_the_bounds_of_the_cell() -> None:
    cells = cells_of(SoftBoundsDevice())
    scale = cells["dwmin_up"] + 1e-6
    assert ((cells["slope_up"] * cells["max_bound"] + cells["dwmin_up"]).abs() / scale).max() <= 1e-5
    assert ((cells["slope_down"] * cells["min_bound"] + cells["dwmin_down"]).abs() / scale).max() <= 1e-4


def test_lifetimes_vary_and_end_at_complete_loss() -> None:
    scales = cells_of(ConstantStepDevice(lifetime=10.0, lifetime_dtod=0.5))["decay_scales"]
    lifetimes = 1.0 / (1.0 - scales[scales > 0.0])
    assert (scales >= 0.0).all()
    assert (scales < 1.0).all()
    lost = float((scales == 0.0).double().mean())  # lifetime of 1 or less: 1.8 standard deviations below the mean
    assert abs(lost - stats.norm.cdf(-1.8)) <= 4 * (0.036 / scales.numel()) ** 0.5
    truncated = stats.truncnorm(-1.8, float("inf"), 10.0, 5.0)
    assert stats.kstest(lifetimes.double().numpy(), truncated.cdf).pvalue > 0.001


def test_parameters_vary_independently_of_each_other_and_of_their_neighbours() -> None:
    device = ConstantStepDevice(w_max_dtod=0.1, w_min_dtod=0.1, dw_min_dtod=0.1, reset_dtod=0.1, up_down_dtod=0.0)
    cells = cells_of(device)
    columns = [cells[name].double() for name in ("max_bound", "min_bound", "dwmin_up", "reset_bias")]
    columns += [columns[0].roll(shift, axis) for shift in (1, 2) for axis in (0, 1)]
    correlation = torch.corrcoef(torch.stack([column.flatten() for column in columns]))
    assert (correlation - torch.eye(len(columns))).abs().max() <= 4.5 / 128


# Seeds


VARIED = {
    "w_max_dtod": {"max_bound", "slope_up"},
    "w_min_dtod": {"min_bound", "slope_down"},
    "dw_min_dtod": {"dwmin_up", "dwmin_down", "slope_up", "slope_down"},
    "up_down_dtod": {"dwmin_up", "dwmin_down", "slope_up", "slope_down"},
    "diffusion_dtod": {"diffusion_rates"},
    "reset_dtod": {"reset_bias"},
    "lifetime_dtod": {"decay_scales"},
    "corrupt_devices_prob": {"max_bound", "min_bound", "dwmin_up", "dwmin_down", "slope_up", "slope_down"},
    "lifetime": {"decay_scales"},
}


@pytest.mark.parametrize("field", VARIED)
def test_switching_one_variation_off_leaves_all_other_parameters_as_they_were(field: str) -> None:
    device = SoftBoundsDevice(
        diffusion=0.1, diffusion_dtod=0.2, reset_dtod=0.1, lifetime=10.0, lifetime_dtod=0.2, corrupt_devices_prob=0.1
    )
    varied, without = cells_of(device, 8), cells_of(device.replaced(**{field: 0.0}), 8)
    assert {name for name in varied if not torch.equal(varied[name], without[name])} == VARIED[field]


def test_a_cell_does_not_depend_on_the_size_of_the_tile() -> None:
    small, large = cells_of(SoftBoundsDevice(), 5), cells_of(SoftBoundsDevice(), 70)
    assert all(torch.equal(large[name][:5, :5], small[name]) for name in small)


def test_a_construction_seed_fixes_the_cells_whatever_the_seed_of_the_tile() -> None:
    device = SoftBoundsDevice(construction_seed=12)
    first, second, other = cells_of(device, 6, 1), cells_of(device, 6, 2), cells_of(SoftBoundsDevice(), 6, 2)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["max_bound"], other["max_bound"])
    assert not torch.equal(first["max_bound"], cells_of(device.replaced(construction_seed=13), 6, 1)["max_bound"])


def test_without_a_construction_seed_the_seed_of_the_tile_decides() -> None:
    first, again, other = (cells_of(SoftBoundsDevice(), 6, seed) for seed in (1, 1, 2))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["max_bound"], other["max_bound"])


@pytest.mark.parametrize("compound", COMPOUNDS)
def test_the_arrays_of_a_compound_vary_independently_under_one_construction_seed(compound: str) -> None:
    def bounds(seed: int) -> list[Tensor]:
        torch.manual_seed(seed)
        devices = [SoftBoundsDevice(construction_seed=5), SoftBoundsDevice(construction_seed=5)]
        config = UnitCellRPUConfig(device=COMPOUNDS[compound](unit_cell_devices=devices, construction_seed=7))
        hidden = AnalogTile(4, 6, config).get_hidden_parameters()
        return [hidden["max_bound_0"], hidden["max_bound_1"]]

    first, second = bounds(1), bounds(2)
    assert torch.equal(torch.stack(first), torch.stack(second))
    assert not torch.equal(*first)


@IMPLEMENTATIONS
def test_both_implementations_sample_the_same_cells(implementation: str) -> None:
    device = SoftBoundsDevice(lifetime=9.0, lifetime_dtod=0.1, corrupt_devices_prob=0.2, reset_dtod=0.1)
    here, there = cells_of(device, 37, implementation=implementation), cells_of(device, 37)
    for name in here:
        torch.testing.assert_close(here[name], there[name], rtol=3e-6, atol=1e-6)
