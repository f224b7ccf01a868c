"""Tiki-taka v4 (AGAD): chopping with a reference that every cell of the fast array learns for itself."""

from __future__ import annotations

import math

from pydantic import Field
from torch import Tensor

from ohmgrad.algorithms.buffered import quantised
from ohmgrad.algorithms.chopped import ChoppedTransfer, ChoppedTransferCompound
from ohmgrad.algorithms.choppers import Chops
from ohmgrad.algorithms.schedule import Reads, Signs
from ohmgrad.devices.base import require
from ohmgrad.engine.site import Site
from ohmgrad.words import clip, where


class DynamicTransferCompound(ChoppedTransferCompound):
    r"""Tiki-taka v4 (TTv4, AGAD).

    As :class:`ChoppedTransferCompound`, with two more digital matrices: R, the running mean of what is read, and P, the
    mean at the end of the phase before. With :math:`n = \max(\lceil 1/p \rceil, 2)` sweeps a phase, the sweep counter
    t, and :math:`\beta_R = \min(` ``tail_weightening`` :math:`/ n, 1)`, step 4 for slice s becomes:

    4.1 If the chopper of s flipped since its last read, :math:`P[:, s] \leftarrow R[:, s]`.

    4.2 :math:`h = H[:, s] + \kappa\, c_{in}[s]\, c_{out} \circ (z - P[:, s])`; with
    ``experimental_correct_accumulation`` :math:`\kappa` is divided by :math:`\min(i, 1/g_A)`, where
    :math:`i = (t \bmod n) + 1`.

    4.3 Where :math:`|h| \ge 1`: :math:`n_j = \mathrm{clamp}(\mathrm{trunc}(h), -N, N)`, and
    :math:`h \leftarrow \mu h` if ``forget_buffer``, else :math:`h \leftarrow h - (1 - \mu) n_j`, limited to
    :math:`\pm N \cdot` ``buffer_cap`` if that is above 0. :math:`H[:, s] = h`.

    4.4 :math:`R[:, s] \leftarrow (1 - \beta_R) R[:, s] + \beta_R z`.

    4.5 If :math:`t > n` (the first phase only learns the mean):
    :math:`C \leftarrow \mathrm{pulsed}(C, +\,` ``step`` :math:`\cdot\ g_C\, n_j\, e_s^T)`.

    4.6 Choppers flip as in TTv3; regularly by default, in the last sweep of a phase.

    With a ``noise_gate`` g above 0, a cell makes no step while the difference of its means is within g standard errors.
    There is one more matrix, V, the running spread of the reads around their running mean, and after step 4.1:

    4.1a :math:`V[:, s] \leftarrow (1 - \beta_R) V[:, s] + \beta_R (z - R[:, s])^2`, and
    :math:`R' = (1 - \beta_R) R[:, s] + \beta_R z`.

    4.1b An exponential mean is worth :math:`m = (2 - \beta_R) / \beta_R` reads. If these have the variance
    :math:`\sigma^2`, then on average :math:`V = \sigma^2 (1 + 1/m)`, and the difference of the two means R' and P has
    the standard error :math:`\sqrt{2 \sigma^2 / m} = \sqrt{\beta_R V}`.

    4.1c Where :math:`|R' - P[:, s]| \le g \sqrt{\beta_R V}`, nothing passes: steps 4.2, 4.3 and 4.5 are left out, so
    that H neither collects the noise nor gives a step. It keeps what it holds until the gate opens.

    With ``visible_beyond_reference``, of A only what is beyond its reference is visible, in steps 1 and 5:
    :math:`W = \gamma\, S \circ (A - P) + C`. So an offset of A does not show, and no flip turns it round. With
    ``gamma`` above 0 this is E-RIDER (Q. Xiao et al., arXiv 2602.21321; see :class:`ERiderTransferCompound`) behind the
    buffer H, which the settings of its authors name, but that P changes with the first read after a flip.

    Since P is what the cell settled at with the other sign, an offset of A cancels in :math:`z - P` without any
    reference device.

    M. J. Rasch et al., Nat. Commun. 15 (2024).
    """

    in_chop_random: bool = False
    """Flip at random; else regularly, in every n-th sweep."""
    tail_weightening: float = Field(default=5.0, gt=0.0)
    """Weight of the latest reads in the running mean; larger forgets faster."""
    buffer_cap: float = Field(default=0.0, ge=0.0)
    """Limit of the buffer in units of ``transfer_update.desired_bl``, if it is not forgotten; 0: none."""
    experimental_correct_accumulation: bool = False
    """Divide what is accumulated by the number of reads since the flip."""
    visible_beyond_reference: bool = False
    """Subtract P from what is visible of A; matters only if ``gamma`` is not 0."""
    noise_gate: float = Field(default=0.0, ge=0.0)
    """Standard errors within which a difference of the means counts as noise, g; 0: all pass."""

    def build(self, site: Site) -> DynamicTransfer:
        """See :meth:`Compound.build`."""
        return DynamicTransfer(self, site)

    def check(self) -> None:
        """See :meth:`TransferCompound.check`."""
        super().check()
        require(not self.no_buffer, f"{type(self).__name__}.no_buffer = True. This rule needs its buffer.")


def _recursion(  # type: ignore[no-untyped-def]
    z, sign, h, running, past, kappa, switched, sweeps, phase, weight, kept, cap, threshold, most, taken, mu, forgets
):
    """Steps 4.1 to 4.5 for one cell."""
    past = where(switched > 0.0, running, past)
    n, h = quantised(h + kappa * sign * (z - past), threshold, most, taken, mu, forgets)
    h = where(n == 0.0, h, clip(h, -cap, cap))
    writes = where(sweeps > phase, 1.0, 0.0)
    return -n * writes, h, kept * running + weight * z, past


def _gated_recursion(  # type: ignore[no-untyped-def]
    z, sign, h, running, past, spread, kappa, switched, sweeps, phase, weight, kept, cap, gate, threshold, most, taken,
    mu, forgets,
):  # fmt: skip
    """The same behind the noise gate (steps 4.1a to 4.1c)."""
    deviation = z - running
    spread = kept * spread + weight * (deviation * deviation)
    written, stepped, running, past = _recursion(
        z,
        sign,
        h,
        running,
        past,
        kappa,
        switched,
        sweeps,
        phase,
        weight,
        kept,
        cap,
        threshold,
        most,
        taken,
        mu,
        forgets,
    )
    difference = running - past
    passes = difference * difference > gate * gate * weight * spread
    return where(passes, written, 0.0), where(passes, stepped, h), running, past, spread


class DynamicTransfer(ChoppedTransfer):
    """The recursion of :class:`DynamicTransferCompound`."""

    config: DynamicTransferCompound

    def buffer_names(self) -> list[str]:
        """See :meth:`BufferedTransfer.buffer_names`."""
        names = ["buffered_FP_weight", "running_mean_weight", "past_mean_weight"]
        return [*names, "running_spread_weight"] if self.config.noise_gate > 0.0 else names

    def zero_of(self, k: int) -> Tensor | None:
        """See :meth:`Transfer.zero_of`."""
        return self.known("past_mean_weight") if self.config.visible_beyond_reference and k == 0 else None

    def steps(
        self, k: int, values: Tensor, reads: Reads, positions: Tensor, signs: Signs, rate: float, rates: Tensor
    ) -> tuple[Tensor, float]:
        """See :meth:`Transfer.steps`."""
        assert isinstance(signs, Chops)
        config, phase = self.config, self.sweeps_per_phase()
        kappa = self.gain(rate, positions, rates, len(rates))
        if config.experimental_correct_accumulation:
            sample = (signs.sweeps % phase + 1).float()
            kappa = kappa / sample.clamp(max=1.0 / self.devices[0].weight_granularity)
        weight, cap = min(config.tail_weightening / phase, 1.0), math.inf
        if config.buffer_cap > 0.0 and not config.forget_buffer:
            cap = config.transfer_update.desired_bl * config.buffer_cap
        cells, matrices = (values, signs.product), self.rows_of(*self.buffer_names())
        numbers = (kappa, signs.switched, signs.sweeps)
        gate = (config.noise_gate,) if config.noise_gate > 0.0 else ()
        constants = (float(phase), weight, 1.0 - weight, cap, *gate, *self.quantiser(1.0))
        recursion = _gated_recursion if gate else _recursion
        return reads.follow(recursion, cells, matrices, numbers, constants), self.write_rate(k)

    def state(self) -> dict[str, Tensor]:
        """See :meth:`Rule.state`."""
        return super().state() | {"in_chopper_switched": self.in_chopper_switched}
