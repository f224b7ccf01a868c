"""Whole configurations of tiles: measured devices trained by learning rules, as data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ohmgrad.cells.base import Cell
from ohmgrad.configs import RPUConfig
from ohmgrad.devices.base import PulsedDevice
from ohmgrad.devices.soft_bounds_reference import SoftBoundsReferenceDevice
from ohmgrad.presets.algorithms import ALGORITHMS, build_config
from ohmgrad.presets.devices import PCMPresetUnitCell, device_class
from ohmgrad.presets.parameters import PresetIOParameters, PresetUpdateParameters


@dataclass(frozen=True)
class ConfigPreset:
    """A configuration by name: call it to make one. Fields of the configuration can be given, by name."""

    name: str
    algorithm: str
    device: str
    n_devices: int = 1
    desired_bl: int = 31
    numbers: dict[str, Any] = field(default_factory=dict, hash=False)
    """What the device needs otherwise than the definition of the rule has it."""

    @property
    def what(self) -> str:
        """The rule and the device, in words."""
        devices = f"{self.n_devices} {self.device}" if self.n_devices > 1 else self.device
        return f"{ALGORITHMS[self.algorithm].title} on {devices}"

    def __call__(self, **fields: Any) -> RPUConfig:
        """A new configuration."""
        update = PresetUpdateParameters(desired_bl=self.desired_bl)
        config = build_config(
            self.algorithm, self._device(), PresetIOParameters, update, self.n_devices, **self.numbers
        )
        for name, value in fields.items():
            setattr(config, name, value)
        return config

    def _device(self) -> PulsedDevice | Cell:
        """The device; under a rule with a fast array the symmetric point of each cell is taken out."""
        if self.device == "PCM":
            return PCMPresetUnitCell()
        device = device_class(self.device)()
        if isinstance(device, SoftBoundsReferenceDevice) and self.algorithm.startswith("ttv"):
            device.subtract_symmetry_point = True
        return device


FAMILIES = ("ReRamES", "ReRamSB", "Capacitor", "EcRam", "EcRamMO", "Idealized")
"""The devices that there is every preset for."""

_TTV2 = {
    "ReRamES": (31, {"fast_lr": 0.5, "auto_granularity": 1000.0}),
    "ReRamSB": (31, {"fast_lr": 0.5, "auto_granularity": 1000.0}),
    "Capacitor": (31, {"fast_lr": 0.1, "auto_granularity": 1000.0}),
    "EcRam": (100, {"fast_lr": 0.1, "auto_granularity": 500.0}),
    "EcRamMO": (100, {"fast_lr": 0.1, "auto_granularity": 500.0}),
    "Idealized": (100, {"fast_lr": 0.1, "auto_granularity": 500.0}),
}
_CHOPPED = {
    "ReRamES": (31, {"in_chop_prob": 0.01, "fast_lr": 0.5, "auto_granularity": 1000.0}),
    "ReRamSB": (31, {"in_chop_prob": 0.01, "fast_lr": 0.5, "auto_granularity": 1000.0}),
    "Capacitor": (31, {"in_chop_prob": 0.01, "fast_lr": 0.1, "auto_granularity": 1000.0}),
    # The chance and the rate of EcRam are those that were published, though unlike those of EcRamMO.
    "EcRam": (100, {"in_chop_prob": 0.01, "fast_lr": 1.0, "auto_granularity": 500.0}),
    "EcRamMO": (100, {"in_chop_prob": 0.001, "fast_lr": 0.1, "auto_granularity": 500.0}),
    "Idealized": (100, {"in_chop_prob": 0.001, "fast_lr": 0.1, "auto_granularity": 500.0}),
}
_AGAD = {
    "ReRamES": (31, {"in_chop_prob": 0.02, "fast_lr": 0.5, "auto_granularity": 1000.0, "tail_weightening": 5.0}),
    "ReRamSB": (31, {"in_chop_prob": 0.02, "fast_lr": 0.5, "auto_granularity": 1000.0, "tail_weightening": 5.0}),
    "Capacitor": (31, {"in_chop_prob": 0.01, "fast_lr": 0.1, "auto_granularity": 1000.0, "tail_weightening": 20.0}),
    "EcRam": (31, {"in_chop_prob": 0.005, "fast_lr": 0.1, "auto_granularity": 750.0, "tail_weightening": 50.0}),
    "EcRamMO": (100, {"in_chop_prob": 0.005, "fast_lr": 0.1, "auto_granularity": 500.0, "tail_weightening": 50.0}),
    "Idealized": (100, {"in_chop_prob": 0.005, "fast_lr": 0.1, "auto_granularity": 500.0, "tail_weightening": 50.0}),
}

CONFIGS = {
    preset.name: preset
    for preset in (
        *(ConfigPreset(f"{device}Preset", "sgd", device) for device in (*FAMILIES, "GokmenVlasov", "PCM")),
        *(ConfigPreset(f"{device}{n}Preset", "sgd", device, n) for n in (2, 4) for device in FAMILIES),
        *(ConfigPreset(f"TikiTaka{device}Preset", "ttv1", device) for device in FAMILIES),
        *(
            ConfigPreset(f"{prefix}{device}Preset", algorithm, device, 1, *table[device])
            for prefix, algorithm, table in (
                ("TTv2", "ttv2", _TTV2),
                ("ChoppedTTv2", "ttv3", _CHOPPED),
                ("AGAD", "ttv4", _AGAD),
            )
            for device in FAMILIES
        ),
        *(ConfigPreset(f"MixedPrecision{device}Preset", "mp", device) for device in (*FAMILIES, "GokmenVlasov", "PCM")),
    )
}
"""Every configuration by name."""
