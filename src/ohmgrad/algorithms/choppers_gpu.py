"""The choppers of a batch where nothing is asked of the device: all reads at once, in torch operations."""

from __future__ import annotations

import torch
from torch import Tensor

from ohmgrad.algorithms.choppers import Choppers, Chops
from ohmgrad.algorithms.schedule import Reads
from ohmgrad.engine.draws import Draws, Stream


def chop(choppers: Choppers, reads: Reads, positions: Tensor, samples: int, draws: Draws) -> Chops:
    """See :func:`ohmgrad.algorithms.choppers.chop`."""
    in_flips, out_flips = _Flips(choppers.by_slice, samples), _Flips(choppers.by_lane, samples)
    at_reads = _flip(choppers, reads, positions, in_flips, out_flips, draws)
    return choppers.signs(in_flips.of_samples(), out_flips.of_samples(), *at_reads)


class _Flips:
    """Whether lines are flipped, for every sample of a batch.

    :param first: bool ``[lines]``, when the batch begins; it may change once a flip is known here.
    """

    def __init__(self, first: Tensor, samples: int) -> None:
        self.first, self.samples = first, samples
        self.changes: Tensor | None = None  # before every sample, and after the last; counted modulo 256

    def after(self, positions: Tensor, flips: Tensor, lines: Tensor | None = None) -> None:
        """Flip lines after so many samples (int64 ``[m]``, at least 1).

        :param flips: bool ``[m]`` for one line each, int64 ``[m]``; or ``[m, lines]`` for all lines.
        """
        if self.changes is None:
            self.changes = self.first.new_zeros(self.samples + 1, len(self.first), dtype=torch.uint8)
            self.changes[0] = self.first
        if lines is None:
            self.changes.index_add_(0, positions, flips.to(torch.uint8))
        else:
            where = positions * len(self.first) + lines
            self.changes.view(-1).scatter_add_(0, where, flips.to(torch.uint8))

    def of_samples(self) -> Tensor:
        """The flips, bool ``[samples, lines]``."""
        if self.changes is None:
            return self.first.expand(self.samples, -1)
        total = self.changes[: self.samples].cumsum(0, dtype=torch.uint8)
        return total.bitwise_and_(1).view(torch.bool)


def _is_odd(count: Tensor) -> Tensor:
    return (count & 1).bool()


def _flip(
    choppers: Choppers, reads: Reads, positions: Tensor, in_flips: _Flips, out_flips: _Flips, draws: Draws
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Let the reads of a batch flip the choppers; what these are at every read, see :class:`Chops`."""
    c_in, c_out, phase, size = choppers.by_slice, choppers.by_lane, choppers.phase, len(choppers.by_slice)
    if len(reads) == 0:
        return c_out.new_zeros((0, len(c_out)), dtype=torch.float32), reads.slices, c_in[:0], c_in[:0]
    slices, ends = reads.slices, reads.happening(reads.slices == size - 1).long()
    passed = ends.cumsum(0) - ends
    sweeps = choppers.sweeps + passed
    choppers.sweeps.add_(ends.sum())
    if phase == 0:
        flips = draws.uniform(Stream.CHOP_IN.of(0), reads.numbers, 1)[:, 0] <= choppers.chance
    else:
        flips = (sweeps % phase == phase - 1) & (choppers.chance > 0.0)
    flips = reads.happening(flips)
    if choppers.chance > 0.0:
        in_flips.after(positions, flips, slices)
    flipped, switched = _history(choppers, reads, flips)
    opposite = (c_in[slices] ^ flipped)[:, None] ^ c_out
    c_in ^= _is_odd(torch.zeros_like(c_in, dtype=torch.int64).index_add_(0, slices, flips.long()))
    if choppers.lane_chance > 0.0:
        # Slices are read in order: the first end is known from the first slice, and then every round has one.
        rounds = size * torch.arange(-(-len(reads) // size), device=slices.device)
        last = (size - 1 - slices[:1] + rounds).clamp(max=len(reads) - 1)
        coins = draws.uniform(Stream.CHOP_OUT.of(0), reads.numbers[last], len(c_out))
        turned = (coins <= choppers.lane_chance) & (ends[last] > 0)[:, None]
        out_flips.after(positions[last], turned)
        total = torch.cat([turned.new_zeros(1, len(c_out)), turned]).cumsum(0)
        opposite ^= _is_odd(total[passed])
        c_out ^= _is_odd(total[-1])
    return 1.0 - 2.0 * opposite, sweeps, switched, flips


def _history(choppers: Choppers, reads: Reads, flips: Tensor) -> tuple[Tensor, Tensor]:
    """Whether earlier reads of this batch have flipped a slice, and whether its last read before did, bool ``[E]``.

    Remembers the last flip of every slice.
    """
    slices, turn = reads.slices, torch.arange(len(reads), device=flips.device)
    flipped, switched = torch.zeros_like(flips), choppers.switched[slices]
    if len(reads) > reads.run:  # a slice may come twice
        ordered = torch.sort(slices, stable=True)
        count = flips[ordered.indices].long()
        before = count.cumsum(0) - count
        first = torch.searchsorted(ordered.values, ordered.values)
        flipped[ordered.indices] = _is_odd(before - before[first])
        switched[ordered.indices] = torch.where(first == turn, switched[ordered.indices], count.roll(1).bool())
    happened = turn if reads.valid is None else torch.where(reads.valid, turn, -1)
    last = torch.full_like(choppers.switched, -1, dtype=torch.int64).scatter_reduce_(0, slices, happened, "amax")
    remembered = torch.where(last < 0, choppers.switched, flips[last.clamp(min=0)])
    choppers.switched.copy_(remembered)
    return flipped, switched
