"""Matrices of addressed random numbers, compiled by Triton."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
import triton.language as tl
from torch import Tensor

from ohmgrad.engine import random
from ohmgrad.engine.compiler_gpu import kernel, translate

BLOCKS = 128
"""Philox blocks of one program, four numbers each."""


def draw(key: tuple[int, int], stream: int, numbers: Tensor, width: int, part: int | Tensor, normal: bool) -> Tensor:
    """See :meth:`ohmgrad.engine.draws.Draws.normal` and ``uniform``."""
    out = torch.empty(len(numbers), width, dtype=torch.float32, device=numbers.device)
    parts = -(-width // (4 * BLOCKS))
    if out.numel():
        last = part if isinstance(part, Tensor) else numbers
        fixed = 0 if isinstance(part, Tensor) else signed(part)
        launch = _kernel(normal, numbers.device.type == "cpu")[(len(numbers) * parts,)]
        launch(out, numbers, last, fixed, width, parts, stream, *map(signed, key), isinstance(part, Tensor))
    return out


def signed(word: int) -> int:
    """The signed 32-bit number with the bits of an unsigned one: the type of an argument may not follow its value."""
    return (word & 0xFFFFFFFF) - ((word & 0x80000000) << 1)


@cache
def _kernel(normal: bool, interpreted: bool) -> Any:
    four = translate(random.normals if normal else random.uniforms, interpreted)
    return kernel(_fill, interpreted, {"four": four}, ("fixed", "stream", "key0", "key1"))


def _fill(out, numbers, last, fixed, width, parts, stream, key0, key1, part_in_memory: tl.constexpr):
    row = tl.program_id(0) // parts
    block = (tl.program_id(0) % parts) * BLOCKS + tl.arange(0, BLOCKS)
    number = tl.load(numbers + row).to(tl.uint32)
    part = tl.load(last).to(tl.uint32) if part_in_memory else fixed.to(tl.uint32, bitcast=True)
    k0, k1 = key0.to(tl.uint32, bitcast=True), key1.to(tl.uint32, bitcast=True)
    a, b, c, d = four(stream.to(tl.uint32), block.to(tl.uint32), number, part, k0, k1)
    start = out + row.to(tl.int64) * width
    tl.store(start + 4 * block, a, mask=4 * block < width)
    tl.store(start + 4 * block + 1, b, mask=4 * block + 1 < width)
    tl.store(start + 4 * block + 2, c, mask=4 * block + 2 < width)
    tl.store(start + 4 * block + 3, d, mask=4 * block + 3 < width)
