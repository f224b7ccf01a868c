"""What is sent to the arrays of a model and read from them, counted while it trains."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import nn

from ohmgrad.algorithms.low_rank import LowRankTransfer
from ohmgrad.algorithms.mixed_precision import MixedPrecision
from ohmgrad.algorithms.transfer import Transfer
from ohmgrad.engine.tally import Tally
from ohmgrad.errors import TileError
from ohmgrad.nn.base import named_analog_tiles
from ohmgrad.tile import AnalogTile

if TYPE_CHECKING:
    from typing_extensions import Self


@dataclass(frozen=True)
class Traffic:
    """What a tile was sent, per vector (x, d) that it learned from; arrays in the order of the rule."""

    vectors: float
    """Vectors altogether."""
    slots: tuple[float, ...]
    """Slots of pulse trains that each array was sent: of the first, the mean length of the gradient's trains, l."""
    reads: tuple[float, ...]
    """Slices (columns or rows) that were read from each array: of a fast array 1 over the vectors per read,
    :math:`1/n_s`."""
    batch: float = 1.0
    """Mean vectors of a batch, as far as the rule needs it (mixed precision); else 1."""


class Meter:
    """Counts what the arrays of a model are sent and read, from now on.

    It is no state and changes nothing; a copy of the model is not metered, and what a state that is loaded brings
    along is not counted. Trains are counted with the slots that they have, where there is no train (exact updates,
    mean field) none. Refreshes of one-sided cells are left out, and what a CUDA graph repeats. On a GPU nothing waits
    for the counts until they are asked for.

    :param model: with analog layers; or a tile. A second meter takes the place of the first.
    """

    def __init__(self, model: nn.Module) -> None:
        named = named_analog_tiles(model)
        self._tiles = [tile for _, tile in named]
        self._tallies = [[Tally() for _ in tile.rule.all_arrays()] for tile in self._tiles]
        self._begun = [_counts(tile) for tile in self._tiles]
        for tile, tallies in zip(self._tiles, self._tallies, strict=True):
            for array, tally in zip(tile.rule.all_arrays(), tallies, strict=True):
                array.tally = tally

    def close(self) -> None:
        """Count no more; what was counted stays."""
        for tile, tallies in zip(self._tiles, self._tallies, strict=True):
            for array, tally in zip(tile.rule.all_arrays(), tallies, strict=True):
                if array.tally is tally:
                    array.tally = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def traffic(self, tile: AnalogTile) -> Traffic:
        """What a tile was sent since the meter began; waits for a GPU.

        :raises TileError: if it is none of the model's.
        """
        for mine, tallies, begun in zip(self._tiles, self._tallies, self._begun, strict=True):
            if mine is tile:
                vectors, transfers, *reads = (now - then for now, then in zip(_counts(tile), begun, strict=True))
                each = max(vectors, 1)
                every = tile.rule.config.transfer_every if isinstance(tile.rule, MixedPrecision) else 0
                return Traffic(
                    vectors,
                    tuple(tally.slots / each for tally in tallies),
                    tuple(count / each for count in reads),
                    vectors / (transfers * every) if transfers * every else 1.0,
                )
        raise TileError(f"{tile.label} is not metered. Give its model to Meter.")


def _counts(tile: AnalogTile) -> list[int]:
    """Vectors, transfers (of rules that write all at once), and reads of every array; none that were loaded."""
    rule = tile.rule
    arrays = rule.all_arrays()
    if isinstance(rule, MixedPrecision):
        return [int(rule.counted_here("vectors")), int(rule.counted_here("transfers")), 0]
    vectors = int(arrays[0].counted_here("samples")) if arrays else 0
    if isinstance(rule, LowRankTransfer):
        transfers = int(rule.counted_here("transfers"))
        reads = transfers * rule.config.rank
        return [vectors, transfers, reads, reads, 0]
    if isinstance(rule, Transfer):
        return [vectors, 0, *rule.counted_here("reads").tolist()]
    return [vectors, 0, *[0] * len(arrays)]
