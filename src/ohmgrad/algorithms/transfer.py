"""Tiki-taka v1 and residual learning: a fast array that collects gradients and is transferred to a slow one."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterable
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from ohmgrad.algorithms.base import Compound, Rule
from ohmgrad.algorithms.schedule import (
    Reads,
    Signs,
    Turns,
    next_reads,
    no_reads,
    one_hot,
    period_in_vectors,
)
from ohmgrad.cells.base import Device, checked, make_array
from ohmgrad.devices.base import require
from ohmgrad.engine.base_array import Array, hidden_of
from ohmgrad.engine.draws import Draws, Stream
from ohmgrad.engine.host import Count, move_on, refuse_capture
from ohmgrad.engine.kept import Filled
from ohmgrad.engine.management import check_io
from ohmgrad.engine.mvm import mvm, read_slices, unmanaged
from ohmgrad.engine.periphery import Direction, Periphery
from ohmgrad.engine.replay import Events
from ohmgrad.engine.samples import Samples
from ohmgrad.engine.site import Site
from ohmgrad.engine.threads import serial
from ohmgrad.errors import TileError
from ohmgrad.parameters.io import IOParameters
from ohmgrad.parameters.update import UpdateParameters


class TransferCompound(Compound):
    r"""Tiki-taka v1 (TTv1); with ``gamma`` above 0, residual learning.

    Arrays :math:`A = w_0` (fast), ..., :math:`C = w_{n-1}` (slow). One vector (x, d) at learning rate
    :math:`\lambda`, with columns as slices:

    1. The gradient was computed at the visible weight :math:`W = \sum_k \gamma_k w_k`.
    2. :math:`\beta =` ``final_fast_lr`` = ``fast_lr * lambda`` if ``scale_fast_lr``, else ``fast_lr``; :math:`\lambda`
       itself if ``fast_lr`` is 0.
    3. :math:`A \leftarrow \mathrm{pulsed}(A, -\beta\, d\, x^T)`; :math:`t \leftarrow t + 1`.
    4. For every source k with :math:`t \bmod T_k = 0`, for each of ``n_reads_per_transfer`` slices s in turn:
       :math:`v = \mathrm{read}(w_k e_s)`; with probability ``with_reset_prob`` reset column s of the source;
       :math:`w_{k+1} \leftarrow \mathrm{pulsed}(w_{k+1}, +\alpha_k\, v\, e_s^T)`, where :math:`\alpha_k =`
       ``final_transfer_lr`` = ``transfer_lr_vec[k] * lambda`` if ``scale_transfer_lr``, else ``transfer_lr_vec[k]``.
       The slice pointer moves on, and wraps.
    5. :math:`W = \sum_k \gamma_k w_k`.

    Here :math:`T_k` is ``ceil(transfer_every_vec[k] * batch)`` if ``units_in_mbatch``, else ``transfer_every_vec[k]``
    rounded. The pulses of step 3 count with the granularity of A, those of step 4 with that of the array they reach.
    For rows as slices, x and d change roles in step 4.

    T. Gokmen and W. Haensch, Front. Neurosci. 14 (2020); residual learning: Z. Wu et al., NeurIPS 2025.
    """

    has_automatic_period: ClassVar[bool] = False
    """Whether a negative ``transfer_every`` has a meaning."""
    fewest_devices: ClassVar[int] = 2
    """How many devices there must be."""

    gamma: float = 0.0
    r"""Weight of the fast arrays in the visible weight: :math:`\gamma_k = \gamma^{n-1-k}`."""
    gamma_vec: list[float] = Field(default_factory=list)
    r"""All :math:`\gamma_k` instead, fast array first; the last may not be 0."""
    transfer_every: float = 1.0
    """Period of the first transfer, in vectors, or in batches if ``units_in_mbatch``; 0: never."""
    no_self_transfer: bool = True
    """The last array is never read. (If False its slice pointer moves, and nothing else happens.)"""
    transfer_every_vec: list[float] = Field(default_factory=list)
    """Periods of all arrays instead. By default each is ``in_size / n_reads_per_transfer`` times the one before."""
    units_in_mbatch: bool = True
    """Periods count batches instead of vectors."""
    n_reads_per_transfer: int = Field(default=1, ge=1)
    """Slices read at every transfer."""
    transfer_columns: bool = True
    """Read columns (with the forward product), else rows (with the backward product)."""
    with_reset_prob: float = Field(default=0.0, ge=0.0, le=1.0)
    """Probability that a column of the source is reset after it was read."""
    random_selection: bool = False
    """Start every transfer at a random slice instead of the next one."""
    fast_lr: float = Field(default=1.0, ge=0.0)
    """Learning rate of the fast array; 0: the learning rate of the optimizer."""
    scale_fast_lr: bool = True
    """Multiply ``fast_lr`` by the learning rate of the optimizer, so that it follows a scheduler."""
    transfer_lr: float = Field(default=1.0, ge=0.0)
    """Learning rate of transfers."""
    transfer_lr_vec: list[float] = Field(default_factory=list)
    """Learning rates of the transfers from every array instead."""
    scale_transfer_lr: bool = True
    """Multiply the transfer rate by the learning rate of the optimizer."""
    transfer_forward: IOParameters = Field(default_factory=IOParameters)
    """Converters and noise of the reads; noise and bound management are always off."""
    transfer_update: UpdateParameters = Field(default_factory=UpdateParameters)
    """Pulses of the writes."""

    def build(self, site: Site) -> Transfer:
        """See :meth:`Compound.build`."""
        return Transfer(self, site)

    def check(self) -> None:
        """Raise :class:`~ohmgrad.errors.ConfigError` if the parameters do not fit together."""
        name, n, fewest = type(self).__name__, len(self.unit_cell_devices), self.fewest_devices
        require(n >= fewest, f"{name}.unit_cell_devices has {n} devices. Give at least {fewest}: the fast array first.")
        for device in self.unit_cell_devices:
            checked(device, f"{name}.unit_cell_devices")
        for field in ("gamma_vec", "transfer_every_vec", "transfer_lr_vec"):
            given = len(getattr(self, field))
            require(given in (0, n), f"{name}.{field} has {given} entries for {n} devices. Give {n}, or none.")
        rates = ("transfer_every", "transfer_every_vec", "fast_lr", "transfer_lr", "transfer_lr_vec")
        for field in ("gamma", "gamma_vec", *rates):
            value = getattr(self, field)
            numbers = value if isinstance(value, list) else [value]
            require(all(map(math.isfinite, numbers)), f"{name}.{field} = {value}. Give finite numbers.")
            may_be_negative = field not in rates or (field == "transfer_every" and self.has_automatic_period)
            require(
                may_be_negative or min(numbers, default=0.0) >= 0.0,
                f"{name}.{field} = {value}. Give 0 or a positive number.",
            )
        last = self.gamma_vec[-1] if self.gamma_vec else 1.0
        require(last != 0.0, f"{name}.gamma_vec ends with 0. The weight of the slow array must not be 0.")
        require(
            self.with_reset_prob == 0.0 or self.transfer_columns,
            f"{name}.with_reset_prob = {self.with_reset_prob} needs transfer_columns=True: only columns are reset.",
        )
        check_io(unmanaged(self.transfer_forward), f"{name}.transfer_forward")


class Transfer(Rule):
    """The recursion of :class:`TransferCompound`, and the frame of its descendants."""

    vectors: Tensor
    current_slice_indices: Tensor
    transfers: Tensor
    reads: Tensor
    mixed: Tensor

    def __init__(self, config: TransferCompound, site: Site) -> None:
        super().__init__()
        self.config = config
        site = site.seeded(config.construction_seed).sliced(config.transfer_columns)
        self.devices: list[Device] = list(config.unit_cell_devices)
        self.arrays = nn.ModuleList(make_array(device, site) for device in self.devices)
        n = len(self.arrays)
        self.slices, self.lanes = site.shape[::-1] if config.transfer_columns else site.shape
        self.gammas = config.gamma_vec or [config.gamma ** (n - 1 - k) for k in range(n)]
        self.fully_hidden = not any(self.gammas[:-1]) and self.gammas[-1] == 1.0
        self.n_reads = min(config.n_reads_per_transfer, self.slices)
        self.transfer_lrs = config.transfer_lr_vec or [config.transfer_lr] * n
        self.read_io = unmanaged(config.transfer_forward)
        stream = Direction.READ.stream()  # all sources are read through the same circuits
        self.read_periphery = Periphery(
            self.read_io, self.lanes, self.slices, site.draws, stream, transposed=not config.transfer_columns
        )
        self.register_counter("vectors", by_host=self.counts_on_host())
        self.register_buffer("current_slice_indices", torch.zeros(n, dtype=torch.int64))
        self.register_buffer("transfers", torch.zeros(n, dtype=torch.int64))
        self.register_buffer("reads", torch.zeros(n, dtype=torch.int64))
        slow = self.all_arrays()[-1].visible()
        mixed = slow.new_zeros(0) if self.fully_hidden else torch.zeros_like(slow)
        self.register_buffer("mixed", mixed, persistent=False)
        self._rates, self._write_rates, self._no_resets = Filled(), Filled(), Filled()

    # --- one batch ---------------------------------------------------------------------------------------------------

    def update(self, x: Tensor, d: Tensor, rate: float, up: UpdateParameters, draws: Draws) -> None:
        """See :meth:`Rule.update`.

        With noise on the input lines of reads, or cells that are refreshed, work is cut where reads happen. Then the
        vectors are counted in host memory, so that nothing waits, and updates cannot be captured in a CUDA graph.
        """
        by_host = self.counts_on_host()
        if by_host:
            refuse_capture(x, "reads with noise on the input lines, and refreshes, cut every batch elsewhere")
        batch, rates, before = x.shape[0], self.fast_rates(x, d, rate, up, draws), None
        start = move_on(self.known("vectors"), batch, draws.asks or by_host)
        arriving: Samples | None = Samples.of(x, d, rates)
        for k, array in self.route():
            reads = self.schedule(k, start, batch, draws)
            if arriving is not None or len(reads):  # even if nothing arrives there, an array may be read
                samples = Samples.of(x[:0], d[:0], rates[:0]) if arriving is None else arriving
                arriving = self._deliver(k, array, samples, before, reads, up, rate, draws)
            before, up = reads, self.config.transfer_update

    def _has_barriers(self) -> bool:
        """Whether a read depends on the whole array: noise drives all of its input lines."""
        return self.read_io.inp_noise > 0.0 and not self.read_io.is_perfect

    def counts_on_host(self) -> bool:
        """Whether what the program does depends on how many vectors there have been."""
        return self._has_barriers() or any(array.counts_on_host() for array in self.all_arrays())

    def _deliver(
        self,
        k: int,
        array: Array,
        samples: Samples,
        before: Reads | None,
        reads: Reads,
        up: UpdateParameters,
        rate: float,
        draws: Draws,
    ) -> Samples | None:
        """Update array k with samples; read it; what that writes on the next (None: nothing).

        :param before: the reads of the array before, from which the samples come; None: they are the vectors.
        """
        arrived, room = len(samples), len(reads)
        if room == 0:
            signs = self.plan_signs(k, reads, reads.slices, arrived, draws)
            array.update(samples.flipped(signs.x, signs.d), up, draws)
            return None
        if before is not None:
            positions = torch.searchsorted(before.times, reads.times, right=True)
        else:
            positions = reads.times if reads.valid is None else reads.times.clamp(max=arrived)
        stops = positions.tolist() if self._has_barriers() else []
        positions = positions.to(samples.x.device, non_blocking=True)
        signs = self.plan_signs(k, reads, positions, arrived, draws)
        signed = samples.flipped(signs.x, signs.d)
        values = self._read_while_updating(k, array, signed, up, reads, positions, stops, draws)
        if k + 1 == len(self.gammas):
            return None
        written = self.steps(k, values, reads, positions, signs, rate, samples.rates)
        if not (isinstance(written, tuple) and len(written) == 2):  # vectors alone might come apart as well
            raise TileError(f"{type(self).__name__}.steps must return (vectors, rate).")
        vector, write_rate = written
        selected = reads.happening(one_hot(reads.slices, self.slices, draws.implementation))
        vector = reads.happening(vector)
        x, d = (selected, vector) if self.config.transfer_columns else (vector, selected)
        rates = self._write_rates.of(write_rate, room, torch.float64, x)
        return Samples.of(x, d, reads.happening(rates), reads.count)

    def _read_while_updating(
        self,
        k: int,
        array: Array,
        samples: Samples,
        up: UpdateParameters,
        reads: Reads,
        positions: Tensor,
        stops: list[int],
        draws: Draws,
    ) -> Tensor:
        """Replay the samples on array k; what the analog product gave at every read, ``[E, lanes]``.

        :param stops: the positions, where every read is a barrier.
        """
        stream, resets = Stream.READ.of(k), self._plan_resets(k, reads, draws)
        if not self._has_barriers():
            happens = self._no_resets.of(False, len(reads), torch.bool, positions) if resets is None else resets
            events = Events(reads.slices, positions, happens, None if resets is None else reads.numbers)
            stored = array.update(samples, up, draws, events)
            io, periphery = self.read_io, self.read_periphery
            return read_slices(stored, reads.slices, self.slices, io, draws, stream, reads.numbers, periphery)
        values = samples.x.new_empty(len(reads), self.lanes)
        done = 0
        for e, position in enumerate([*stops, len(samples)]):
            if position > done:
                array.update(samples.part(done, position), up, draws)
                done = position
            if e < len(reads):
                one = slice(e, e + 1)
                one_hot = samples.x.new_zeros(1, self.slices).scatter_(1, reads.slices[one, None], 1.0)
                matrix = array.by_slice(array.visible()).t()
                number, io, periphery = reads.numbers[one], self.read_io, self.read_periphery
                values[one] = mvm(matrix, one_hot, io, draws, stream, number, forward=False, periphery=periphery)
                if resets is not None:
                    at_once = Events(reads.slices[one], torch.zeros_like(number), resets[one], number)
                    array.update(samples.part(0, 0), up, draws, at_once)
        return values

    def _plan_resets(self, k: int, reads: Reads, draws: Draws) -> Tensor | None:
        """Which reads reset their slice, bool ``[E]``; None: none does."""
        if self.config.with_reset_prob == 0.0 or self.transfer_lrs[k] == 0.0:
            return None
        coins = draws.uniform(Stream.RESET_COIN.of(k, 1), reads.numbers, 1)[:, 0]
        resets = reads.happening(coins <= self.config.with_reset_prob)
        return None if draws.asks and not resets.any() else resets

    # --- the plan ----------------------------------------------------------------------------------------------------

    def period(self, k: int, batch: int) -> int:
        """Vectors between transfers from array k, :math:`T_k`; 0: never."""
        config = self.config
        if k == len(self.gammas) - 1 and config.no_self_transfer:
            return 0
        every = config.transfer_every_vec[k] if config.transfer_every_vec else self.default_period(k)
        return period_in_vectors(every, config.units_in_mbatch, batch)

    def schedule(self, k: int, start: Count, batch: int, draws: Draws) -> Reads:
        """The reads of array k in a batch; moves its slice pointer."""
        period = self.period(k, batch)
        if period == 0:
            return no_reads(self.known("current_slice_indices").device)
        turns = Turns(
            k,
            self.known("current_slice_indices"),
            self.known("transfers"),
            self.known("reads"),
            self.slices,
            self.n_reads,
            at_random=self.config.random_selection,
            reads_them=k < len(self.gammas) - 1,  # a transfer to itself does nothing but move on
        )
        return next_reads(turns, start, batch, period, self.known("vectors").device, draws)

    # --- what a descendant changes -----------------------------------------------------------------------------------

    def route(self) -> Iterable[tuple[int, Array]]:
        """The arrays that take part in a batch, each with its k: the fast one, and who is written from the one before.

        The last of them is not read.
        """
        return enumerate(self.all_arrays())

    def default_period(self, k: int) -> float:
        """The period of the transfers from array k, where ``transfer_every_vec`` is not given."""
        return self.config.transfer_every * (self.slices / self.n_reads) ** k

    def fast_rates(self, x: Tensor, d: Tensor, rate: float, up: UpdateParameters, draws: Draws) -> Tensor:
        """Learning rate of the fast array for every vector of a batch (step 2), float64 ``[n]``."""
        return self._rates.of(self.fast_rate(rate), x.shape[0], torch.float64, x)

    def fast_rate(self, rate: float) -> float:
        """``final_fast_lr`` without automatic scaling."""
        fast = self.config.fast_lr
        if fast == 0.0:
            return rate
        return fast * rate if self.config.scale_fast_lr else fast

    def transfer_rate(self, k: int, rate: float) -> float:
        """``final_transfer_lr`` of the transfers from array k."""
        return self.transfer_lrs[k] * (rate if self.config.scale_transfer_lr else 1.0)

    def plan_signs(self, k: int, reads: Reads, positions: Tensor, samples: int, draws: Draws) -> Signs:
        """Flips of the lines of array k in a batch; none in this rule."""
        return Signs()

    def steps(
        self, k: int, values: Tensor, reads: Reads, positions: Tensor, signs: Signs, rate: float, rates: Tensor
    ) -> tuple[Tensor, float]:
        """What to write for what was read (step 4): vectors v ``[E, lanes]`` and a rate; the write is ``-rate * v``."""
        return -values, self.transfer_rate(k, rate)

    # --- the whole ---------------------------------------------------------------------------------------------------

    def sign(self, k: int) -> Tensor | None:
        """Signs ``[out, in]`` by which array k is stored, None if all are +1."""
        return None

    def zero_of(self, k: int) -> Tensor | None:
        """What counts as the zero of array k where it is seen, ``[out, in]``, in the signs in which it is stored.

        None: zero itself.
        """
        return None

    def visible(self) -> Tensor:
        r""":math:`\sum_k \gamma_k w_k`, with signs and beyond references; the slow array itself if it is all."""
        arrays = self.all_arrays()
        if self.fully_hidden:
            return arrays[-1].visible()
        mixed = self.known("mixed")
        for whole, part in serial(mixed, arrays[-1].visible()):
            torch.mul(part, self.gammas[-1], out=whole)
        for k, array in enumerate(arrays[:-1]):
            if self.gammas[k] != 0.0:
                signs, zero = self.sign(k), self.zero_of(k)
                parts = [(array.visible(), self.gammas[k])]
                parts += [] if zero is None else [(zero, -self.gammas[k])]
                for matrix, gamma in parts:
                    for whole, part, *sign in serial(mixed, matrix, *([] if signs is None else [signs])):
                        whole.add_(sign[0] * part if sign else part, alpha=gamma)
        return mixed

    def set_weights(self, weights: Tensor, draws: Draws) -> None:
        """The slow array is set, the others and all counters start from 0."""
        arrays = self.all_arrays()
        rest = weights
        for k, array in enumerate(arrays[:-1]):
            array.set(torch.zeros_like(weights), draws)
            if self.gammas[k] != 0.0:  # what a cell that cannot be 0 shows, the slow array makes up for
                rest = rest - self.gammas[k] * array.visible()
        arrays[-1].set(rest / self.gammas[-1], draws)
        self.vectors.zero_()
        self.current_slice_indices.zero_()

    def reset_columns(self, columns: Tensor, probability: float, draws: Draws) -> None:
        """Reset cells in some columns of the fast array."""
        self.all_arrays()[0].reset_columns(columns, probability, draws)

    def state(self) -> dict[str, Tensor]:
        """See :meth:`Rule.state`; counters of array k have the suffix ``_k``."""
        own = {"current_slice_indices": self.current_slice_indices}
        for k, array in enumerate(self.all_arrays()):
            own.update((f"{name}_{k}", value) for name, value in array.counters().items())
        return own

    def hidden(self) -> OrderedDict[str, Tensor]:
        """See :meth:`Rule.hidden`."""
        return hidden_of(self.all_arrays())
