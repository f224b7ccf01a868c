"""Devices fitted to measurements of simulated cells are those that were simulated."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from analysis.measured import measured
from builders import steady
from ohmgrad import configs
from ohmgrad.analysis import DeviceFit, Measurements, fit_measurements
from ohmgrad.configs import (
    ConstantStepDevice,
    ExponentialResponseDevice,
    ExpStepDevice,
    FadingResponseDevice,
    LinearResponseDevice,
    LinearStepDevice,
    PiecewiseStepDevice,
    PowerResponseDevice,
    PowStepDevice,
    PowStepReferenceDevice,
    PulsedDevice,
    SoftBoundsDevice,
    SoftBoundsPmaxDevice,
    SoftBoundsReferenceDevice,
)
from ohmgrad.errors import ConfigError

SOFT = steady(SoftBoundsDevice, dw_min=0.05, up_down=0.1, w_max=1.2, w_min=-0.8, dw_min_std=0.3)
RANGE: dict[str, Any] = {"w_max": 1.0, "w_min": -1.0}
SIMULATED: dict[str, tuple[PulsedDevice, PulsedDevice | None]] = {
    "constant": (steady(ConstantStepDevice, dw_min=0.02, up_down=0.1, dw_min_std=0.3, **RANGE), None),
    "linear": (steady(LinearStepDevice, dw_min=0.03, gamma_up=0.5, gamma_down=0.2, dw_min_std=0.2, **RANGE), None),
    "soft": (SOFT, None),
    "additive": (
        steady(SoftBoundsReferenceDevice, dw_min=0.05, up_down=-0.1, w_max=1.2, w_min=-0.8, dw_min_std=0.3),
        None,
    ),
    "exponential step": (
        steady(
            ExpStepDevice, dw_min=0.03, A_up=0.3, A_down=0.2, gamma_up=1.0, gamma_down=1.5, a=1.0, b=0.0,
            dw_min_std=0.1, **RANGE,
        ),
        None,
    ),
    "power step": (steady(PowStepDevice, dw_min=0.1, pow_gamma=1.5, dw_min_std=0.1, **RANGE), None),
    "power step with a reference": (steady(PowStepReferenceDevice, dw_min=0.1, dw_min_std=0.1, **RANGE), None),
    "measured curve": (
        SoftBoundsPmaxDevice(p_max=40, alpha=0.05, dw_min_dtod=0.0, up_down_dtod=0.0, w_max_dtod=0.0, w_min_dtod=0.0),
        SoftBoundsPmaxDevice(p_max=40, alpha=0.02, range_min=-0.8, range_max=0.9),
    ),
    "piecewise": (
        steady(
            PiecewiseStepDevice, dw_min=0.05, piecewise_up=[1.5, 1.0, 0.3], piecewise_down=[0.2, 1.0, 1.2],
            dw_min_std=0.2, **RANGE,
        ),
        steady(PiecewiseStepDevice, dw_min=0.05, piecewise_up=[1.0] * 3, piecewise_down=[1.0] * 3, **RANGE),
    ),
    "linear response": (LinearResponseDevice(dw_min=0.05, offset=0.2, tau=1.1, dw_min_std=0.3), None),
    "power response": (PowerResponseDevice(dw_min=0.05, gamma_res=2.0, tau=1.1, dw_min_std=0.1), None),
    "exponential response": (ExponentialResponseDevice(dw_min=0.05, gamma_res=2.0, tau=1.1, dw_min_std=0.1), None),
    "fading response": (FadingResponseDevice(dw_min=0.05, beta=0.7, tau=1.1, dw_min_std=0.1), None),
}  # fmt: skip
"""What is simulated, and where the fit begins if not at the class."""


def true_value(device: PulsedDevice, name: str) -> float:
    if hasattr(device, name):
        return float(getattr(device, name))
    field, _, k = name.rpartition("_")
    return float(getattr(device, field)[int(k)])


def off_by(fit: DeviceFit, device: PulsedDevice) -> dict[str, float]:
    """How many standard errors each value is from the true one."""
    return {name: abs(fit.values[name] - true_value(device, name)) / fit.errors[name] for name in fit.values}


@pytest.mark.parametrize("name", list(SIMULATED))
def test_the_parameters_of_every_family_are_found_within_their_errors(name: str) -> None:
    device, start = SIMULATED[name]
    fit = fit_measurements(measured(device), start or type(device), scale=1.0)
    assert max(off_by(fit, device).values()) < 5.0
    value, error = fit.dw_min_std
    assert abs(value - device.dw_min_std) < 5.0 * error
    assert 0.0 < error < 0.2 * value
    assert fit.device.dw_min_std == value
    assert type(fit.device) is type(device)
    fit.device.check()


def test_without_noise_they_are_found_exactly() -> None:
    fit = fit_measurements(measured(SOFT.replaced(dw_min_std=0.0), train=40, rounds=1), scale=1.0)
    for name, value in fit.values.items():
        assert value == pytest.approx(true_value(SOFT, name), abs=1e-4)
    assert fit.dw_min_std[0] < 1e-4
    assert fit.read_noise == 0.0


def test_standard_errors_are_those_of_repeated_measurements() -> None:
    cells = fit_measurements(measured(SOFT, cells=20, train=50, rounds=2), scale=1.0).cells.values()
    for k, name in enumerate(("dw_min", "up_down")):
        found = torch.tensor([cell.values[name] for cell in cells])
        said = torch.tensor([cell.covariance[k, k] ** 0.5 for cell in cells])
        assert float(found.std() / said.mean()) == pytest.approx(1.0, abs=0.4)


def test_cells_that_differ_give_the_mean_cell_and_its_variation() -> None:
    device = SOFT.replaced(dw_min_dtod=0.2, up_down_dtod=0.1, w_max_dtod=0.1)
    fit = fit_measurements(measured(device, cells=15, train=50, rounds=2), scale=1.0)
    assert max(off_by(fit, device).values()) < 5.0
    for name in ("dw_min_dtod", "up_down_dtod", "w_max_dtod", "w_min_dtod"):
        value, error = fit.spread[name]
        assert abs(value - getattr(device, name)) < max(5.0 * error, 0.01)
        assert getattr(fit.device, name) == value


def test_a_single_cell_says_nothing_of_variation() -> None:
    fit = fit_measurements(measured(SOFT), SoftBoundsDevice)
    assert fit.device.dw_min_dtod == fit.device.w_max_dtod == 0.0
    assert fit.spread == {}
    kept = fit_measurements(measured(SOFT), SOFT.replaced(dw_min_dtod=0.123))
    assert kept.device.dw_min_dtod == 0.123  # of a device that is given, the other fields are kept


def test_errors_of_reading_are_told_from_noise_of_steps_and_wanted_a_trajectory() -> None:
    quiet = SOFT.replaced(dw_min_std=0.02)
    data = measured(quiet, train=50, rounds=2, read=0.03)
    steps = fit_measurements(data, scale=1.0)
    assert steps.read_noise == pytest.approx(0.03, rel=0.3)
    assert "try the method 'trajectory'" in steps.advice
    curve = fit_measurements(data, scale=1.0, method="trajectory")
    assert curve.read_noise == pytest.approx(0.03, rel=0.15)
    assert curve.device.write_noise == pytest.approx(curve.read_noise)
    assert max(off_by(curve, quiet).values()) < 5.0
    assert all(curve.errors[name] < steps.errors[name] for name in curve.errors)
    assert curve.advice == ""
    noisy = fit_measurements(measured(SOFT, train=50, rounds=2), scale=1.0, method="trajectory")
    assert "Use the method 'steps'" in noisy.advice


def test_conductances_become_weights_by_range_or_scale() -> None:
    data = measured(SOFT, train=40, rounds=1)
    (trace,) = data.traces.values()
    low, high = float(trace.values.min()), float(trace.values.max())
    by_range = fit_measurements(data, SOFT).cells["0"].weights
    assert (float(by_range.min()), float(by_range.max())) == pytest.approx((-1.0, 1.0))
    given = fit_measurements(data, SOFT, g_min=low - 1.0, g_max=high + 1.0).normalisation
    assert (given.offset, given.scale) == pytest.approx(((low + high) / 2, (high - low) / 2 + 1.0))
    torch.testing.assert_close(
        fit_measurements(data, SOFT, scale=2.0, offset=0.1).cells["0"].weights, (trace.values - 0.1) / 2
    )


def test_a_device_of_ones_own_is_fitted_by_its_law() -> None:
    class Halving(PulsedDevice):
        share: float = 0.5

        @staticmethod
        def law(w, up, noise, share, dw_min, dw_min_std):  # type: ignore[no-untyped-def]
            return w + share * (2.0 * up - 1.0 - w) + dw_min * dw_min_std * noise

    data = measured(steady(Halving, share=0.1, dw_min=0.01, dw_min_std=0.5), train=20)
    with pytest.raises(ConfigError, match="which fields of Halving vary"):
        fit_measurements(data, Halving, scale=1.0)
    fit = fit_measurements(data, Halving, vary=["share"], scale=1.0)
    assert abs(fit.values["share"] - 0.1) < 5.0 * fit.errors["share"] < 0.02


def test_the_line_of_python_makes_the_device() -> None:
    for name in ("soft", "piecewise"):
        device, start = SIMULATED[name]
        fit = fit_measurements(measured(device, rounds=2), start or type(device), scale=1.0)
        assert fit.line.startswith(f"from ohmgrad.configs import {type(device).__name__}; device = ")
        made = eval(fit.code, vars(configs))
        for field in type(made).model_fields:
            value = getattr(fit.device, field)
            if isinstance(value, float):
                assert getattr(made, field) == pytest.approx(value, rel=1e-5)


def test_the_report_is_that_of_lmfit() -> None:
    fit = fit_measurements(measured(SOFT, cells=2, train=30, rounds=1))
    assert fit.report.count("[[Fit Statistics]]") == 2
    assert "dw_min:" in fit.report
    assert set(fit.correlations) == {(a, b) for k, b in enumerate(fit.values) for a in list(fit.values)[:k]}
    assert len(fit.residuals) == 2 * 60


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"vary": ["dw_max"]}, "'dw_max' of SoftBoundsDevice cannot vary. Give some of: .*dw_min"),
        ({"vary": []}, "vary is empty"),
        ({"vary": ["dw_min", "lifetime"]}, "do not determine lifetime"),
        ({"method": "curve"}, "Give 'steps' or 'trajectory'"),
        ({"scale": 1.0, "g_min": 0.0}, "Give one or the other"),
        ({"scale": 0.0}, "scale = 0.0"),
        ({"offset": 1.0}, "without a scale"),
        ({"scale": 1.0, "offset": math.nan}, "offset = nan. Give a finite conductance"),
        ({"scale": math.inf}, "scale = inf. Give a finite conductance"),
        ({"g_max": math.inf}, "g_max = inf. Give a finite conductance"),
        ({"g_min": -math.inf}, "g_min = -inf. Give a finite conductance"),
        ({"g_min": 2.0, "g_max": 1.0}, "Give g_max above g_min"),
        ({"device": configs.IdealDevice}, "IdealDevice is no device with a law"),
    ],
)
def test_what_cannot_be_fitted_says_why(arguments: dict[str, Any], error: str) -> None:
    with pytest.raises(ConfigError, match=error):
        fit_measurements(measured(SOFT, train=20, rounds=1), **arguments)


def staircase(step: float, curve: float = 0.0, seed: int = 0) -> Measurements:
    """50 pulses up and 50 down far from any bound, with noise of 10 %; the steps fade by ``curve`` for each weight."""
    torch.manual_seed(seed)
    weights, directions = [0.0], [0] + [1] * 50 + [-1] * 50
    for direction in directions[1:]:
        noisy = 1.0 + 0.1 * float(torch.randn(()))
        weights.append(weights[-1] + direction * step * (1.0 - curve * direction * weights[-1]) * noisy)
    return Measurements.of(weights, directions)


@pytest.mark.parametrize(("device", "bound"), [(SoftBoundsDevice, "w_max"), (LinearResponseDevice, "tau")])
def test_a_straight_staircase_does_not_determine_bounds(device: type[PulsedDevice], bound: str) -> None:
    with pytest.raises(ConfigError, match=rf"cell 0 do not determine {bound} = \S+ ± \S+ .*lead to both bounds"):
        fit_measurements(staircase(0.01, seed=4), device, scale=1.0)


def test_a_curve_determines_bounds_that_it_does_not_reach() -> None:
    fit = fit_measurements(staircase(0.04, curve=0.3), LinearResponseDevice, scale=1.0)
    assert fit.values["tau"] > 2.0 * float(fit.cells["0"].weights.max())
    assert abs(fit.values["tau"] - 1.0 / 0.3) < 5.0 * fit.errors["tau"] < fit.values["tau"]


def test_many_exponentials_make_a_line() -> None:
    with pytest.raises(ConfigError, match=r"do not determine .*A_up = .* ± .*, gamma_down = .* ± "):
        fit_measurements(staircase(0.01, curve=0.3), ExpStepDevice, scale=1.0)


def test_a_step_that_runs_against_its_limit_is_not_found() -> None:
    up, down = [1.0] * 40, [-1.0] * 40
    weights = torch.cat([torch.zeros(1), torch.linspace(0.02, 0.8, 40), torch.full((40,), 0.8)])
    with pytest.raises(ConfigError, match=r"do not determine up_down = 0\.99, its limit"):
        fit_measurements(Measurements.of(weights, [0.0, *up, *down]), ConstantStepDevice, scale=1.0)


def test_pulses_in_one_direction_do_not_determine_the_other() -> None:
    trace = measured(SOFT, train=40, rounds=1).traces["0"].values[:41]
    with pytest.raises(ConfigError, match=r"do not determine .*w_min"):
        fit_measurements(Measurements.of(trace.numpy(), [1.0] * 41), scale=1.0)
