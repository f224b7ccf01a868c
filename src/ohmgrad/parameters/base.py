"""The base of everything a user configures: validated when made and when assigned to."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.fields import FieldInfo

from ohmgrad.errors import ConfigError, suggestion


class Config(BaseModel):
    """A set of named parameters.

    Fields stay assignable; every assignment is validated. An unknown field or a wrong type raises
    :class:`~ohmgrad.errors.ConfigError`, which names the class, the field, the value and the nearest field
    that exists. An ``int`` is accepted where a ``float`` is expected; a ``bool`` is not.
    """

    model_config = ConfigDict(
        extra="forbid",
        validate_assignment=True,
        strict=True,
        use_attribute_docstrings=True,
        arbitrary_types_allowed=True,
        ser_json_inf_nan="constants",
    )

    first_field: ClassVar[str | None] = None
    """The one field that may be given without its name, if there is one."""

    def __init__(self, *positional: Any, **fields: Any) -> None:
        if len(positional) == 1 and self.first_field is not None and self.first_field not in fields:
            fields, positional = {self.first_field: positional[0], **fields}, ()
        if positional:
            raise ConfigError(f"{type(self).__name__} takes its fields by name: {', '.join(type(self).model_fields)}.")
        fields = {name: _native(value) for name, value in fields.items()}
        try:
            super().__init__(**fields)
        except ValidationError as error:
            raise ConfigError(_explain(type(self), error)) from None
        for name in type(self).model_fields:
            _reject_nan(type(self), name, getattr(self, name))

    def __setattr__(self, name: str, value: Any) -> None:
        value = _native(value)
        _reject_nan(type(self), name, value)
        values, given = dict(self.__dict__), set(self.model_fields_set)
        try:
            super().__setattr__(name, value)
        except ValidationError as error:
            # A check of several fields together runs after the assignment.
            self.__dict__.update(values)
            object.__setattr__(self, "__pydantic_fields_set__", given)
            raise ConfigError(_explain(type(self), error)) from None

    def replaced(self, **fields: Any) -> Any:
        """A deep copy with some fields changed; validated as a whole."""
        copy = self.model_copy(deep=True)
        kept = type(self).model_fields.keys() - self.derived().keys()
        return type(self)(**({name: getattr(copy, name) for name in kept} | fields))

    def derived(self) -> dict[str, float]:
        """Fields whose values follow from other fields, by name. They cannot be given."""
        return {}

    def describe(self) -> dict[str, Any]:
        """The configuration as plain JSON values, with the class name under ``"$"``."""
        plain: dict[str, Any] = {"$": type(self).__name__}
        for name in type(self).model_fields:
            plain[name] = _plain(getattr(self, name))
        return plain


def unknown_to(config: Config, *makers: str) -> list[str]:
    """Numbers that a class adds, with nothing that could use them, to the one that it inherits all ``makers`` from."""
    order = type(config).__mro__
    first = next((k for k, each in enumerate(order) if any(name in vars(each) for name in makers)), len(order))
    known = {name for each in order[first:] for name in _fields(each)}
    for each in order[:first]:
        if any(_is_code(name, value) for name, value in vars(each).items()):
            known |= set(_fields(each))
    numbers = (name for name in type(config).model_fields if isinstance(getattr(config, name), (int, float, list)))
    return [name for name in numbers if name not in known]


def _is_code(name: str, value: Any) -> bool:
    """Whether an entry of a class is a method, a property or a validator that somebody wrote."""
    return not name.startswith("__") and (callable(value) or isinstance(value, (property, classmethod, staticmethod)))


def _fields(kind: type) -> dict[str, FieldInfo]:
    """The fields of a class by name; none if it is no configuration."""
    return getattr(kind, "model_fields", {})


def _plain(value: Any) -> Any:
    if isinstance(value, Config):
        return value.describe()
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return getattr(value, "name", value)


def _native(value: Any) -> Any:
    """A number or an array of NumPy as Python's own, and a tuple as a list."""
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    return list(value) if isinstance(value, tuple) else value


def _reject_nan(owner: type[BaseModel], name: str, value: Any) -> None:
    values = value if isinstance(value, (list, tuple)) else [value]
    if any(isinstance(item, float) and math.isnan(item) for item in values):
        raise ConfigError(f"{owner.__name__}.{name} = {value}: NaN is not a number. Give one.")


def _explain(owner: type[BaseModel], error: ValidationError) -> str:
    """One line per problem: class and field, what was given, what is allowed."""
    lines = []
    for problem in error.errors():
        name = ".".join(str(part) for part in problem["loc"])
        value = problem.get("input")
        if problem["type"] in ("extra_forbidden", "no_such_attribute"):
            hint = suggestion(name, owner.model_fields, "It has")
            lines.append(f"{owner.__name__} has no field {name!r} (given {value!r}). {hint}")
        else:
            text = problem["msg"].removeprefix("Value error, ")
            given = type(value).__name__ if isinstance(value, BaseModel) else repr(value)
            what = f"{owner.__name__}.{name} = {given}" if name else owner.__name__
            lines.append(f"{what}: {text}.")
    return "\n".join(lines)
