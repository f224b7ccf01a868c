"""What can be told of the inside of an analog layer at one moment."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from ohmgrad.algorithms.buffered import BufferedTransfer
from ohmgrad.algorithms.chopped import ChoppedTransfer
from ohmgrad.algorithms.chopping import ChoppingTransfer
from ohmgrad.algorithms.low_rank import LowRankTransfer
from ohmgrad.algorithms.mixed_precision import MixedPrecision
from ohmgrad.algorithms.multi_tile import MultiTileTransfer
from ohmgrad.algorithms.transfer import Transfer
from ohmgrad.analysis.symmetric_points import points_of
from ohmgrad.cells.composite import CompositeArray
from ohmgrad.engine.array import CellArray
from ohmgrad.engine.base_array import Array
from ohmgrad.tile import AnalogTile

NEAR = 0.02
"""Share of its range within which a cell counts as being at a bound."""


class Inside:
    """What is asked of the tiles of a layer."""

    def __init__(self, tiles: list[AnalogTile]) -> None:
        self._tiles = tiles
        self._points: dict[int, Tensor] = {}
        self._received = self._received_here()
        self.columns = list(self._values())
        self.columns += [f"pulses_per_step_{k}" for k in range(len(self._received))]
        if self._received:
            self.columns.append("distance")

    def measure(self, steps: int) -> dict[str, Any]:
        """All columns now, ``steps`` after the last time."""
        row, before = dict(self._values()), self._received
        self._received = self._received_here()
        for k, (now, then) in enumerate(zip(self._received, before, strict=True)):
            row[f"pulses_per_step_{k}"] = (now - then) / steps
        if self._received:
            row["distance"] = self._distance()
        return row

    def _arrays(self) -> list[list[Array]]:
        """The arrays k of all tiles, for every k."""
        return [list(arrays) for arrays in zip(*(tile.rule.all_arrays() for tile in self._tiles), strict=True)]

    def _received_here(self) -> list[int]:
        """The pulses of each array, without those that were loaded."""
        return [
            sum(int(cells.counted_here("pulses")) for array in arrays for cells in array.cells())
            for arrays in self._arrays()
        ]

    def _values(self) -> dict[str, Any]:
        """What costs little and has no past."""
        row: dict[str, Any] = {}
        rules = [tile.rule for tile in self._tiles]
        if isinstance(rules[0], (Transfer, LowRankTransfer)):
            whole = [tile.get_weights() for tile in self._tiles]
            rest = [weight - _of_last(tile) for tile, weight in zip(self._tiles, whole, strict=True)]
            row["residual"] = _ratio(_norm(rest), _norm(whole))
        for k, arrays in enumerate(self._arrays()):
            every = [cells for array in arrays for cells in array.cells()]
            row[f"saturation_{k}"] = _mean([_at_bound(cells) for cells in every])
            row[f"pulses_{k}"] = sum(int(cells.pulses.sum(dtype=torch.int64)) for cells in every)
        fills = [fill for rule in rules for fill in _fills(rule)]
        if fills:
            row["fill"] = math.sqrt(_mean([fill.square() for fill in fills]))
        chopped = [rule for rule in rules if isinstance(rule, ChoppingTransfer)]
        if chopped:
            row["flipped"] = _mean([side.float() for rule in chopped for side in (rule.in_chopper, rule.out_chopper)])
            row["sweeps"] = int(chopped[0].transfer_counter)
        if isinstance(rules[0], MultiTileTransfer) and rules[0].config.warm_start:
            row["phase"] = int(rules[0].known("phase"))
        return row

    def _distance(self) -> float:
        squares = []
        for number, array in enumerate(self._arrays()[0]):
            points = self._points.get(number)
            if points is None:
                points = points_of(array).float()
                if isinstance(array, CellArray):  # of others, the points move with the devices that are no part of it
                    self._points[number] = points
            held = _held(array)
            far = (held - points.to(held.device)).square()
            squares.append(far[far.isfinite()])
        return math.sqrt(_mean(squares))


def _held(array: Array) -> Tensor:
    """What an array shows, without touching the memory in which it shows it."""
    if not isinstance(array, CompositeArray):
        return array.visible()
    parts = zip(array.gammas, array.parts(), strict=True)
    return torch.stack([gamma * _held(part) for gamma, part in parts]).sum(0)


def _of_last(tile: AnalogTile) -> Tensor:
    """What the last array contributes to the visible weight."""
    rule = tile.rule
    gamma = rule.gammas[-1] if isinstance(rule, Transfer) else 1.0
    return gamma * _held(rule.all_arrays()[-1]).cpu()


def _at_bound(cells: CellArray) -> Tensor:
    lower, upper = cells.limits()
    margin = NEAR * (upper - lower)
    return ((cells.state <= lower + margin) | (cells.state >= upper - margin)).float()


def _fills(rule: nn.Module) -> list[Tensor]:
    """The buffers of a rule in units of their thresholds."""
    if isinstance(rule, MixedPrecision):
        return [rule.chi / rule.config.step]
    if isinstance(rule, ChoppedTransfer):
        return [rule.get_buffer(rule.buffer_names()[0])]
    if isinstance(rule, BufferedTransfer):
        scale, targets = rule.config.thres_scale, rule.devices[1:]
        pairs = zip(rule.buffer_names(), targets, strict=True)
        return [rule.get_buffer(name) / (scale * target.weight_granularity) for name, target in pairs]
    return []


def _mean(values: list[Tensor]) -> float:
    """Over the numbers of several tensors."""
    count = sum(value.numel() for value in values)
    return sum(float(value.sum()) for value in values) / count if count else math.nan


def _norm(values: list[Tensor]) -> float:
    return math.sqrt(sum(float(value.square().sum()) for value in values))


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole > 0.0 else math.nan
