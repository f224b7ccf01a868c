"""When which slice is read: the part of a transfer's plan that needs nothing but counters."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ohmgrad.engine.compiler import compile_function
from ohmgrad.engine.draws import Draws, Stream
from ohmgrad.engine.host import Count
from ohmgrad.engine.implementation import Implementation
from ohmgrad.engine.kernel_cache import compile_kernel
from ohmgrad.engine.recursion import Recursion, run
from ohmgrad.engine.samples import Counted


@dataclass
class Reads(Counted):
    """The reads of one source array in a batch, in order.

    ``times``: how many vectors of the batch come before the read; ``slices``: what is read; ``numbers``: of the read
    since the tile was made, which addresses its noise; all int64 ``[E]``. ``run``: so many reads from the first on, and
    from there on again, touch no slice twice.

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
        return self.times.shape[0]

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
            ``[E]``, which the recursion sees as float32.
        :returns: what is written, ``[E, lanes]``; 0 for reads that do not happen.
        """
        given = Recursion(recursion, cells, matrices, numbers, constants)
        return run(given, self.slices, self.valid, self.run, self.implementation)

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
    """Vectors between two transfers: ``every * batch`` rounded up, or ``every`` rounded (half up); 0: never."""
    if not units_in_mbatch:
        return max(0, math.floor(every + 0.5))
    vectors = every * batch
    whole = round(vectors)  # 0.1 * 3 * 10 is 3.0000000000000004: what is whole but for the last bits is not rounded up
    return max(0, whole if math.isclose(vectors, whole, rel_tol=1e-12) else math.ceil(vectors))


def transfer_times(start: Count, batch: int, period: int, where: torch.device | None = None) -> Tensor:
    """Numbers of the vectors after which a transfer happens, int64: multiples of the period above ``start``.

    Those up to ``start + batch``; where only the device knows the start, as many as there may be.
    """
    if period <= 0:
        return torch.zeros(0, dtype=torch.int64, device=where)
    room = -(-batch // period) if isinstance(start, Tensor) else (start + batch) // period - start // period
    return (start // period + 1 + torch.arange(room, device=where)) * period


def one_hot(slices: Tensor, size: int, implementation: Implementation) -> Tensor:
    """Lines of which one each, int64 ``[E]``, carries a 1: float32 ``[E, size]``."""
    if implementation == "cpu":  # where torch would share out the zeros, and its threads spin afterwards
        lines = np.zeros((slices.shape[0], size), np.float32)
        _mark()(lines, slices.numpy())
        return torch.from_numpy(lines)
    return torch.zeros(slices.shape[0], size, dtype=torch.float32, device=slices.device).scatter_(
        1, slices[:, None], 1.0
    )


def numbers_from(first: Count, count: int, where: torch.device | None = None) -> Tensor:
    """So many numbers in turn, int64 ``[count]``."""
    if isinstance(first, Tensor):
        return first + torch.arange(count, device=where)
    return torch.arange(first, first + count, device=where)


@dataclass
class Turns:
    """Whose turn it is to be read in array ``k`` of a chain.

    ``pointers`` (the next slice), ``transfers`` and ``reads`` (how many there have been since the tile was made), int64
    ``[arrays]``, change in place. ``slices``: how many there are; ``at_once``: how many a transfer reads;
    ``at_random``: it may begin with any slice; ``reads_them``: if False, a transfer only moves the pointer on.
    """

    k: int
    pointers: Tensor
    transfers: Tensor
    reads: Tensor
    slices: int
    at_once: int
    at_random: bool
    reads_them: bool

    @property
    def run(self) -> int:
        """See :class:`Reads`."""
        return self.at_once if self.at_random else self.slices


def next_reads(turns: Turns, start: Count, batch: int, period: int, clock: torch.device, draws: Draws) -> Reads:
    """The reads of one array in a batch.

    :param start: the vectors before the batch, since weights were set; :param period: vectors between two transfers,
        above 0; :param clock: in whose memory vectors are counted.
    """
    if isinstance(start, Tensor) or draws.implementation == "gpu" or not turns.pointers.is_cpu:
        from ohmgrad.algorithms.schedule_gpu import next_reads as on_gpu

        return on_gpu(turns, start, batch, period, clock, draws)
    room = (start + batch) // period - start // period
    if room == 0:
        return no_reads(turns.pointers.device)
    begins = _NEXT_ONES
    if turns.at_random:
        transfers = turns.transfers[turns.k] + torch.arange(room)
        begins = draws.below(turns.slices, Stream.SELECT.of(turns.k), transfers).numpy()
    times, slices, numbers = np.empty((3, room * turns.at_once), np.int64)
    counted = turns.reads if turns.reads_them else torch.zeros_like(turns.reads)
    counters = (turns.pointers.numpy(), turns.transfers.numpy(), counted.numpy())
    take: Any = _compiled() if draws.implementation == "cpu" else take_turns
    take(times, slices, numbers, *counters, begins, turns.k, start % period, period, turns.slices, turns.at_once)
    if not turns.reads_them:
        return no_reads(turns.pointers.device)
    after, which, numbered = map(torch.from_numpy, (times, slices, numbers))
    return Reads(after, which, numbered, turns.run, implementation=draws.implementation)


_NEXT_ONES = np.zeros(0, np.int64)


def no_reads(where: torch.device) -> Reads:
    """None, on some device."""
    return _no_reads_here() if where.type == "cpu" else _made_no_reads(where)


@cache
def _no_reads_here() -> Reads:
    return _made_no_reads(torch.device("cpu"))


def _made_no_reads(where: torch.device) -> Reads:
    empty = torch.zeros(0, dtype=torch.int64, device=where)
    return Reads(empty, empty, empty)


def take_turns(  # type: ignore[no-untyped-def]
    times, slices, numbers, pointers, transfers, reads, begins, k, passed, period, size, at_once
):
    """Work out the reads of array k, int64 ``[E]``, and count them.

    :param begins: the first slice of every transfer, ``[transfers]``; empty: the next one; :param passed: how much of
        a period is over when the batch begins.
    """
    e, time = 0, -passed
    while e < len(times):
        time += period
        s = begins[e // at_once] if len(begins) else pointers[k]
        for _ in range(at_once):
            times[e], slices[e], numbers[e] = time, s % size, reads[k]
            s += 1
            reads[k] += 1
            e += 1
        pointers[k] = s % size
        transfers[k] += 1


@cache
def _mark() -> Any:
    def mark(lines, slices):  # type: ignore[no-untyped-def]
        for e in range(len(slices)):
            lines[e, slices[e]] = np.float32(1.0)

    return compile_kernel(mark, __name__)


@cache
def _compiled() -> Any:
    taken = compile_function(take_turns)

    def take(*arguments):  # type: ignore[no-untyped-def]
        taken(*arguments)

    return compile_kernel(take, __name__)
