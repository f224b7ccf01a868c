"""The parameters of implicit cells compiled for the processor."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ohmgrad.engine.compiler import INLINED, compile_function
from ohmgrad.engine.fingerprint import fingerprint, named
from ohmgrad.engine.implicit import Sampling
from ohmgrad.engine.kernel_cache import compile_kernel
from ohmgrad.engine.threads import share


def packed(sampling: Sampling) -> tuple[Any, ...]:
    """What is the same for all cells, as :func:`cell_function` takes it."""
    whole = map(np.uint32, (sampling.stream, sampling.last, *sampling.key))
    return (*whole, *map(np.float32, sampling.constants))


def cell_function(function: Callable[..., Any], n_constants: int, tag: str) -> Any:
    """The parameters of one cell as a compiled function of (packed, row, column)."""
    import numba

    further = "".join(f", packed[{4 + k}]" for k in range(n_constants))
    source = (
        "def cell(packed, row, column):\n"
        f"    return parameters(packed[0], row, column, packed[1], packed[2], packed[3]{further})\n"
    )
    scope: dict[str, Any] = {"parameters": compile_function(function), "__name__": __name__}
    exec(source, scope)
    return numba.njit(named(scope["cell"], tag), **INLINED)


def values(sampling: Sampling, names: int, slices: Tensor, lanes: int, columns_are_slices: bool) -> Tensor:
    """The parameters of the cells of some slices, float32 ``[names, n, lanes]``."""
    found = torch.empty(names, len(slices), lanes, dtype=torch.float32, device="cpu")
    kernel = _kernel(sampling.function, len(sampling.constants), names)
    work = 10 * found.numel()  # each takes some nanoseconds
    share(kernel, len(slices), work, found.numpy(), slices.numpy(), columns_are_slices, packed(sampling))
    return found


@cache
def _kernel(function: Callable[..., Any], n_constants: int, names: int) -> Any:
    """The kernel of :func:`values`."""
    import numba

    tag = fingerprint(function, n_constants, names)
    stores = [f"    found[{k}, i, lane] = cell[{k}]" for k in range(names)]
    scope: dict[str, Any] = {"__name__": __name__}
    exec("\n".join(["def store(found, i, lane, cell):", *stores, "    return"]), scope)
    store = numba.njit(named(scope["store"], tag), **INLINED)
    cell = cell_function(function, n_constants, tag)
    u32 = np.uint32

    def fill(begin, end, found, slices, by_column, packed):  # type: ignore[no-untyped-def]
        row_step, column_step = (u32(1), u32(0)) if by_column else (u32(0), u32(1))
        for i in range(begin, end):
            s = u32(slices[i])
            row, column = (u32(0), s) if by_column else (s, u32(0))
            for lane in range(found.shape[2]):
                n = u32(lane)
                store(found, i, lane, cell(packed, u32(row + row_step * n), u32(column + column_step * n)))

    return compile_kernel(fill, __name__, tag)
