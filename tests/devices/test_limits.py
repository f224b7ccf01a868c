"""Values that would give nonsense are refused in a line, and extreme ones that make sense give numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from builders import steady
from ohmgrad.configs import (
    ChoppedTransferCompound,
    ConstantStepDevice,
    DriftParameter,
    ExponentialResponseDevice,
    IdealDevice,
    LinearStepDevice,
    OneSidedUnitCell,
    PiecewiseStepDevice,
    PowStepDevice,
    PulseType,
    SimpleDriftParameter,
    SingleRPUConfig,
    SoftBoundsDevice,
    SoftBoundsPmaxDevice,
    UnitCellRPUConfig,
    UpdateParameters,
)
from ohmgrad.engine.plan import Counts
from ohmgrad.engine.samples import Samples
from ohmgrad.errors import ConfigError
from ohmgrad.nn import AnalogLinear
from ohmgrad.tile import AnalogTile


@pytest.mark.parametrize("gamma_res", [1e-3, 1.0, 80.0])
@pytest.mark.parametrize("implementation", ["reference", "cpu"])
def test_an_exponential_response_is_1_at_0_however_steep(gamma_res: float, implementation: str) -> None:
    device = ExponentialResponseDevice(gamma_res=gamma_res, dw_min=0.001)
    config = SingleRPUConfig(device=device, update=UpdateParameters(desired_bl=1))
    config.runtime.implementation = implementation  # type: ignore[assignment]
    tile = AnalogTile(1, 1, config)
    tile.set_learning_rate(0.001)
    tile.update(torch.ones(1, 1), -torch.ones(1, 1))
    assert float(tile.get_weights()) == pytest.approx(0.001, rel=1e-4)


@pytest.mark.parametrize("value", [1e-4, 81.0])
def test_a_response_without_curvature_or_without_end_is_refused(value: float) -> None:
    with pytest.raises(ConfigError, match="gamma_res"):
        ExponentialResponseDevice(gamma_res=value)


def test_a_copy_with_other_fields_is_validated_as_a_whole() -> None:
    device = SoftBoundsPmaxDevice(range_min=-1.0, range_max=-0.5)
    mirror = device.mirrored()
    assert (mirror.range_min, mirror.range_max) == (0.5, 1.0)
    assert mirror.mirrored() == device
    AnalogTile(2, 2, UnitCellRPUConfig(device=OneSidedUnitCell(unit_cell_devices=[device], copy_inverted=True)))
    nested = SingleRPUConfig()
    nested.forward.out_noise = 0.5  # inside a default
    assert nested.replaced(device=SoftBoundsDevice()).forward.out_noise == 0.5


@pytest.mark.parametrize(
    "device",
    [
        PowStepDevice(pow_gamma=2000.0),
        PiecewiseStepDevice(piecewise_up=[float("inf")], piecewise_down=[1.0]),
    ],
    ids=["too steep", "endless step"],
)
def test_a_device_that_no_pulse_can_be_counted_for_is_refused(device: Any) -> None:
    with pytest.raises(ConfigError, match="pulses would be counted in steps of"):
        AnalogTile(2, 2, SingleRPUConfig(device=device))


def test_a_period_from_endless_states_is_refused() -> None:
    device = SoftBoundsDevice(w_max=float("inf"))
    compound = ChoppedTransferCompound(unit_cell_devices=[device, device], transfer_every=-1.0)
    with pytest.raises(ConfigError, match="number of states of the fast device, which is inf"):
        AnalogTile(2, 2, UnitCellRPUConfig(device=compound))


@pytest.mark.parametrize(
    "wrong",
    [lambda: PowStepDevice(pow_gamma=-1.0), lambda: DriftParameter(nu=-0.1), lambda: DriftParameter(nu_std=-1.0)],
)
def test_a_sign_that_would_be_dropped_is_refused(wrong: Any) -> None:
    with pytest.raises(ConfigError, match="greater than or equal to 0"):
        wrong()


def test_a_mirrored_device_samples_mirrored_cells() -> None:
    device = LinearStepDevice(gamma_up_dtod=0.5, gamma_down_dtod=0.0, w_max_dtod=0.5, w_min_dtod=0.0)
    mirror = device.mirrored()
    assert (mirror.gamma_up_dtod, mirror.gamma_down_dtod) == (0.0, 0.5)
    assert (mirror.w_max_dtod, mirror.w_min_dtod) == (0.0, 0.5)


def test_an_old_clock_still_counts_single_steps_of_time() -> None:
    def drifted(age: float) -> torch.Tensor:
        tile = AnalogTile(1, 1, SingleRPUConfig(device=IdealDevice(drift=SimpleDriftParameter(nu=0.1))))
        tile.drift_weights(age)
        tile.set_weights(torch.ones(1, 1))
        tile.drift_weights(0.0)
        for _ in range(10):
            tile.drift_weights(10.0)
        return tile.get_weights()

    assert torch.equal(drifted(3e8), drifted(0.0))
    torch.testing.assert_close(drifted(0.0), torch.tensor([[100.0**-0.1]]))


@pytest.mark.parametrize(
    ("given", "remedy"),
    [(SoftBoundsDevice(), "Wrap a device in SingleRPUConfig"), (SingleRPUConfig, "Make one: SingleRPUConfig")],
    ids=["a device", "a class"],
)
def test_a_layer_that_is_given_no_configuration_says_what_to_do(given: Any, remedy: str) -> None:
    with pytest.raises(ConfigError, match=remedy):
        AnalogLinear(4, 3, rpu_config=given)


def test_nodes_may_be_measured_arrays() -> None:
    device = PiecewiseStepDevice(piecewise_up=np.array([1.5, 1.0, 0.5]), piecewise_down=(0.5, 1.0, 1.5))
    assert device.piecewise_up == [1.5, 1.0, 0.5]
    assert device.piecewise_down == [0.5, 1.0, 1.5]


@pytest.mark.parametrize("kind", [PulseType.MEAN_COUNT, PulseType.DETERMINISTIC_IMPLICIT])
def test_counts_take_as_many_words_as_pulses_are_counted_and_no_more(kind: PulseType) -> None:
    update = UpdateParameters(pulse_type=kind, desired_bl=100_000, update_bl_management=False)
    tile = AnalogTile(2, 3, SingleRPUConfig(device=steady(ConstantStepDevice), update=update))
    x, d = torch.ones(4, 3), torch.full((4, 2), 0.04)
    samples = Samples.of(x, d, torch.full((4,), 0.1, dtype=torch.float64))
    plan = tile.rule.all_arrays()[0].plan(samples, update, tile._draws())
    assert isinstance(plan, Counts)
    assert plan.words_per_sample == 1  # 4 pulses, in trains of 100 000 slots
    tile.update(x, d)
    assert tile.pulse_counts()[0].down.tolist() == [[16, 16, 16]] * 2
