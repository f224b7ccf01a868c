"""How good a model is on chips of different ages."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import TYPE_CHECKING

import torch
from torch import nn

from ohmgrad.errors import ConfigError
from ohmgrad.inference.chip import (
    DEFAULT_COMPENSATION,
    DEFAULT_NOISE,
    checked_seed,
    drift,
    program,
    programmed_tiles,
)
from ohmgrad.parameters.drift_compensation import GlobalDriftCompensation
from ohmgrad.parameters.memory_noise import NoiseModel

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TIMES = (1.0, 3600.0, 86400.0, 31536000.0)
"""A second, an hour, a day and a year after programming."""
_UNITS = (("year", 31536000.0), ("day", 86400.0), ("h", 3600.0), ("min", 60.0))


@dataclass(frozen=True)
class Evaluation:
    """What a metric said of some chips at some times."""

    times: tuple[float, ...]
    """Seconds after programming."""
    values: tuple[tuple[float, ...], ...]
    """For each chip, the metric at each time."""
    label: str
    """What is said of them in tables and pictures."""

    @property
    def mean(self) -> tuple[float, ...]:
        """At each time, over all chips."""
        return tuple(fmean(column) for column in zip(*self.values, strict=True))

    @property
    def standard_error(self) -> tuple[float, ...]:
        """Of each mean; NaN if there is one chip."""
        columns = list(zip(*self.values, strict=True))
        return tuple(stdev(c) / math.sqrt(len(c)) if len(c) > 1 else math.nan for c in columns)

    def __str__(self) -> str:
        lines = [f"{self.label}, {len(self.values)} chip{'s' if len(self.values) > 1 else ''}"]
        for seconds, mean, error in zip(self.times, self.mean, self.standard_error, strict=True):
            spread = "" if math.isnan(error) else f" ± {error:.4f}"
            lines.append(f"{name_of_time(seconds):>10}  {mean:.4f}{spread}")
        return "\n".join(lines)

    def plot(self, path: str | Path | None = None, beside: Sequence[Evaluation] = (), metric: str = "metric") -> Figure:
        """A picture of the means over time, with their standard errors. Needs matplotlib.

        :param path: where it is saved, if it is; :param beside: others in the same picture; :param metric: its name.
        """
        from matplotlib.figure import Figure

        figure = Figure(figsize=(6.0, 3.8), layout="constrained")
        axes = figure.add_subplot(xlabel="time after programming", ylabel=metric)
        for each in (self, *beside):
            errors = [0.0 if math.isnan(error) else error for error in each.standard_error]
            axes.errorbar(each.times, each.mean, errors, marker="o", capsize=3.0, label=each.label)
        times = sorted({seconds for each in (self, *beside) for seconds in each.times})
        axes.set_xscale("symlog" if times[0] < 1.0 else "log")  # 0 has a place on the former
        axes.set_xticks(times, [name_of_time(seconds) for seconds in times])
        axes.minorticks_off()
        axes.grid(True, alpha=0.3)
        axes.legend(frameon=False)
        if path is not None:
            figure.savefig(path, dpi=150)
        return figure


@torch.no_grad()
def evaluate(
    model: nn.Module,
    metric: Callable[[nn.Module], float],
    times: Sequence[float] = TIMES,
    repeats: int = 5,
    noise_model: NoiseModel = DEFAULT_NOISE,
    drift_compensation: GlobalDriftCompensation | None = DEFAULT_COMPENSATION,
    seed: int | None = None,
    w_max: float | None = None,
    label: str | None = None,
    progress: Callable[[int, int], object] | None = None,
) -> Evaluation:
    """Program a trained model on several chips, and measure each of them as it grows older.

    :param model: stays as it is; :param metric: gives a number for a model, such as its accuracy.
    :param times: seconds after programming, in any order; :param repeats: how many chips.
    :param noise_model: see :func:`program`, as for ``drift_compensation`` and ``w_max``.
    :param seed: of the first chip, those of the others follow it; None: one from torch's generator.
    :param label: what the result is called; None: whether drift was compensated.
    :param progress: is told how many numbers there are, and how many there will be.
    :raises TileError: as :func:`program` and :func:`drift`.
    :raises ConfigError: if there is no time or no repeat, or the seed or ``w_max`` is out of range.
    """
    if repeats < 1 or not len(times):
        raise ConfigError(f"evaluate: {repeats} repeats at {len(times)} times. Give at least one of each.")
    seed = checked_seed(seed, repeats)
    chip = program(model, noise_model, drift_compensation, seed, w_max=w_max)
    values = []
    for repeat in range(repeats):
        if repeat:
            for _, tile in programmed_tiles(chip):
                tile.program(seed + repeat)
        row = []
        for seconds in times:
            drift(chip, seconds)
            row.append(float(metric(chip)))
            if progress is not None:
                progress(repeat * len(times) + len(row), repeats * len(times))
        values.append(tuple(row))
    compensated = any(tile.drift_compensation is not None for _, tile in programmed_tiles(chip))
    label = label or f"{'with' if compensated else 'without'} drift compensation"
    return Evaluation(tuple(map(float, times)), tuple(values), label)


def name_of_time(seconds: float) -> str:
    """Such as ``"1 day"``, in the largest unit of which there is at least one."""
    unit, size = next(((unit, size) for unit, size in _UNITS if seconds >= size), ("s", 1.0))
    number = f"{seconds / size:.3g}"
    return f"{number} {unit}{'s' if unit in ('year', 'day') and number != '1' else ''}"
