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
from ohmgrad.algorithms.low_rank import LowRankTransferCompound
from ohmgrad.algorithms.mixed_precision import MixedPrecisionCompound
from ohmgrad.algorithms.multi_tile import MultiTileTransferCompound
from ohmgrad.algorithms.residual import ResidualTransferCompound
from ohmgrad.algorithms.rider import ERiderTransferCompound, RiderTransferCompound
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
from ohmgrad.devices.base import PulsedDevice, WriteNoiseDevice, require
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
from ohmgrad.parameters.drift_compensation import GlobalDriftCompensation
from ohmgrad.parameters.enums import (
    AnalogMVType,
    BoundManagementType,
    NoiseManagementType,
    PulseType,
    VectorUnitCellUpdatePolicy,
    WeightClipType,
    WeightModifierType,
    WeightNoiseType,
    WeightRemapType,
)
from ohmgrad.parameters.io import IOParameters
from ohmgrad.parameters.mapping import MappingParameter
from ohmgrad.parameters.memory_noise import NoiseModel, PCMLikeNoiseModel
from ohmgrad.parameters.modifier import WeightModifierParameter
from ohmgrad.parameters.pre_post import InputRangeParameter, PrePostProcessingParameter
from ohmgrad.parameters.runtime import RuntimeParameter
from ohmgrad.parameters.update import UpdateParameters
from ohmgrad.parameters.weight_range import WeightClipParameter, WeightRemapParameter


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


class InferenceRPUConfig(TileConfig):
    """Training for a chip: exact weights, made to bear what will happen to them once they are programmed.

    Products in training see disturbed weights (``modifier``); after every step of the optimizer weights are clipped,
    then remapped, then disturbed anew. The forward product has its converters and noise.

    With a device that takes pulses, ``update`` has to say which; then weights may be clipped to a fixed value only, and
    not remapped.
    """

    device: PulsedDevice | IdealDevice = Field(default_factory=IdealDevice)
    """The device that is trained."""
    backward: IOParameters = Field(default_factory=lambda: IOParameters(is_perfect=True))
    """Converters and noise of the backward product: none."""
    update: UpdateParameters = Field(default_factory=lambda: UpdateParameters(pulse_type=PulseType.NONE))
    """How weights follow gradients: exactly."""
    modifier: WeightModifierParameter = Field(default_factory=WeightModifierParameter)
    """How weights are disturbed in training."""
    clip: WeightClipParameter = Field(default_factory=WeightClipParameter)
    """To what weights are clipped after every step."""
    remap: WeightRemapParameter = Field(default_factory=WeightRemapParameter)
    """How weights are made to fill the range of the cells after every step."""
    noise_model: NoiseModel = Field(default_factory=PCMLikeNoiseModel)
    """The memory of the chip, for ``ohmgrad.inference`` unless it is told otherwise."""
    drift_compensation: GlobalDriftCompensation | None = Field(default_factory=GlobalDriftCompensation)
    """What is done there about drift; None: nothing."""

    @field_validator("device", mode="before")
    @classmethod
    def _is_a_device(cls, value: Any) -> Any:
        _belongs_here(value, cls)
        if not isinstance(value, (PulsedDevice, IdealDevice)):
            raise ValueError("give IdealDevice(), or a device that takes pulses")
        return value

    def check(self) -> None:
        """Raise :class:`~ohmgrad.errors.ConfigError` if the parameters do not fit together."""
        clip, remap, name = self.clip, self.remap, type(self).__name__
        require(
            clip.type is not WeightClipType.FIXED_VALUE or clip.fixed_value > 0.0,
            f"WeightClipParameter.fixed_value = {clip.fixed_value} with FIXED_VALUE. Give a positive number.",
        )
        if isinstance(self.device, IdealDevice):
            return
        device = type(self.device).__name__
        require(
            self.update.pulse_type is not PulseType.NONE,
            f"{name}: {device} would not be used, since update.pulse_type is NONE. Set update=UpdateParameters() for"
            " pulses, or device=IdealDevice().",
        )
        require(
            clip.type in (WeightClipType.NONE, WeightClipType.FIXED_VALUE),
            f"{name}: clip.type = {clip.type.name} cannot be done to cells such as {device}. Use FIXED_VALUE.",
        )
        require(
            remap.type is WeightRemapType.NONE,
            f"{name}: remap.type = {remap.type.name} cannot be done to cells such as {device}. Use NONE, or"
            " device=IdealDevice().",
        )


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
        homes = (home, InferenceRPUConfig) if home is SingleRPUConfig else home
        if isinstance(value, kinds) and not issubclass(here, homes):
            raise ValueError(f"{what} goes into {home.__name__}(device=...)")


RPUConfig = (
    FloatingPointRPUConfig | SingleRPUConfig | UnitCellRPUConfig | DigitalRankUpdateRPUConfig | InferenceRPUConfig
)
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
    "ERiderTransferCompound",
    "FloatingPointRPUConfig",
    "GlobalDriftCompensation",
    "IOParameters",
    "InferenceRPUConfig",
    "InputRangeParameter",
    "LowRankTransferCompound",
    "MappingParameter",
    "MixedPrecisionCompound",
    "MultiTileTransferCompound",
    "NoiseManagementType",
    "NoiseModel",
    "OneSidedUnitCell",
    "PCMLikeNoiseModel",
    "PrePostProcessingParameter",
    "PulseType",
    "PulsedDevice",
    "RPUConfig",
    "ReferenceUnitCell",
    "ResidualTransferCompound",
    "RiderTransferCompound",
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
    "WeightClipParameter",
    "WeightClipType",
    "WeightModifierParameter",
    "WeightModifierType",
    "WeightNoiseType",
    "WeightRemapParameter",
    "WeightRemapType",
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
