"""One pulse of every device, against numbers worked by hand."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from builders import steady
from ohmgrad.configs import (
    ConstantStepDevice,
    IdealDevice,
    LinearStepDevice,
    PulsedDevice,
    SingleRPUConfig,
    SoftBoundsDevice,
)
from ohmgrad.tile import AnalogTile

IMPLEMENTATIONS = pytest.mark.parametrize("implementation", ["reference", "cpu"])

LINEAR: dict[str, Any] = {"dw_min": 0.01, "gamma_up": 0.5, "gamma_down": 0.2}
SOFT: dict[str, Any] = {"dw_min": 0.01, "w_max": 1.0, "w_min": -1.0}

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
    return float(device.law(*arguments, *(parameters[name] for name in names)))


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


def test_an_ideal_device_follows_the_gradient_exactly() -> None:
    tile = AnalogTile(1, 1, SingleRPUConfig(device=IdealDevice()))
    tile.set_weights(torch.tensor([[0.3]]))
    tile.set_learning_rate(0.1)
    tile.update(torch.tensor([0.5]), torch.tensor([0.2]))
    assert tile.get_weights().item() == pytest.approx(0.29)
    tile.set_learning_rate(1.0)
    tile.update(torch.tensor([-100.0]), torch.tensor([7.0]))
    assert tile.get_weights().item() == pytest.approx(700.29)
