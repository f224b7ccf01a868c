"""The plan of a batch: everything about an update that does not depend on the weights.

For every sample the train length BL and the scales A, B of the lines; from them, packed pulse trains. A train is a
32-bit word: one bit for each of up to 31 slots, and the sign of the line's value in the topmost bit. Longer trains
take several words. The types that count instead of drawing trains give every line a factor; the rounded product of two
factors is the number of pulses.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import torch
from torch import Tensor

from ohmgrad.engine.draws import Draws, Stream
from ohmgrad.engine.host import Count
from ohmgrad.engine.lengths import Lengths, pulse_lengths
from ohmgrad.engine.peaks import row_peaks
from ohmgrad.engine.samples import Plan, Samples
from ohmgrad.engine.tally import Tally
from ohmgrad.engine.trains import SLOTS, pack
from ohmgrad.parameters.enums import PulseType
from ohmgrad.parameters.update import UpdateParameters
from ohmgrad.words import absolute, maximum, round_even, where

STOCHASTIC = (PulseType.STOCHASTIC, PulseType.STOCHASTIC_COMPRESSED)
"""The types that draw trains."""

EXACT = (PulseType.NONE, PulseType.NONE_WITH_DEVICE, PulseType.MEAN_FIELD)
"""The types without pulses."""

_SIGN_BIT = -(1 << 31)
_SLOT_BITS = (1 << 31) - 1


@dataclass
class Lines(Plan):
    """What the lines of an array carry, ``x`` ``[words, in]`` and ``d`` ``[words, out]``."""

    x: Tensor
    d: Tensor
    words_per_sample: int
    batch: int
    count: Tensor | None

    def __len__(self) -> int:
        return self.x.shape[0] // self.words_per_sample

    def part(self, begin: int, end: int) -> Lines:
        """See :meth:`Plan.part`."""
        rows = slice(begin * self.words_per_sample, end * self.words_per_sample)
        return self.changed(self.x[rows], self.d[rows])

    def only(self, chosen: Tensor) -> Lines:
        """See :meth:`Plan.only`."""
        rows = chosen.repeat_interleave(self.words_per_sample)[:, None]
        return self.changed(torch.where(rows, self.x, 0), torch.where(rows, self.d, 0))

    def changed(self, x: Tensor, d: Tensor, more: int = 1) -> Lines:
        """The same with other words, ``more`` of them in each sample."""
        return replace(self, x=x, d=d, words_per_sample=more * self.words_per_sample)

    def arrays(self) -> tuple[Any, Any]:
        """What the lines carry as NumPy arrays, for what is compiled for the processor."""
        return self.x.numpy(), self.d.numpy()

    def skips(self) -> Tensor | None:
        """For counts: how many pulses of its cells come before each word, int32 ``[words]``; for trains None."""
        return None

    @staticmethod
    def _halves(first: tuple[Tensor, Tensor], second: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """The words of both sides, each of the first followed by one of the second."""
        x, d = (torch.stack(both, 1).flatten(0, 1) for both in zip(first, second, strict=True))
        return x, d


@dataclass
class Trains(Lines):
    """Packed trains, int32.

    Where ``x & d`` has k ones in its lower 31 bits, the cell gets k pulses; they lower the weight if the signs agree.
    """

    def one_sided(self, raising: bool) -> Lines:
        """See :meth:`Plan.one_sided`.

        Every word becomes two, one for the x lines of each sign, so that no cell has pulses in both.
        """

        def half(x_is_negative: bool) -> tuple[Tensor, Tensor]:
            d_is_negative = x_is_negative ^ raising
            x = torch.where((self.x < 0) == x_is_negative, self.x, 0) & _SLOT_BITS
            return x, torch.where((self.d < 0) == d_is_negative, self.d, 0) | _SIGN_BIT

        return self.changed(*self._halves(half(False), half(True)), more=2)


@dataclass
class Counts(Lines):
    """Factors of pulse counts, float32.

    A cell gets ``|rint(x d)|`` pulses, which lower the weight if the product is positive. A word stands for up to 31
    pulses of every cell; a sample has as many ``chunks`` as its longest count needs, all alike.
    """

    chunks: int

    def skips(self) -> Tensor:
        """See :meth:`Lines.skips`."""
        halves = self.words_per_sample // self.chunks
        pulses = SLOTS * torch.arange(self.chunks, dtype=torch.int32, device=self.x.device).repeat_interleave(halves)
        return pulses.repeat(len(self))

    def one_sided(self, raising: bool) -> Lines:
        """See :meth:`Plan.one_sided`; every word becomes two, as for trains."""

        def half(x_is_negative: bool) -> tuple[Tensor, Tensor]:
            x = (-self.x if x_is_negative else self.x).clamp(min=0.0)
            return x, -(-self.d if x_is_negative ^ raising else self.d).clamp(min=0.0)

        return self.changed(*self._halves(half(False), half(True)), more=2)


def bin_width(res: float) -> float:
    """Bin width of the probabilities, 0 if they are continuous; a value above 1 is a number of steps."""
    return 1.0 / res if res > 1.0 else max(res, 0.0)


def quantised(chance, width, uniform, at_random):  # type: ignore[no-untyped-def]
    """A probability in whole bins, with its sign: the nearest, or one of the two beside it, at random."""
    bins = absolute(chance) / width
    whole = maximum(round_even(where(at_random, bins + uniform - 0.5, bins)), 0.0) * width
    return where(chance < 0.0, -whole, whole)


@dataclass
class _Side:
    """The lines of one side: the probabilities in a slot, with the signs of the values; above 1: in every slot."""

    chances: Tensor
    flips: Tensor | None
    train: int

    def signed(self, values: Tensor) -> Tensor:
        """Values of the lines, with the signs that choppers flip."""
        return values if self.flips is None else torch.where(self.flips, -values, values)


def _sides(
    samples: Samples, lengths: Lengths, up: UpdateParameters, draws: Draws, array: int, numbers: Tensor
) -> tuple[_Side, _Side]:
    """The x lines and the d lines of a batch."""
    implicit = up.pulse_type is PulseType.DETERMINISTIC_IMPLICIT
    sides = []
    for values, scale, flips, res, train, rounding in (
        (samples.x, lengths.b, samples.x_signs, up.x_res_implicit, Stream.TRAIN_X, Stream.ROUND_X),
        (samples.d, lengths.a, samples.d_signs, up.d_res_implicit, Stream.TRAIN_D, Stream.ROUND_D),
    ):
        chances, width = values * scale[:, None], bin_width(res if implicit else up.res)
        if width > 0.0:
            uniform = draws.uniform(rounding.of(array), numbers, values.shape[1]) if up.sto_round else 0.0
            chances = quantised(chances, width, uniform, up.sto_round)
        sides.append(_Side(chances, flips, train.of(array)))
    return sides[0], sides[1]


def plan_lines(
    samples: Samples,
    granularity: float,
    up: UpdateParameters,
    draws: Draws,
    array: int,
    first_sample: Count,
    tally: Tally | None = None,
) -> Lines:
    """The lines of a batch from the start; see :func:`pulse_lengths` and :func:`make_lines`.

    :param tally: what the lengths are told to.
    """
    if draws.implementation == "cpu" and up.pulse_type in STOCHASTIC:
        return compiled().trains(samples, granularity, up, draws, array, int(first_sample), tally)
    lengths = pulse_lengths(samples.x, samples.d, samples.rates, granularity, up, draws.implementation)
    if tally is not None:
        tally.note(lengths.bl)
    return make_lines(samples, lengths, up, draws, array, first_sample)


@cache
def compiled() -> Any:
    """The module of what is compiled for the processor."""
    from ohmgrad.engine import plan_cpu

    return plan_cpu


def make_lines(
    samples: Samples, lengths: Lengths, up: UpdateParameters, draws: Draws, array: int, first_sample: Count
) -> Lines:
    r"""Draw the trains of a batch, or count its pulses.

    With :math:`p_j` and :math:`q_i` the signed probabilities of the lines, MEAN_COUNT gives a cell
    :math:`\mathrm{rint}(\bar q_i\, \bar p_j / BL)` pulses, where :math:`\bar p_j = \mathrm{rint}(BL\, p_j)` and
    :math:`\bar q_i` lie within :math:`\pm BL`; DETERMINISTIC_IMPLICIT :math:`\mathrm{rint}(BL\, q_i\, p_j)`, where
    :math:`p_j` and :math:`q_i` lie within :math:`\pm 1`. Nothing is asked of the device, unless trains may be longer
    than ``desired_bl``.

    :param array: which array of the tile is pulsed; the trains of each are drawn independently.
    :param first_sample: number of the first sample since the array was made, which addresses its trains.
    """
    numbers = first_sample + torch.arange(len(samples), device=samples.x.device)
    x, d = _sides(samples, lengths, up, draws, array, numbers)
    if up.pulse_type in STOCHASTIC:
        words = known_words(lengths.longest, draws) or words_of(lengths.bl)
        packed = [pack(side.signed(side.chances), lengths.bl, words, draws, side.train, numbers) for side in (x, d)]
        return Trains(packed[0], packed[1], words, samples.batch, samples.count)
    bl = lengths.bl.float()[:, None]
    if up.pulse_type is PulseType.MEAN_COUNT:
        of_x = torch.clamp(torch.round(bl * x.chances), -bl, bl)
        of_d = torch.clamp(torch.round(bl * d.chances), -bl, bl) / bl.clamp(min=1.0)
    else:
        of_x, of_d = x.chances.clamp(-1.0, 1.0), bl * d.chances.clamp(-1.0, 1.0)
    words = known_words(lengths.longest, draws) or words_of(
        torch.round(row_peaks(of_x, draws.implementation) * row_peaks(of_d, draws.implementation))
    )
    factors = [side.signed(values).repeat_interleave(words, 0) for side, values in ((x, of_x), (d, of_d))]
    return Counts(factors[0], factors[1], words, samples.batch, samples.count, words)


def known_words(longest: int, draws: Draws) -> int:
    """Words of every sample, if that can be known without asking; 0: it cannot, or asking is free and may save some.

    :param longest: as in :class:`Lengths`.
    """
    return -(-longest // SLOTS) if longest <= SLOTS or not draws.asks else 0


def words_of(most: Tensor) -> int:
    """Words of every sample; ``most``: the longest train or the greatest count of each, ``[n]``."""
    return max(1, -(-int(most.max()) // SLOTS)) if len(most) else 1
