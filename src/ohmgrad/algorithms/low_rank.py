"""Low-rank Tiki-taka: two narrow arrays learn a change of low rank, which is transferred to the array of the weight."""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import replace

import torch
from pydantic import Field
from torch import Tensor, nn

from ohmgrad.algorithms.base import Compound, Rule
from ohmgrad.algorithms.schedule import transfer_times
from ohmgrad.cells.base import checked, make_array
from ohmgrad.devices.base import require
from ohmgrad.engine.base_array import hidden_of
from ohmgrad.engine.draws import Draws, Stream
from ohmgrad.engine.host import Count, refuse_capture
from ohmgrad.engine.kept import Filled
from ohmgrad.engine.management import check_io
from ohmgrad.engine.matmul import multiply
from ohmgrad.engine.mvm import mvm, unmanaged
from ohmgrad.engine.noise import next_numbers
from ohmgrad.engine.periphery import Direction, Periphery
from ohmgrad.engine.precision import in_single_precision
from ohmgrad.engine.samples import Samples
from ohmgrad.engine.site import Site
from ohmgrad.parameters.enums import NoiseManagementType
from ohmgrad.parameters.io import IOParameters
from ohmgrad.parameters.update import UpdateParameters


class LowRankTransferCompound(Compound):
    r"""Low-rank Tiki-taka (LRTT): the gradient is collected in two narrow arrays, whose product is added to the weight.

    Arrays A ``[out, r]``, B ``[r, in]`` and C ``[out, in]``, with r = ``rank`` and :math:`\alpha =` ``lora_alpha``. One
    batch of n vectors (x, d), which is one step, at learning rate :math:`\lambda`:

    1. The gradient was computed at the visible weight :math:`W = C + \alpha A B`.
    2. For all vectors, before anything is changed: :math:`u_n = \mathrm{read}(B x_n)`, a forward product, and
       :math:`v_n = \mathrm{read}(A^T d_n)`, a backward product, with the converters and noise of ``transfer_forward``.
    3. For every vector in turn :math:`A \leftarrow \mathrm{pulsed}(A, -\lambda \alpha\, d_n u_n^T)`, and
       :math:`B \leftarrow \mathrm{pulsed}(B, -\lambda \alpha\, v_n x_n^T)`, with the pulses of the tile's ``update``.
    4. After every ``transfer_every``-th batch, for k = 0, ..., r - 1:
       :math:`C \leftarrow \mathrm{pulsed}(C, +\eta\, \alpha\, a_k b_k)`, with :math:`\eta =` ``transfer_lr``,
       :math:`a_k = \mathrm{read}(A e_k)` a forward and :math:`b_k = \mathrm{read}(B^T e_k)` a backward product, without
       noise and bound management. All are read before the first is written.
    5. After that transfer A is set to 0, and B to :math:`\kappa\, \xi / \sqrt{\mathrm{in}}`, with :math:`\kappa =`
       ``reinit_gain`` and fresh standard normal :math:`\xi` (the initialisation of Kaiming He et al.). So they are in
       the beginning, and after ``set_weights``.
    6. :math:`W = C + \alpha A B`.

    A and B are *set*, as ``set_weights`` sets a tile, which programs cells and verifies them: to the value or the bound
    that is nearest to it, without pulses, and so without wear. Devices with write noise draw it there, unless
    ``apply_write_noise_on_set`` is False: then A is not quite 0, and :math:`\alpha A B` is part of W from the start.
    Since every update depends on A and B before its batch, a batch that is cut differently gives another result.

    The visible weight is one matrix to the products of the layer: their converters see :math:`W x`, not three currents.
    Without transfers (``transfer_every=0``) the rule is LoRA on a fixed weight.

    There is no paper known; the rule is that of public code (Siguros/aihwkit_lrtt).
    """

    rank: int = Field(default=4, ge=1)
    """Columns of A and rows of B; may be larger than the tile."""
    lora_alpha: float = Field(default=1.0, gt=0.0, allow_inf_nan=False)
    r"""Weight :math:`\alpha` of the product of A and B, as it is: it is not divided by the rank, as that of LoRA is."""
    transfer_every: int = Field(default=32, ge=0)
    """Batches between two transfers; 0: never."""
    transfer_lr: float = Field(default=1.0, ge=0.0, allow_inf_nan=False)
    r"""Share :math:`\eta` of the product that is written, not multiplied by :math:`\lambda`; at 1 it is all of it."""
    reinit_gain: float = Field(default=0.1, gt=0.0, allow_inf_nan=False)
    r"""Gain :math:`\kappa` of the initialisation of B."""
    transfer_forward: IOParameters = Field(default_factory=IOParameters)
    """Converters and noise of the products with A and B; those of transfers are without noise and bound management."""
    transfer_update: UpdateParameters = Field(default_factory=UpdateParameters)
    """Pulses of the writes to C. What takes more pulses than ``desired_bl`` is not written in full."""

    def build(self, site: Site) -> LowRankTransfer:
        """See :meth:`Compound.build`."""
        return LowRankTransfer(self, site)

    def check(self) -> None:
        """Raise :class:`~ohmgrad.errors.ConfigError` if the parameters do not fit together."""
        name, n = type(self).__name__, len(self.unit_cell_devices)
        require(n == 3, f"{name}.unit_cell_devices has {n} devices. Give 3: for A, B and C.")
        for device in self.unit_cell_devices:
            checked(device, f"{name}.unit_cell_devices")
        io = self.transfer_forward
        check_io(io, f"{name}.transfer_forward")
        check_io(unmanaged(io), f"{name}.transfer_forward")
        require(
            io.is_perfect or io.noise_management is not NoiseManagementType.AVERAGE_ABS_MAX,
            f"{name}.transfer_forward.noise_management = AVERAGE_ABS_MAX, but there is no average of what reaches A and"
            " B. Give ABS_MAX.",
        )


class LowRankTransfer(Rule):
    """The recursion of :class:`LowRankTransferCompound`."""

    vectors: Tensor
    transfers: Tensor
    current_update_index: Tensor
    mixed: Tensor

    def __init__(self, config: LowRankTransferCompound, site: Site) -> None:
        super().__init__()
        self.config = config
        own, (outputs, inputs), rank = site.seeded(config.construction_seed), site.shape, config.rank
        sites = (
            # The longer side makes the lanes of the kernels, as in analog SGD.
            replace(own, in_size=rank, has_bias=False).sliced(columns=outputs > rank),
            replace(own, out_size=rank).sliced(columns=rank > inputs),
            own.sliced(columns=outputs > inputs),
        )
        self.arrays = nn.ModuleList(map(make_array, config.unit_cell_devices, sites))
        io, one_hot_io = config.transfer_forward, unmanaged(config.transfer_forward)
        self.gradients_of_b = _Circuits(io, rank, outputs, 0, own.draws, transposed=True)
        self.inputs_of_a = _Circuits(io, rank, inputs, 1, own.draws)
        self.columns_of_a = _Circuits(one_hot_io, outputs, rank, 2, own.draws)
        self.rows_of_b = _Circuits(one_hot_io, inputs, rank, 3, own.draws, transposed=True)
        # The first two number what is drawn: unlike the last, they never start anew.
        self.register_counter("vectors")
        self.register_counter("transfers")
        self.register_counter("current_update_index", by_host=config.transfer_every > 1)
        self.register_buffer("mixed", torch.zeros_like(self.all_arrays()[2].visible()), persistent=False)
        self._rates, self._write_rates = Filled(), Filled()
        self._restart(0, site.draws)

    def update(self, x: Tensor, d: Tensor, rate: float, up: UpdateParameters, draws: Draws) -> None:
        """See :meth:`Rule.update`.

        With ``transfer_every`` above 1, some updates transfer and others do not: then batches are counted in host
        memory, so that nothing waits, and updates cannot be captured in a CUDA graph.
        """
        every = self.config.transfer_every
        if every > 1:
            refuse_capture(x, "LowRankTransferCompound.transfer_every above 1 lets some updates transfer, others not")
        a, b, _ = self.all_arrays()
        numbers = next_numbers(self.known("vectors"), len(x), draws)
        u = self.inputs_of_a.product(b.visible(), x, numbers, draws)
        v = self.gradients_of_b.product(a.visible().t(), d, numbers, draws)
        rates = self._rates.of(rate * self.config.lora_alpha, len(x), torch.float64, x)
        a.update(Samples.of(u, d, rates), up, draws)
        b.update(Samples.of(x, v, rates), up, draws)
        batches = self.known("current_update_index")
        start = int(batches) if every > 1 else 0  # else every batch is a period, or none ever ends
        batches.add_(1)
        if len(transfer_times(start, 1, every)):
            self._transfer(draws)

    def _transfer(self, draws: Draws) -> None:
        """Steps 4 and 5."""
        config, transfers = self.config, self.known("transfers")
        a, b, c = self.all_arrays()
        rank, one_hot = config.rank, torch.eye(config.rank, dtype=torch.float32, device=transfers.device)
        numbers = transfers * rank + torch.arange(rank, device=transfers.device)
        columns = self.columns_of_a.product(a.visible(), one_hot, numbers, draws)
        rows = self.rows_of_b.product(b.visible().t(), one_hot, numbers, draws)
        rates = self._write_rates.of(config.transfer_lr * config.lora_alpha, rank, torch.float64, rows)
        c.update(Samples.of(rows, -columns, rates), config.transfer_update, draws)
        transfers.add_(1)
        self._restart(transfers, draws)

    def _restart(self, number: Count, draws: Draws) -> None:
        """Step 5, with random numbers of that number."""
        a, b, _ = self.all_arrays()
        a.set(torch.zeros_like(a.visible()), draws)
        rank, inputs = b.visible().shape
        noise = draws.normal(Stream.LOW_RANK.of(0), torch.arange(rank, device=self.vectors.device), inputs, number)
        b.set(noise.mul_(self.config.reinit_gain / math.sqrt(inputs)), draws)

    @property
    def _shown(self) -> Tensor:
        return self.known("mixed")

    @in_single_precision
    def _product(self) -> Tensor:
        r""":math:`\alpha A B`."""
        a, b, _ = (array.visible().contiguous() for array in self.all_arrays())
        return multiply(a, b.t()).mul_(self.config.lora_alpha)

    def visible(self) -> Tensor:
        r""":math:`C + \alpha A B`."""
        return torch.add(self.all_arrays()[2].visible(), self._product(), out=self.known("mixed"))

    def set_weights(self, weights: Tensor, draws: Draws) -> None:
        r"""A and B begin anew; C is set to what :math:`\alpha A B` leaves over; the count of batches starts from 0."""
        self._restart(0, draws)
        self.all_arrays()[2].set(weights - self._product(), draws)
        self.current_update_index.zero_()

    def reset_columns(self, columns: Tensor, probability: float, draws: Draws) -> None:
        """Reset cells in some columns of B and C; those of A are no columns of the weight."""
        for array in self.all_arrays()[1:]:
            array.reset_columns(columns, probability, draws)

    def state(self) -> dict[str, Tensor]:
        """See :meth:`Rule.state`; counters of array k have the suffix ``_k``."""
        own = {"current_update_index": self.current_update_index}
        for k, array in enumerate(self.all_arrays()):
            own.update((f"{name}_{k}", value) for name, value in array.counters().items())
        return own

    def hidden(self) -> OrderedDict[str, Tensor]:
        """See :meth:`Rule.hidden`; those of A have the suffix ``_0``, of B ``_1``, of C ``_2``."""
        return hidden_of(self.all_arrays())


class _Circuits(nn.Module):
    """One kind of product with A or B, and the circuits that it goes through.

    :param outputs: of the product; :param inputs: of the product; :param number: tells the circuits apart;
    :param transposed: whether the product is the backward one, with the transpose of the array.
    """

    def __init__(
        self, io: IOParameters, outputs: int, inputs: int, number: int, draws: Draws, transposed: bool = False
    ) -> None:
        super().__init__()
        self.io, self.stream, self.forward_direction = io, Stream.READ.of(number), not transposed
        self.periphery = Periphery(io, outputs, inputs, draws, Direction.READ.stream(number), transposed)

    def product(self, matrix: Tensor, vectors: Tensor, numbers: Tensor | range, draws: Draws) -> Tensor:
        """The analog products of a matrix ``[outputs, inputs]`` with vectors ``[n, inputs]``, ``[n, outputs]``."""
        forward = self.forward_direction
        return mvm(matrix, vectors, self.io, draws, self.stream, numbers, None, forward, self.periphery)
