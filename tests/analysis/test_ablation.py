"""Configurations without one of their non-idealities: it is gone, and the others are as they were."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from builders import rule
from ohmgrad.analysis import NonIdeality, ablations, symmetric_points, without
from ohmgrad.analysis.steps import SampledCells, mean_parameters
from ohmgrad.configs import (
    ConstantStepDevice,
    DriftParameter,
    ExponentialResponseDevice,
    ExpStepDevice,
    FadingResponseDevice,
    IdealDevice,
    IOParameters,
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
    VectorUnitCell,
)
from ohmgrad.errors import ConfigError
from ohmgrad.presets.devices import ReRamArrayOMPresetDevice
from ohmgrad.tile import AnalogTile

ODD: dict[type[PulsedDevice], dict[str, Any]] = {
    ConstantStepDevice: {"up_down": 0.2},
    LinearStepDevice: {"gamma_up": 0.5, "gamma_down": 0.1, "reverse_up": True},
    SoftBoundsDevice: {"up_down": -0.2, "w_max": 1.0},
    SoftBoundsPmaxDevice: {"range_max": 0.7},
    SoftBoundsReferenceDevice: {"up_down": 0.2, "reference_mean": 0.1, "reference_std": 0.05},
    ExpStepDevice: {"w_max": 0.5},
    PowStepDevice: {"pow_up_down": 0.3, "up_down": 0.1},
    PowStepReferenceDevice: {"pow_up_down": 0.3, "reference_std": 0.05},
    PiecewiseStepDevice: {"piecewise_up": [1.5, 1.0, 0.2], "piecewise_down": [0.4, 0.8, 1.2]},
    LinearResponseDevice: {"offset": 0.3},
    PowerResponseDevice: {"up_down": 0.2},
    ExponentialResponseDevice: {"up_down": 0.2},
    FadingResponseDevice: {"up_down": 0.2},
}
"""Every family of devices, with what makes up and down differ."""


def whole(kind: type[PulsedDevice]) -> PulsedDevice:
    """A device that has every non-ideality it can have."""
    more = {"write_noise_std": 0.5} if "write_noise_std" in kind.model_fields else {}
    drift = DriftParameter(nu=0.1, nu_dtod=0.2)
    return kind(
        corrupt_devices_prob=0.1, diffusion=1e-3, lifetime=100.0, drift=drift, dw_min_dtod=0.2, dw_min_std=0.3,
        reset_dtod=0.1, **more, **ODD[kind],
    )  # fmt: skip


def changed(kind: type[PulsedDevice], effect: str) -> set[str]:
    """The fields of a device in which a configuration differs from that without an effect."""
    device = whole(kind)
    config = SingleRPUConfig(device=device)
    other = without(config, effect)
    assert config.device == device
    assert without(config).describe() == config.describe()
    here, there = config.describe(), other.describe()
    assert {name for name in here if here[name] != there[name]} == {"device"}
    return {name for name in here["device"] if here["device"][name] != there["device"][name]}


@pytest.mark.parametrize("kind", list(ODD))
def test_one_effect_is_gone_and_the_others_remain(kind: type[PulsedDevice]) -> None:
    varied = {name for name in kind.model_fields if name.endswith("_dtod") and getattr(whole(kind), name) != 0.0}
    assert changed(kind, "device variation") == {*varied, "drift"}
    assert changed(kind, "stuck cells") == {"corrupt_devices_prob"}
    assert changed(kind, "cycle noise") == {"dw_min_std"}
    assert changed(kind, "time") == {"lifetime", "diffusion", "drift"}
    if "write_noise_std" in kind.model_fields:
        assert changed(kind, "write noise") == {"write_noise_std"}
    kept = {"dw_min_std", "dw_min_dtod", "corrupt_devices_prob", "lifetime", "drift", "reference_mean", "reference_std"}
    assert not changed(kind, "asymmetry") & kept


@pytest.mark.parametrize("kind", list(ODD))
def test_without_variation_all_cells_are_alike(kind: type[PulsedDevice]) -> None:
    torch.manual_seed(0)
    config = without(SingleRPUConfig(device=whole(kind)), "device variation", "stuck cells", "reference offsets")
    cells = AnalogTile(3, 4, config).rule.cells()[0].cell_values()
    assert all(float(value.max() - value.min()) < 1e-6 for value in cells.values())


@pytest.mark.parametrize("kind", list(ODD))
def test_without_asymmetry_the_mean_cell_does_down_what_it_does_up(kind: type[PulsedDevice]) -> None:
    device = without(whole(kind), "asymmetry", "device variation", "reference offsets", "stuck cells")
    cells = SampledCells(device, mean_parameters(device))
    weights = torch.linspace(-0.5, 0.5, 11, dtype=torch.float64)[:, None] * cells.upper
    torch.testing.assert_close(cells.step(weights, True), -cells.step(-weights, False), rtol=1e-5, atol=1e-9)
    odd = whole(kind)
    before = SampledCells(odd, mean_parameters(odd))
    assert not torch.allclose(before.step(weights, True), -before.step(-weights, False), rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("kind", [SoftBoundsReferenceDevice, PowStepReferenceDevice])
def test_without_offsets_of_references_cells_read_0_at_their_symmetric_points(kind: type[PulsedDevice]) -> None:
    torch.manual_seed(0)
    config = SingleRPUConfig(device=whole(kind).replaced(corrupt_devices_prob=0.0, w_max_dtod=0.1, w_min_dtod=0.1))
    assert float(symmetric_points(AnalogTile(4, 4, config)).abs().max()) > 0.02
    assert float(symmetric_points(AnalogTile(4, 4, without(config, "reference offsets"))).abs().max()) < 1e-4


def test_every_device_and_converter_of_a_rule_is_reached() -> None:
    cell = VectorUnitCell([SoftBoundsDevice(), ConstantStepDevice()])
    config = rule("ttv2", SoftBoundsDevice(), transfer_forward=IOParameters(inp_noise=0.1))
    config.device.unit_cell_devices[1] = cell
    quiet = without(config, NonIdeality.CYCLE_NOISE, NonIdeality.CONVERTERS)
    fast, slow = quiet.device.unit_cell_devices
    assert [device.dw_min_std for device in (fast, *slow.unit_cell_devices)] == [0.0, 0.0, 0.0]
    assert quiet.forward.is_perfect
    assert quiet.backward.is_perfect
    assert quiet.device.transfer_forward.is_perfect
    assert config.device.unit_cell_devices[0].dw_min_std == 0.3
    AnalogTile(2, 3, quiet)


def test_a_rule_with_one_device_is_reached_too() -> None:
    assert without(rule("mp", SoftBoundsDevice()), "cycle noise").device.device.dw_min_std == 0.0


def test_a_loop_gives_the_effects_that_there_are() -> None:
    found = dict(ablations(SingleRPUConfig(device=ReRamArrayOMPresetDevice())))
    present = {"device variation", "cycle noise", "write noise", "asymmetry", "converters"}
    assert present <= {effect.value for effect in found}
    assert "time" not in {effect.value for effect in found}
    assert found[NonIdeality.WRITE_NOISE].device.write_noise_std == 0.0
    ideal = SingleRPUConfig(device=IdealDevice(), forward=IOParameters(is_perfect=True))
    assert [effect.value for effect, _ in ablations(ideal)] == ["converters"]


def test_an_unknown_name_is_an_error_that_lists_them() -> None:
    with pytest.raises(ConfigError, match=r"'noise' is no non-ideality\. Give 'device variation', .*'cycle noise'"):
        without(SingleRPUConfig(), "noise")
