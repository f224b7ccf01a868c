"""What follows from other things, and is kept as long as they stay what they are."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

import torch
from torch import Tensor

Value = TypeVar("Value")


class Kept(Generic[Value]):
    """A value that is worked out again whenever its key is another.

    It is no state: a copy of what it belongs to, or what was saved of it, starts with nothing.
    """

    def __init__(self) -> None:
        self._found: tuple[object, Value] | None = None

    def __reduce__(self) -> tuple[type[Kept[Value]], tuple[()]]:
        return Kept, ()

    def of(self, key: object, work_out: Callable[[], Value]) -> Value:
        """The value that belongs to a key, the same object as before if the key is the same."""
        if self._found is None or self._found[0] != key:
            self._found = key, work_out()
        return self._found[1]

    def forget(self) -> None:
        """Let go of the value, which may hold memory."""
        self._found = None


class Filled:
    """Vectors of one number, kept as long as it is the same and nobody has written to them.

    On a GPU they are made anew: what is made while a CUDA graph is captured has its number only once that runs.
    """

    def __init__(self) -> None:
        self._kept: Kept[Tensor] = Kept()

    def of(self, number: float, count: int, dtype: torch.dtype, like: Tensor) -> Tensor:
        """``[count]`` in the memory of a tensor."""

        def fill() -> Tensor:
            with torch.inference_mode(False):  # there, nothing would say who has written to it
                return torch.full((count,), number, dtype=dtype, device=like.device)

        if not like.is_cpu:
            return fill()
        vector = self._kept.of((number, count, dtype), fill)
        if vector._version == 0:
            return vector
        self._kept.forget()
        return self.of(number, count, dtype, like)


def places_of(tensors: Iterable[Tensor | None]) -> list[tuple[int, tuple[int, ...]] | None]:
    """Where tensors lie in memory, and how: as long as that is the same, kept views of them show the same numbers."""
    return [None if tensor is None else (tensor.data_ptr(), tensor.stride()) for tensor in tensors]
