"""The plan of a batch: everything about an update that does not depend on the weights.

For every sample the train length BL and the scales A, B of the lines; from them, packed pulse trains. A train is a
32-bit word: one bit for each of up to 31 slots, and the sign of the line's value in the topmost bit. Longer trains
take several words.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ohmgrad.engine.draws import Draws, Stream
from ohmgrad.engine.samples import Plan, Samples
from ohmgrad.engine.trains import SLOTS, pack
from ohmgrad.parameters.update import UpdateParameters

_SIGN_BIT = -(1 << 31)
_SLOT_BITS = (1 << 31) - 1


@dataclass
class Lengths:
    """Train length and line scales of every sample.

    ``bl`` int64 ``[n]``; ``a`` and ``b`` float32 ``[n]``: line j of x fires with probability ``b |x_j|`` in every slot,
    line i of d with ``a |d_i|``.
    """

    bl: Tensor
    a: Tensor
    b: Tensor


@dataclass
class Trains(Plan):
    """Packed trains: ``x`` int32 ``[words, in]``, ``d`` int32 ``[words, out]``; ``words_per_sample`` rows a sample.

    Where ``x & d`` has k ones in its lower 31 bits, the cell gets k pulses; they lower the weight if the signs agree.
    """

    x: Tensor
    d: Tensor
    words_per_sample: int
    batch: int

    def __len__(self) -> int:
        return self.x.shape[0] // self.words_per_sample

    def part(self, begin: int, end: int) -> Trains:
        """See :meth:`Plan.part`."""
        rows = slice(begin * self.words_per_sample, end * self.words_per_sample)
        return replace(self, x=self.x[rows], d=self.d[rows])

    def only(self, chosen: Tensor) -> Trains:
        """See :meth:`Plan.only`."""
        rows = chosen.repeat_interleave(self.words_per_sample)[:, None]
        return replace(self, x=torch.where(rows, self.x, 0), d=torch.where(rows, self.d, 0))

    def one_sided(self, raising: bool) -> Trains:
        """See :meth:`Plan.one_sided`.

        Every word becomes two, one for the x lines of each sign, so that no cell has pulses in both.
        """
        x, d = [], []
        for x_is_negative in (False, True):
            d_is_negative = x_is_negative ^ raising
            x.append(torch.where((self.x < 0) == x_is_negative, self.x, 0) & _SLOT_BITS)
            d.append(torch.where((self.d < 0) == d_is_negative, self.d, 0) | _SIGN_BIT)
        both = [torch.stack(halves, 1).flatten(0, 1) for halves in (x, d)]
        return replace(self, x=both[0], d=both[1], words_per_sample=2 * self.words_per_sample)


def pulse_lengths(x: Tensor, d: Tensor, rate: Tensor, granularity: float, up: UpdateParameters) -> Lengths:
    r"""Train length and scales of every sample of a batch.

    Without management :math:`BL = M` and :math:`A = B = \sqrt{\lambda / (g M)}`, with M = ``desired_bl``; if
    :math:`\lambda > g M` and the length is not fixed, :math:`BL = \lceil \lambda / g \rceil` and :math:`A = B = 1`.
    With update BL management :math:`BL = \min(\lceil k \rceil, M)` where :math:`k = \lambda X \alpha_{um} D / g`
    is the number of pulses that the strongest cross point asks for. With update management
    :math:`A = \sqrt{\lambda X / (g\, BL\, D')}`, :math:`B = \sqrt{\lambda D' / (g\, BL\, X)}`, where :math:`D'`
    is :math:`\alpha_{um} D`, lowered by :math:`BL / k` if k is above BL, so that the largest gradients saturate.

    :param x: ``[n, in]``; :param d: ``[n, out]``; :param rate: learning rate of every sample, float64 ``[n]``, not
        negative; :param granularity: g of the device that is pulsed.
    """
    longest = up.desired_bl
    managed = up.update_management or up.update_bl_management
    lengthens = not (up.fixed_bl or up.update_bl_management)
    largest = torch.finfo(torch.float32).max
    top_x, top_d = row_peaks(x).double(), row_peaks(d).double()
    bl = torch.full_like(rate, longest)
    if lengthens:
        overflows = rate > granularity * longest
        bl = torch.where(overflows, torch.ceil((rate / granularity).float()).double().clamp(min=1.0), bl)
    wanted = top_d * up.um_grad_scale
    # Rounded to single precision before ceil: a product that is whole on paper must not gain a slot from rounding.
    k = (rate * top_x * wanted / granularity).clamp(max=largest).float().double()
    if up.update_bl_management:
        bl = torch.ceil(k).clamp(max=longest)
    silent = (rate <= 0.0) | (bl <= 0.0)
    if managed:
        silent = silent | (top_x <= 0.0) | (top_d <= 0.0)
    bl = torch.where(silent, 0.0, bl)
    scale = torch.sqrt(rate / (granularity * bl.clamp(min=1.0)))
    if lengthens:
        scale = torch.where(overflows, 1.0, scale)
    a = b = scale
    if managed:
        top_x = torch.where(silent, 1.0, top_x)
        limit = bl * granularity / (torch.where(silent, 1.0, rate) * top_x)
        wanted = torch.where(silent, 1.0, torch.where(k > bl, limit, wanted))
        balance = torch.sqrt(top_x / wanted)
        a, b = (scale * balance).clamp(max=largest), (scale / balance).clamp(max=largest)
    return Lengths(bl.long(), a.float(), b.float())


def row_peaks(values: Tensor) -> Tensor:
    """Largest magnitude of every row, ``[n]``.

    On the processor by NumPy: after a parallel reduction torch's threads spin for milliseconds on the cores that the
    kernels need next.
    """
    if values.is_cuda:
        return values.abs().amax(1)
    return torch.from_numpy(np.abs(values.numpy()).max(1))


def _resolution(res: float) -> float:
    """Bin width of the probabilities; a value above 1 is a number of steps."""
    return 1.0 / res if res > 1.0 else max(res, 0.0)


def _chances(values: Tensor, scale: Tensor, up: UpdateParameters, rounding: Tensor | None) -> Tensor:
    """Probability that a line fires in a slot, with the sign of the line; in whole bins if there is a resolution."""
    chances = values * scale[:, None]
    width = _resolution(up.res)
    if width > 0.0:
        bins = chances.abs() / width
        whole = torch.round(bins if rounding is None else bins + rounding - 0.5)
        chances = torch.copysign(whole.clamp(min=0.0) * width, values)
    return chances


def make_trains(
    samples: Samples, lengths: Lengths, up: UpdateParameters, draws: Draws, array: int, first_sample: int
) -> Trains:
    """Draw the trains of a batch.

    :param array: which array of the tile is pulsed; the trains of each are drawn independently.
    :param first_sample: number of the first sample since the array was made, which addresses its trains.
    """
    numbers = torch.arange(first_sample, first_sample + len(samples), device=samples.x.device)
    words = max(1, -(-int(lengths.bl.max()) // SLOTS)) if len(samples) else 1
    packed = []
    sides = (
        (samples.x, lengths.b, samples.x_signs, Stream.TRAIN_X, Stream.ROUND_X),
        (samples.d, lengths.a, samples.d_signs, Stream.TRAIN_D, Stream.ROUND_D),
    )
    for values, scale, flips, train, rounding_stream in sides:
        rounding = None
        if up.sto_round and up.res > 0.0:
            rounding = draws.uniform(rounding_stream.of(array), numbers, values.shape[1])
        chances = _chances(values, scale, up, rounding)
        if flips is not None:
            chances = torch.where(flips, -chances, chances)
        packed.append(pack(chances, lengths.bl, words, draws, train.of(array), numbers))
    return Trains(packed[0], packed[1], words, samples.batch)
