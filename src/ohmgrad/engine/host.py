"""State that stays in the processor's memory, wherever its module is moved."""

from __future__ import annotations

from collections.abc import Callable
from ctypes import c_int64
from typing import Any

import torch
from torch import Tensor, nn

from ohmgrad.errors import TileError, suggestion

Count = int | Tensor
"""A whole number: known to the program, or (int64, without dimensions) only to the device."""


def value_of(counter: Tensor, asks: bool) -> Count:
    """What a counter says now.

    :param asks: whether the program may ask for it; else it is a tensor, which does not follow the counter.
    """
    return int(counter) if asks else counter.clone()


def move_on(counter: Tensor, count: Count, asks: bool) -> Count:
    """What a counter (int64, without dimensions) says now, see :func:`value_of`, before it moves on by ``count``."""
    if asks and isinstance(count, int) and counter.is_cpu and counter.dtype is torch.int64:
        number = c_int64.from_address(counter.data_ptr())  # where it is, which takes a third of what torch takes
        first = number.value
        number.value = first + count
        return first
    before = value_of(counter, asks)
    counter.add_(count)
    return before


def last_of(values: Tensor, count: Count, before: Tensor) -> Tensor:
    """The last of the first ``count`` values ``[n]``; what was before, if there are none."""
    if isinstance(count, int):
        return values[count - 1] if count else before
    return torch.cat([before[None], values]).index_select(0, count)[0]


def is_captured(values: Tensor) -> bool:
    """Whether work is being recorded as a CUDA graph, when nothing may be asked of the device."""
    return values.is_cuda and torch.cuda.is_current_stream_capturing()


def refuse_capture(values: Tensor, why: str) -> None:
    """Let no CUDA graph be made of work that differs from step to step.

    :param values: any tensor on the device of the tile; :param why: what differs.
    :raises TileError: if one is being recorded.
    """
    if is_captured(values):
        raise TileError(f"An update of this tile cannot be captured in a CUDA graph: {why}.")


_OF_COUNTERS = (torch.int32, torch.int64)


def _counts(counter: Tensor) -> Tensor:
    """What a counter says, on the processor; those of cells together. Without memory, nothing has been counted."""
    value = counter if counter.ndim < 2 else counter.sum(dtype=torch.int64)
    return torch.zeros_like(value, device="cpu") if value.is_meta else value.detach().cpu().clone()


class HostModule(nn.Module):
    """A module some of whose buffers the program reads in every step: seeds, rates, counters.

    Reading a number back from an accelerator waits until that has done all its work. So such buffers stay in the
    processor's memory when the module moves, and come back to it when they are loaded from elsewhere. In all other
    respects they are buffers: PyTorch saves, loads, copies and pickles them.
    """

    def __init__(self) -> None:
        super().__init__()
        self._host_names: list[str] = []
        self._loaded: dict[str, Tensor] = {}  # what loading has added to counters

    def known(self, name: str) -> Tensor:
        """A buffer, faster than as an attribute, which a module searches for in one dictionary after the other.

        :raises TileError: if there is none of that name.
        """
        try:
            value = self._buffers[name]
        except KeyError:
            hint = suggestion(name, self._buffers, "It has")
            raise TileError(f"{type(self).__name__} has no matrix or buffer {name!r}. {hint}") from None
        assert value is not None
        return value

    def register_host_buffer(self, name: str, value: Tensor | None) -> None:
        """As ``register_buffer``, for a buffer that never leaves the processor's memory."""
        self.register_buffer(name, value)
        if name not in self._host_names:
            self._host_names.append(name)

    def register_counter(self, name: str, by_host: bool = False) -> None:
        """A counter that begins with 0; ``by_host``: what the program does depends on it."""
        if by_host:  # in the processor's memory, wherever modules are made by default
            self.register_host_buffer(name, torch.zeros((), dtype=torch.int64, device="cpu"))
        else:
            self.register_buffer(name, torch.zeros((), dtype=torch.int64))

    def counted_here(self, name: str) -> Tensor:
        """What a counter has counted in this module, on the processor: without what was loaded into it.

        Differences of it are right however often a state is loaded in between. Counters of cells are added up.
        """
        counts = _counts(self.known(name))
        return counts - self._loaded.get(name, torch.zeros_like(counts))

    def _bring_back(self) -> None:
        for name in self._host_names:
            value = self._buffers[name]
            self._buffers[name] = None if value is None else value.cpu()

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> HostModule:
        kept = {name: self._buffers[name] for name in self._host_names}
        super()._apply(fn, recurse)  # on all, since ``share_memory`` works in place
        self._buffers.update(kept)
        return self

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *arguments: Any) -> None:
        kinds = {name: value.dtype for name, value in self._buffers.items() if value is not None}
        here = {name: self.counted_here(name) for name, kind in kinds.items() if kind in _OF_COUNTERS}
        super()._load_from_state_dict(state_dict, prefix, *arguments)
        for name, kind in kinds.items():  # ``assign=True`` takes what was loaded, of whatever type
            value = self._buffers[name]
            self._buffers[name] = None if value is None else value.to(kind)
        self._bring_back()  # ``assign=True`` takes what was loaded, where it is
        self._loaded = {
            name: _counts(self.known(name)) - counted
            for name, counted in here.items()
            if self._buffers[name] is not None
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._bring_back()  # ``torch.load(..., map_location=...)`` puts all tensors in one place
        self._loaded = {name: value.cpu() for name, value in self.__dict__.get("_loaded", {}).items()}
