"""The configurations of aihwkit by name: those of ohmgrad, which also know their tiles, and whole ones as classes."""

from __future__ import annotations

from enum import Enum
from typing import Any, Literal

from pydantic import Field

from ohmgrad import configs as native
from ohmgrad import presets
from ohmgrad.compat.errors import ArgumentError
from ohmgrad.compat.kinds import KnowsTiles
from ohmgrad.errors import ConfigError
from ohmgrad.presets.algorithms import algorithm_of


class InputRangeParameter(native.InputRangeParameter):
    """See :class:`ohmgrad.configs.InputRangeParameter`; what it has not can be named at its default."""

    manage_output_clipping: Literal[False] = False
    output_min_percentage: float = 0.95
    calibration_info: None = None


class PrePostProcessingParameter(native.PrePostProcessingParameter):
    """See :class:`ohmgrad.configs.PrePostProcessingParameter`."""

    input_range: native.InputRangeParameter = Field(default_factory=InputRangeParameter)


class FloatingPointRPUConfig(KnowsTiles, native.FloatingPointRPUConfig):
    """See :class:`ohmgrad.configs.FloatingPointRPUConfig`."""

    pre_post: native.PrePostProcessingParameter = Field(default_factory=PrePostProcessingParameter)


class SingleRPUConfig(KnowsTiles, native.SingleRPUConfig):
    """See :class:`ohmgrad.configs.SingleRPUConfig`."""

    pre_post: native.PrePostProcessingParameter = Field(default_factory=PrePostProcessingParameter)


class UnitCellRPUConfig(KnowsTiles, native.UnitCellRPUConfig):
    """See :class:`ohmgrad.configs.UnitCellRPUConfig`."""

    pre_post: native.PrePostProcessingParameter = Field(default_factory=PrePostProcessingParameter)


class DigitalRankUpdateRPUConfig(KnowsTiles, native.DigitalRankUpdateRPUConfig):
    """See :class:`ohmgrad.configs.DigitalRankUpdateRPUConfig`."""

    pre_post: native.PrePostProcessingParameter = Field(default_factory=PrePostProcessingParameter)


class InferenceRPUConfig(KnowsTiles, native.InferenceRPUConfig):
    """See :class:`ohmgrad.configs.InferenceRPUConfig`."""

    pre_post: native.PrePostProcessingParameter = Field(default_factory=PrePostProcessingParameter)


class TorchInferenceRPUConfig(InferenceRPUConfig):
    """The same; there is one implementation."""


class RuntimeParameter(native.RuntimeParameter):
    """Settings that mean nothing here are taken and left."""

    data_type: Any = None
    on_the_fly_bindings: bool = False
    offload_input: bool = False
    offload_gradient: bool = False


class RPUDataType(Enum):
    """Types of numbers that cells can have in aihwkit; here they are single."""

    FLOAT = "float"
    DOUBLE = "double"
    HALF = "half"


class AnalogContextDataViewMode(Enum):
    """What a visible weight shows in aihwkit; here it shows the weight."""

    PLACEHOLDER = "placeholder"
    DATA_VIEW = "data_view"
    BUFFER = "buffer"


def build_config(
    algorithm: str,
    device: Any = None,
    io_parameters: Any = None,
    up_parameters: Any = None,
    n_devices: int | None = None,
    construction_seed: int = 0,
    **fields: Any,
) -> Any:
    """A configuration by the name of its rule, see :func:`ohmgrad.presets.build_config`.

    :raises ArgumentError: if there is no such rule.
    """
    try:
        algorithm_of(algorithm)
    except ConfigError as error:
        raise ArgumentError(str(error)) from None
    given = {"device": device, "io_parameters": io_parameters, "up_parameters": up_parameters}
    named = {name: value for name, value in given.items() if value is not None} | fields
    return known(presets.build_config(algorithm, n_devices=n_devices, construction_seed=construction_seed, **named))


_KINDS = (
    InferenceRPUConfig,
    SingleRPUConfig,
    UnitCellRPUConfig,
    DigitalRankUpdateRPUConfig,
    FloatingPointRPUConfig,
)


def known(config: Any) -> Any:
    """A configuration of ohmgrad as one that knows its tiles."""
    kind: Any = next(kind for kind in _KINDS if isinstance(config, kind.__mro__[2]))
    return kind(**{name: getattr(config, name) for name in kind.model_fields})


def preset(name: str) -> type[native.Config]:
    """A whole configuration as a class, such as ``TTv2EcRamPreset``."""
    make: Any = getattr(presets, name)
    base = type(known(make()))

    def begin(self: Any, **fields: Any) -> None:
        made = known(make(**fields))
        base.__init__(self, **{field: getattr(made, field) for field in type(made).model_fields})

    return type(name, (base,), {"__init__": begin, "__module__": __name__, "__doc__": f"See ohmgrad.presets.{name}."})
