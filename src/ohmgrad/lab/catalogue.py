"""Every device by name: the classes of the library, the measured ones, those of whole configurations, and your own."""

from __future__ import annotations

import importlib
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ohmgrad import configs
from ohmgrad.algorithms.base import DigitalRankUpdateCell
from ohmgrad.devices.base import PulsedDevice
from ohmgrad.errors import ConfigError, near
from ohmgrad.presets import ALGORITHMS, CONFIGS, DEVICES, device_class


@dataclass(frozen=True)
class Entry:
    """A device, and what is known about it beside its parameters."""

    name: str
    device: PulsedDevice
    what: str
    """One sentence, as in the docstring."""
    source: str = ""
    note: str = ""


def device_kinds() -> dict[str, type[PulsedDevice]]:
    """The classes of :mod:`ohmgrad.configs` that pulses can be sent to, by name."""
    every = ((name, getattr(configs, name)) for name in configs.__all__)
    return {
        name: kind
        for name, kind in every
        if isinstance(kind, type) and issubclass(kind, PulsedDevice) and hasattr(kind, "law")
    }


def kind_entry(kind: type[PulsedDevice]) -> Entry:
    """The device of a class, as it comes."""
    return Entry(kind.__name__, kind(), (kind.__doc__ or "").strip().split("\n\n")[0])


def preset_entry(name: str) -> Entry:
    """A measured device."""
    preset = DEVICES[name]
    return Entry(name, device_class(name)(), preset.what, preset.source)


def config_entry(name: str) -> Entry:
    """The device of a whole configuration; of a rule with a fast and a slow array, that of the fast one."""
    preset = CONFIGS[name]
    device: Any = preset().device
    while not isinstance(device, PulsedDevice):
        device = device.device if isinstance(device, DigitalRankUpdateCell) else device.unit_cell_devices[0]
    measured, rule = DEVICES[preset.device], ALGORITHMS[preset.algorithm]
    several = f", {preset.n_devices} of them for each weight" if preset.n_devices > 1 else ""
    note = f"{name} trains {measured.name} by {rule.title}{several}."
    return Entry(name, device, measured.what, measured.source, note)


def find(name: str) -> Entry:
    """The device that a name stands for.

    :param name: a class (``SoftBoundsDevice``), a measured device (``ReRamES``, ``ReRamESPresetDevice``) or a whole
        configuration (``TTv2EcRamPreset``), each in any case; or ``module:Class`` for one of your own.
    :raises ConfigError: if there is none.
    """
    if ":" in name:
        return own_entry(name)
    makers: dict[str, Any] = {}
    for kind_name, kind in device_kinds().items():
        makers |= dict.fromkeys((kind_name, kind_name.removesuffix("Device")), (kind_entry, kind))
    for preset in DEVICES.values():
        makers |= dict.fromkeys((preset.name, preset.class_name), (preset_entry, preset.name))
    makers |= {config: (config_entry, config) for config in CONFIGS}
    by_lower = {key.lower(): key for key in makers}
    if name.lower() in by_lower:
        make, argument = makers[by_lower[name.lower()]]
        entry: Entry = make(argument)
        return entry
    hint = near(name, makers) or "Give one of your own as module:Class."
    raise ConfigError(f"There is no device {name!r}. {hint} `ohmgrad devices` lists all.")


def own_entry(name: str) -> Entry:
    """A device of the user: a class, or a device that is ready, in a module of the current folder or installed."""
    module_name, _, kind_name = name.partition(":")
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        module = importlib.import_module(module_name)
    except Exception as error:  # whatever the module of the user raises
        raise ConfigError(f"{module_name!r} cannot be imported ({type(error).__name__}: {error}).") from None
    finally:
        sys.path.remove(here)
    found: Any = getattr(module, kind_name, None)
    kind = found if isinstance(found, type) else type(found)
    if not issubclass(kind, PulsedDevice):
        devices = [key for key, value in vars(module).items() if isinstance(value, type) and _is_own(value, module)]
        there = f"It has: {', '.join(devices)}." if devices else "It has no device."
        what = "is not a device" if found is not None else "does not exist"
        raise ConfigError(f"{kind_name!r} of {module_name!r} {what}. {there}")
    entry = kind_entry(kind) if isinstance(found, type) else Entry(kind_name, found, (kind.__doc__ or "").strip())
    entry.device.check()
    return entry


def _is_own(kind: type, module: Any) -> bool:
    return issubclass(kind, PulsedDevice) and kind.__module__ == module.__name__
