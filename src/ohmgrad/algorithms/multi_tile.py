"""Multi-tile residual learning: arrays in a chain, each of which corrects what the next one leaves over."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field
from torch import Tensor

from ohmgrad.algorithms.schedule import Reads, no_reads
from ohmgrad.algorithms.transfer import Transfer, TransferCompound
from ohmgrad.cells.base import Device
from ohmgrad.engine.base_array import Array
from ohmgrad.engine.draws import Draws
from ohmgrad.engine.host import Count, refuse_capture
from ohmgrad.engine.site import Site
from ohmgrad.parameters.update import UpdateParameters

if TYPE_CHECKING:
    from typing_extensions import Self


_PATIENCE = 1000
"""Updates of a warm start that nobody drives before there is a warning."""


class MultiTileTransferCompound(TransferCompound):
    r"""Multi-tile residual learning (MRL): n arrays, with nested periods.

    Arrays :math:`w_0` (fast and fine), ..., :math:`w_{n-1}` (slow and coarse), as in :class:`TransferCompound`. (The
    paper counts the other way round: its :math:`W^{(0)}` is the coarse array.) The recursion is that of
    :class:`TransferCompound` with

    - :math:`W = \sum_k \gamma^{n-1-k} w_k`: a step of an array moves W by :math:`\gamma` times a step of the next one;
    - periods :math:`T_k =` ``transfer_every`` :math:`\cdot` ``period_growth`` :math:`^k`, all counted in batches (or
      vectors), so that with a whole ``period_growth`` g, and a :math:`T_0` of whole vectors, every g-th transfer to an
      array is followed by one from it;
    - rates :math:`\alpha_k =` ``transfer_lr`` :math:`\cdot` ``transfer_lr_growth`` :math:`^k`, by default not scaled by
      :math:`\lambda`.

    Only the fast array receives gradients; between two transfers to it an array stays as it is. Nothing is reset, and
    no digital matrix is kept. One array is analog SGD, two are residual learning.

    With ``warm_start``, the arrays are filled one after the other first, the coarsest to begin with. In phase k from 0
    to n - 2, step 4 is: the fast array is read every :math:`T_0`, and written with :math:`\alpha_0` to array n - 1 - k
    instead of array 1; all others stay as they are. After the last phase, n - 1, the recursion is that above. A phase
    ends when :class:`ohmgrad.optim.WarmStart` finds that the loss falls no more; ``set_weights`` begins with phase 0.

    Li et al., AISTATS 2026 (arXiv 2510.02516). Its settings, for LeNet-5: ``transfer_every=2``,
    ``period_growth=5``, ``transfer_lr=0.1``, ``transfer_lr_growth=1.2``, which are the defaults; for ResNets 3, 2, 0.3
    and 1.2. Its periods are those of the authors' code; the paper also counts the clock of each array in transfers.
    """

    fewest_devices: ClassVar[int] = 1

    gamma: float = 0.2
    r"""Weight of the fast arrays in the visible weight, :math:`\gamma_k = \gamma^{n-1-k}`. It must be above 1 over the
    number of states, and several times that was better for long chains; the theory asks for at most
    :math:`1/\sqrt 6 \approx 0.41`."""
    transfer_every: float = 2.0
    """Period of the transfers from the fast array, in batches, or in vectors unless ``units_in_mbatch``; 0: never."""
    period_growth: float = Field(default=5.0, gt=0.0, allow_inf_nan=False)
    """How much longer each period is than the one before, unless ``transfer_every_vec`` is given."""
    transfer_lr: float = Field(default=0.1, ge=0.0)
    """Learning rate of the transfers from the fast array."""
    transfer_lr_growth: float = Field(default=1.2, gt=0.0, allow_inf_nan=False)
    """How much greater each rate is than the one before, unless ``transfer_lr_vec`` is given."""
    scale_transfer_lr: bool = False
    warm_start: bool = False
    """Fill the arrays one after the other first; needs :class:`ohmgrad.optim.WarmStart` in the training loop, without
    which only the coarsest is ever filled (there is a warning then)."""

    @classmethod
    def of(cls, device: Device, count: int, **fields: Any) -> Self:
        """The rule on so many copies of one device (or cell).

        :param count: the number of arrays n; :param fields: of the compound.
        """
        return cls(unit_cell_devices=[device.model_copy(deep=True) for _ in range(count)], **fields)

    def build(self, site: Site) -> MultiTileTransfer:
        """See :meth:`Compound.build`."""
        return MultiTileTransfer(self, site)


class MultiTileTransfer(Transfer):
    """The recursion of :class:`MultiTileTransferCompound`.

    Buffer ``phase``, if there is a warm start: which phase it is in. It is in host memory, since it decides which
    arrays are touched. ``is_driven``: whether somebody ends the phases; no state.
    """

    config: MultiTileTransferCompound

    def __init__(self, config: MultiTileTransferCompound, site: Site) -> None:
        super().__init__(config, site)
        if not config.transfer_lr_vec:
            self.transfer_lrs = [config.transfer_lr * config.transfer_lr_growth**k for k in range(len(self.arrays))]
        if config.warm_start:
            self.register_counter("phase", by_host=True)
        self.is_driven, self._undriven = False, 0

    # --- the warm start ----------------------------------------------------------------------------------------------

    @property
    def last_phase(self) -> int:
        """The phase that follows the warm start; as many phases come before it."""
        return len(self.gammas) - 1

    @property
    def is_warming_up(self) -> bool:
        """Whether the fast array is still written to one of the slow ones at a time."""
        return self.config.warm_start and int(self.known("phase")) < self.last_phase

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self.is_driven = False  # the driver follows what was copied, not the copy

    def _note_undriven(self) -> None:
        """Warn once, if the warm start goes on and on since nobody ends its phases."""
        self._undriven += 1
        if self._undriven == _PATIENCE:
            warnings.warn(
                f"A tile with MultiTileTransferCompound.warm_start has learned from {_PATIENCE} batches, and no"
                " WarmStart ends its phases: some of its arrays are never written. Make ohmgrad.optim.WarmStart(model),"
                " and call its step(loss) after every evaluation.",
                stacklevel=2,
            )

    def next_phase(self) -> None:
        """Go on to the next phase; nothing happens after the last."""
        self._undriven = 0
        if self.is_warming_up:
            self.known("phase").add_(1)

    def route(self) -> Iterable[tuple[int, Array]]:
        """See :meth:`Transfer.route`."""
        if not self.is_warming_up:
            return super().route()
        arrays, filled = self.all_arrays(), self.last_phase - int(self.known("phase"))
        return [(0, arrays[0]), (filled, arrays[filled])]

    def schedule(self, k: int, start: Count, batch: int, draws: Draws) -> Reads:
        """See :meth:`Transfer.schedule`; in the warm start, only the fast array is read."""
        if k > 0 and self.is_warming_up:
            return no_reads(self.known("current_slice_indices").device)
        return super().schedule(k, start, batch, draws)

    # --- the recursion -----------------------------------------------------------------------------------------------

    def update(self, x: Tensor, d: Tensor, rate: float, up: UpdateParameters, draws: Draws) -> None:
        """See :meth:`Transfer.update`; in the warm start, updates cannot be captured in a CUDA graph either."""
        if self.is_warming_up:
            refuse_capture(x, "a phase of the warm start touches other arrays than the next one does")
            if not self.is_driven and self.last_phase > 1:  # two arrays do the same in both
                self._note_undriven()
        super().update(x, d, rate, up, draws)

    def default_period(self, k: int) -> float:
        """See :meth:`Transfer.default_period`."""
        return self.config.transfer_every * self.config.period_growth**k

    def set_weights(self, weights: Tensor, draws: Draws) -> None:
        """See :meth:`Transfer.set_weights`; a warm start begins anew."""
        super().set_weights(weights, draws)
        if self.config.warm_start:
            self.known("phase").zero_()

    def state(self) -> dict[str, Tensor]:
        """See :meth:`Transfer.state`; ``phase`` of a warm start."""
        phase = {"phase": self.known("phase")} if self.config.warm_start else {}
        return {**phase, **super().state()}
