"""Everything a user configures: one import for every config, device, compound, parameter class and choice.

A family of devices says itself what it offers, in its ``__all__``.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field, PrivateAttr, field_validator

from ohmgrad.algorithms.base import Compound, DigitalRankUpdateCell
from ohmgrad.algorithms.buffered import BufferedTransferCompound
from ohmgrad.algorithms.chopped import ChoppedTransferCompound
from ohmgrad.algorithms.dynamic import DynamicTransferCompound
from ohmgrad.algorithms.mixed_precision import MixedPrecisionCompound
from ohmgrad.algorithms.transfer import TransferCompound
from ohmgrad.cells.base import Cell, UnitCell
from ohmgrad.cells.one_sided import OneSidedUnitCell
from ohmgrad.cells.vector import ReferenceUnitCell, VectorUnitCell
from ohmgrad.devices import (
    constant_step,
    exp_step,
    ideal,
    linear_step,
    piecewise_step,
    pow_step,
    response,
    soft_bounds_pmax,
    soft_bounds_reference,
)
from ohmgrad.devices.base import PulsedDevice, WriteNoiseDevice
from ohmgrad.devices.constant_step import *
from ohmgrad.devices.exp_step import *
from ohmgrad.devices.ideal import *
from ohmgrad.devices.linear_step import *
from ohmgrad.devices.piecewise_step import *
from ohmgrad.devices.pow_step import *
from ohmgrad.devices.response import *
from ohmgrad.devices.soft_bounds_pmax import *
from ohmgrad.devices.soft_bounds_reference import *
from ohmgrad.parameters.base import Config
from ohmgrad.parameters.drift import DriftParameter, SimpleDriftParameter
from ohmgrad.parameters.enums import (
    AnalogMVType,
    BoundManagementType,
    NoiseManagementType,
    PulseType,
    VectorUnitCellUpdatePolicy,
    WeightNoiseType,
)
from ohmgrad.parameters.io import IOParameters
from ohmgrad.parameters.mapping import MappingParameter
from ohmgrad.parameters.pre_post import InputRangeParameter, PrePostProcessingParameter
from ohmgrad.parameters.runtime import RuntimeParameter
from ohmgrad.parameters.update import UpdateParameters


class TileConfig(Config):
    """What every kind of tile configuration holds beside its device."""

    forward: IOParameters = Field(default_factory=IOParameters)
    """Converters and noise of the forward product."""
    backward: IOParameters = Field(default_factory=IOParameters)
    """Converters and noise of the backward product."""
    update: UpdateParameters = Field(default_factory=UpdateParameters)
    """How gradients become pulses."""
    mapping: MappingParameter = Field(default_factory=MappingParameter)
    """How the weight of a layer becomes conductances on one or more tiles."""
    pre_post: PrePostProcessingParameter = Field(default_factory=PrePostProcessingParameter)
    """What is done digitally before and after a tile."""
    runtime: RuntimeParameter = Field(default_factory=RuntimeParameter)
    """How the simulation is run."""


class SingleRPUConfig(TileConfig):
    """One device at every cross point, trained by analog SGD."""

    device: PulsedDevice | IdealDevice = Field(default_factory=ConstantStepDevice)
    """The device."""

    @field_validator("device", mode="before")
    @classmethod
    def _is_a_device(cls, value: Any) -> Any:
        _belongs_here(value, cls)
        if not isinstance(value, (PulsedDevice, IdealDevice)):
            raise ValueError("give a device, for example SoftBoundsDevice()")
        return value


class UnitCellRPUConfig(TileConfig):
    """Several devices at every cross point, trained by the rule of a compound."""

    device: UnitCell
    """The compound: its devices and its rule."""

    @field_validator("device", mode="before")
    @classmethod
    def _is_a_compound(cls, value: Any) -> Any:
        _belongs_here(value, cls)
        if not isinstance(value, UnitCell):
            raise ValueError("give a compound, for example TransferCompound(unit_cell_devices=[...])")
        return value


class DigitalRankUpdateRPUConfig(TileConfig):
    """One device or cell at every cross point, trained by a rule that collects gradients digitally."""

    device: DigitalRankUpdateCell
    """The rule, which holds the device."""

    @field_validator("device", mode="before")
    @classmethod
    def _is_a_digital_rule(cls, value: Any) -> Any:
        if isinstance(value, (PulsedDevice, Cell)):
            raise ValueError("a device or cell goes into the rule, MixedPrecisionCompound(device=...)")
        _belongs_here(value, cls)
        if not isinstance(value, DigitalRankUpdateCell):
            raise ValueError("give a rule, for example MixedPrecisionCompound(device=...)")
        return value


class FloatingPointRPUConfig(Config):
    """Digital weights: exact products and exact updates."""

    device: FloatingPointDevice = Field(default_factory=FloatingPointDevice)
    """What time does to the weights."""
    mapping: MappingParameter = Field(default_factory=MappingParameter)
    """How the weight of a layer becomes conductances on one or more tiles."""
    pre_post: PrePostProcessingParameter = Field(default_factory=PrePostProcessingParameter)
    """What is done digitally before and after a tile."""
    runtime: RuntimeParameter = Field(default_factory=RuntimeParameter)
    """How the simulation is run."""

    _product: IOParameters = PrivateAttr(default_factory=lambda: IOParameters(is_perfect=True))
    _update: UpdateParameters = PrivateAttr(default_factory=lambda: UpdateParameters(pulse_type=PulseType.NONE))

    @property
    def forward(self) -> IOParameters:
        """An exact product."""
        return self._product

    @property
    def backward(self) -> IOParameters:
        """An exact product."""
        return self._product

    @property
    def update(self) -> UpdateParameters:
        """An exact update."""
        return self._update


def _belongs_here(value: Any, here: type[TileConfig]) -> None:
    """Raise ``ValueError`` if a device or a rule goes into another configuration than ``here``."""
    for kinds, what, home in (
        (DigitalRankUpdateCell, "a rule with a digital gradient", DigitalRankUpdateRPUConfig),
        (UnitCell, "a compound", UnitCellRPUConfig),
        ((PulsedDevice, IdealDevice), "a single device", SingleRPUConfig),
    ):
        if isinstance(value, kinds) and not issubclass(here, home):
            raise ValueError(f"{what} goes into {home.__name__}(device=...)")


RPUConfig = FloatingPointRPUConfig | SingleRPUConfig | UnitCellRPUConfig | DigitalRankUpdateRPUConfig
"""Any tile configuration."""

__all__ = [
    "AnalogMVType",
    "BoundManagementType",
    "BufferedTransferCompound",
    "Cell",
    "ChoppedTransferCompound",
    "Compound",
    "Config",
    "DigitalRankUpdateCell",
    "DigitalRankUpdateRPUConfig",
    "DriftParameter",
    "DynamicTransferCompound",
    "FloatingPointRPUConfig",
    "IOParameters",
    "InputRangeParameter",
    "MappingParameter",
    "MixedPrecisionCompound",
    "NoiseManagementType",
    "OneSidedUnitCell",
    "PulseType",
    "PulsedDevice",
    "RPUConfig",
    "ReferenceUnitCell",
    "RuntimeParameter",
    "SimpleDriftParameter",
    "SingleRPUConfig",
    "TileConfig",
    "TransferCompound",
    "UnitCell",
    "UnitCellRPUConfig",
    "UpdateParameters",
    "VectorUnitCell",
    "VectorUnitCellUpdatePolicy",
    "WeightNoiseType",
    "WriteNoiseDevice",
]
__all__ += constant_step.__all__
__all__ += exp_step.__all__
__all__ += ideal.__all__
__all__ += linear_step.__all__
__all__ += piecewise_step.__all__
__all__ += pow_step.__all__
__all__ += response.__all__
__all__ += soft_bounds_pmax.__all__
__all__ += soft_bounds_reference.__all__
