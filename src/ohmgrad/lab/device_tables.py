"""What `ohmgrad devices` prints: the list of all devices, and everything about one."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, Any

from ohmgrad.lab.catalogue import Entry, device_kinds, kind_entry, preset_entry
from ohmgrad.lab.tables import new_table
from ohmgrad.parameters.base import Config
from ohmgrad.parameters.drift import SimpleDriftParameter
from ohmgrad.presets import ALGORITHMS, CONFIGS, DEVICES

if TYPE_CHECKING:
    from rich.console import Console

OPERATORS = {"pm": " ± ", "mp": " ∓ ", "leftarrow": " ← ", "ln": "ln ", "diamond": "◇"}
"""What stands for the commands of formulas that are not Greek letters."""


def show_devices(console: Console) -> None:
    """Print all devices and configurations; it fits 80 characters."""
    kinds = new_table("Kinds of devices, as they come", "name", "states", "noise", "what")
    for name, kind in device_kinds().items():
        entry = kind_entry(kind)
        kinds.add_row(name, *_size(entry), plain(entry.what))
    measured = new_table("Measured devices", "name and kind", "states", "noise", "what and source")
    for name, preset in DEVICES.items():
        entry = preset_entry(name)
        base = preset.base.__name__.removesuffix("Device")
        measured.add_row(f"{name}\n[dim]{base}", *_size(entry), f"{entry.what}\n[dim]{entry.source}")
    configs = new_table("Whole configurations, for ohmgrad.presets", "rule", "names", "measured devices, for *")
    groups: dict[tuple[str, str], list[str]] = {}
    for config in CONFIGS.values():
        several = f", {config.n_devices} devices" if config.n_devices > 1 else ""
        key = (ALGORITHMS[config.algorithm].title + several, config.name.replace(config.device, "*", 1))
        groups.setdefault(key, []).append(config.device)
    for (rule, pattern), devices in groups.items():
        configs.add_row(rule, pattern, ", ".join(devices))
    for table in (kinds, measured, configs):
        console.print(table)
    console.print("Noise is that of one step. See a device with: ohmgrad devices show NAME", highlight=False)


def show_device(entry: Entry, console: Console) -> None:
    """Print what is known about a device, and its parameters."""
    device = entry.device
    kind = next(base for base in type(device).__mro__ if base.__module__ != "ohmgrad.presets.devices")
    of = f" ({kind.__name__})" if kind.__name__ != entry.name else ""
    what = f": {plain(entry.what)}" if entry.what else ""
    console.print(f"[bold]{entry.name}[/bold]{of}{what}", highlight=False)
    facts = {
        "source": entry.source,
        "trained": entry.note,
        "states": f"{_number(device.num_states)} mean steps between the mean bounds",
        "granularity": f"{_number(device.weight_granularity)}, the step that the pulse generator counts with",
        "write noise": f"{_number(device.write_noise)} in weight units" if device.write_noise else "",
    }
    for name, fact in facts.items():
        if fact:
            console.print(f"{name + ':':<13}{fact}", highlight=False)
    table, idle = new_table("", "parameter", "value", "meaning"), []
    for name in type(device).model_fields:
        value = getattr(device, name)
        if _is_idle(name, value):
            idle.append(name)
            continue
        follows = " Follows from the others." if name in device.derived() else ""
        table.add_row(name, _value(value), plain(describe(type(device), name)) + follows)
    console.print(table)
    console.print(f"At zero or off: {', '.join(idle)}.", style="dim", highlight=False)


def describe(kind: type[Config], name: str) -> str:
    """The docstring of a field; that of the class it is inherited from, if it was only given another default."""
    bases = (base for base in kind.__mro__ if issubclass(base, Config))
    texts = (base.model_fields[name].description for base in bases if name in base.model_fields)
    return next((text for text in texts if text), "")


def plain(text: str) -> str:
    """A docstring without its markup, on one line."""
    text = re.sub(r":math:`([^`]*)`", lambda match: _plain_formula(match[1]), text)
    text = re.sub(r":\w+:`~?(?:[\w.]*\.)?(\w+)`", r"\1", text)
    return " ".join(text.replace("`", "").split()).replace("[", r"\[")


def _plain_formula(formula: str) -> str:
    formula = re.sub(r"\\([A-Za-z]+) *", lambda match: OPERATORS.get(match[1]) or _greek(match[1]), formula)
    formula = re.sub(r"\\[,!]|[{}]", "", formula)
    return re.sub(r"(?<=[_^(]) ", "", formula)


def _greek(name: str) -> str:
    size = "CAPITAL" if name[0].isupper() else "SMALL"
    try:
        return unicodedata.lookup(f"GREEK {size} LETTER {name}")
    except KeyError:
        return f"{name} "


def _is_idle(name: str, value: Any) -> bool:
    """Whether a parameter does nothing at this value."""
    if isinstance(value, SimpleDriftParameter):
        return value.nu == 0.0
    return name == "count_pulses" or (isinstance(value, (bool, int, float)) and not value)


def _size(entry: Entry) -> tuple[str, str]:
    return _number(entry.device.num_states, 0), f"{100 * entry.device.dw_min_std:.3g} %"


def _value(value: Any) -> str:
    if isinstance(value, Config):
        given = (f"{name}={_value(getattr(value, name))}" for name in sorted(value.model_fields_set))
        return ", ".join(given)
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_value, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return _number(value) if isinstance(value, float) else str(value)


def _number(value: float, decimals: int | None = None) -> str:
    return f"{value:.5g}" if decimals is None else f"{value:.{decimals}f}"
