"""Any field of a learning rule or of its cells as a setting that can be varied, beside those of its recipe."""

from __future__ import annotations

from typing import Any

from ohmgrad.configs import IdealDevice
from ohmgrad.errors import ConfigError, suggestion
from ohmgrad.lab.recipes import Knobs, Recipe
from ohmgrad.presets.code import MADE


def configure(recipe: Recipe, device: Any, knobs: Knobs) -> Any:
    """The configuration of a recipe; what the recipe does not read is a field of the compound, else of every cell.

    :raises ConfigError: a setting of the recipe is missing, there is no such field, or it does not take the value; or
        the values do not fit together.
    """
    if missing := [name for name in recipe.space if name not in knobs]:
        raise ConfigError(f"{recipe.title}: {missing[0]} is missing. Give it a value.")
    if knobs["lr"] < 0.0:
        raise ConfigError(f"{recipe.title}: lr = {knobs['lr']:g}. Give a learning rate of 0 or above.")
    config = recipe.build(device, knobs)
    fields = {name: value for name, value in knobs.items() if name not in recipe.knobs}
    if fields:
        config.device = _with_fields(config.device, fields)
    if getattr(config.device, "warm_start", False):
        raise ConfigError(
            f"{recipe.title}: warm_start = True, but the lab steps no WarmStart, so that the middle arrays would never "
            "be written. Leave it out, and train with ohmgrad.optim.WarmStart in a loop of your own."
        )
    if not isinstance(config.device, IdealDevice):  # it has nothing to check
        config.device.check()
    return config


def field_type(recipe: Recipe, device: Any, name: str) -> Any:
    """The type of the setting of a name.

    :raises ConfigError: if there is none; says which name is nearest.
    """
    if name in recipe.knobs:
        return float
    plain = {knob: scale.at(0.0) for knob, scale in recipe.space.items()}
    owners = _owners(recipe.build(device, plain).device)
    types = {field: info.annotation for owner in reversed(owners) for field, info in type(owner).model_fields.items()}
    if types.get(name) in (int, float, bool):
        return types[name]
    names = list(
        dict.fromkeys([*recipe.knobs, *(field for field, kind in types.items() if kind in (int, float, bool))])
    )
    raise ConfigError(f"{recipe.title} on this device has nothing called {name!r} to vary. {suggestion(name, names)}")


def _owners(device: Any) -> list[Any]:
    """Whose fields are asked: the compound, if there is one, then a cell."""
    return [device, *getattr(device, MADE, [])[:1]]


def _with_fields(device: Any, values: Knobs) -> Any:
    """A copy with some fields changed; those that a compound does not have are those of its cells."""
    own = {name: _typed(device, name, value) for name, value in values.items() if name in type(device).model_fields}
    others = {name: value for name, value in values.items() if name not in own}
    if others and hasattr(device, MADE):
        own[MADE] = [_with_fields(cell, others) for cell in getattr(device, MADE)]
    elif others:
        own |= others  # the device says that it has no such field
    return device.replaced(**own)


def _typed(device: Any, name: str, value: Any) -> Any:
    """A number as the field wants it: settings are kept as numbers."""
    wanted = type(device).model_fields[name].annotation
    whole = isinstance(value, float) and value.is_integer()
    if (wanted is bool and value in (0, 1)) or (wanted is int and whole):
        return wanted(value)
    return value
