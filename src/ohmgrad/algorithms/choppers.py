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
    ``switched`` bool ``[E]``, whether the slice flipped since its last read; ``flips`` bool ``[E]``, whether it flips
    after this one.
    """

    product: Tensor
    sweeps: Tensor
    switched: Tensor
    flips: Tensor


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

    def signs(
        self, of_slices: Tensor, of_lanes: Tensor, product: Tensor, sweeps: Tensor, switched: Tensor, flips: Tensor
    ) -> Chops:
        """The flips of the lines for every sample, and what holds at every read."""
        x, d = (of_slices, of_lanes) if self.columns else (of_lanes, of_slices)
        return Chops(x, d, product=product, sweeps=sweeps, switched=switched, flips=flips)


def chop(choppers: Choppers, reads: Reads, positions: Tensor, samples: int, draws: Draws) -> Chops:
    """Let the reads of a batch flip the choppers.

    :param positions: how many samples come before each read, int64 ``[E]``; :param samples: how many there are.
    """
    if draws.implementation == "gpu" or reads.valid is not None or not positions.is_cpu:
        from ohmgrad.algorithms.choppers_gpu import chop as on_gpu

        return on_gpu(choppers, reads, positions, samples, draws)
    by_slice, by_lane = choppers.by_slice.numpy(), choppers.by_lane.numpy()
    slices, size, lanes = reads.slices.numpy(), len(by_slice), len(by_lane)
    count, coins, lane_coins = len(slices), _NO_COINS, _NO_LANE_COINS
    if choppers.phase == 0 and choppers.chance > 0.0 and count:
        coins = draws.uniform(Stream.CHOP_IN.of(0), reads.numbers, 1).numpy()[:, 0]
    if choppers.lane_chance > 0.0 and count:
        ends = reads.numbers[reads.slices == size - 1]
        lane_coins = draws.uniform(Stream.CHOP_OUT.of(0), ends, lanes).numpy()
    flips = np.empty((samples, size), bool), np.empty((samples, lanes), bool)
    at_reads = np.empty((count, lanes), np.float32), np.empty(count, np.int64), *np.empty((2, count), bool)
    follow: Any = _compiled() if draws.implementation == "cpu" else follow_reads
    follow(
        *(*flips, *at_reads, by_slice, by_lane, choppers.switched.numpy(), choppers.sweeps.numpy()),
        *(slices, positions.numpy(), coins, lane_coins, choppers.chance, choppers.lane_chance, choppers.phase),
    )
    return choppers.signs(*map(torch.from_numpy, (*flips, *at_reads)))


_NO_COINS, _NO_LANE_COINS = np.empty(0, np.float32), np.empty((0, 0), np.float32)


def follow_reads(  # type: ignore[no-untyped-def]
    of_slices, of_lanes, product, sweeps, switched, flipping, by_slice, by_lane, last_switched, sweep,
    slices, positions, coins, lane_coins, chance, lane_chance, phase,
):  # fmt: skip
    """The samples and reads of a batch in turn: what the choppers are at each, and how the reads flip them (step 4.4).

    :param of_slices: flips at every sample ``[samples, slices]``, and so on as in :class:`Chops`; written.
    :param by_slice: state, as in :class:`Choppers`; changed.
    :param coins: uniform, of every read ``[E]``, if slices flip at random; :param lane_coins: of every sweep that ends
        ``[ends, lanes]``, if lanes flip.
    """
    chance, lane_chance = np.float32(chance), np.float32(lane_chance)
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
        last_switched[s] = flipping[e] = flips
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
