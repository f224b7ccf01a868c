"""The errors a user can meet, each naming the thing, its value and the remedy."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class OhmgradError(Exception):
    """Base of every error that ohmgrad raises on purpose."""


class ConfigError(OhmgradError, ValueError):
    """A configuration holds an unknown field, a wrong type or values that do not fit together."""


class TileError(OhmgradError, ValueError):
    """A tile was given data it cannot use: a wrong shape, a non-finite number, unknown state."""


class OptimizerError(OhmgradError, RuntimeError):
    """An optimizer cannot update the analog weights that it was given."""


class CheckpointError(OhmgradError, ValueError):
    """A file cannot be written or read as a checkpoint, or what it holds does not fit the objects it is loaded into."""


def near(name: str, names: Iterable[str]) -> str:
    """The question whether a name that does not exist was meant to be another, in any case; empty if none is near."""
    by_lower = {known.lower(): known for known in names}
    close = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.65)
    return f"Did you mean {by_lower[close[0]]!r}?" if close else ""


def suggestion(name: str, names: Iterable[str], there_are: str = "There are") -> str:
    """What to say of a name that does not exist: the one that must have been meant, if any is near, else all."""
    known = list(names)
    return near(name, known) or f"{there_are}: {', '.join(known)}."
