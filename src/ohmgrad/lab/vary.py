"""What ``--vary`` says: a setting, and the range or the values that are searched."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ohmgrad.errors import ConfigError
from ohmgrad.lab.fields import configure, field_type
from ohmgrad.lab.recipes import Choice, LinearRange, LogRange, Recipe, Scale, WholeRange

FORMS = "NAME=LOW..HIGH, NAME=LOW..HIGH:log, NAME=LOW..HIGH:int, NAME=LOW..HIGH:int:log or NAME=VALUE,VALUE"
WORDS = {"true": 1.0, "false": 0.0}


def space_of(recipe: Recipe, device: Any, texts: Sequence[str]) -> dict[str, Scale]:
    """The space of a recipe with what the texts replace in it, or add to it.

    :param texts: such as ``lr=0.01..3:log``, ``transfer_every=1,2,5`` or ``in_chop_prob=0.01..0.5``.
    :raises ConfigError: a text says nothing, a name is not known, or a field does not take a value of its range.
    """
    space: dict[str, Scale] = dict(recipe.space)
    for text in texts:
        name, scale = _parse(text)
        wanted = field_type(recipe, device, name)
        if wanted is int and isinstance(scale, LinearRange | LogRange):
            scale = _whole(text, scale.low, scale.high, isinstance(scale, LogRange))
        if isinstance(scale, Choice) and wanted is int:
            scale = replace(scale, values=tuple(int(value) if value == int(value) else value for value in scale.values))
        space[name] = scale
    usual = {name: ends(scale)[0] for name, scale in space.items()}
    for name, scale in space.items():
        for value in ends(scale):
            configure(recipe, device, usual | {name: value})
    return space


def ends(scale: Scale) -> tuple[float, ...]:
    """All values of a choice, or both ends of a range."""
    return scale.values if isinstance(scale, Choice) else (scale.low, scale.high)


def _parse(text: str) -> tuple[str, Scale]:
    name, equals, values = text.partition("=")
    if not name or not equals:
        raise ConfigError(f"--vary {text}: give {FORMS}.")
    try:
        if ".." not in values:
            return name, Choice(tuple(_number(value) for value in values.split(",")))
        span, *kinds = values.split(":")
        low, high = (_number(value) for value in span.split(".."))
    except ValueError:
        raise ConfigError(f"--vary {text}: give {FORMS}.") from None
    if low >= high:
        raise ConfigError(f"--vary {text}: the range is empty. Give the lower end first.")
    if unknown := set(kinds) - {"log", "int"}:
        raise ConfigError(f"--vary {text}: there is no {', '.join(sorted(unknown))!r}. Give {FORMS}.")
    if "log" in kinds and low <= 0.0:
        raise ConfigError(f"--vary {text}: {low:g} has no logarithm. Give a lower end above 0.")
    if "int" in kinds:
        return name, _whole(text, low, high, "log" in kinds)
    return name, (LogRange if "log" in kinds else LinearRange)(low, high)


def _whole(text: str, low: float, high: float, log: bool) -> WholeRange:
    if low != int(low) or high != int(high):
        raise ConfigError(f"--vary {text}: it takes whole numbers. Give whole ends.")
    return WholeRange(int(low), int(high), log)


def _number(text: str) -> float:
    value = WORDS.get(text.strip().lower())
    value = float(text) if value is None else value
    if not math.isfinite(value):
        raise ValueError(text)
    return value
