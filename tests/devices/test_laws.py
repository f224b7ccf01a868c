"""One pulse of every device, against numbers worked by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from builders import steady
from ohmgrad.configs import (
    ConstantStepDevice,
    ExponentialResponseDevice,
    ExpStepDevice,
    IdealDevice,
    LinearResponseDevice,
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
)
from ohmgrad.engine.words_cpu import interpolate as compiled_interpolate
from ohmgrad.errors import ConfigError
from ohmgrad.tile import AnalogTile
from ohmgrad.words import interpolate

IMPLEMENTATIONS = pytest.mark.parametrize("implementation", ["reference", "cpu"])

LINEAR: dict[str, Any] = {"dw_min": 0.01, "gamma_up": 0.5, "gamma_down": 0.2}
SOFT: dict[str, Any] = {"dw_min": 0.01, "w_max": 1.0, "w_min": -1.0}
NODES: dict[str, Any] = {"dw_min": 0.01, "piecewise_up": [1.5, 1.0, 0.5], "piecewise_down": [0.5, 1.0, 1.5]}

# Device, weight, weight after an up pulse and after a down pulse.
PULSES = [
    (steady(ConstantStepDevice), 0.1, 0.101, 0.099),
    (steady(ConstantStepDevice), 0.5995, 0.6, 0.5985),
    (steady(ConstantStepDevice), -0.5995, -0.5985, -0.6),
    (steady(LinearStepDevice, **LINEAR), 0.3, 0.3075, 0.289),
    (steady(LinearStepDevice, **LINEAR), -0.3, -0.2875, -0.309),
    (steady(LinearStepDevice, **LINEAR, mult_noise=False), 0.3, 0.3075, 0.289),
    (steady(SoftBoundsDevice, **SOFT), 0.5, 0.505, 0.485),
    (steady(SoftBoundsDevice, **SOFT), 0.0, 0.01, -0.01),
    (steady(SoftBoundsDevice, **SOFT), 1.0, 1.0, 0.98),
    (steady(SoftBoundsDevice, **SOFT), -1.0, -0.98, -1.0),
    (steady(SoftBoundsDevice, **SOFT, mult_noise=False), 0.5, 0.505, 0.485),
    (steady(SoftBoundsDevice, **SOFT, reverse_up=True, reverse_down=True), 0.5, 0.5149505, 0.4949505),
    (steady(SoftBoundsDevice, **SOFT, reverse_up=True), 0.5, 0.5149505, 0.485),
    (steady(SoftBoundsDevice, **SOFT, reverse_down=True), 0.5, 0.505, 0.4949505),
    (steady(SoftBoundsDevice, **SOFT, up_down=0.3), 0.0, 0.01, -0.007),
    (steady(SoftBoundsDevice, **SOFT, up_down=-0.3), 0.0, 0.007, -0.01),
    (steady(SoftBoundsReferenceDevice, **SOFT, reference_mean=0.2), 0.3, 0.305, 0.285),
    (steady(SoftBoundsReferenceDevice, **SOFT, reference_mean=0.2, mult_noise=True), 0.3, 0.305, 0.285),
    (
        steady(SoftBoundsReferenceDevice, **SOFT, up_down=0.3, subtract_symmetry_point=True),
        0.0,
        0.0082353,
        -0.0082353,
    ),
    (steady(ExpStepDevice), 0.3, 0.30092436, 0.29900348),
    (
        steady(ExpStepDevice),
        0.0,
        0.001 * (1 - 0.00081 * math.exp(3.018216)),
        -0.001 * (1 - 0.36833 * math.exp(-3.101054)),
    ),
    (steady(PowStepDevice, **SOFT, pow_gamma=2.0), 0.5, 0.500625, 0.494375),
    (steady(PowStepReferenceDevice, **SOFT, pow_gamma=2.0, reference_mean=0.2), 0.3, 0.300625, 0.294375),
    (steady(PiecewiseStepDevice, **NODES), 0.3, 0.3075, 0.2875),
    (steady(PiecewiseStepDevice, **NODES), -0.6, -0.585, -0.6),
    (steady(PiecewiseStepDevice, **NODES), 0.6, 0.6, 0.585),
    (steady(PiecewiseStepDevice, dw_min=0.01, piecewise_up=[0.7], piecewise_down=[1.2]), 0.3, 0.307, 0.288),
    (LinearResponseDevice(dw_min=0.01, tau=0.8, offset=0.5), 0.4, 0.4075, 0.3925),
    (PowerResponseDevice(dw_min=0.01, tau=0.8, gamma_res=2.0), 0.4, 0.4025, 0.3775),
    (PowerResponseDevice(dw_min=0.01, tau=0.8, gamma_res=2.0), 0.0, 0.01, -0.01),
    (
        ExponentialResponseDevice(dw_min=0.01, tau=0.8, gamma_res=2.0),
        0.4,
        0.4 + 0.01 * math.expm1(1.0) / math.expm1(2.0),
        0.4 - 0.01 * math.expm1(3.0) / math.expm1(2.0),
    ),
    (ExponentialResponseDevice(dw_min=0.01, tau=0.8, gamma_res=2.0), 0.0, 0.01, -0.01),
]
BY_PULSE = pytest.mark.parametrize(("device", "w", "up", "down"), PULSES)


class Mean:
    """A sampler of cells that are all at the mean."""

    def normal(self, purpose: int) -> torch.Tensor:
        return torch.zeros(1, 1)

    def uniform(self, purpose: int) -> torch.Tensor:
        return torch.ones(1, 1)


def after_pulse(device: PulsedDevice, w: float, up: bool, noise: float = 0.0) -> float:
    cells = device.sample(Mean())
    parameters = {**{name: getattr(device, name) for name in type(device).model_fields}, **cells}
    names = device.law.__code__.co_varnames[3 : device.law.__code__.co_argcount]
    arguments = (torch.tensor([[w]]), torch.tensor([[up]]), torch.tensor([[noise]]))
    further = (parameters[name] for name in names)
    return float(
        device.law(*arguments, *(torch.tensor(value) if isinstance(value, list) else value for value in further))
    )


@BY_PULSE
def test_a_pulse_moves_the_weight_as_worked_by_hand(device: PulsedDevice, w: float, up: float, down: float) -> None:
    assert after_pulse(device, w, True) == pytest.approx(up, abs=1e-7)
    assert after_pulse(device, w, False) == pytest.approx(down, abs=1e-7)


@IMPLEMENTATIONS
@BY_PULSE
def test_a_pulse_moves_the_cell_of_a_tile_the_same_way(device, w, up, down, implementation) -> None:
    config = SingleRPUConfig(device=device.replaced())
    config.runtime.implementation = implementation
    for gradient, expected in ((-1.0, up), (1.0, down)):
        tile = AnalogTile(1, 1, config)
        tile.set_weights(torch.tensor([[w]]))
        tile.set_learning_rate(device.weight_granularity)
        tile.update(torch.tensor([1.0]), torch.tensor([gradient]))
        assert tile.pulse_counts()[0].total.tolist() == [[1]]
        assert tile.get_weights().item() == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize(
    ("device", "noise", "up", "down"),
    [
        (steady(ConstantStepDevice, dw_min=0.01, dw_min_std=0.5), 1.0, 0.315, 0.285),
        # Noise may turn a step around; it is not cut off.
        (steady(ConstantStepDevice, dw_min=0.01, dw_min_std=0.5), -4.0, 0.29, 0.31),
        (steady(LinearStepDevice, **LINEAR, dw_min_std=0.5), 1.0, 0.3 + 0.0075 * 1.5, 0.3 - 0.011 * 1.5),
        (steady(LinearStepDevice, **LINEAR, dw_min_std=0.5, mult_noise=False), 1.0, 0.3075 + 0.005, 0.289 - 0.005),
        (steady(SoftBoundsDevice, **SOFT, dw_min_std=0.5), 1.0, 0.3 + 0.007 * 1.5, 0.3 - 0.013 * 1.5),
        (steady(SoftBoundsDevice, **SOFT, dw_min_std=0.5, mult_noise=False), 1.0, 0.307 + 0.005, 0.287 - 0.005),
        (steady(SoftBoundsReferenceDevice, **SOFT, dw_min_std=0.5, mult_noise=True), 1.0, 0.3105, 0.2805),
        (steady(SoftBoundsReferenceDevice, **SOFT, dw_min_std=0.5), 1.0, 0.312, 0.282),
        (steady(ExpStepDevice, dw_min_std=0.5), 1.0, 0.3 + 1.5 * 0.00092436, 0.3 - 1.5 * 0.00099652),
        # Noise of 0.5 * (step + 0.02 + 0.1 * 0.3), on the step and not along it.
        (
            steady(ExpStepDevice, dw_min_std=0.5, dw_min_std_add=0.02, dw_min_std_slope=0.1),
            1.0,
            0.3 + 1.5 * 0.00092436 + 0.025,
            0.3 - 0.5 * 0.00099652 + 0.025,
        ),
        (steady(PowStepDevice, **SOFT, pow_gamma=2.0, dw_min_std=0.5), 1.0, 0.3018375, 0.2936625),
        (steady(PiecewiseStepDevice, **NODES, dw_min_std=0.5), 1.0, 0.31125, 0.28125),
        (LinearResponseDevice(dw_min=0.01, dw_min_std=0.5), 1.0, 0.312, 0.282),
        (PowerResponseDevice(dw_min=0.01, dw_min_std=0.5, gamma_res=2.0), 1.0, 0.3099, 0.2781),
    ],
)
def test_pulse_noise_acts_on_the_whole_step_or_on_its_constant_part(device, noise, up, down) -> None:
    assert after_pulse(device, 0.3, True, noise) == pytest.approx(up, abs=1e-7)
    assert after_pulse(device, 0.3, False, noise) == pytest.approx(down, abs=1e-7)


@pytest.mark.parametrize("kind", [ConstantStepDevice, LinearStepDevice, SoftBoundsDevice])
@pytest.mark.parametrize("noise", [-1e4, 1e4])
def test_no_noise_leads_out_of_the_bounds(kind: type[PulsedDevice], noise: float) -> None:
    device = steady(kind, dw_min_std=1.0)
    for up in (True, False):
        assert abs(after_pulse(device, 0.1, up, noise)) == pytest.approx(0.6)


@pytest.mark.parametrize(("w_max", "w_min", "up_down"), [(1.0, -1.0, 0.3), (0.8, -0.4, 0.0), (1.25, -0.75, -0.2)])
def test_at_the_symmetry_point_up_and_down_steps_are_equal(w_max: float, w_min: float, up_down: float) -> None:
    device = steady(SoftBoundsDevice, dw_min=0.01, w_max=w_max, w_min=w_min, up_down=up_down)
    up, down = 0.01 * (1 + min(up_down, 0)), 0.01 * (1 - max(up_down, 0))
    point = (up - down) / (up / w_max - down / w_min)
    assert after_pulse(device, point, True) - point == pytest.approx(
        point - after_pulse(device, point, False), abs=1e-7
    )


@pytest.mark.parametrize("kind", [LinearStepDevice, SoftBoundsDevice])
@pytest.mark.parametrize("reversed_side", ["reverse_up", "reverse_down"])
def test_reversed_steps_need_noise_on_the_whole_step(kind: type[PulsedDevice], reversed_side: str) -> None:
    device = kind(mult_noise=False, **{reversed_side: True})
    with pytest.raises(ValueError, match=f"{kind.__name__}: reverse_up and reverse_down need mult_noise=True"):
        AnalogTile(2, 2, SingleRPUConfig(device=device))


@pytest.mark.parametrize("device", [ConstantStepDevice(), LinearStepDevice(), SoftBoundsDevice(dw_min=0.02)])
def test_pulses_are_counted_in_mean_steps(device: PulsedDevice) -> None:
    assert device.weight_granularity == device.dw_min
    assert device.num_states == pytest.approx(1.2 / device.dw_min)


# What tells the devices apart


def test_the_mean_pulse_of_an_exponential_device_is_the_mean_of_both_directions() -> None:
    device = steady(ExpStepDevice)
    up, down = after_pulse(device, 0.0, True), after_pulse(device, 0.0, False)
    assert device.weight_granularity == pytest.approx((up - down) / 2, rel=1e-5)
    blocked = ExpStepDevice(A_up=1.0, A_down=1.0, b=0.0)  # no step at 0 at all
    assert blocked.weight_granularity == blocked.dw_min


@pytest.mark.parametrize(
    ("device", "expected"),
    [
        (PowStepDevice(dw_min=0.01, pow_gamma=2.0), 0.0025),
        (PowStepReferenceDevice(dw_min=0.01, pow_gamma=2.0), 0.0025),
        (PiecewiseStepDevice(**NODES), 0.01),
        (PiecewiseStepDevice(dw_min=0.01, piecewise_up=[1.0, 3.0], piecewise_down=[1.0, 1.0]), 0.03),
        (SoftBoundsReferenceDevice(dw_min=0.01), 0.01),
        (PowerResponseDevice(dw_min=0.01, gamma_res=3.0), 0.01),
    ],
)
def test_pulses_are_counted_in_steps_in_the_middle_of_the_range(device: PulsedDevice, expected: float) -> None:
    assert device.weight_granularity == pytest.approx(expected)


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0, 3.0])
def test_at_0_a_power_step_is_a_power_of_2_and_a_power_response_is_whole(gamma: float) -> None:
    step, response = steady(PowStepDevice, **SOFT, pow_gamma=gamma), PowerResponseDevice(dw_min=0.01, gamma_res=gamma)
    assert after_pulse(step, 0.0, True) == pytest.approx(0.01 * 2.0**-gamma, rel=1e-6)
    assert after_pulse(response, 0.0, True) == pytest.approx(0.01, rel=1e-6)


@pytest.mark.parametrize("c", [0.1, 0.4])
def test_the_symmetry_point_of_a_linear_response_is_not_that_of_soft_bounds(c: float) -> None:
    tau = 0.8
    response = LinearResponseDevice(dw_min=0.01, tau=tau, offset=c)
    soft = steady(SoftBoundsDevice, dw_min=0.01, w_max=tau, w_min=-tau, up_down=c)
    for device, point in ((response, c * tau), (soft, c * tau / (2 - c))):
        assert after_pulse(device, point, True) + after_pulse(device, point, False) == pytest.approx(
            2 * point, abs=1e-7
        )
    assert after_pulse(soft, c * tau, True) + after_pulse(soft, c * tau, False) < 2 * c * tau - 1e-4


def test_soft_bounds_are_a_power_step_and_a_power_response_of_exponent_1() -> None:
    soft = steady(SoftBoundsDevice, **SOFT)
    for w in (-0.7, 0.0, 0.4):
        for up in (True, False):
            wanted = pytest.approx(after_pulse(soft, w, up), abs=1e-7)
            # A power step is named after its step at the opposite bound, twice that at 0.
            assert after_pulse(steady(PowStepDevice, w_max=1.0, w_min=-1.0, dw_min=0.02), w, up) == wanted
            assert after_pulse(PowerResponseDevice(dw_min=0.01), w, up) == wanted
            assert (
                after_pulse(
                    steady(PiecewiseStepDevice, **SOFT, piecewise_up=[2.0, 0.0], piecewise_down=[0.0, 2.0]), w, up
                )
                == wanted
            )


# Soft bounds by a measured curve


@pytest.mark.parametrize(("low", "high", "p_max", "alpha"), [(-1.0, 1.0, 1000, 0.0005), (-0.3, 0.8, 50, 0.02)])
def test_p_max_pulses_lead_from_one_end_of_the_range_to_the_other_and_back(low, high, p_max, alpha) -> None:
    device = steady(SoftBoundsPmaxDevice, range_min=low, range_max=high, p_max=p_max, alpha=alpha)
    cells = device.sample(Mean())
    names = ("dwmin_up", "dwmin_down", "slope_up", "slope_down", "min_bound", "max_bound")
    parameters, w = [cells[name].double() for name in names], torch.tensor([[low]]).double()
    reach = (high - low) / (1 - math.exp(-p_max * alpha))
    for pulse in range(1, p_max + 1):
        w = device.law(w, torch.tensor(True), 0.0, *parameters, 0.0)
        if pulse in (1, p_max // 2, p_max):
            assert w.item() == pytest.approx(low + reach * (1 - math.exp(-alpha * pulse)), abs=2e-5)
    assert w.item() == pytest.approx(high, abs=2e-5)
    for _ in range(p_max):
        w = device.law(w, torch.tensor(False), 0.0, *parameters, 0.0)
    assert w.item() == pytest.approx(low, abs=2e-5)


@pytest.mark.parametrize("field", ["w_max", "w_min", "dw_min", "up_down"])
def test_what_follows_from_the_curve_cannot_be_given(field: str) -> None:
    value = getattr(SoftBoundsPmaxDevice(), field)
    with pytest.raises(ConfigError, match=f"{field} follows from the other fields"):
        SoftBoundsPmaxDevice(**{field: value})
    device = SoftBoundsPmaxDevice()
    with pytest.raises(ConfigError, match=f"{field} follows from the other fields"):
        setattr(device, field, 0.5 * value)
    assert device == SoftBoundsPmaxDevice()


def test_the_bounds_of_a_response_follow_from_tau_and_cannot_be_given() -> None:
    device = PowerResponseDevice(tau=0.5)
    assert (device.w_min, device.w_max) == (-0.5, 0.5)
    device.tau = 0.7
    assert (device.w_min, device.w_max) == (-0.7, 0.7)
    with pytest.raises(ConfigError, match="w_max follows from the other fields"):
        PowerResponseDevice(w_max=0.5)


def test_a_curve_whose_bounds_do_not_lie_around_0_is_refused() -> None:
    with pytest.raises(ConfigError, match="0 must lie between them"):
        SoftBoundsPmaxDevice(range_min=0.9, range_max=1.0, p_max=1000, alpha=0.1)
    with pytest.raises(ConfigError, match="reverse_up and reverse_down contradict the given curve"):
        AnalogTile(2, 2, SingleRPUConfig(device=SoftBoundsPmaxDevice(reverse_up=True)))


# Nodes


@pytest.mark.parametrize(
    ("table", "share", "expected"),
    [
        ([1.0, 3.0, 2.0], 0.0, 1.0),
        ([1.0, 3.0, 2.0], 0.25, 2.0),
        ([1.0, 3.0, 2.0], 0.5, 3.0),
        ([1.0, 3.0, 2.0], 0.9, 2.2),
        ([1.0, 3.0, 2.0], 1.0, 2.0),
        ([1.0, 3.0, 2.0], -0.1, 1.0),
        ([1.0, 3.0, 2.0], 1.1, 2.0),
        ([4.0], 0.0, 4.0),
        ([4.0], 0.7, 4.0),
        ([4.0], 1.0, 4.0),
    ],
)
def test_nodes_are_joined_by_straight_lines(table: list[float], share: float, expected: float) -> None:
    assert interpolate(torch.tensor(table), share).item() == pytest.approx(expected, abs=1e-6)
    found = compiled_interpolate(np.array(table, np.float32), np.float32(share))
    assert found == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("up", "down", "message"),
    [
        ([], [], "piecewise_up has 0 nodes and piecewise_down 0"),
        ([1.0], [1.0, 2.0], "piecewise_up has 1 nodes and piecewise_down 2"),
        ([1.0, 0.0, 1.0], [1.0, 1.0, 1.0], "is 0 at its middle node"),
    ],
)
def test_nodes_that_do_not_fit_together_are_refused(up: list[float], down: list[float], message: str) -> None:
    device = PiecewiseStepDevice(piecewise_up=up, piecewise_down=down)
    with pytest.raises(ConfigError, match=message):
        AnalogTile(2, 2, SingleRPUConfig(device=device))


def test_an_ideal_device_follows_the_gradient_exactly() -> None:
    tile = AnalogTile(1, 1, SingleRPUConfig(device=IdealDevice()))
    tile.set_weights(torch.tensor([[0.3]]))
    tile.set_learning_rate(0.1)
    tile.update(torch.tensor([0.5]), torch.tensor([0.2]))
    assert tile.get_weights().item() == pytest.approx(0.29)
    tile.set_learning_rate(1.0)
    tile.update(torch.tensor([-100.0]), torch.tensor([7.0]))
    assert tile.get_weights().item() == pytest.approx(700.29)
