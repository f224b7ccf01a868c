"""Any configuration as the lines of Python that make it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from enum import Enum
from typing import Any

from ohmgrad import configs, presets
from ohmgrad.errors import ConfigError
from ohmgrad.parameters.base import Config
from ohmgrad.presets.algorithms import ALGORITHMS, Algorithm, build_config

MADE = "unit_cell_devices"
"""Where a compound keeps its cells."""


def expression(value: Any, digits: int | None = None) -> str:
    """The Python expression that makes a value; of a configuration, what is not its default.

    :param digits: of numbers; all of them, unless it is said.
    """
    if isinstance(value, Config):
        return _call(type(value).__name__, _given(value), digits)
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(expression(each, digits) for each in value)}]"
    if isinstance(value, Enum):
        return f"{type(value).__name__}.{value.name}"
    if isinstance(value, float) and math.isinf(value):
        return f"float('{value}')"
    return f"{value:.{digits}g}" if digits and isinstance(value, float) else repr(value)


def imports(values: Iterable[Any]) -> list[str]:
    """The lines that import what the expressions of values name."""
    names: dict[str, set[str]] = {}
    for kind in {kind for value in values for kind in _kinds(value)}:
        home = next((home for home in (presets, configs) if hasattr(home, kind.__name__)), None)
        ours = home is not None and kind.__module__.startswith("ohmgrad.")
        names.setdefault(home.__name__ if ours and home else kind.__module__, set()).add(kind.__name__)
    return [f"from {home} import {', '.join(sorted(some))}" for home, some in sorted(names.items())]


def as_python(config: Any) -> list[str]:
    """The lines that make a configuration, under the name ``config``: by ``build_config``, if one can."""
    by_name = min(filter(None, (_by_rule(config, rule) for rule in ALGORITHMS.values())), key=_length, default=None)
    if by_name is None:
        return [*imports([config]), f"config = {expression(config)}"]
    rule, values = by_name
    inside = imports(values.values())
    return [*inside, "from ohmgrad.presets import build_config", f"config = {_of_rule(rule, values)}"]


def _of_rule(rule: Algorithm, values: dict[str, Any]) -> str:
    device, *others = values.items()
    words = [f'"{rule.name}"', expression(device[1]), *(f"{name}={expression(value)}" for name, value in others)]
    return f"build_config({', '.join(words)})"


def _length(found: tuple[Algorithm, dict[str, Any]]) -> int:
    return len(_of_rule(*found))


def _by_rule(config: Any, rule: Algorithm) -> tuple[Algorithm, dict[str, Any]] | None:
    """A rule, and what makes the configuration of it; None if nothing does."""
    device = getattr(config, "device", None)
    if device is None:
        return None
    arguments: dict[str, Any] = {"device": _cell_of(device) if isinstance(device, rule.rule) else device}
    if config.forward != configs.IOParameters():
        arguments["io_parameters"] = config.forward
    if config.update != build_config(rule.name, configs.ConstantStepDevice).update:
        arguments["up_parameters"] = config.update
    try:
        usual = build_config(rule.name, **arguments).device
        if type(usual) is not type(device):
            return None
        fields = {
            name: getattr(device, name)
            for name in type(device).model_fields
            if name not in (MADE, "device") and getattr(device, name) != getattr(usual, name)
        }
        count = len(getattr(device, MADE, []))
        if count != len(getattr(usual, MADE, [])):
            arguments["n_devices"] = count
        made = build_config(rule.name, **arguments, **fields)
    except ConfigError:
        return None
    return (rule, arguments | fields) if made == config else None


def _cell_of(device: Any) -> Any:
    """The device of which a compound has several, or one."""
    cells = getattr(device, MADE, None)
    return cells[0] if cells else device.device


def _given(config: Config) -> dict[str, Any]:
    """The fields that must be said."""
    kind, usual = type(config), _default(type(config))
    derived = config.derived()
    values = ((name, getattr(config, name)) for name in kind.model_fields if name not in derived)
    return {name: value for name, value in values if value != usual(name)}


def _default(kind: type[Config]) -> Callable[[str], Any]:
    """What a field of a class is by itself."""
    try:
        made = kind()
    except Exception:  # it needs something, or is a class of the user, which may raise anything
        return lambda name: kind.model_fields[name].get_default(call_default_factory=True)
    return lambda name: getattr(made, name)


def _call(name: str, fields: dict[str, Any], digits: int | None) -> str:
    return f"{name}({', '.join(f'{field}={expression(value, digits)}' for field, value in fields.items())})"


def _kinds(value: Any) -> Iterator[type]:
    """The classes that the expression of a value names."""
    if isinstance(value, (list, tuple)):
        for each in value:
            yield from _kinds(each)
    elif isinstance(value, Config):
        yield type(value)
        yield from _kinds(list(_given(value).values()))
    elif isinstance(value, Enum):
        yield type(value)
