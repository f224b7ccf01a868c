"""Runs the digital recursion over reads, compiled by Triton, in one launch.

The program of a read looks whether the slice was read before in the batch. If not, it follows the slice through all its
reads, with the digital matrices in registers.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
import triton.language as tl
from torch import Tensor

from ohmgrad.engine.compiler_gpu import Kernel, helper, kernel, translate
from ohmgrad.engine.generated import generated
from ohmgrad.engine.recursion import Recursion


def run(recursion: Recursion, slices: Tensor, valid: Tensor | None, block: int = 128) -> Tensor:
    """See :func:`ohmgrad.engine.recursion.run`; ``block``: lanes of a program.

    :raises Untranslatable: if it cannot be compiled; nothing has happened then.
    """
    written = torch.empty_like(recursion.cells[0])
    count, lanes = written.shape
    if written.numel():
        launch = recursion_kernel(*recursion.form, written.device.type == "cpu")[(count * -(-lanes // block),)]
        happens = slices if valid is None else valid
        tensors = (recursion.cells, recursion.matrices, recursion.reads, recursion.constants)
        launch(written, slices, happens, *tensors, count, lanes, all_valid=valid is None, size=block, num_warps=2)
    return written


@cache
def recursion_kernel(function: Any, cells: int, matrices: int, reads: int, constants: int, interpreted: bool) -> Kernel:
    """The kernel of one recursion."""

    def loads(name: str, count: int, at: str) -> str:
        return "".join(f"tl.load({name}[{k}] + {at}, mask=inside, other=0.0), " for k in range(count))

    here = "".join(f"tl.load(reads[{k}] + e).to(tl.float32), " for k in range(reads))
    numbers = "".join(f"tl.cast(constants[{k}], tl.float32), " for k in range(constants))
    state = "".join(f"state[{k}], " for k in range(matrices))
    stores = "".join(f"    tl.store(matrices[{k}] + at, state[{k}], mask=inside)\n" for k in range(matrices))
    after = ", ".join(f"m{k}" for k in range(matrices))
    sources = {
        "load": f"def load(matrices, at, inside):\n    return ({loads('matrices', matrices, 'at')})\n",
        "store": f"def store(matrices, at, inside, state):\n{stores}",
        "step": "def step(cells, state, reads, constants, e, at, inside):\n"
        f"    written, {after} = recursion({loads('cells', cells, 'at')}{state}{here}{numbers})\n"
        f"    return written, ({after},)\n",
    }
    recursion = {"recursion": translate(function, interpreted, True)}
    bound = {name: helper(generated(text, name, {}), interpreted, recursion) for name, text in sources.items()}
    bound |= {"next_read": helper(_next_read, interpreted, {})}
    return kernel(_run, interpreted, bound, ("count",))


def _next_read(slices, happens, s, begin, count, all_valid: tl.constexpr):
    """The first read of a slice from some read on; ``count`` if there is none."""
    found = tl.full((), 0, tl.int32) + count
    while (begin < count) & (found == count):
        e = begin + tl.arange(0, 256)
        inside = e < count
        same = inside & (tl.load(slices + e, mask=inside, other=-1) == s)
        if not all_valid:
            same = same & (tl.load(happens + e, mask=inside, other=0) != 0)
        found = tl.reduce(tl.where(same, e, count), 0, tl.standard._elementwise_min)
        begin += 256
    return found


def _run(
    written, slices, happens, cells, matrices, reads, constants, count, lanes, all_valid: tl.constexpr,
    size: tl.constexpr,
):  # fmt: skip
    first = tl.program_id(0) % count
    lane = (tl.program_id(0) // count) * size + tl.arange(0, size)
    inside = lane < lanes
    s = tl.load(slices + first)
    zero = tl.full((), 0, tl.int32)
    is_valid = (zero == 0) if all_valid else tl.load(happens + first) != 0
    if not is_valid:
        tl.store(written + first.to(tl.int64) * lanes + lane, tl.full((size,), 0.0, tl.float32), mask=inside)
    elif next_read(slices, happens, s, zero, count, all_valid) == first:
        home = s * lanes + lane
        state = load(matrices, home, inside)
        e = zero + first
        while e < count:
            at = e.to(tl.int64) * lanes + lane
            value, state = step(cells, state, reads, constants, e, at, inside)
            tl.store(written + at, value, mask=inside)
            e = next_read(slices, happens, s, e + 1, count, all_valid)
        store(matrices, home, inside, state)
