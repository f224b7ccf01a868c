"""Cells of two devices that are only ever pulsed up, and the refresh that takes both back."""

from __future__ import annotations

from typing import Any

import torch
from pydantic import Field, field_validator
from torch import Tensor, nn

from ohmgrad.cells.base import Cell, pair_of
from ohmgrad.cells.composite import CompositeArray
from ohmgrad.devices.base import PulsedDevice, require
from ohmgrad.engine.array import CellArray
from ohmgrad.engine.draws import Draws, Stream
from ohmgrad.engine.host import refuse_capture
from ohmgrad.engine.management import check_io
from ohmgrad.engine.mvm import mvm
from ohmgrad.engine.periphery import Direction, Periphery
from ohmgrad.engine.replay import Events
from ohmgrad.engine.samples import Plan, Samples
from ohmgrad.engine.site import Site
from ohmgrad.parameters.io import IOParameters
from ohmgrad.parameters.update import UpdateParameters

MINUS, PLUS = 0, 1
"""Numbers of the two devices."""


class OneSidedUnitCell(Cell):
    r"""Two devices of a kind that changes gradually in one direction only, :math:`W = g^+ - g^-`.

    1. A pulse that shall raise W raises :math:`g^+`; one that shall lower W raises :math:`g^-`.
    2. After every R vectors, :math:`R =` ``refresh_every``, times the batch if ``units_in_mbatch``, both are
       *refreshed*: with p and m the analog reads of :math:`g^+` and :math:`g^-`, P and M their mean upper bounds, and
       u and l the thresholds, an element is refreshed if :math:`p/P > u` and :math:`m/M > l` where :math:`p > m`, and
       if :math:`p/P > l` and :math:`m/M > u` elsewhere.

       2.1 Both devices of the element are reset.

       2.2 The difference is written to the side that was larger:
       :math:`g^\pm \leftarrow \mathrm{pulsed}(g^\pm, +|p - m|)`.

    One device is enough: both halves are of its kind. In hidden parameters :math:`g^-` has the number 0 and
    :math:`g^+` the number 1.
    """

    refresh_every: int = Field(default=0, ge=0)
    """Vectors (or batches) between two refreshes; 0: never."""
    units_in_mbatch: bool = True
    """``refresh_every`` counts batches instead of vectors."""
    refresh_upper_thres: float = 0.75
    """Share of its mean upper bound that the larger of the two must exceed."""
    refresh_lower_thres: float = 0.25
    """Share of its mean upper bound that the smaller of the two must exceed."""
    refresh_forward: IOParameters = Field(default_factory=IOParameters)
    """Converters and noise of the reads, with noise and bound management."""
    refresh_update: UpdateParameters = Field(default_factory=UpdateParameters)
    """Pulses of the writes."""
    copy_inverted: bool = False
    r""":math:`g^-` is the mirror image of :math:`g^+`, cell by cell: up and down exchanged, bounds negated."""

    @field_validator("unit_cell_devices")
    @classmethod
    def _both(cls, devices: list[Any]) -> list[Any]:
        return pair_of(devices)

    def check(self) -> None:
        """See :meth:`Cell.check`."""
        super().check()
        name, devices = type(self).__name__, self.unit_cell_devices
        n = len(devices)
        require(n == 2, f"{name}.unit_cell_devices has {n} devices. Give one: both halves are of its kind.")
        for device in devices:
            require(
                isinstance(device, PulsedDevice),
                f"{name}.unit_cell_devices holds {type(device).__name__}. Give a pulsed device.",
            )
        require(devices[0] == devices[1], f"{name}.unit_cell_devices holds two different devices. Give one.")
        check_io(self.refresh_forward, f"{name}.refresh_forward")

    def build_array(self, site: Site) -> OneSidedArray:
        """See :meth:`Cell.build_array`."""
        index = next(site.indices)
        device: PulsedDevice = self.unit_cell_devices[0]
        plus = CellArray(device, site)
        minus = plus.mirrored(site) if self.copy_inverted else CellArray(device, site)
        return OneSidedArray(self, index, minus, plus, site.draws)


class OneSidedArray(CompositeArray):
    """An array of :class:`OneSidedUnitCell`."""

    vectors: Tensor
    refreshes: Tensor
    refresh_counter: Tensor

    def __init__(self, config: OneSidedUnitCell, index: int, minus: CellArray, plus: CellArray, draws: Draws) -> None:
        super().__init__(index, [minus, plus], [-1.0, 1.0], config.weight_granularity)
        self.config = config
        out_size, in_size = plus.weight.shape
        self.read_peripheries = nn.ModuleList(
            Periphery(config.refresh_forward, out_size, in_size, draws, Direction.REFRESH.stream(half.index))
            for half in (minus, plus)
        )
        self.register_counter("vectors", by_host=self.counts_on_host())
        for name in ("refreshes", "refresh_counter"):
            self.register_counter(name)

    def counts_on_host(self) -> bool:
        """See :meth:`Array.counts_on_host`: a refresh is work that is done or not."""
        return self.config.refresh_every > 0

    def replay(self, plan: Plan, events: Events, draws: Draws) -> Tensor:
        """See :meth:`Array.replay`; every refresh is a barrier, before the reads of its vector.

        When it comes is counted in host memory, so that nothing waits; such cells cannot be captured in a CUDA graph.
        """
        stops = self._refreshes_in(plan)
        self.vectors += plan.counted()
        read = self.by_slice(self.shown).new_zeros(len(events), self.by_slice(self.shown).shape[1])
        for number, (begin, end) in enumerate(zip([0, *stops], [*stops, len(plan)], strict=True)):
            if number > 0:
                self._refresh(draws)
            chosen = events.words >= begin  # a read at the vector of a refresh comes after it
            if number < len(stops):
                chosen &= events.words < end
            mine, seen = plan.part(begin, end), events.part(begin, end, chosen)
            for which, half in enumerate(self.cells()):
                stored = half.replay(mine.one_sided(raising=which == PLUS), seen, draws)
                read += torch.where(chosen[:, None], self.gammas[which] * stored, 0.0)
        return read

    def _refreshes_in(self, plan: Plan) -> list[int]:
        """After how many samples of a plan a refresh is due."""
        period = self.config.refresh_every * (plan.batch if self.config.units_in_mbatch else 1)
        if period == 0:
            return []
        refuse_capture(self.shown, "OneSidedUnitCell.refresh_every makes some updates refresh the cells, others not")
        first = int(self.vectors)
        return [n for n in range(1, len(plan) + 1) if (first + n) % period == 0]

    def _refresh(self, draws: Draws) -> None:
        """Steps 2, 2.1 and 2.2 for all columns."""
        config, halves = self.config, self.cells()
        reads = []
        for which, half in enumerate(halves):
            columns = half.weight.shape[1]
            one_hot = torch.eye(columns, dtype=torch.float32, device=half.weight.device)
            numbers = self.refreshes * columns + torch.arange(columns, device=half.weight.device)
            stream = Stream.REFRESH.of(self.index, 8 * which)  # a product takes eight parts of a stream
            io, periphery = config.refresh_forward, self.read_peripheries[which]
            assert isinstance(periphery, Periphery)
            reads.append(mvm(half.weight, one_hot, io, draws, stream, numbers, periphery=periphery).t())
        self.refreshes += 1
        minus, plus = reads
        fill_minus, fill_plus = (read / abs(half.device_config.w_max) for read, half in zip(reads, halves, strict=True))
        upper, lower = config.refresh_upper_thres, config.refresh_lower_thres
        selected = torch.where(
            plus > minus, (fill_plus > upper) & (fill_minus > lower), (fill_plus > lower) & (fill_minus > upper)
        )
        self.refresh_counter += selected.sum()
        for half, excess in zip(halves, (minus - plus, plus - minus), strict=True):
            half.reset_cells(selected, draws)
            self._write(half, torch.where(selected, excess.clamp(min=0.0), 0.0), draws)

    def _write(self, half: CellArray, wanted: Tensor, draws: Draws) -> None:
        """Step 2.2 for one half: a sample for every column in which anything is written."""
        is_written = wanted.any(0)
        columns = torch.sort(is_written, descending=True, stable=True).indices  # those that are written come first
        count = is_written.sum()
        if draws.asks:
            columns = columns[: int(count)]
        if len(columns):
            one_hot, rates = torch.diag(is_written.float())[columns], is_written[columns].double()
            samples = Samples.of(one_hot, -wanted.t()[columns], rates, None if draws.asks else count)
            half.update(samples, self.config.refresh_update, draws)

    def set(self, weights: Tensor, draws: Draws) -> None:
        """Set the positive part of the weights on one side, the negative part on the other; counters start anew."""
        minus, plus = self.cells()
        plus.set(weights.clamp(min=0.0), draws)
        minus.set((-weights).clamp(min=0.0), draws)
        self.vectors.zero_()
        self.refresh_counter.zero_()

    def counters(self) -> dict[str, Tensor]:
        """See :meth:`Array.counters`."""
        return {"refresh_counter": self.refresh_counter}
