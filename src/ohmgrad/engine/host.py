"""State that stays in the processor's memory, wherever its module is moved."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn


class HostModule(nn.Module):
    """A module some of whose buffers the program reads in every step: seeds, rates, counters.

    Reading a number back from an accelerator waits until that has done all its work. So such buffers stay in the
    processor's memory when the module moves, and come back to it when they are loaded from elsewhere. In all other
    respects they are buffers: PyTorch saves, loads, copies and pickles them.
    """

    def __init__(self) -> None:
        super().__init__()
        self._host_names: list[str] = []

    def register_host_buffer(self, name: str, value: Tensor) -> None:
        """As ``register_buffer``, for a buffer that never leaves the processor's memory."""
        self.register_buffer(name, value)
        self._host_names.append(name)

    def _bring_back(self) -> None:
        for name in self._host_names:
            value = self._buffers[name]
            assert value is not None
            self._buffers[name] = value.cpu()

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> HostModule:
        kept = {name: self._buffers[name] for name in self._host_names}
        super()._apply(fn, recurse)  # on all, since ``share_memory`` works in place
        self._buffers.update(kept)
        return self

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *arguments: Any) -> None:
        super()._load_from_state_dict(state_dict, prefix, *arguments)
        self._bring_back()  # ``assign=True`` takes what was loaded, where it is

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._bring_back()  # ``torch.load(..., map_location=...)`` puts all tensors in one place
