"""When which slice is read: the part of a transfer's plan that needs nothing but counters."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

Integers = np.ndarray[Any, np.dtype[np.int64]]


@dataclass
class Reads:
    """The reads of one source array in a batch, in order.

    ``times``: number of the vector after which the read happens, counted since weights were set; ``slices``: what is
    read; ``numbers``: of the read since the tile was made, which addresses its noise; all int64 ``[E]``.
    """

    times: Integers
    slices: Integers
    numbers: Integers

    def __len__(self) -> int:
        return len(self.times)

    @staticmethod
    def none() -> Reads:
        """No reads."""
        return Reads(*(np.zeros(0, dtype=np.int64) for _ in range(3)))

    def sweeps(self) -> list[slice]:
        """Runs of reads that touch no slice twice, so that each can be handled at once."""
        runs, begin, seen = [], 0, set[int]()
        for e, s in enumerate(self.slices.tolist()):
            if s in seen:
                runs.append(slice(begin, e))
                begin, seen = e, set()
            seen.add(s)
        if begin < len(self):
            runs.append(slice(begin, len(self)))
        return runs


@dataclass
class Signs:
    """Flips of the lines of an array for every sample of a batch: bool ``[n, in]`` and ``[n, out]``, None if none."""

    x: Tensor | None = None
    d: Tensor | None = None


def period_in_vectors(every: float, units_in_mbatch: bool, batch: int) -> int:
    """Vectors between two transfers: ``ceil(every * batch)``, or ``every`` rounded (half away from 0); 0: never."""
    return max(0, math.ceil(every * batch) if units_in_mbatch else math.floor(every + 0.5))


def transfer_times(start: int, count: int, period: int) -> Integers:
    """Numbers of the vectors in ``start+1 .. start+count`` after which a transfer happens: multiples of the period."""
    if period <= 0:
        return np.zeros(0, dtype=np.int64)
    first = (start // period + 1) * period
    return np.arange(first, start + count + 1, period, dtype=np.int64)
