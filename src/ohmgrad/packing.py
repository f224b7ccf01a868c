"""Nested plain values as JSON and a flat table of tensors, and back: the same values, types and bits."""

from __future__ import annotations

import math
from collections import Counter, OrderedDict
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from ohmgrad.errors import CheckpointError

_SEQUENCES: dict[str, type] = {"tuple": tuple, "set": set}
_MAPPINGS: dict[str, type[dict[Any, Any]]] = {"dict": dict, "ordered": OrderedDict, "counter": Counter}
_KINDS: dict[type, str] = {kind: name for name, kind in {**_SEQUENCES, **_MAPPINGS}.items()}


def pack(value: Any, where: tuple[str, ...], tensors: dict[str, Tensor]) -> Any:
    """A value as what JSON knows; tensors go into the table, and their names stand for them.

    A tensor that is met again, as tied weights are, is stored once.

    :param where: what leads to the value, for the names of tensors and for errors.
    :raises CheckpointError: if something is neither a tensor nor of a plain type, or has no memory.
    """
    return _pack(value, where, tensors, {})


def _pack(value: Any, where: tuple[str, ...], tensors: dict[str, Tensor], known: dict[Any, str]) -> Any:
    kind = type(value)  # exactly: a number of NumPy is a float to isinstance, but no plain one in a file
    if value is None or kind in (bool, int, str) or (kind is float and math.isfinite(value)):
        return value
    if kind is float:
        return {"float": repr(value)}
    if kind is list:
        return [_pack(each, (*where, str(k)), tensors, known) for k, each in enumerate(value)]
    if kind in (Tensor, nn.Parameter):
        return {"tensor": _named(value.detach(), where, tensors, known)}
    if kind not in _KINDS:
        raise CheckpointError(
            f"{'.'.join(where)} is a {kind.__module__}.{kind.__qualname__}. Files hold tensors, numbers, strings, None,"
            " and lists, tuples, sets and dictionaries of these. Convert it, or leave it out."
        )
    name = _KINDS[kind]
    if name in _SEQUENCES:
        return {name: [_pack(each, (*where, str(k)), tensors, known) for k, each in enumerate(value)]}
    items = [
        [_pack(key, (*where, "key"), tensors, known), _pack(each, (*where, str(key)), tensors, known)]
        for key, each in value.items()
    ]
    attributes = getattr(value, "__dict__", None)  # of a state: the versions of its modules
    more = {"attributes": _pack(attributes, (*where, "attributes"), tensors, known)} if attributes else {}
    return {name: items, **more}


def _named(value: Tensor, where: tuple[str, ...], tensors: dict[str, Tensor], known: dict[Any, str]) -> str:
    """Put a tensor into the table, if it is not there, and say what it is called."""
    if value.is_meta or value.layout is not torch.strided:
        what = "on the meta device" if value.is_meta else "sparse"
        raise CheckpointError(f"{'.'.join(where)} is a tensor {what}. Give it memory of its own, or leave it out.")
    same = (value.device, value.data_ptr(), value.dtype, value.shape, value.stride(), value.is_conj())
    if same not in known:
        name = ".".join(where)
        while name in tensors:  # keys may hold dots
            name += "_"
        tensors[name], known[same] = value, name
    return known[same]


def unpack(packed: Any, tensors: dict[str, Tensor]) -> Any:
    """What :func:`pack` was given.

    :raises KeyError: or another error, if it was not made by that.
    """
    if isinstance(packed, list):
        return [unpack(each, tensors) for each in packed]
    if not isinstance(packed, dict):
        return packed
    name, content = next(iter(packed.items()))
    if name in _MAPPINGS:
        value = _MAPPINGS[name]({unpack(key, tensors): unpack(each, tensors) for key, each in content})
        if "attributes" in packed:
            vars(value).update(unpack(packed["attributes"], tensors))
        return value
    made: dict[str, Callable[[Any], Any]] = {"float": float, "tensor": tensors.__getitem__}
    if name in made:
        return made[name](content)
    return _SEQUENCES[name](unpack(content, tensors))
