"""The statistics of a comparison: medians and quartiles, and whether two libraries did the same thing."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import NamedTuple

ERRORS = 5.0
"""Standard errors within which figures must agree."""
ROUNDING = 1e-4
"""Differences that are none, relative to the size of a figure: sums of float32 in another order."""


class Spread(NamedTuple):
    """A median and the quartiles around it."""

    median: float
    low: float
    high: float

    @property
    def half(self) -> float:
        """Half of the distance between the quartiles."""
        return (self.high - self.low) / 2


def spread(values: Sequence[float]) -> Spread:
    """Median and quartiles of some values, at least one."""
    if len(values) == 1:
        return Spread(values[0], values[0], values[0])
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return Spread(median, low, high)


def verdict(ratio: float | None, problems: Sequence[str]) -> str:
    """A ratio in words, or why there is none."""
    if problems:
        return "failed" if problems[0].startswith("failed") else "differs"
    return "not measured" if ratio is None else f"{ratio:.3g}"


class Difference(NamedTuple):
    """A figure in which the two do not agree, each with its standard error."""

    name: str
    ours: tuple[float, float]
    theirs: tuple[float, float]

    def __str__(self) -> str:
        (a, a_error), (b, b_error) = self.ours, self.theirs
        return f"{self.name}: {a:.5g} +- {a_error:.2g} against {b:.5g} +- {b_error:.2g}"


def differences(ours: list[dict[str, float]], theirs: list[dict[str, float]]) -> list[Difference]:
    """The figures in which independent repetitions differ by more than five standard errors.

    A mean is compared on the scale of the spread that belongs to it, since it may be close to 0.

    :param ours: at least two repetitions, each a figure by name; :param theirs: the same names.
    """
    found = []
    for name in ours[0]:
        (a, a_error), (b, b_error) = (_mean([each[name] for each in runs]) for runs in (ours, theirs))
        scale_name = name.removesuffix("mean") + "spread" if name.endswith(" mean") else name
        scale = max(abs(each[scale_name]) for each in (*ours, *theirs))
        allowed = ERRORS * math.hypot(a_error, b_error) + ROUNDING * scale
        if not abs(a - b) <= allowed:  # also if one is not a number
            found.append(Difference(name, (a, a_error), (b, b_error)))
    return found


def _mean(values: list[float]) -> tuple[float, float]:
    """Mean and its standard error."""
    mean, count = statistics.fmean(values), len(values)
    variance = sum((value - mean) ** 2 for value in values) / (count - 1)  # statistics.stdev refuses what is no number
    return mean, math.sqrt(variance / count)
