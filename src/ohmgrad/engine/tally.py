"""How much is sent to an array, counted beside the work without waiting for it."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

_TOGETHER = 256
"""Updates whose slots are added up at once, which is faster than one by one."""


class Tally:
    """Counts the slots of the pulse trains that an array is sent.

    It is no state: a copy of the array, or one that was pickled, has none. On a GPU the sum stays there until it is
    asked for. What a CUDA graph repeats is not counted.
    """

    def __init__(self) -> None:
        self._waiting: list[Any] = []
        self._sum: int | Tensor = 0

    def __reduce__(self) -> tuple[type[None], tuple[()]]:
        return type(None), ()

    def note(self, lengths: Any) -> None:
        """The train lengths of the samples of an update, int64 ``[n]``: a tensor, or an array of NumPy."""
        self._waiting.append(lengths)
        if len(self._waiting) >= _TOGETHER:
            self._settle()

    def _settle(self) -> None:
        waiting, self._waiting = self._waiting, []
        arrays = [each for each in waiting if isinstance(each, np.ndarray)]
        tensors = [each for each in waiting if isinstance(each, Tensor)]
        if arrays:
            self._sum += int(np.concatenate(arrays).sum())
        for place in {each.device for each in tensors}:
            total = torch.cat([each for each in tensors if each.device == place]).sum()
            known = self._sum.to(place) if isinstance(self._sum, Tensor) else self._sum  # a move may wait
            self._sum = total + known

    @property
    def slots(self) -> int:
        """All slots so far."""
        self._settle()
        return int(self._sum)
