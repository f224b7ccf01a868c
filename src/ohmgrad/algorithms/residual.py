"""Residual learning v2: TTv2 whose buffer leaks, so that it is a running mean of what is read."""

from __future__ import annotations

from pydantic import Field

from ohmgrad.algorithms.buffered import BufferedTransfer, BufferedTransferCompound
from ohmgrad.engine.site import Site


class ResidualTransferCompound(BufferedTransferCompound):
    r"""Residual learning v2 (RLv2): TTv2 at :math:`W = \gamma A + C`, with a leak in the buffer.

    Steps 1 to 3 and 5 are those of :class:`TransferCompound`. Step 4, for slice s of source k, with
    :math:`z = \mathrm{read}(w_k e_s)`, N = ``transfer_update.desired_bl``, :math:`\mu` = ``momentum`` and the leak
    :math:`\ell`:

    4.1 :math:`h = (1 - \ell) H_k[:, s] + \alpha_k z`, where :math:`\alpha_k` = ``transfer_lr_vec[k]``, times
    :math:`\lambda` if ``scale_transfer_lr``. The paper has no ratio of the :math:`\gamma` here, unlike
    :class:`BufferedTransferCompound`.

    4.2 to 4.4 are those of :class:`BufferedTransferCompound`; with the defaults here: where
    :math:`|h| \ge g_{k+1}`, one pulse of the sign of h, and :math:`h \leftarrow h - \mathrm{sign}(h)\, g_{k+1}`.
    :math:`H_k[:, s] = h`.

    The paper has one :math:`\beta` for both rates: with ``transfer_lr`` = ``leak``, not scaled, H is the running mean
    :math:`(1 - \beta) H + \beta z`. Then a step is made only where the mean of what A holds reaches a step of C. What
    is less stays in A, and W shows it through ``gamma``.

    The code of the authors does not reduce H where pulses were made: that is ``momentum=1.0``. There H counts steps,
    and becomes :math:`m H + (1 - m)\, c z`, which is ``leak`` = :math:`1 - m` and ``transfer_lr`` =
    :math:`(1 - m)\, c\, g_{k+1}` here.

    With ``leak=0.0`` and ``gamma=0.0`` it is :class:`BufferedTransferCompound` with the same fields, to the bit.

    Z. Wu et al., NeurIPS 2025.
    """

    gamma: float = 0.1
    r"""Weight of the fast arrays in the visible weight: :math:`\gamma_k = \gamma^{n-1-k}`."""
    transfer_lr: float = Field(default=0.1, ge=0.0)
    r"""What a read is multiplied by before it is added to the buffer, :math:`\alpha`."""
    scale_transfer_lr: bool = False
    """Multiply the transfer rate by the learning rate of the optimizer."""
    momentum: float = Field(default=0.0, ge=0.0, le=1.0)
    r"""What remains of a step in the buffer, :math:`\mu`: 0 in the paper, 1 in the code of its authors."""
    forget_buffer: bool = False
    """Where a step was made, keep only the share ``momentum`` of the buffer; else subtract the step."""
    leak: float = Field(default=0.1, ge=0.0, le=1.0)
    r"""Share of the buffer that is lost at every read, :math:`\ell`."""

    def build(self, site: Site) -> ResidualTransfer:
        """See :meth:`Compound.build`."""
        return ResidualTransfer(self, site)


class ResidualTransfer(BufferedTransfer):
    """The recursion of :class:`ResidualTransferCompound`."""

    config: ResidualTransferCompound

    def leak(self) -> float:
        """See :meth:`BufferedTransfer.leak`."""
        return self.config.leak

    def transfer_rate(self, k: int, rate: float) -> float:
        """``final_transfer_lr`` of the transfers from array k (step 4.1), without a ratio of the gammas."""
        return super(BufferedTransfer, self).transfer_rate(k, rate)
