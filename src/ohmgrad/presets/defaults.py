"""Classes that differ from another only in the values their fields begin with."""

from __future__ import annotations

import copy
from typing import Any, TypeVar

from pydantic import create_model

from ohmgrad.errors import ConfigError
from ohmgrad.parameters.base import Config

Kind = TypeVar("Kind", bound=Config)


def with_defaults(base: type[Kind], name: str, text: str, module: str, values: dict[str, Any]) -> type[Kind]:
    """A subclass with other defaults.

    :param base: the class; :param name: of the subclass; :param text: its docstring; :param module: where it can be
        found by its name; :param values: the defaults that differ.
    """
    fields: dict[str, Any] = {}
    for field, value in values.items():
        if field not in base.model_fields:
            raise ConfigError(f"{base.__name__} has no field {field!r} that {name} could set.")
        info = copy.copy(base.model_fields[field])  # with its limits and its description
        info.default, info.default_factory = value, None
        fields[field] = (info.annotation, info)
    kind: type[Kind] = create_model(name, __base__=base, __module__=module, __doc__=text, **fields)
    return kind
