"""What a case does in one library: something to call and time, and figures in which both must agree."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from peers.cases import MIXED, OURS, Case
from peers.configuration import GRANULARITY, config, same_cells, with_circuits
from peers.library import Library
from peers.start import Start

SAMPLES = 32
"""At least so many samples are learned before weights are compared."""
ENOUGH = 1000
"""Samples at most, from which a density is found."""


class Update:
    """``tile.update(x, d)`` at a measured density."""

    def __init__(self, library: Library, case: Case, shared: Path, rate: float | None) -> None:
        self.library, self.case = library, case
        torch.manual_seed(1)
        self.x, self.d = torch.randn(case.batch, case.size), torch.randn(case.batch, case.size)
        self.start = Start(library, case.size, config(library.configs, case.subject), shared)
        self.rate = self._rate_for(case.density) if rate is None else rate
        self.density = 0.0
        if case.density:
            self.density = self._counted(self.rate) if library.name == OURS else self._stepped()
        self.tile = self._tile()

    def call(self) -> None:
        """What is timed."""
        self.tile.update(self.x, self.d)

    def figures(self) -> dict[str, float]:
        """How every array changed: along the exact change, on average, and from cell to cell."""
        tile, updates = self._tile(), max(1, SAMPLES // self.case.batch)
        before = self.library.arrays(tile)
        for _ in range(updates):
            tile.update(self.x, self.d)
        if self.case.subject == MIXED:  # aihwkit writes what a batch has added when the next begins
            tile.update(torch.zeros(1, self.case.size), torch.zeros(1, self.case.size))
        exact = -self.rate * updates * (self.d.T @ self.x)
        after = self.library.arrays(tile)
        return {
            key: figure for name in after for key, figure in compared(name, after[name] - before[name], exact).items()
        }

    def _tile(self) -> Any:
        tile = self.start.tile()
        tile.set_learning_rate(self.rate)
        return tile

    def _rate_for(self, density: float) -> float:
        """The learning rate that gives the density, found by counting pulses."""
        if density == 0.0:
            return GRANULARITY / 2
        rate = density * GRANULARITY * math.pi / 2  # exact, as long as no train is full
        for _ in range(3):
            rate *= density / self._counted(rate)
        return rate

    def _counted(self, rate: float) -> float:
        """Pulses for each cell and sample, as our tile counts them."""
        tile = self.start.tile()
        tile.set_learning_rate(rate)
        samples = 0
        while samples < ENOUGH and samples * self.case.size**2 < 1e6:
            tile.update(self.x, self.d)
            samples += self.case.batch
        return tile.pulse_counts()[0].total.double().mean().item() / samples

    def _stepped(self) -> float:
        """The same without counters: how far equal cells without noise go in a sample, over what a pulse does."""
        names, size = self.library.configs, self.case.size
        every = torch.ones(1, size)
        one_pulse = same_cells(names, self.case.subject)
        one_pulse.update = names.UpdateParameters(desired_bl=1, update_management=False, update_bl_management=False)
        step = sum(self._moved(one_pulse, 4 * GRANULARITY, every, sign * every) for sign in (1.0, -1.0)) / 2
        pulses = same_cells(names, self.case.subject)
        return sum(
            self._moved(pulses, self.rate, self.x[sample], self.d[sample]) for sample in range(min(16, self.case.batch))
        ) / (step * min(16, self.case.batch))

    def _moved(self, rpu_config: Any, rate: float, x: Tensor, d: Tensor) -> float:
        """Mean distance of a cell from 0 after samples in one direction."""
        size = self.case.size
        tile = self.library.tile(size, size, rpu_config)
        tile.set_learning_rate(rate)
        repeats = min(ENOUGH, math.ceil(1e6 / (size * size * self.case.batch)))
        moved = 0.0
        for _ in range(repeats):
            tile.set_weights(torch.zeros(size, size))
            tile.update(x.reshape(1, -1), d.reshape(1, -1))
            moved += self.library.weights(tile).abs().double().mean().item()
        return moved / repeats


class Product:
    """The analog product ``W x``, or that of the transpose."""

    density = 0.0

    def __init__(self, library: Library, case: Case, shared: Path) -> None:
        torch.manual_seed(1)
        self.x = torch.randn(case.batch, case.size)
        self.start = Start(library, case.size, with_circuits(library.configs, case.subject), shared)
        self.is_backward = case.kind == "backward"
        tile = self.start.tile()
        weights = library.weights(tile).double()
        self.exact = self.x.double() @ (weights if self.is_backward else weights.T)
        self.product = self._product(tile)

    @torch.no_grad()
    def call(self) -> Tensor:
        """What is timed."""
        return self.product(self.x)

    @torch.no_grad()
    def figures(self) -> dict[str, float]:
        """How the result of a new tile lies around the exact one.

        All normal numbers of a tile of aihwkit come from one table of 32,768, whose mean is not 0: what one tile gives
        again and again is biased by up to a hundredth of the noise, and says nothing about the next tile.
        """
        return compared("product", self._product(self.start.tile())(self.x), self.exact)

    def _product(self, tile: Any) -> Callable[[Tensor], Tensor]:
        product: Callable[[Tensor], Tensor] = tile.backward if self.is_backward else tile
        return product


def compared(name: str, values: Tensor, exact: Tensor) -> dict[str, float]:
    """Mean and spread of some values, how they go along with exact ones (1: as much), and their correlation."""
    values, exact = values.double(), exact.double()
    both = (values.square().mean() * exact.square().mean()).sqrt()
    found = {
        "mean": values.mean(),
        "spread": values.square().mean().sqrt(),
        "along": (values * exact).mean() / exact.square().mean(),
        "correlation": (values * exact).mean() / both if both > 0 else torch.zeros(()),
    }
    return {f"{name} {what}": figure.item() for what, figure in found.items()}
