"""Cells of several devices: what they share, and how any cell becomes an array."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from typing import Any, ClassVar

from pydantic import Field

from ohmgrad.devices.base import PulsedDevice, require
from ohmgrad.engine.array import CellArray
from ohmgrad.engine.base_array import Array
from ohmgrad.engine.site import Site
from ohmgrad.errors import ConfigError
from ohmgrad.parameters.base import Config


class UnitCell(Config):
    """Several devices at every cross point."""

    first_field: ClassVar[str | None] = "unit_cell_devices"

    unit_cell_devices: list[Any] = Field(default_factory=list)
    """The devices of one cross point."""
    construction_seed: int = Field(default=0, ge=0)
    """Seed of the cell-to-cell variation, and of the circuits that read the cells; 0: follows the seed of the tile."""

    def check(self) -> None:
        """Raise :class:`~ohmgrad.errors.ConfigError` if the parameters do not fit together."""
        return


class Cell(UnitCell, ABC):
    """Several devices that together store one weight. Wherever a device can stand, so can a cell."""

    def check(self) -> None:
        """Raise :class:`~ohmgrad.errors.ConfigError` if the parameters do not fit together."""
        name = type(self).__name__
        require(bool(self.unit_cell_devices), f"{name}.unit_cell_devices is empty. Give the devices of a cross point.")
        for device in self.unit_cell_devices:
            checked(device, f"{name}.unit_cell_devices")

    @property
    def weight_granularity(self) -> float:
        """Step that the pulse generator counts with: the mean over the devices."""
        devices = self.unit_cell_devices
        return sum(float(device.weight_granularity) for device in devices) / len(devices)

    @property
    def num_states(self) -> float:
        """Number of steps between the bounds: the mean over the devices."""
        return sum(float(device.num_states) for device in self.unit_cell_devices) / len(self.unit_cell_devices)

    @abstractmethod
    def build_array(self, site: Site) -> Array:
        """The array of such cells; see :func:`make_array`."""


Device = PulsedDevice | Cell
"""What can stand at a cross point."""


def checked(device: Any, where: str) -> Device:
    """The device, if it can stand at a cross point and its fields fit together.

    :param where: what it is called in the error.
    :raises ConfigError: otherwise.
    """
    if not isinstance(device, (PulsedDevice, Cell)):
        raise ConfigError(f"{where} holds {type(device).__name__}. Give a pulsed device or a cell of several.")
    device.check()
    return device


def pair_of(devices: list[Any]) -> list[Any]:
    """Two devices: a single one is doubled."""
    return [devices[0], copy.deepcopy(devices[0])] if len(devices) == 1 else devices


def make_array(device: Device, site: Site) -> Array:
    """An array of devices or of cells."""
    if isinstance(device, PulsedDevice):
        return CellArray(device, site)
    return device.build_array(site.seeded(device.construction_seed))
