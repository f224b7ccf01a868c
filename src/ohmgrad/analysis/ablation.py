"""Configurations without one of their non-idealities, to find out which of them harms."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import Enum
from typing import Any, TypeVar

from ohmgrad.configs import Config, IOParameters, PulsedDevice
from ohmgrad.devices.ideal import ExactDevice
from ohmgrad.devices.reference import ReferenceDevice
from ohmgrad.errors import ConfigError
from ohmgrad.parameters.drift import SimpleDriftParameter

SomeConfig = TypeVar("SomeConfig", bound=Config)


class NonIdeality(Enum):
    """What :func:`without` can switch off."""

    DEVICE_VARIATION = "device variation"
    """Every ``*_dtod`` of a device and its drift is 0: all cells are the mean cell."""
    STUCK_CELLS = "stuck cells"
    """``corrupt_devices_prob`` is 0."""
    CYCLE_NOISE = "cycle noise"
    """``dw_min_std`` is 0: pulses have no noise."""
    WRITE_NOISE = "write noise"
    """``write_noise_std`` is 0: what is read is what pulses move."""
    ASYMMETRY = "asymmetry"
    """The mean cell does up at w what it does down at -w: every field is the mean of that of the device and that of its
    mirror image, bounds included, so that its symmetric point is 0. What differs from cell to cell
    (``up_down_dtod``) is device variation."""
    CONVERTERS = "converters"
    """``is_perfect`` in all products and reads: no resolution, noise, bounds or drop of voltage."""
    TIME = "time"
    """No decay (``lifetime``), diffusion or drift."""
    REFERENCE_OFFSETS = "reference offsets"
    """A device with a reference has it exactly at the symmetric point of each cell."""


def without(config: SomeConfig, *effects: NonIdeality | str) -> SomeConfig:
    """A copy of a configuration in which some non-idealities are off, in every device and converter that it contains.

    Bounds stay: they are a part of the law. What pulses themselves do, their number and their chance, is no entry of
    this list either; ``pulse_type=PulseType.MEAN_FIELD`` leaves it out. Nor is what happens to programmed chips.

    :param config: an RPU configuration, or any part of one; :param effects: members of :class:`NonIdeality`, or their
        values, such as ``"cycle noise"``.
    :raises ConfigError: if a name is unknown.
    """
    for effect in effects:
        config = _mapped(config, _SWITCHES[_member(effect)])
    return config.model_copy(deep=True)


def ablations(config: SomeConfig) -> Iterator[tuple[NonIdeality, SomeConfig]]:
    """Each non-ideality that a configuration has, with the configuration that lacks it alone."""
    here = config.describe()
    for effect in NonIdeality:
        variant = without(config, effect)
        if variant.describe() != here:
            yield effect, variant


def _member(effect: NonIdeality | str) -> NonIdeality:
    try:
        return NonIdeality(effect)
    except ValueError:
        names = ", ".join(repr(member.value) for member in NonIdeality)
        raise ConfigError(f"without: {effect!r} is no non-ideality. Give {names}.") from None


def _mapped(config: Any, switch: Callable[[Config], dict[str, Any]]) -> Any:
    """A configuration whose parts, and at last itself, have the fields that ``switch`` gives."""

    def of(value: Any) -> Any:
        if isinstance(value, Config):
            return _mapped(value, switch)
        return [of(item) for item in value] if isinstance(value, list) else value

    fields = {name: getattr(config, name) for name in type(config).model_fields.keys() - config.derived().keys()}
    fields = {name: value for name, value in fields.items() if isinstance(value, (Config, list))}
    changed = {name: new for name, value in fields.items() if (new := of(value)) != value}
    config = config.replaced(**changed) if changed else config
    own = switch(config)
    return config.replaced(**own) if own else config


def _variation(config: Config) -> dict[str, Any]:
    is_cell = isinstance(config, (PulsedDevice, SimpleDriftParameter))
    return {name: 0.0 for name in type(config).model_fields if name.endswith("_dtod")} if is_cell else {}


def _field(name: str, kind: type[Config] = PulsedDevice) -> Callable[[Config], dict[str, Any]]:
    """The switch that sets one field of devices to 0, where there is one."""
    return lambda config: {name: 0.0} if isinstance(config, kind) and name in type(config).model_fields else {}


def _symmetric(config: Config) -> dict[str, Any]:
    if not isinstance(config, PulsedDevice):
        return {}
    mirror, kept = config.mirrored(), {"reset", "reference_mean", *config.derived()}
    pairs = ((name, getattr(config, name), getattr(mirror, name)) for name in type(config).model_fields.keys() - kept)
    return {name: _mean(mine, other) for name, mine, other in pairs if mine != other}


def _mean(mine: Any, other: Any) -> Any:
    """Of numbers and tables of them; of truth values, whether both hold."""
    if isinstance(mine, bool):
        return mine and other
    if isinstance(mine, list):
        return [_mean(*pair) for pair in zip(mine, other, strict=True)]
    return (mine + other) / 2.0


def _perfect(config: Config) -> dict[str, Any]:
    return {"is_perfect": True} if isinstance(config, IOParameters) else {}


def _timeless(config: Config) -> dict[str, Any]:
    if isinstance(config, SimpleDriftParameter):
        return {"nu": 0.0}
    return {"lifetime": 0.0, "diffusion": 0.0} if isinstance(config, (PulsedDevice, ExactDevice)) else {}


def _shifted(config: Config) -> dict[str, Any]:
    if not isinstance(config, ReferenceDevice):
        return {}
    return {"reference_mean": 0.0, "reference_std": 0.0, "subtract_symmetry_point": True}


_SWITCHES: dict[NonIdeality, Callable[[Config], dict[str, Any]]] = {
    NonIdeality.DEVICE_VARIATION: _variation,
    NonIdeality.STUCK_CELLS: _field("corrupt_devices_prob"),
    NonIdeality.CYCLE_NOISE: _field("dw_min_std"),
    NonIdeality.WRITE_NOISE: _field("write_noise_std"),
    NonIdeality.ASYMMETRY: _symmetric,
    NonIdeality.CONVERTERS: _perfect,
    NonIdeality.TIME: _timeless,
    NonIdeality.REFERENCE_OFFSETS: _shifted,
}
