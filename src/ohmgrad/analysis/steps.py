"""What one pulse does to sampled cells, worked out from the law of their device."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ohmgrad.devices.base import PulsedDevice
from ohmgrad.engine.replay import bind_law

WEIGHTS = 61
"""Weights at which steps are worked out."""
PULSES = 49
"""Pulses of every cell and weight."""
HALVINGS = 60


@dataclass(frozen=True)
class Steps:
    """Mean and standard deviation of the step over cells and pulses, each [weights]."""

    weights: Tensor
    up_mean: Tensor
    up_std: Tensor
    down_mean: Tensor
    down_std: Tensor


class SampledCells:
    """Cells of a device, and their law in double precision: steps are often tiny beside the weight.

    :param parameters: of the cells by name, each [cells].
    """

    def __init__(self, device: PulsedDevice, parameters: Mapping[str, Tensor]) -> None:
        values = {name: value.double() for name, value in parameters.items()}
        self.law = bind_law(device, tuple(values))
        constants = [torch.tensor(c).double() if isinstance(c, tuple) else c for c in self.law.constants]
        self.arguments: list[Any] = self.law.arguments([values[name] for name in self.law.cell], constants)
        self.noisy = device.is_noisy
        self.lower, self.upper = device.limits(values)

    def step(self, weights: Tensor, up: bool | Tensor, noise: Tensor | None = None) -> Tensor:
        """What a pulse adds to weights [..., cells]; without ``noise`` it is the noise-free step."""
        noise = torch.zeros_like(weights) if noise is None else noise
        direction = up if isinstance(up, Tensor) else torch.full_like(weights, up, dtype=torch.bool)
        after: Tensor = self.law.function(weights, direction, noise, *self.arguments)
        return after - weights

    def statistics(self) -> Steps:
        """Steps over the weight. Each weight counts the cells that can hold it; where few can, it is left out."""
        low, high = torch.quantile(self.lower, 0.1), torch.quantile(self.upper, 0.9)
        low, high = torch.minimum(low, self.lower.mean()), torch.maximum(high, self.upper.mean())
        weights = torch.linspace(float(low), float(high), WEIGHTS, dtype=torch.float64)
        noise = normal_quantiles()[:, None] if self.noisy else torch.zeros(1, 1, dtype=torch.float64)
        rows = []
        for weight in weights:
            held = (self.lower <= weight) & (weight <= self.upper)
            at = weight.expand(len(noise), len(held))
            steps = [self.step(at, up, noise.expand_as(at))[:, held] for up in (True, False)]
            rows.append(torch.stack([f for s in steps for f in (s.mean(), s.std(correction=0))]))
        return Steps(weights, *torch.stack(rows).t())

    def symmetry_points(self) -> Tensor:
        """Where the up and the down step of every cell are equal, [cells].

        NaN for a cell whose steps are equal at every weight, or that does not move. Steps are those of the law with
        its bounds, so a cell that goes up faster than down everywhere has its symmetric point at the upper bound.
        """
        lower, upper = self.lower, self.upper
        inside = torch.linspace(0.1, 0.9, 9, dtype=torch.float64)[:, None]
        tolerance = 1e-6 * self.step(lower + inside * (upper - lower), True).abs().amax(0)
        flat = (self._pair(lower + inside * (upper - lower)).abs() <= tolerance).all(0)
        for _ in range(HALVINGS):
            middle = (lower + upper) / 2.0
            rises = self._pair(middle) > 0.0
            lower, upper = torch.where(rises, middle, lower), torch.where(rises, upper, middle)
        return torch.where(flat, torch.nan, (lower + upper) / 2.0)

    def at_bound(self, points: Tensor) -> Tensor:
        """Which of some symmetric points, one for each cell, lie at a bound: within 2 % of the range."""
        return torch.minimum(points - self.lower, self.upper - points) < 0.02 * (self.upper - self.lower)

    def _pair(self, weights: Tensor) -> Tensor:
        """What an up and a down pulse from the same weight change together."""
        return self.step(weights, True) + self.step(weights, False)


def mean_parameters(device: PulsedDevice) -> dict[str, Tensor]:
    """The parameters of a cell that all have their mean, by name, each [1]."""
    return {name: value.reshape(-1) for name, value in device.sample(_Mean()).items()}


class _Mean:
    """The sampler of one cell whose parameters all have their mean."""

    has_bias = False

    def normal(self, purpose: int) -> Tensor:
        """No deviation."""
        return torch.zeros(1, 1, dtype=torch.float64)

    def uniform(self, purpose: int) -> Tensor:
        """The number at which nothing rare happens."""
        return torch.ones(1, 1, dtype=torch.float64)


def normal_quantiles(count: int = PULSES) -> Tensor:
    """Standard normal numbers that stand for many pulses: equally probable, mean 0 and variance 1."""
    values = torch.special.ndtri((torch.arange(count, dtype=torch.float64) + 0.5) / count)
    return values / values.std(correction=0)
