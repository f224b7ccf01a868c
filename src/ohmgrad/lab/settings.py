"""What a user can choose, what values are allowed, and how one line says so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Protocol

from ohmgrad.errors import ConfigError
from ohmgrad.lab.cells import CELLS
from ohmgrad.lab.recipes import RECIPES
from ohmgrad.lab.tasks import DATA, TASKS


class Rule(Protocol):
    """What a value may be."""

    allowed: str

    def parse(self, text: str) -> Any:
        """The value that a text stands for; raises ``ValueError`` if it is not allowed."""

    def holds(self, value: Any) -> bool:
        """Whether a value is allowed."""


class Number:
    """A number of a type within bounds."""

    def __init__(self, kind: type[int] | type[float], low: float, high: float) -> None:
        self.kind, self.low, self.high = kind, low, high
        self.allowed = f"{'a whole number' if kind is int else 'a number'} from {low:g} to {high:g}"

    def parse(self, text: str) -> float:
        """The number; raises ``ValueError``."""
        value = self.kind(text)
        if not self.holds(value):
            raise ValueError(text)
        return value

    def holds(self, value: Any) -> bool:
        """Whether it has the type and lies within the bounds."""
        kinds = (int,) if self.kind is int else (int, float)
        return isinstance(value, kinds) and not isinstance(value, bool) and self.low <= value <= self.high


class Name:
    """One name of several."""

    def __init__(self, names: Any) -> None:
        self.names = tuple(names)
        self.allowed = f"one of {', '.join(self.names)}"

    def parse(self, text: str) -> str:
        """The name; raises ``ValueError``."""
        if text not in self.names:
            raise ValueError(text)
        return text

    def holds(self, value: Any) -> bool:
        """Whether it is one of the names."""
        return value in self.names


class Names:
    """Several names of a set, without repetition, in the order of the set; ``all`` for every one."""

    def __init__(self, names: Any) -> None:
        self.names = tuple(names)
        self.allowed = f"all, or names separated by commas out of {', '.join(self.names)}"

    def parse(self, text: str) -> tuple[str, ...]:
        """The names; raises ``ValueError``."""
        given = [part.strip() for part in text.split(",")]
        if given == ["all"]:
            return self.names
        if not self.holds(tuple(given)):
            raise ValueError(text)
        return tuple(name for name in self.names if name in given)

    def holds(self, value: Any) -> bool:
        """Whether there is at least one name and each is known."""
        return isinstance(value, tuple) and bool(value) and all(name in self.names for name in value)


class Folder:
    """The path of a folder."""

    allowed = "the path of a folder"

    def parse(self, text: str) -> str:
        """The path."""
        if not text:
            raise ValueError(text)
        return text

    def holds(self, value: Any) -> bool:
        """Whether it is some path."""
        return isinstance(value, str) and bool(value)


RULES: dict[str, Rule] = {
    "task": Name(TASKS),
    "data": Folder(),
    "algorithms": Names(RECIPES),
    "rule": Name(RECIPES),
    "device": Name(CELLS),
    "states": Number(int, 2, 100_000),
    "gamma": Number(float, 0, 1),
    "epochs": Number(int, 1, 10_000),
    "seeds": Number(int, 1, 1000),
    "batch_size": Number(int, 1, 1000),
    "workers": Number(int, 1, 256),
    "trials": Number(int, 1, 10_000),
    "seed": Number(int, 0, 2**32 - 1),
    "cells": Number(int, 1, 100),
}
"""The rule of every setting by name."""


def parse(name: str, text: str) -> Any:
    """The value of a setting from text; raises ``ValueError`` whose message is the one line a user needs."""
    try:
        return RULES[name].parse(text)
    except (ValueError, OverflowError):
        raise ValueError(f"give {RULES[name].allowed}, not {text!r}.") from None


def shown(value: Any) -> str:
    """The text that :func:`parse` makes a value of."""
    return ",".join(value) if isinstance(value, tuple) else str(value)


def require_agreement(given: Mapping[str, Any], known: Mapping[str, Any], what: str, another: str) -> None:
    """Refuse an option that contradicts what is gone on with.

    :param given: options by name; :param known: what they are in what is gone on with.
    :param what: that, and where it is; :param another: what could be chosen instead.
    :raises ConfigError: says which option, and what it was.
    """
    for name, value in known.items():
        if name in given and given[name] != value:
            option = "RULE" if name == "rule" else f"--{name.replace('_', '-')}"
            raise ConfigError(
                f"{option} contradicts the {what}, which has {shown(value) or 'none'}. Leave it out, or choose another "
                f"{another} (--out)."
            )


@dataclass(frozen=True)
class Setting:
    """What a comparison trains, and how: everything that decides its numbers beside the tuned hyperparameters."""

    task: str = "digits"
    algorithms: tuple[str, ...] = tuple(name for name, recipe in RECIPES.items() if recipe.by_default)
    device: str = "soft-bounds"
    states: int = 10
    gamma: float | None = None
    """Share of A in the visible weight for the residual rules; None: as tuned."""
    epochs: int = 15
    seeds: int = 3
    """Number of seeds: 0, 1, ..."""
    batch_size: int = 10
    data: str = DATA
    """Folder of the images, for tasks that need one."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not (field.name == "gamma" and value is None) and not RULES[field.name].holds(value):
                raise ConfigError(f"{field.name} = {value!r}: give {RULES[field.name].allowed}.")

    def plain(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self) | {"algorithms": list(self.algorithms)}

    def require_agreement(self, given: Mapping[str, Any], what: str, another: str = "folder") -> None:
        """Refuse options that contradict it, see :func:`require_agreement`."""
        require_agreement(given, {field.name: getattr(self, field.name) for field in fields(self)}, what, another)

    def words(self, without: tuple[str, ...] = ()) -> list[str]:
        """As options of the command line; the folder of images only where it is not the usual one."""
        words = []
        for field in fields(self):
            value = getattr(self, field.name)
            usual = value is None or (field.name == "data" and value == DATA)
            if not usual and field.name not in without:
                words += [f"--{field.name.replace('_', '-')}", shown(value)]
        return words

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> Setting:
        """From the JSON values of :meth:`plain`."""
        return cls(**(plain | {"algorithms": tuple(plain["algorithms"])}))
