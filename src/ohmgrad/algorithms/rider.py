"""RIDER and E-RIDER: residual learning on cells whose symmetric points nobody knows."""

from __future__ import annotations

from pydantic import Field
from torch import Tensor

from ohmgrad.algorithms.choppers import Chops
from ohmgrad.algorithms.chopping import ChopperParameters, ChoppingTransfer, check_chopping
from ohmgrad.algorithms.matrices import MatrixTransfer
from ohmgrad.algorithms.schedule import Reads, Signs
from ohmgrad.algorithms.transfer import TransferCompound
from ohmgrad.devices.base import require
from ohmgrad.engine.site import Site
from ohmgrad.words import where


class RiderTransferCompound(TransferCompound):
    r"""RIDER: residual learning with a digital reference Q that follows the fast array.

    Two arrays, A (fast) and C (slow). A cell of A without a gradient settles at its symmetric point, and so does the
    running mean Q of what is read from it. One vector (x, d) at learning rate :math:`\lambda`:

    1. The gradient was computed at :math:`W = C + \gamma\,(A - Q)`.
    2. :math:`\beta =` ``final_fast_lr``, as in :class:`TransferCompound`.
    3. :math:`A \leftarrow \mathrm{pulsed}(A, -\beta\, d\, x^T)`; :math:`t \leftarrow t + 1`.
    4. If :math:`t \bmod T = 0`, for each of ``n_reads_per_transfer`` slices s in turn, with
       :math:`z = \mathrm{read}(A e_s)`:

       4.1 :math:`v = z - Q[:, s]`, with the reference as it was before this read.

       4.2 :math:`Q[:, s] \leftarrow (1 - \eta)\, Q[:, s] + \eta z`.

       4.3 :math:`C \leftarrow \mathrm{pulsed}(C, +\alpha\, v\, e_s^T)`, where :math:`\alpha =` ``final_transfer_lr`` =
       ``transfer_lr``, times :math:`\lambda` if ``scale_transfer_lr``.

    5. :math:`W = C + \gamma\,(A - Q)`, with the reference as it is now.

    Whatever A holds for longer than some :math:`1 / \eta` reads of a slice counts as its reference. So :math:`\eta` is
    small beside the rate at which C takes over what A has learned.

    Q. Xiao et al., arXiv 2602.21321.
    """

    gamma: float = 0.1
    r"""Weight of A, beyond its reference, in the visible weight, :math:`\gamma`."""
    transfer_lr: float = Field(default=0.05, ge=0.0)
    r"""Learning rate of transfers, :math:`\alpha`."""
    scale_transfer_lr: bool = False
    """Multiply the transfer rate by the learning rate of the optimizer."""
    eta: float = Field(default=0.02, gt=0.0, le=1.0)
    r"""Weight of the latest read in the reference, :math:`\eta`."""

    def build(self, site: Site) -> RiderTransfer:
        """See :meth:`Compound.build`."""
        return RiderTransfer(self, site)

    def check(self) -> None:
        """See :meth:`TransferCompound.check`."""
        super().check()
        name, n = type(self).__name__, len(self.unit_cell_devices)
        require(n == 2, f"{name}.unit_cell_devices has {n} devices. Give exactly 2: A and C.")
        require(self.with_reset_prob == 0.0, f"{name}.with_reset_prob = {self.with_reset_prob}. Set it to 0 here.")


class ERiderTransferCompound(ChopperParameters, RiderTransferCompound):
    r"""E-RIDER: RIDER with choppers, and a reference that stays as it is between two flips.

    Choppers flip the sign in which A is stored, :math:`S = c_{out} c_{in}^T` (see :class:`ChoppedTransferCompound`), so
    that a gradient moves A to either side in turn, and the running mean Q comes to the symmetric point itself. The
    reference in use, :math:`\tilde Q`, is a copy of Q that is programmed only when a slice flips. One vector (x, d) at
    learning rate :math:`\lambda`:

    1. The gradient was computed at :math:`W = C + \gamma\, S \circ (A - \tilde Q)`.
    2. :math:`\beta =` ``final_fast_lr``, as in :class:`TransferCompound`.
    3. :math:`A \leftarrow \mathrm{pulsed}(A, -\beta\, S \circ d\, x^T)`; :math:`t \leftarrow t + 1`.
    4. If :math:`t \bmod T = 0`, for the next slice s, with :math:`z = \mathrm{read}(A e_s)`:

       4.1 :math:`v = c_{in}[s]\, c_{out} \circ (z - \tilde Q[:, s])`, with the signs and the copy as they were before
       this read.

       4.2 :math:`Q[:, s] \leftarrow (1 - \eta)\, Q[:, s] + \eta z`.

       4.3 :math:`C \leftarrow \mathrm{pulsed}(C, +\alpha\, v\, e_s^T)`, where :math:`\alpha =` ``final_transfer_lr``.

       4.4 :math:`c_{in}[s]` flips, at random with probability p = ``in_chop_prob``, or regularly, as in TTv3. If it
       does, :math:`\tilde Q[:, s] \leftarrow Q[:, s]`, which has seen the read of 4.2. If p = 0, slices never flip, and
       :math:`\tilde Q[:, s] \leftarrow Q[:, s]` at every read.

       4.5 After the last slice of a sweep, every entry of :math:`c_{out}` flips with probability ``out_chop_prob``.
       This leaves :math:`\tilde Q` as it is.

    5. :math:`W = C + \gamma\, S \circ (A - \tilde Q)`, with the signs and the copy as they are now.

    So with ``in_chop_prob=0.0`` and ``out_chop_prob=0.0`` it is :class:`RiderTransferCompound`, to the bit. In the
    paper the copy is an analog array, and programming it has errors; here it is exact. Signs that its formulas leave
    open are those above, with which A learns, and C takes over, what W lacks.

    A flip turns what A has learned against W until A has learned it anew, so a phase needs many sweeps.

    Q. Xiao et al., arXiv 2602.21321.
    """

    def build(self, site: Site) -> ERiderTransfer:
        """See :meth:`Compound.build`."""
        return ERiderTransfer(self, site)

    def check(self) -> None:
        """See :meth:`TransferCompound.check`."""
        super().check()
        check_chopping(self)


def _recursion(z, q, eta):  # type: ignore[no-untyped-def]
    """Steps 4.1 and 4.2 of RIDER for one cell."""
    return q - z, (1.0 - eta) * q + eta * z


def _chopped_recursion(z, sign, q, copy, flips, eta, always):  # type: ignore[no-untyped-def]
    """Steps 4.1, 4.2 and 4.4 of E-RIDER for one cell."""
    written, _ = _recursion(z, copy, eta)
    _, q = _recursion(z, q, eta)
    return sign * written, q, where(flips + always > 0.0, q, copy)


class RiderTransfer(MatrixTransfer):
    """The recursion of :class:`RiderTransferCompound`."""

    config: RiderTransferCompound

    def buffer_names(self) -> list[str]:
        """See :meth:`MatrixTransfer.buffer_names`; what is subtracted from A comes last."""
        return ["reference"]

    def steps(
        self, k: int, values: Tensor, reads: Reads, positions: Tensor, signs: Signs, rate: float, rates: Tensor
    ) -> tuple[Tensor, float]:
        """See :meth:`Transfer.steps`."""
        matrices = self.rows_of(*self.buffer_names())
        return reads.follow(_recursion, (values,), matrices, (), (self.config.eta,)), self.transfer_rate(k, rate)

    def zero_of(self, k: int) -> Tensor | None:
        """See :meth:`Transfer.zero_of`."""
        return self.known(self.buffer_names()[-1]) if k == 0 else None


class ERiderTransfer(ChoppingTransfer, RiderTransfer):
    """The recursion of :class:`ERiderTransferCompound`."""

    config: ERiderTransferCompound

    def buffer_names(self) -> list[str]:
        """See :meth:`RiderTransfer.buffer_names`."""
        return ["reference", "programmed_reference"]

    def steps(
        self, k: int, values: Tensor, reads: Reads, positions: Tensor, signs: Signs, rate: float, rates: Tensor
    ) -> tuple[Tensor, float]:
        """See :meth:`Transfer.steps`."""
        assert isinstance(signs, Chops)
        cells, matrices = (values, signs.product), self.rows_of(*self.buffer_names())
        constants = (self.config.eta, float(self.config.in_chop_prob == 0.0))
        vector = reads.follow(_chopped_recursion, cells, matrices, (signs.flips,), constants)
        return vector, self.transfer_rate(k, rate)
