"""Half precision around a tile: activations may be of any type, cells and all that is done with them are float32."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, Protocol, TypeVar

import torch
from torch import Tensor


class _HasWeight(Protocol):
    @property
    def _shown(self) -> Tensor: ...


P = ParamSpec("P")
T = TypeVar("T")
Tile = TypeVar("Tile", bound=_HasWeight)


def _region(tensor: Tensor) -> str | None:
    """The kind of a tensor's device, if a region of ``torch.autocast`` is on for it; some devices have none."""
    if tensor.is_cpu:
        return "cpu" if torch.is_autocast_enabled("cpu") else None
    kind = tensor.device.type
    return kind if torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind) else None


def cast_for_region(x: Tensor) -> Tensor:
    """What a region of ``torch.autocast`` makes of an input of ``torch.nn.Linear``: there, half precision."""
    kind = _region(x)
    if kind is None or not x.is_floating_point() or x.dtype == torch.float64:
        return x
    return x.to(torch.get_autocast_dtype(kind))


def in_single_precision(method: Callable[Concatenate[Tile, P], T]) -> Callable[Concatenate[Tile, P], T]:
    """Make a method of a tile compute what it says, also within a region of ``torch.autocast``.

    There, products of float32 matrices would be computed in half precision.
    """

    @wraps(method)
    def wrapped(tile: Tile, /, *arguments: P.args, **named: P.kwargs) -> T:
        shown = tile._shown
        kind = None if shown.is_cpu and not torch.is_autocast_enabled("cpu") else _region(shown)
        if kind is None:  # as most often, and with one call less
            return method(tile, *arguments, **named)
        with torch.autocast(kind, enabled=False):
            return method(tile, *arguments, **named)

    return wrapped
