"""The choppers of a batch: the signs of lines, which flip after reads (step 4.4 of TTv3)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ohmgrad.algorithms.schedule import Reads, Signs
from ohmgrad.engine.compiler import compile_function
from ohmgrad.engine.draws import Draws, Stream
from ohmgrad.engine.kernel_cache import compile_kernel


@dataclass(kw_only=True)
class Chops(Signs):
    """What the choppers are in a batch: the flips for every sample, and what holds at every read.

    ``product`` float32 ``[E, lanes]`` of +-1, in times out; ``sweeps`` int64 ``[E]``, completed before the read;
    ``switched`` bool ``[E]``, whether the slice flipped since its last read.
    """

    product: Tensor
    sweeps: Tensor
    switched: Tensor


@dataclass
class Choppers:
    """The state of the choppers, changed in place, and when they flip.

    ``by_slice`` bool ``[slices]`` and ``by_lane`` ``[lanes]``: which lines are flipped; ``switched`` ``[slices]``:
    whether the last read of a slice flipped it; ``sweeps`` (int64, a scalar): completed since weights were set.
    ``chance``: that a slice flips after it was read; ``phase``: instead, sweeps between regular flips (0: at random);
    ``lane_chance``: that a lane flips after a sweep. ``columns``: whether slices are columns.
    """

    by_slice: Tensor
    by_lane: Tensor
    switched: Tensor
    sweeps: Tensor
    chance: float
    phase: int
    lane_chance: float
    columns: bool

    def signs(self, of_slices: Tensor, of_lanes: Tensor, product: Tensor, sweeps: Tensor, switched: Tensor) -> Chops:
        """The flips of the lines for every sample, and what holds at every read."""
        x, d = (of_slices, of_lanes) if self.columns else (of_lanes, of_slices)
        return Chops(x, d, product=product, sweeps=sweeps, switched=switched)


def chop(choppers: Choppers, reads: Reads, positions: Tensor, samples: int, draws: Draws) -> Chops:
    """Let the reads of a batch flip the choppers.

    :param positions: how many samples come before each read, int64 ``[E]``; :param samples: how many there are.
    """
    if draws.implementation == "gpu" or reads.valid is not None or positions.device.type != "cpu":
        from ohmgrad.algorithms.choppers_gpu import chop as on_gpu

        return on_gpu(choppers, reads, positions, samples, draws)
    state = [each.numpy() for each in (choppers.by_slice, choppers.by_lane, choppers.switched, choppers.sweeps)]
    size, lanes, slices = len(state[0]), len(state[1]), reads.slices.numpy()
    chance, lane_chance = np.float32(choppers.chance), np.float32(choppers.lane_chance)
    coins, lane_coins = np.empty(0, np.float32), np.empty((0, lanes), np.float32)
    if choppers.phase == 0 and choppers.chance > 0.0:
        coins = draws.uniform(Stream.CHOP_IN.of(0), reads.numbers, 1)[:, 0].numpy()
    if choppers.lane_chance > 0.0:
        ends = reads.numbers[reads.slices == size - 1]
        lane_coins = draws.uniform(Stream.CHOP_OUT.of(0), ends, lanes).numpy()
    found = (
        np.empty((samples, size), bool),
        np.empty((samples, lanes), bool),
        np.empty((len(reads), lanes), np.float32),
        np.empty(len(reads), np.int64),
        np.empty(len(reads), bool),
    )
    follow: Any = _compiled() if draws.implementation == "cpu" else follow_reads
    follow(*found, *state, slices, positions.numpy(), coins, lane_coins, chance, lane_chance, choppers.phase)
    return choppers.signs(*map(torch.from_numpy, found))


def follow_reads(  # type: ignore[no-untyped-def]
    of_slices, of_lanes, product, sweeps, switched, by_slice, by_lane, last_switched, sweep,
    slices, positions, coins, lane_coins, chance, lane_chance, phase,
):  # fmt: skip
    """The samples and reads of a batch in turn: what the choppers are at each, and how the reads flip them (step 4.4).

    :param of_slices: flips at every sample ``[samples, slices]``, and so on as in :class:`Chops`; written.
    :param by_slice: state, as in :class:`Choppers`; changed.
    :param coins: uniform, of every read ``[E]``, if slices flip at random; :param lane_coins: of every sweep that ends
        ``[ends, lanes]``, if lanes flip.
    """
    n = ends = 0
    for e in range(len(slices)):
        s = slices[e]
        _copy(by_slice, of_slices, n, positions[e])
        _copy(by_lane, of_lanes, n, positions[e])
        n = positions[e]
        for i in range(len(by_lane)):
            product[e, i] = np.float32(-1.0) if by_lane[i] != by_slice[s] else np.float32(1.0)
        sweeps[e], switched[e] = sweep[()], last_switched[s]
        flips = chance > 0.0 and (coins[e] <= chance if phase == 0 else sweep[()] % phase == phase - 1)
        by_slice[s] ^= flips
        last_switched[s] = flips
        if s == len(by_slice) - 1:
            if lane_chance > 0.0:
                for i in range(len(by_lane)):
                    by_lane[i] ^= lane_coins[ends, i] <= lane_chance
            ends += 1
            sweep[()] += 1
    _copy(by_slice, of_slices, n, len(of_slices))
    _copy(by_lane, of_lanes, n, len(of_lanes))


def _copy(values, rows, begin, end):  # type: ignore[no-untyped-def]
    for row in range(begin, end):
        for i in range(len(values)):
            rows[row, i] = values[i]


@cache
def _compiled() -> Any:
    followed = compile_function(follow_reads)

    def follow(*arguments):  # type: ignore[no-untyped-def]
        followed(*arguments)

    return compile_kernel(follow, __name__)
