"""Tiki-taka v3 (c-TTv2): the signs of the lines of the fast array are chopped, so that offsets average out."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from ohmgrad.algorithms.buffered import BufferedTransfer, BufferedTransferCompound, quantised
from ohmgrad.algorithms.choppers import Chops
from ohmgrad.algorithms.chopping import ChopperParameters, ChoppingTransfer, check_chopping
from ohmgrad.algorithms.schedule import Reads, Signs
from ohmgrad.devices.base import require
from ohmgrad.engine.averages import running_average
from ohmgrad.engine.draws import Draws
from ohmgrad.engine.kept import Filled
from ohmgrad.engine.peaks import row_peaks
from ohmgrad.engine.site import Site
from ohmgrad.parameters.update import UpdateParameters
from ohmgrad.words import where


class ChoppedTransferCompound(ChopperParameters, BufferedTransferCompound):
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
    """Periods count batches instead of vectors."""
    scale_fast_lr: bool = False
    """Multiply ``fast_lr`` by the learning rate of the optimizer, so that it follows a scheduler."""
    momentum: float = Field(default=0.0, ge=0.0, le=1.0)
    r"""What remains of the buffer where a step was made, :math:`\mu`."""
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
        check_chopping(self)
        name = type(self).__name__
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


_LARGEST = torch.finfo(torch.float32).max


def _recursion(z, sign, h, kappa, buffered, threshold, most, taken, mu, forgets):  # type: ignore[no-untyped-def]
    """Steps 4.1 to 4.3 for one cell."""
    n, h = quantised(where(buffered > 0.0, h, 0.0) + kappa * sign * z, threshold, most, taken, mu, forgets)
    return -n, h


def _single(value: float) -> float:
    """A number rounded to single precision, as a tensor would hold it."""
    return float(np.float32(value))


class ChoppedTransfer(ChoppingTransfer, BufferedTransfer):
    """The recursion of :class:`ChoppedTransferCompound`."""

    config: ChoppedTransferCompound
    m_x: Tensor
    m_d: Tensor
    d_sparsity: Tensor
    tmp_count_lr: Tensor

    def __init__(self, config: ChoppedTransferCompound, site: Site) -> None:
        super().__init__(config, site)
        for name, value in (("m_x", 0.0), ("m_d", 0.0), ("d_sparsity", 0.0), ("tmp_count_lr", 1.0)):
            self.register_buffer(name, torch.tensor(value, dtype=torch.float64))
        self._gains = Filled()

    # --- step 2 ------------------------------------------------------------------------------------------------------

    def fast_rates(self, x: Tensor, d: Tensor, rate: float, up: UpdateParameters, draws: Draws) -> Tensor:
        """See :meth:`Transfer.fast_rates`; remembers the last rate, which is 1 before the first."""
        config = self.config
        rates = super().fast_rates(x, d, rate, up, draws)
        last: float | Tensor = self.fast_rate(rate)
        if config.auto_scale:
            largest_x, largest_d = (
                self._average(name, row_peaks(values, draws.implementation), draws)
                for name, values in (("m_x", x), ("m_d", d))
            )
            if config.fast_lr > 0.0:
                product = largest_x * largest_d
                target = self.fast_rate(rate) * up.desired_bl * self.devices[0].weight_granularity
                rates = target / torch.where(product > 0.0, product, 1.0)
                last = rates[-1]
        if up.d_sparsity:
            self._average("d_sparsity", (d == 0.0).float().mean(1), draws)
        self.known("tmp_count_lr").fill_(last)
        return rates

    def _average(self, name: str, values: Tensor, draws: Draws) -> Tensor:
        """Running average of one number per vector, after every vector of a batch; float64 ``[n]``."""
        weight = (1.0 - self.config.auto_momentum) / values.shape[0]
        average = self.known(name)
        averages = running_average(values.double(), average, weight, False, draws.implementation)
        average.copy_(averages[-1])
        return averages

    # --- step 4 ------------------------------------------------------------------------------------------------------

    def period(self, k: int, batch: int) -> int:
        """See :meth:`Transfer.period`; negative: from the number of states of A."""
        every = self.config.transfer_every
        if k == 0 and every < 0.0 and not self.config.transfer_every_vec:
            return max(1, math.floor(self.devices[0].num_states / self.slices * -every + 0.5))
        return super().period(k, batch)

    def gain(self, rate: float, positions: Tensor, rates: Tensor, batch: int) -> Tensor:
        r""":math:`\kappa` at every read (step 4.1), float32 ``[E]``."""
        config, (g_a, g_c) = self.config, (device.weight_granularity for device in self.devices)
        buffer = _single((config.buffer_granularity or 1.0) * g_a)
        if config.auto_granularity > 0.0:
            buffer = _single(buffer * _single(config.auto_granularity / (self.slices * self.period(0, batch))))
        alpha = _single(self.transfer_rate(0, rate))
        if not config.correct_gradient_magnitudes:
            kappa = min(alpha / buffer, _LARGEST) if buffer > 0.0 else _LARGEST
            return self._gains.of(kappa, len(positions), torch.float32, rates)
        buffers = torch.full(positions.shape, buffer, dtype=torch.float32, device=rates.device)
        buffers = buffers * rates[positions - 1].float() * (g_c / g_a)
        # A fast rate that underflows must not make the buffer infinite.
        return torch.full_like(buffers, alpha).div_(buffers).clamp_(max=_LARGEST)

    def steps(
        self, k: int, values: Tensor, reads: Reads, positions: Tensor, signs: Signs, rate: float, rates: Tensor
    ) -> tuple[Tensor, float]:
        """See :meth:`Transfer.steps`."""
        assert isinstance(signs, Chops)
        buffer, kappa = self.rows_of(*self.buffer_names()), self.gain(rate, positions, rates, len(rates))
        constants = (float(not self.config.no_buffer), *self.quantiser(1.0))
        return reads.follow(_recursion, (values, signs.product), buffer, (kappa,), constants), self.write_rate(k)

    def set_weights(self, weights: Tensor, draws: Draws) -> None:
        """As in TTv2; choppers, averages and the sweep counter start anew."""
        super().set_weights(weights, draws)
        self.m_x.zero_()
        self.m_d.zero_()
        self.d_sparsity.zero_()
        self.tmp_count_lr.fill_(1.0)

    def state(self) -> dict[str, Tensor]:
        """See :meth:`Rule.state`."""
        names = ("m_x", "m_d", "d_sparsity", "tmp_count_lr")
        return super().state() | {name: self.get_buffer(name) for name in names}
