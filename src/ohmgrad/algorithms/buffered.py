"""Tiki-taka v2: what is read from the fast array is collected in a digital buffer first."""

from __future__ import annotations

from pydantic import Field
from torch import Tensor

from ohmgrad.algorithms.matrices import MatrixTransfer
from ohmgrad.algorithms.schedule import Reads, Signs
from ohmgrad.algorithms.transfer import TransferCompound
from ohmgrad.devices.base import require
from ohmgrad.engine.site import Site
from ohmgrad.parameters.update import UpdateParameters
from ohmgrad.words import absolute, floor, maximum, minimum, where


def single_pulses() -> UpdateParameters:
    """One certain pulse for each step of a buffer."""
    return UpdateParameters(desired_bl=1, update_bl_management=False, update_management=False)


class BufferedTransferCompound(TransferCompound):
    r"""Tiki-taka v2 (TTv2): TTv1 with a digital buffer :math:`H_k` behind every read.

    Steps 1 to 3 and 5 are those of :class:`TransferCompound`. Step 4, for slice s of source k, with
    :math:`z = \mathrm{read}(w_k e_s)`, N = ``transfer_update.desired_bl`` and :math:`\mu` = ``momentum``:

    4.1 :math:`h = H_k[:, s] + \alpha_k z`, where :math:`\alpha_k =` ``final_transfer_lr`` = ``transfer_lr_vec[k]``
    ``* lambda`` (if ``scale_transfer_lr``) :math:`\cdot\ \gamma_k / \gamma_{k+1}` (if both are above 0).

    4.2 :math:`n = \mathrm{clamp}(\mathrm{trunc}(h / B), -N, N)` with the threshold
    :math:`B =` ``thres_scale`` :math:`\cdot\ g_{k+1}`.

    4.3 Where :math:`n \ne 0`: :math:`h \leftarrow \mu h` if ``forget_buffer``, else
    :math:`h \leftarrow h - (1 - \mu)\, n B`. :math:`H_k[:, s] = h`.

    4.4 :math:`w_{k+1} \leftarrow \mathrm{pulsed}(w_{k+1}, +\,` ``step`` :math:`\cdot\ g_{k+1}\, n\, e_s^T)`: with the
    default ``transfer_update`` one pulse of sign n.

    T. Gokmen, Front. Artif. Intell. 4 (2021).
    """

    transfer_update: UpdateParameters = Field(default_factory=single_pulses)
    thres_scale: float = Field(default=1.0, gt=0.0)
    """Threshold of the buffer in steps of the array that is written."""
    step: float = Field(default=1.0, ge=0.0)
    """Pulses for each step of the buffer."""
    momentum: float = Field(default=0.1, ge=0.0, le=1.0)
    r"""What remains of the buffer where a step was made, :math:`\mu`."""
    forget_buffer: bool = True
    """Where a step was made, keep only the share ``momentum`` of the buffer; else subtract the step."""

    def build(self, site: Site) -> BufferedTransfer:
        """See :meth:`Compound.build`."""
        return BufferedTransfer(self, site)

    def check(self) -> None:
        """See :meth:`TransferCompound.check`."""
        super().check()
        require(
            self.with_reset_prob == 0.0,
            f"{type(self).__name__}.with_reset_prob = {self.with_reset_prob}. Set it to 0 here.",
        )


def quantised(h, threshold, most, taken, mu, forgets):  # type: ignore[no-untyped-def]
    """Steps that leave a buffer, and what remains in it (steps 4.2 and 4.3)."""
    whole = floor(absolute(h / threshold))
    n = minimum(where(h < 0.0, -whole, whole), most)
    n = maximum(n, -most)
    return n, where(n == 0.0, h, where(forgets > 0.0, mu * h, h - taken * n))


def _recursion(z, h, kept, lr, threshold, most, taken, mu, forgets):  # type: ignore[no-untyped-def]
    """Steps 4.1 to 4.4 for one cell; ``kept``: what does not leak from the buffer between two reads."""
    n, h = quantised(kept * h + lr * z, threshold, most, taken, mu, forgets)
    return -n, h


class BufferedTransfer(MatrixTransfer):
    """The recursion of :class:`BufferedTransferCompound`."""

    config: BufferedTransferCompound

    def buffer_names(self) -> list[str]:
        """See :meth:`MatrixTransfer.buffer_names`."""
        return [f"buffered_FP_weight_{k}" for k in range(len(self.arrays) - 1)]

    def transfer_rate(self, k: int, rate: float) -> float:
        """``final_transfer_lr`` of the transfers from array k (step 4.1)."""
        source, target = self.gammas[k], self.gammas[k + 1]
        ratio = source / target if source > 0.0 and target > 0.0 else 1.0
        return super().transfer_rate(k, rate) * ratio

    def leak(self) -> float:
        """Share of the buffer that is lost at every read; none in this rule."""
        return 0.0

    def write_rate(self, k: int) -> float:
        """Rate of the writes from array k, for which one step is ``step`` pulses (step 4.4)."""
        return self.config.step * self.devices[k + 1].weight_granularity

    def quantiser(self, threshold: float) -> tuple[float, ...]:
        """The constants of :func:`quantised`."""
        mu = self.config.momentum
        most = float(self.config.transfer_update.desired_bl)
        return threshold, most, (1.0 - mu) * threshold, mu, float(self.config.forget_buffer)

    def steps(
        self, k: int, values: Tensor, reads: Reads, positions: Tensor, signs: Signs, rate: float, rates: Tensor
    ) -> tuple[Tensor, float]:
        """See :meth:`Transfer.steps`."""
        buffer = self.rows_of(f"buffered_FP_weight_{k}")
        threshold = self.config.thres_scale * self.devices[k + 1].weight_granularity
        constants = (1.0 - self.leak(), self.transfer_rate(k, rate), *self.quantiser(threshold))
        return reads.follow(_recursion, (values,), buffer, constants=constants), self.write_rate(k)
