"""Activations that are computed again in the backward pass, with the noise that they had."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import torch
from torch import Tensor, nn

from ohmgrad.nn.base import named_analog_tiles
from ohmgrad.nn.input_range import InputRange

Contexts = tuple[AbstractContextManager[None], AbstractContextManager[None]]


def same_noise(*modules: nn.Module) -> Callable[[], Contexts]:
    """The ``context_fn`` with which ``torch.utils.checkpoint`` computes analog layers again as it did at first.

    ``checkpoint(block, x, use_reentrant=False, context_fn=same_noise(block))``: products have the noise of the first
    time, and count once, so that training is the same to the bit. Without it, they are drawn anew.

    :param modules: all that the checkpointed function calls.
    """

    def contexts() -> Contexts:
        first: list[Tensor] = []

        @contextmanager
        def forward() -> Iterator[None]:
            first.extend(value.clone() for value in _counted(modules))
            yield

        @contextmanager
        @torch.no_grad()
        def recompute() -> Iterator[None]:
            now = [value.clone() for value in _counted(modules)]
            _set(modules, first)
            with torch.enable_grad():
                yield
            _set(modules, now)

        return forward(), recompute()

    return contexts


def _counted(modules: tuple[nn.Module, ...]) -> list[Tensor]:
    """What a product reads and moves on: counters, running averages of inputs, ranges found from data."""
    found = []
    for module in modules:
        for _, tile in named_analog_tiles(module):
            found += [tile.forward_vectors, tile.average_input]
        found += [value for each in module.modules() if isinstance(each, InputRange) for value in each.found()]
    return found


@torch.no_grad()
def _set(modules: tuple[nn.Module, ...], values: list[Tensor]) -> None:
    for value, other in zip(_counted(modules), values, strict=True):
        value.copy_(other)
