"""Tiki-taka v3 (c-TTv2): the signs of the lines of the fast array are chopped, so that offsets average out."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from ohmgrad.algorithms.buffered import BufferedTransfer, BufferedTransferCompound, quantised
from ohmgrad.algorithms.schedule import Reads, Signs
from ohmgrad.devices.base import require
from ohmgrad.engine.averages import running_average
from ohmgrad.engine.draws import Draws, Stream
from ohmgrad.engine.peaks import row_peaks
from ohmgrad.engine.site import Site
from ohmgrad.parameters.update import UpdateParameters
from ohmgrad.words import where


class ChoppedTransferCompound(BufferedTransferCompound):
    r"""Tiki-taka v3 (TTv3, c-TTv2); with ``gamma`` above 0, chopped residual learning.

    Two arrays, A (fast) and C (slow). Choppers :math:`c_{in}[s], c_{out}[i] \in \{+1, -1\}` for slices and lanes
    (columns and rows, or the reverse with ``transfer_columns=False``) flip the sign in which A is stored:
    :math:`S = c_{out} c_{in}^T`. One vector (x, d) at learning rate :math:`\lambda`:

    1. The gradient was computed at :math:`W = \gamma\, S \circ A + C`.
    2. :math:`\beta =` ``final_fast_lr``: with ``auto_scale`` and ``fast_lr`` above 0,
       :math:`m_x \leftarrow` average of :math:`\max|x|`, :math:`m_d \leftarrow` average of :math:`\max|d|` (weight of a
       new value ``(1 - auto_momentum) / batch``) and :math:`\beta =` ``fast_lr * desired_bl * g_A /``
       :math:`(m_x m_d)`, times :math:`\lambda` if ``scale_fast_lr``. Otherwise as in TTv1.
    3. :math:`A \leftarrow \mathrm{pulsed}(A, -\beta\, S \circ d\, x^T)`; :math:`t \leftarrow t + 1`.
    4. If :math:`t \bmod T = 0`, for the next slice s, with :math:`z = \mathrm{read}(A e_s)`:

       4.1 :math:`h = H[:, s] + \kappa\, c_{in}[s]\, c_{out} \circ z` (without :math:`H` if ``no_buffer``), with
       :math:`\kappa = \alpha / b`, or with ``correct_gradient_magnitudes``
       :math:`\kappa = \alpha / (\beta\, b\, g_C / g_A)`, where :math:`b =` ``base_buffer_granularity`` =
       ``buffer_granularity * g_A``, times ``auto_granularity / (in_size * T)`` if ``auto_granularity`` is above 0, and
       :math:`\alpha =` ``final_transfer_lr`` = ``transfer_lr * lambda`` (if ``scale_transfer_lr``)
       :math:`\cdot\ \gamma_A/\gamma_C` (if both are above 0).

       4.2 Where :math:`|h| \ge 1`: :math:`n = \mathrm{clamp}(\mathrm{trunc}(h), -N, N)`, and
       :math:`h \leftarrow \mu h` if ``forget_buffer``, else :math:`h \leftarrow h - (1 - \mu) n`. :math:`H[:, s] = h`.

       4.3 :math:`C \leftarrow \mathrm{pulsed}(C, +\,` ``step`` :math:`\cdot\ g_C\, n\, e_s^T)`.

       4.4 Flip :math:`c_{in}[s]`: at random with probability ``in_chop_prob``, or in every n-th sweep, with
       :math:`n = \max(\lceil 1 / p \rceil, 2)`. After the last slice of a sweep, flip every entry of :math:`c_{out}`
       with probability ``out_chop_prob``, and count the sweep.
    5. :math:`W = \gamma\, S \circ A + C`, with the choppers as they are now.

    The period T is ``transfer_every`` (in vectors by default); a negative ``transfer_every`` means
    ``max(1, round(num_states_A / in_size * |transfer_every|))``.

    M. J. Rasch et al., Nat. Commun. 15 (2024); residual learning: Z. Wu et al., NeurIPS 2025.
    """

    has_automatic_period: ClassVar[bool] = True

    units_in_mbatch: bool = False
    scale_fast_lr: bool = False
    momentum: float = Field(default=0.0, ge=0.0, le=1.0)
    in_chop_prob: float = Field(default=0.1, ge=0.0, le=1.0)
    """Probability that the chopper of a slice flips after the slice was read, p; 0: never."""
    in_chop_random: bool = True
    """Flip at random; else regularly, in every n-th sweep."""
    out_chop_prob: float = Field(default=0.0, ge=0.0, le=1.0)
    """Probability that the chopper of a lane flips after a sweep."""
    buffer_granularity: float = Field(default=1.0, ge=0.0)
    """Granularity of the buffer in steps of A; 0 means 1."""
    auto_granularity: float = Field(default=0.0, ge=0.0)
    """If above 0, scale the granularity by this number of vectors over the length of a sweep."""
    no_buffer: bool = False
    """Quantise every read by itself."""
    auto_scale: bool = False
    """Scale the fast learning rate to the running averages of the largest input and gradient."""
    auto_momentum: float = Field(default=0.99, ge=0.0, le=1.0)
    """Momentum of these averages for one batch."""
    correct_gradient_magnitudes: bool = False
    """Divide by the fast learning rate, so that the buffer counts true gradients."""

    def build(self, site: Site) -> ChoppedTransfer:
        """See :meth:`Compound.build`."""
        return ChoppedTransfer(self, site)

    def check(self) -> None:
        """See :meth:`TransferCompound.check`."""
        super().check()
        name, n = type(self).__name__, len(self.unit_cell_devices)
        require(n == 2, f"{name}.unit_cell_devices has {n} devices. Give exactly 2: A and C.")
        require(
            self.n_reads_per_transfer == 1,
            f"{name}.n_reads_per_transfer = {self.n_reads_per_transfer}. Chopped rules read 1 slice at a time.",
        )
        require(not self.random_selection, f"{name}.random_selection = True. Chopped rules read slices in order.")
        require(self.thres_scale == 1.0, f"{name}.thres_scale = {self.thres_scale}. Use buffer_granularity instead.")
        require(
            self.transfer_every >= 0.0 or not self.units_in_mbatch,
            f"{name}.transfer_every = {self.transfer_every} (automatic) counts vectors. Set units_in_mbatch=False.",
        )
        states = float(self.unit_cell_devices[0].num_states)
        require(
            self.transfer_every >= 0.0 or math.isfinite(states),
            f"{name}.transfer_every = {self.transfer_every} (automatic) follows from the number of states of the fast"
            f" device, which is {states:g}. Give finite bounds, or a period.",
        )


@dataclass(kw_only=True)
class Chops(Signs):
    """What the choppers are in a batch: the flips for every sample, and what holds at every read.

    ``product`` float32 ``[E, lanes]`` of +-1, in times out; ``sweeps`` int64 ``[E]``, completed before the read;
    ``switched`` bool ``[E]``, whether the slice flipped since its last read.
    """

    product: Tensor
    sweeps: Tensor
    switched: Tensor


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


def _recursion(z, sign, h, kappa, buffered, threshold, most, taken, mu, forgets):  # type: ignore[no-untyped-def]
    """Steps 4.1 to 4.3 for one cell."""
    n, h = quantised(where(buffered > 0.0, h, 0.0) + kappa * sign * z, threshold, most, taken, mu, forgets)
    return -n, h


def _is_odd(count: Tensor) -> Tensor:
    return (count & 1).bool()


class ChoppedTransfer(BufferedTransfer):
    """The recursion of :class:`ChoppedTransferCompound`."""

    config: ChoppedTransferCompound
    in_chopper: Tensor
    out_chopper: Tensor
    in_chopper_switched: Tensor
    transfer_counter: Tensor
    m_x: Tensor
    m_d: Tensor
    d_sparsity: Tensor
    tmp_count_lr: Tensor

    def __init__(self, config: ChoppedTransferCompound, site: Site) -> None:
        super().__init__(config, site)
        for name, size in (("in_chopper", self.slices), ("out_chopper", self.lanes)):
            self.register_buffer(name, torch.zeros(size, dtype=torch.bool))
        self.register_buffer("in_chopper_switched", torch.zeros(self.slices, dtype=torch.bool))
        self.register_counter("transfer_counter")
        for name, value in (("m_x", 0.0), ("m_d", 0.0), ("d_sparsity", 0.0), ("tmp_count_lr", 1.0)):
            self.register_buffer(name, torch.tensor(value, dtype=torch.float64))

    # --- step 2 ------------------------------------------------------------------------------------------------------

    def fast_rates(self, x: Tensor, d: Tensor, rate: float, up: UpdateParameters, draws: Draws) -> Tensor:
        """See :meth:`Transfer.fast_rates`; remembers the last rate, which is 1 before the first."""
        config = self.config
        rates = super().fast_rates(x, d, rate, up, draws)
        if config.auto_scale:
            largest_x, largest_d = (
                self._average(name, row_peaks(values, draws.implementation), draws)
                for name, values in (("m_x", x), ("m_d", d))
            )
            if config.fast_lr > 0.0:
                product = largest_x * largest_d
                target = self.fast_rate(rate) * up.desired_bl * self.devices[0].weight_granularity
                rates = target / torch.where(product > 0.0, product, 1.0)
        if up.d_sparsity:
            self._average("d_sparsity", (d == 0.0).float().mean(1), draws)
        self.tmp_count_lr.copy_(rates[-1])
        return rates

    def _average(self, name: str, values: Tensor, draws: Draws) -> Tensor:
        """Running average of one number per vector, after every vector of a batch; float64 ``[n]``."""
        weight = (1.0 - self.config.auto_momentum) / len(values)
        average = self.get_buffer(name)
        averages = running_average(values.double(), average, weight, False, draws.implementation)
        average.copy_(averages[-1])
        return averages

    # --- choppers ----------------------------------------------------------------------------------------------------

    def period(self, k: int, batch: int) -> int:
        """See :meth:`Transfer.period`; negative: from the number of states of A."""
        every = self.config.transfer_every
        if k == 0 and every < 0.0 and not self.config.transfer_every_vec:
            return max(1, math.floor(self.devices[0].num_states / self.slices * -every + 0.5))
        return super().period(k, batch)

    def sweeps_per_phase(self) -> int:
        r"""Sweeps between two regular flips, :math:`\max(\lceil 1/p \rceil, 2)`."""
        probability = self.config.in_chop_prob
        return max(math.ceil(1.0 / probability), 2) if probability > 0.0 else 2

    def plan_signs(self, k: int, reads: Reads, positions: Tensor, samples: int, draws: Draws) -> Signs:
        """Flips of the lines of A for every sample; plans the flips of the batch (step 4.4)."""
        if k > 0:
            return Signs()
        in_flips, out_flips = _Flips(self.in_chopper, samples), _Flips(self.out_chopper, samples)
        product, sweeps, switched = self._flip(reads, positions, in_flips, out_flips, draws)
        by_in, by_out = in_flips.of_samples(), out_flips.of_samples()
        lines = (by_in, by_out) if self.config.transfer_columns else (by_out, by_in)
        return Chops(*lines, product=product, sweeps=sweeps, switched=switched)

    def _flip(
        self, reads: Reads, positions: Tensor, in_flips: _Flips, out_flips: _Flips, draws: Draws
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Let the reads of a batch flip the choppers; what these are at every read, see :class:`Chops`."""
        config, c_in, c_out = self.config, self.in_chopper, self.out_chopper
        if len(reads) == 0:
            return c_out.new_zeros(0), reads.slices, c_in[:0]
        slices, ends = reads.slices, reads.happening(reads.slices == self.slices - 1).long()
        passed = ends.cumsum(0) - ends
        sweeps = self.transfer_counter + passed
        self.transfer_counter.add_(ends.sum())
        if config.in_chop_random:
            flips = draws.uniform(Stream.CHOP_IN.of(0), reads.numbers, 1)[:, 0] <= config.in_chop_prob
        else:
            phase = self.sweeps_per_phase()
            flips = (sweeps % phase == phase - 1) & (config.in_chop_prob > 0.0)
        flips = reads.happening(flips)
        if config.in_chop_prob > 0.0:
            in_flips.after(positions, flips, slices)
        flipped, switched = self._history(reads, flips)
        opposite = (c_in[slices] ^ flipped)[:, None] ^ c_out
        c_in ^= _is_odd(torch.zeros_like(c_in, dtype=torch.int64).index_add_(0, slices, flips.long()))
        if config.out_chop_prob > 0.0:
            # Slices are read in order: the first end is known from the first slice, and then every round has one.
            rounds = self.slices * torch.arange(-(-len(reads) // self.slices), device=slices.device)
            last = (self.slices - 1 - slices[:1] + rounds).clamp(max=len(reads) - 1)
            coins = draws.uniform(Stream.CHOP_OUT.of(0), reads.numbers[last], self.lanes)
            turned = (coins <= config.out_chop_prob) & (ends[last] > 0)[:, None]
            out_flips.after(positions[last], turned)
            total = torch.cat([turned.new_zeros(1, self.lanes), turned]).cumsum(0)
            opposite ^= _is_odd(total[passed])
            c_out ^= _is_odd(total[-1])
        return 1.0 - 2.0 * opposite, sweeps, switched

    def _history(self, reads: Reads, flips: Tensor) -> tuple[Tensor, Tensor]:
        """Whether earlier reads of this batch have flipped a slice, and whether its last read before did, bool ``[E]``.

        Remembers the last flip of every slice.
        """
        slices, turn = reads.slices, torch.arange(len(reads), device=flips.device)
        flipped, switched = torch.zeros_like(flips), self.in_chopper_switched[slices]
        if len(reads) > reads.run:  # a slice may come twice
            ordered = torch.sort(slices, stable=True)
            count = flips[ordered.indices].long()
            before = count.cumsum(0) - count
            first = torch.searchsorted(ordered.values, ordered.values)
            flipped[ordered.indices] = _is_odd(before - before[first])
            switched[ordered.indices] = torch.where(first == turn, switched[ordered.indices], count.roll(1).bool())
        happened = turn if reads.valid is None else torch.where(reads.valid, turn, -1)
        last = torch.full_like(self.in_chopper, -1, dtype=torch.int64).scatter_reduce_(0, slices, happened, "amax")
        remembered = torch.where(last < 0, self.in_chopper_switched, flips[last.clamp(min=0)])
        self.in_chopper_switched.copy_(remembered)
        return flipped, switched

    def sign(self, k: int) -> Tensor | None:
        r"""Signs in which A is stored, :math:`S = c_{out} c_{in}^T` ``[out, in]``."""
        if k > 0:
            return None
        c_in, c_out = 1.0 - 2.0 * self.in_chopper.float(), 1.0 - 2.0 * self.out_chopper.float()
        return torch.outer(c_out, c_in) if self.config.transfer_columns else torch.outer(c_in, c_out)

    # --- step 4 ------------------------------------------------------------------------------------------------------

    def gain(self, rate: float, positions: Tensor, rates: Tensor, batch: int) -> Tensor:
        r""":math:`\kappa` at every read (step 4.1), float32 ``[E]``."""
        config, g_a = self.config, self.devices[0].weight_granularity
        buffer = torch.full((), (config.buffer_granularity or 1.0) * g_a, device=rates.device)
        if config.auto_granularity > 0.0:
            buffer = buffer * (config.auto_granularity / (self.slices * self.period(0, batch)))
        if config.correct_gradient_magnitudes:
            fast = rates[positions - 1].float()
            buffer = buffer * fast * (self.devices[1].weight_granularity / g_a)
        alpha = torch.full((), self.transfer_rate(0, rate), device=rates.device)
        largest = torch.finfo(torch.float32).max  # a fast rate that underflows must not make the buffer infinite
        return (alpha / buffer).clamp(max=largest).expand(len(positions)).contiguous()

    def steps(
        self, k: int, values: Tensor, reads: Reads, positions: Tensor, signs: Signs, rate: float, rates: Tensor
    ) -> tuple[Tensor, float]:
        """See :meth:`Transfer.steps`."""
        assert isinstance(signs, Chops)
        buffer, kappa = self.rows_of(self.buffer_names()[0]), self.gain(rate, positions, rates, len(rates))
        constants = (float(not self.config.no_buffer), *self.quantiser(1.0))
        return reads.follow(_recursion, (values, signs.product), (buffer,), (kappa,), constants), self.write_rate(k)

    def set_weights(self, weights: Tensor, draws: Draws) -> None:
        """As in TTv2; choppers, averages and the sweep counter start anew."""
        for tensor in (self.in_chopper, self.out_chopper, self.in_chopper_switched, self.transfer_counter):
            tensor.zero_()
        super().set_weights(weights, draws)
        self.m_x.zero_()
        self.m_d.zero_()
        self.d_sparsity.zero_()
        self.tmp_count_lr.fill_(1.0)

    def state(self) -> dict[str, Tensor]:
        """See :meth:`Rule.state`."""
        names = ("in_chopper", "out_chopper", "transfer_counter", "m_x", "m_d", "d_sparsity", "tmp_count_lr")
        return super().state() | {name: self.get_buffer(name) for name in names}
