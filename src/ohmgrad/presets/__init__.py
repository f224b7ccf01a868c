"""Measured devices and whole configurations by name.

The names are made from tables: ``DEVICES`` (:mod:`ohmgrad.presets.devices`) gives ``ReRamESPresetDevice`` and its like,
``CONFIGS`` (:mod:`ohmgrad.presets.configs`) gives ``TTv2EcRamPreset`` and its like. Those for inference are classes.
"""

from __future__ import annotations

from typing import Any

from ohmgrad.presets.algorithms import ALGORITHMS, Algorithm, build_config
from ohmgrad.presets.configs import CONFIGS, ConfigPreset
from ohmgrad.presets.devices import DEVICES, DevicePreset, PCMPresetUnitCell, device_class
from ohmgrad.presets.inference import FloatingPointPreset, StandardHWATrainingPreset
from ohmgrad.presets.parameters import PresetIOParameters, PresetUpdateParameters, StandardIOParameters

_CLASSES = {preset.class_name: name for name, preset in DEVICES.items()}

__all__ = [
    "ALGORITHMS",
    "CONFIGS",
    "DEVICES",
    "Algorithm",
    "ConfigPreset",
    "DevicePreset",
    "FloatingPointPreset",
    "PCMPresetUnitCell",
    "PresetIOParameters",
    "PresetUpdateParameters",
    "StandardHWATrainingPreset",
    "StandardIOParameters",
    "build_config",
    "device_class",
]
__all__.extend(_CLASSES)
__all__.extend(CONFIGS)


def __getattr__(name: str) -> Any:
    if name in _CLASSES:
        return device_class(_CLASSES[name])
    if name in CONFIGS:
        return CONFIGS[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
