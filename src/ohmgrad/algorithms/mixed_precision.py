"""Mixed precision: gradients are summed in a digital matrix, whole steps of which go to the device."""

from __future__ import annotations

from collections import OrderedDict

import torch
from pydantic import Field
from torch import Tensor

from ohmgrad.algorithms.base import DigitalRankUpdateCell, SingleArrayRule
from ohmgrad.algorithms.schedule import one_hot, period_in_vectors, transfer_times
from ohmgrad.devices.base import require
from ohmgrad.engine.draws import Draws, Stream
from ohmgrad.engine.host import refuse_capture
from ohmgrad.engine.outer import add_outer_products
from ohmgrad.engine.peaks import row_peaks
from ohmgrad.engine.samples import Samples
from ohmgrad.engine.site import Site
from ohmgrad.engine.threads import serial
from ohmgrad.parameters.update import UpdateParameters

MOST_STEPS = 2.0**40
r"""Steps :math:`\epsilon` at which :math:`\chi` saturates: far above all that a device can take, far below what
overflows."""


class MixedPrecisionCompound(DigitalRankUpdateCell):
    r"""Mixed precision: the gradient is computed and summed digitally, and only whole steps reach the device.

    One device, the weight W, and a digital matrix :math:`\chi` ``[out, in]``, which starts from 0. Its step is
    :math:`\epsilon =` ``granularity``, or that of the device. One vector (x, d) at learning rate :math:`\lambda`:

    1. If ``n_x_bins`` is n above 0, x is quantised: :math:`x \leftarrow q\,w` with :math:`b = \lfloor n/2 \rfloor`,
       :math:`w = \max|x| / b` and :math:`q = \mathrm{clamp}(\mathrm{round}(x/w + u), -b, b)`, where u is uniform
       between -0.5 and 0.5 if ``stoc_round_x``, else 0. The same for d with ``n_d_bins`` and ``stoc_round_d``,
       independently.
    2. :math:`\chi \leftarrow \chi + \lambda\, d\, x^T`; :math:`t \leftarrow t + 1`.
    3. At the end of a batch in which t reached a multiple of the period :math:`T =` ``transfer_every * batch``, for
       each of the next ``n_rows_per_transfer`` rows i:

       3.1 :math:`s = \mathrm{trunc}(\chi_i / \epsilon)` and :math:`\chi_i \leftarrow \chi_i - \epsilon s`.

       3.2 :math:`W \leftarrow \mathrm{pulsed}(W, -\alpha\, e_i\, s^T)` with :math:`\alpha =` ``transfer_lr``
       :math:`\cdot\ \epsilon`, and the pulses of the tile's own ``update``, but always with update management and
       update BL management.

       The row pointer moves on, and wraps.

    So with the default ``transfer_lr`` and ``granularity``, the strongest element of a row receives exactly
    :math:`|s|` pulses, the others as many on average. A row that asks for more pulses than ``desired_bl`` gets as many
    as fit; since :math:`\chi` has been reduced in full, the rest is lost.

    T counts vectors, such that a period is the same number of vectors however they are batched: one batch of 64 with
    ``transfer_every=1`` gives the same bits as 16 batches of 4 with ``transfer_every=16``. With batches of one size,
    there is a transfer at the end of every ``transfer_every``-th. To a cell of several devices, each row that is
    written is a sample, and each transfer a batch.

    S. R. Nandakumar et al., Front. Neurosci. 14 (2020).
    """

    transfer_every: int = Field(default=1, ge=0)
    """Batches between two transfers; 0: never."""
    n_rows_per_transfer: int = Field(default=-1, ge=-1)
    """Rows written at every transfer; -1: all; 0: none."""
    random_row: bool = False
    """Start every transfer at a random row instead of the next one, unless all rows are written."""
    granularity: float = Field(default=0.0, ge=0.0, allow_inf_nan=False)
    r"""The step :math:`\epsilon` of :math:`\chi` (absolute); 0: the granularity of the device."""
    transfer_lr: float = Field(default=1.0, ge=0.0, allow_inf_nan=False)
    r"""How much of a step :math:`\epsilon` is written."""
    n_x_bins: int = Field(default=0, ge=0)
    """Quantise inputs to 0 and ``n_x_bins // 2`` values on either side of it; 0: use them as they are."""
    n_d_bins: int = Field(default=0, ge=0)
    """The same for gradients."""
    stoc_round_x: bool = True
    """Quantise inputs stochastically, so that they are right on average."""
    stoc_round_d: bool = True
    """The same for gradients."""

    def build(self, site: Site) -> MixedPrecision:
        """See :meth:`RuleParameters.build`."""
        return MixedPrecision(self, site)

    def check(self) -> None:
        """Raise :class:`~ohmgrad.errors.ConfigError` if the parameters do not fit together."""
        super().check()
        for name in ("n_x_bins", "n_d_bins"):
            require(
                getattr(self, name) != 1,
                f"{type(self).__name__}.{name} = 1 leaves nothing but 0. Give at least 2, or 0 for no bins.",
            )

    @property
    def step(self) -> float:
        r"""The step :math:`\epsilon`."""
        return self.granularity or self.device.weight_granularity


class MixedPrecision(SingleArrayRule):
    """The recursion of :class:`MixedPrecisionCompound`."""

    chi: Tensor
    current_row_index: Tensor
    current_update_index: Tensor
    vectors: Tensor
    transfers: Tensor

    def __init__(self, config: MixedPrecisionCompound, site: Site) -> None:
        # The slices are rows, since every write is a row: then the replay touches nothing else.
        super().__init__(config.device, site.seeded(config.construction_seed).sliced(columns=False))
        self.config = config
        self.register_buffer("chi", torch.zeros(site.shape, dtype=torch.float32))
        # The last two number what is drawn: unlike the first, they never start anew.
        for name in ("current_row_index", "current_update_index", "vectors", "transfers"):
            self.register_counter(name, by_host=name == "current_update_index" and config.transfer_every > 1)

    def update(self, x: Tensor, d: Tensor, rate: float, up: UpdateParameters, draws: Draws) -> None:
        """See :meth:`Rule.update`.

        With ``transfer_every`` above 1, some updates transfer and others do not: then the vectors are counted in host
        memory, so that nothing waits, and updates cannot be captured in a CUDA graph.
        """
        self._collect(x, d, rate, draws)
        every, batch = self.config.transfer_every, len(x)
        if every > 1:
            refuse_capture(x, "MixedPrecisionCompound.transfer_every above 1 lets some updates transfer, others not")
        vectors = self.known("current_update_index")
        start = int(vectors) if every > 1 else 0  # else every batch is a period, or none ever ends
        vectors.add_(batch)
        if len(transfer_times(start, batch, period_in_vectors(every, True, batch))):
            self._transfer(up, draws)

    def _collect(self, x: Tensor, d: Tensor, rate: float, draws: Draws) -> None:
        """Steps 1 and 2."""
        config, vectors = self.config, self.known("vectors")
        numbers = vectors + torch.arange(x.shape[0], device=x.device)
        vectors.add_(x.shape[0])
        x = quantised(x, config.n_x_bins, config.stoc_round_x, draws, Stream.MIXED_ROUND_X.of(0), numbers)
        d = quantised(d, config.n_d_bins, config.stoc_round_d, draws, Stream.MIXED_ROUND_D.of(0), numbers)
        limit = MOST_STEPS * config.step
        d = saturated(d * rate, row_peaks(x, draws.implementation), limit)
        add_outer_products(self.chi, d, x, draws.implementation)
        for (chi,) in serial(self.chi):
            chi.clamp_(-limit, limit)

    def _transfer(self, up: UpdateParameters, draws: Draws) -> None:
        """Step 3."""
        config, (size, width) = self.config, self.chi.shape
        count = size if config.n_rows_per_transfer < 0 else min(config.n_rows_per_transfer, size)
        if count == 0:
            return
        start = self.current_row_index
        if config.random_row and count < size:
            start = draws.below(size, Stream.MIXED_ROW.of(0), self.transfers[None])[0]
        self.transfers.add_(1)
        rows = (start + torch.arange(count, device=self.chi.device)) % size
        steps = self.chi.new_empty(count, width)
        for whole, part in serial(steps, rows):
            chi = self.chi.index_select(0, part)
            ratio = chi / config.step
            torch.sub(ratio, torch.fmod(ratio, 1.0), out=whole)  # trunc, which torch would share
            self.chi.index_copy_(0, part, chi - config.step * whole)
        self.current_row_index.copy_((start + count) % size)
        selected = one_hot(rows, size, draws.implementation)
        rates = torch.full((count,), config.transfer_lr * config.step, dtype=torch.float64, device=self.chi.device)
        if not (up.update_management and up.update_bl_management):
            up = up.replaced(update_management=True, update_bl_management=True)
        self.array.update(Samples.of(steps, selected, rates), up, draws)

    def set_weights(self, weights: Tensor, draws: Draws) -> None:
        r"""The device is set; :math:`\chi`, the row pointer and the count of vectors start from 0."""
        super().set_weights(weights, draws)
        for value in (self.chi, self.current_row_index, self.current_update_index):
            value.zero_()

    def state(self) -> dict[str, Tensor]:
        """See :meth:`Rule.state`; the counters of a cell of several devices come last."""
        own = {"current_row_index": self.current_row_index, "current_update_index": self.current_update_index}
        return {**own, **super().state()}

    def hidden(self) -> OrderedDict[str, Tensor]:
        r"""See :meth:`Rule.hidden`; those of the device, then :math:`\chi`."""
        hidden = super().hidden()
        hidden["hidden_weights_chi"] = self.chi
        return hidden


def quantised(values: Tensor, bins: int, stochastic: bool, draws: Draws, stream: int, numbers: Tensor) -> Tensor:
    """Every row in whole multiples of its largest magnitude over half of ``bins``; as it is with 0 bins (step 1).

    :param values: ``[n, lines]``; :param numbers: of the vectors, int64 ``[n]``.
    """
    if bins == 0:
        return values
    most = bins // 2
    width = row_peaks(values, draws.implementation)[:, None] / most
    scaled = values / torch.where(width > 0.0, width, 1.0)
    if stochastic:
        scaled = scaled + (draws.uniform(stream, numbers, values.shape[1]) - 0.5)
    return torch.round(scaled).clamp(-most, most) * width


def saturated(d: Tensor, peaks: Tensor, limit: float) -> Tensor:
    """The rows of d, clipped such that no element of :math:`d x^T` is larger than ``limit``.

    :param peaks: the largest magnitude of every row of x, ``[n]``.
    """
    largest = torch.finfo(torch.float32).max
    bounds = (limit / peaks.double()).clamp(max=largest).float()[:, None]
    return torch.maximum(torch.minimum(d, bounds), -bounds)
