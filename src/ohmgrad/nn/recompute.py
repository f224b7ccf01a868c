"""Activations that are computed again in the backward pass, with the noise that they had."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor, nn

from ohmgrad.errors import TileError

Contexts = tuple[AbstractContextManager[None], AbstractContextManager[None]]


def same_noise(*modules: nn.Module) -> Callable[[], Contexts]:
    """The ``context_fn`` with which ``torch.utils.checkpoint`` computes analog layers again as it did at first.

    ``checkpoint(block, x, use_reentrant=False, context_fn=same_noise(block))``: products have the noise of the first
    time, and count once, so that training is the same to the bit. Without it, they are drawn anew.

    :param modules: all that the checkpointed function calls.
    :raises TileError: if there is no analog layer in them.
    """
    if not _counted(modules):
        raise TileError("same_noise: there is no analog layer in the modules. Give all that is computed again.")

    def contexts() -> Contexts:
        first: list[Tensor] = []
        return _Remember(modules, first), _Repeat(modules, first)

    return contexts


class _Remember(AbstractContextManager[None]):
    """The first time: where all counters are."""

    def __init__(self, modules: tuple[nn.Module, ...], first: list[Tensor]) -> None:
        self.modules, self.first = modules, first

    def __enter__(self) -> None:
        self.first[:] = [value.detach().clone() for value in _counted(self.modules)]

    def __exit__(self, *_: Any) -> None:
        return


class _Repeat(AbstractContextManager[None]):
    """Any other time: back to there, and afterwards, whatever happened, to where they were before."""

    def __init__(self, modules: tuple[nn.Module, ...], first: list[Tensor]) -> None:
        self.modules, self.first = modules, first

    def __enter__(self) -> None:
        self.now = [value.detach().clone() for value in _counted(self.modules)]
        _set(self.modules, self.first)

    def __exit__(self, *_: Any) -> None:
        _set(self.modules, self.now)


def _counted(modules: tuple[nn.Module, ...]) -> list[Tensor]:
    """What products read and move on, of all modules that say what that is."""
    each: dict[Any, None] = dict.fromkeys(part for module in modules for part in module.modules())
    return [value for part in each if hasattr(part, "counted") for value in part.counted()]


@torch.no_grad()
def _set(modules: tuple[nn.Module, ...], values: list[Tensor]) -> None:
    for value, other in zip(_counted(modules), values, strict=True):
        value.copy_(other)
