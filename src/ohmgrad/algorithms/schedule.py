"""When which slice is read: the part of a transfer's plan that needs nothing but counters."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ohmgrad.engine.host import Count
from ohmgrad.engine.implementation import Implementation
from ohmgrad.engine.recursion import Recursion, run
from ohmgrad.engine.samples import Counted


@dataclass
class Reads(Counted):
    """The reads of one source array in a batch, in order.

    ``times``: number of the vector after which the read happens, counted since weights were set; ``slices``: what is
    read; ``numbers``: of the read since the tile was made, which addresses its noise; all int64 ``[E]``. ``run``: so
    many reads from the first on, and from there on again, touch no slice twice.

    Where only the device knows how many vectors there have been, there may be fewer reads than there is room for. Then
    ``valid`` (bool ``[E]``) marks those, the first ``count``, that happen. The others go on behind the batch: they read
    what is there in the end, and nothing may come of it. ``implementation``: what computes.
    """

    times: Tensor
    slices: Tensor
    numbers: Tensor
    run: int = 1
    count: Tensor | None = None
    valid: Tensor | None = None
    implementation: Implementation = "reference"

    def __len__(self) -> int:
        return len(self.times)

    def sweeps(self) -> list[slice]:
        """Runs of reads that touch no slice twice, so that each can be handled at once."""
        return [slice(begin, begin + self.run) for begin in range(0, len(self), self.run)]

    def follow(
        self,
        recursion: Callable[..., Any],
        cells: tuple[Tensor, ...],
        matrices: tuple[Tensor, ...],
        numbers: tuple[Tensor, ...] = (),
        constants: tuple[float, ...] = (),
    ) -> Tensor:
        """Run a recursion of one cell over the reads, for all cells; see :mod:`ohmgrad.engine.recursion`.

        :param recursion: written like a law, of the arguments below in turn; it gives what is written, and the new
            numbers of the matrices.
        :param cells: numbers of the cells at every read, float32 ``[E, lanes]``, first what was read.
        :param matrices: digital matrices ``[slices, lanes]``, changed in place; :param numbers: of every read,
            float32 ``[E]``.
        :returns: what is written, ``[E, lanes]``; 0 for reads that do not happen.
        """
        given = Recursion(recursion, cells, matrices, numbers, constants)
        return run(given, self.slices, self.valid, self.sweeps(), self.implementation)

    def happening(self, values: Tensor) -> Tensor:
        """The values ``[E, ...]``, 0 (or False) for reads that do not happen."""
        if self.valid is None:
            return values
        happens = self.valid.reshape(-1, *[1] * (values.ndim - 1))
        return torch.where(happens, values, 0).to(values.dtype)


@dataclass
class Signs:
    """Flips of the lines of an array for every sample of a batch: bool ``[n, in]`` and ``[n, out]``, None if none."""

    x: Tensor | None = None
    d: Tensor | None = None


def period_in_vectors(every: float, units_in_mbatch: bool, batch: int) -> int:
    """Vectors between two transfers: ``ceil(every * batch)``, or ``every`` rounded (half away from 0); 0: never."""
    return max(0, math.ceil(every * batch) if units_in_mbatch else math.floor(every + 0.5))


def transfer_times(start: Count, batch: int, period: int, where: torch.device | None = None) -> Tensor:
    """Numbers of the vectors after which a transfer happens, int64: multiples of the period above ``start``.

    Those up to ``start + batch``; where only the device knows the start, as many as there may be.
    """
    if period <= 0:
        return torch.zeros(0, dtype=torch.int64, device=where)
    room = -(-batch // period) if isinstance(start, Tensor) else (start + batch) // period - start // period
    return (start // period + 1 + torch.arange(room, device=where)) * period
