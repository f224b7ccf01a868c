"""Any configuration is written as the lines of Python that make it."""

from __future__ import annotations

from typing import Any

import pytest

from ohmgrad import presets
from ohmgrad.configs import FloatingPointRPUConfig, InferenceRPUConfig, IOParameters, SingleRPUConfig, SoftBoundsDevice
from ohmgrad.presets import build_config
from ohmgrad.presets.code import as_python

CONFIGS: dict[str, Any] = {
    **{name: make for name, make in presets.CONFIGS.items() if "ReRamES" in name or "PCM" in name},
    "inference": InferenceRPUConfig,
    "trained for a chip": presets.StandardHWATrainingPreset,
    "floating point": FloatingPointRPUConfig,
    "backward apart": lambda: SingleRPUConfig(backward=IOParameters(is_perfect=True)),
    "six tiles": lambda: build_config("mrl", SoftBoundsDevice(dw_min=0.1), n_devices=6, gamma=0.3),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_the_lines_make_the_configuration(name: str) -> None:
    config, made = CONFIGS[name](), {}
    exec("\n".join(as_python(config)), made)
    assert made["config"] == config
    assert made["config"].describe() == config.describe()


def test_a_rule_is_written_by_its_name() -> None:
    *_, line = as_python(build_config("e-rider", SoftBoundsDevice(dw_min=0.1), eta=0.25))
    assert line == 'config = build_config("e-rider", SoftBoundsDevice(dw_min=0.1), eta=0.25)'
