"""Adds outer products to a digital matrix, compiled by Triton: a program keeps part of a row in registers."""

from __future__ import annotations

from functools import cache

import triton.language as tl
from torch import Tensor

from ohmgrad.engine.compiler_gpu import Kernel, kernel

COLUMNS = 256
"""Columns of one program."""


def add_outer_products(total: Tensor, d: Tensor, x: Tensor) -> None:
    """See :func:`ohmgrad.engine.outer.add_outer_products`."""
    rows, width = total.shape
    launch = outer_kernel(total.device.type == "cpu")[(rows * -(-width // COLUMNS),)]
    launch(total, d.contiguous(), x.contiguous(), rows, width, len(x), num_warps=2)


@cache
def outer_kernel(interpreted: bool) -> Kernel:
    """The kernel."""
    return kernel(_add, interpreted, {}, ("count",))


def _add(total, d, x, rows, width, count):
    row, part = tl.program_id(0) % rows, tl.program_id(0) // rows
    column = part * COLUMNS + tl.arange(0, COLUMNS)
    inside = column < width
    at = total + row.to(tl.int64) * width + column
    value = tl.load(at, mask=inside, other=0.0)
    for n in range(0, count):
        at_n = tl.cast(n, tl.int64)  # vectors times lines may be more than 32 bits count
        value += tl.load(d + at_n * rows + row) * tl.load(x + at_n * width + column, mask=inside, other=0.0)
    tl.store(at, value, mask=inside)
