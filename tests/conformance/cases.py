"""Recorded behaviour of the reference, as cases and as objects of this library."""

from __future__ import annotations

import gzip
import importlib
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

Case = dict[str, Any]

_HOMES = ("ohmgrad.configs", "ohmgrad.parameters.io", "ohmgrad.parameters.enums")


@cache
def _all() -> tuple[Case, ...]:
    with gzip.open(Path(__file__).with_name("reference.json.gz"), "rt") as file:
        return tuple(json.load(file)["cases"])


def load(kind: str, prefix: str = "") -> Iterator[Case]:
    """The recorded cases of one kind whose name starts with a prefix."""
    return (case for case in _all() if case["kind"] == kind and case["name"].startswith(prefix))


def build(nested: Any) -> Any:
    """The value that nested JSON stands for; an unknown class, field or member is a KeyError that names it."""
    if isinstance(nested, list):
        return [build(item) for item in nested]
    if not isinstance(nested, dict):
        return nested
    if "$enum" in nested:
        members = _named(nested["$enum"]).__members__
        if nested["name"] not in members:
            raise KeyError(f"{nested['$enum']} has no member {nested['name']}")
        return members[nested["name"]]
    kind = _named(nested["$"])
    fields = {name: build(value) for name, value in nested.items() if name != "$"}
    unknown = sorted(fields.keys() - kind.model_fields.keys())
    if unknown:
        raise KeyError(f"{nested['$']} has no field {', '.join(unknown)}")
    return kind(**fields)


def _named(name: str) -> Any:
    for home in _HOMES:
        try:
            module = importlib.import_module(home)
        except ModuleNotFoundError as error:
            if error.name != home:
                raise
            continue
        if hasattr(module, name):
            return getattr(module, name)
    raise KeyError(f"no class {name} in {' or '.join(_HOMES)}")
