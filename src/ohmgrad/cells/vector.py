"""Cells whose weight is a weighted sum of devices: vector cells, and a device with a reference device."""

from __future__ import annotations

import math
from typing import Any

import torch
from pydantic import Field, field_validator
from torch import Tensor

from ohmgrad.cells.base import Cell, make_array, pair_of
from ohmgrad.cells.composite import CompositeArray
from ohmgrad.devices.base import require
from ohmgrad.engine.base_array import Array
from ohmgrad.engine.draws import Draws, Stream
from ohmgrad.engine.host import last_of
from ohmgrad.engine.replay import Events
from ohmgrad.engine.samples import Plan
from ohmgrad.engine.site import Site
from ohmgrad.errors import TileError
from ohmgrad.parameters.enums import VectorUnitCellUpdatePolicy


class VectorUnitCell(Cell):
    r"""Any number of devices that together store one weight, :math:`W = \sum_k \gamma_k w_k`.

    The pulses of a sample go to the devices that the update policy names. They are counted with the mean granularity
    of the devices, whatever the policy and the :math:`\gamma_k`: with the default :math:`\gamma_k = 1/n` and one
    device at a time, a gradient moves W by a share 1/n of what it asks for.
    """

    update_policy: VectorUnitCellUpdatePolicy = VectorUnitCellUpdatePolicy.ALL
    """Which devices receive the pulses of a sample."""
    first_update_idx: int = Field(default=0, ge=0)
    """The device that receives the first sample, with the policies SINGLE_FIXED and SINGLE_SEQUENTIAL."""
    gamma_vec: list[float] = Field(default_factory=list)
    r"""The weights :math:`\gamma_k`; by default 1/n each. They need not add up to 1."""

    @property
    def gammas(self) -> list[float]:
        r"""The weights :math:`\gamma_k`."""
        n = len(self.unit_cell_devices)
        return self.gamma_vec or [1.0 / n] * n

    def check(self) -> None:
        """See :meth:`Cell.check`."""
        super().check()
        name, n = type(self).__name__, len(self.unit_cell_devices)
        given = len(self.gamma_vec)
        require(given in (0, n), f"{name}.gamma_vec has {given} entries for {n} devices. Give {n}, or none.")
        require(
            all(map(math.isfinite, self.gamma_vec)) and any(self.gammas),
            f"{name}.gamma_vec = {self.gamma_vec}. Give finite numbers that are not all 0.",
        )
        first = self.first_update_idx
        require(first < n, f"{name}.first_update_idx = {first}: there are {n} devices. Give a number below {n}.")
        require(
            self.gammas[first] != 0.0 or self.update_policy is not VectorUnitCellUpdatePolicy.SINGLE_FIXED,
            f"{name}.first_update_idx = {first}: the weight of that device in gamma_vec is 0, so that no update shows."
            " Give another.",
        )

    def build_array(self, site: Site) -> VectorArray:
        """See :meth:`Cell.build_array`."""
        index = next(site.indices)
        return VectorArray(self, index, [make_array(device, site) for device in self.unit_cell_devices])


class ReferenceUnitCell(VectorUnitCell):
    """A device and a reference device, :math:`W = w_0 - w_1`; only the first receives pulses.

    One device is enough: the reference is another of its kind. The reference starts at 0 and is programmed by setting
    the hidden parameter ``hidden_weights_1``.
    """

    update_policy: VectorUnitCellUpdatePolicy = VectorUnitCellUpdatePolicy.SINGLE_FIXED
    gamma_vec: list[float] = Field(default_factory=lambda: [1.0, -1.0])

    @field_validator("unit_cell_devices")
    @classmethod
    def _with_reference(cls, devices: list[Any]) -> list[Any]:
        return pair_of(devices)

    def check(self) -> None:
        """See :meth:`Cell.check`."""
        n = len(self.unit_cell_devices)
        require(n == 2, f"{type(self).__name__}.unit_cell_devices has {n} devices. Give one, or it and its reference.")
        super().check()


class VectorArray(CompositeArray):
    """An array of :class:`VectorUnitCell`."""

    current_device_idx: Tensor
    vectors: Tensor

    def __init__(self, config: VectorUnitCell, index: int, arrays: list[Array]) -> None:
        super().__init__(index, arrays, config.gammas, config.weight_granularity)
        self.config = config
        self.register_buffer("current_device_idx", torch.tensor(config.first_update_idx))
        self.register_counter("vectors")

    def _receivers(self, plan: Plan, draws: Draws) -> Tensor | None:
        """Which device receives each of the samples of a plan, int64 ``[n]``; None: all do."""
        policy, n = self.config.update_policy, len(self.arrays)
        place = torch.arange(len(plan), device=self.vectors.device)
        numbers = self.vectors + place
        self.vectors += plan.counted()
        if policy is VectorUnitCellUpdatePolicy.ALL:
            return None
        if policy is VectorUnitCellUpdatePolicy.SINGLE_FIXED:
            return self.current_device_idx.expand(len(plan))
        if policy is VectorUnitCellUpdatePolicy.SINGLE_SEQUENTIAL:
            receivers = (self.current_device_idx + place) % n
            self.current_device_idx.add_(plan.counted()).remainder_(n)
            return receivers
        receivers = draws.below(n, Stream.POLICY.of(self.index), numbers)
        self.current_device_idx.copy_(last_of(receivers, plan.counted(), self.current_device_idx))
        return receivers

    def replay(self, plan: Plan, events: Events, draws: Draws) -> Tensor:
        """See :meth:`Array.replay`; a read gives the sum of what the devices hold."""
        receivers = self._receivers(plan, draws)
        read = self.by_slice(self.shown).new_zeros(len(events), self.by_slice(self.shown).shape[1])
        for k, array in enumerate(self.parts()):
            mine = plan if receivers is None else plan.only(receivers == k)
            read.add_(array.replay(mine, events, draws), alpha=self.gammas[k])
        return read

    def set(self, weights: Tensor, draws: Draws) -> None:
        r"""Set the sum: all devices alike, or with SINGLE_FIXED only the one that receives pulses."""
        parts, total = self.parts(), sum(self.gammas)
        if self.config.update_policy is VectorUnitCellUpdatePolicy.SINGLE_FIXED:
            k = int(self.current_device_idx)
            if self.gammas[k] == 0.0:
                raise TileError(f"Device {k} has the weight 0 in gamma_vec: choose another before setting weights.")
            others = self.visible() - self.gammas[k] * parts[k].visible()
            parts[k].set((weights - others) / self.gammas[k], draws)
            return
        for gamma, array in zip(self.gammas, parts, strict=True):
            share = 1.0 / total if total != 0.0 else gamma / sum(gamma**2 for gamma in self.gammas)
            array.set(weights * share, draws)
        self.current_device_idx.fill_(self.config.first_update_idx)

    def counters(self) -> dict[str, Tensor]:
        """See :meth:`Array.counters`."""
        return {"current_device_idx": self.current_device_idx}
