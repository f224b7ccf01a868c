"""Shares the rows of a compiled kernel among threads, and keeps torch from using its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from ohmgrad.engine.team import together

WORK_PER_THREAD = 1 << 18
"""Nanoseconds, about, below which another thread does not pay."""

SERIAL = 2**15 - 1
"""Elements of a block on the processor, unless a row has more: as many as torch leaves to one thread. Several would
spin afterwards, on the cores that the kernels need next."""


def serial(*values: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """A matrix, and what else has as many rows, in blocks that torch leaves to one thread; elsewhere as they are.

    Blocks of rows, or of columns if those lie together in memory.
    """
    first = values[0]
    if first.device.type != "cpu" or first.numel() <= SERIAL:
        yield values
        return
    along = 0 if first.stride(0) >= first.stride(1) else 1
    count = max(1, SERIAL // first.shape[1 - along])
    yield from zip(*(value.split(count, along) for value in values), strict=True)


def share(kernel: Callable[..., Any], rows: int, work: float, *arguments: Any) -> int:
    """Call ``kernel(begin, end, *arguments)`` for parts of ``range(rows)``, on as many threads as torch uses.

    :param kernel: compiled, without Python's lock; what it does for a row does not depend on the others.
    :param work: an estimate of the whole work in nanoseconds.
    :returns: the sum of what the kernel counted, 0 if it counts nothing.
    """
    if work < 2 * WORK_PER_THREAD:  # what is small is done at once
        return kernel(0, rows, *arguments) or 0
    threads = max(1, min(torch.get_num_threads(), rows, int(work / WORK_PER_THREAD)))
    bounds = [rows * t // threads for t in range(threads + 1)]
    return sum(count or 0 for count in together(lambda t: kernel(*bounds[t : t + 2], *arguments), threads))
