"""Packs Bernoulli pulse trains into words, thirty-one slots at a time.

All slots of a word are decided together, from the most significant bit of the probability on: a random word holds one
bit of every slot's uniform number; a slot is settled at the first bit in which its number differs from the
probability. About two Philox blocks settle a whole train, and the probability is exact to 32 bits.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor

from ohmgrad.engine import random
from ohmgrad.engine.compiler import compile_function
from ohmgrad.engine.draws import Draws
from ohmgrad.engine.kernel_cache import compile_kernel
from ohmgrad.engine.threads import share

SLOTS = 31
"""Slots of one word; the topmost bit is the sign."""

_BLOCKS = 8
"""Philox blocks that hold the 32 random words of one train word."""


def pack(chances: Tensor, bl: Tensor, words: int, draws: Draws, stream: int, numbers: Tensor) -> Tensor:
    """Draw trains.

    :param chances: float32 ``[n, lines]``: the probability that a line fires in a slot (above 1: in every slot), with
        the sign of the line.
    :param bl: train lengths int64 ``[n]``; :param words: words of every train; :param numbers: number of every sample,
        int64 ``[n]``.
    :returns: int32 ``[n * words, lines]``.
    """
    if draws.implementation == "cpu":
        out = torch.empty(chances.shape[0] * words, chances.shape[1], dtype=torch.int32)
        arrays = [tensor.contiguous().numpy() for tensor in (out, chances, bl, numbers)]
        nanoseconds = 20.0 * chances.numel() * words
        share(_compiled(), chances.shape[0], nanoseconds, *arrays, words, stream, *draws.key)
        return out
    if draws.implementation == "gpu":
        from ohmgrad.engine.trains_gpu import pack as on_gpu

        return on_gpu(chances, bl, words, draws.key, stream, numbers)
    return _reference(chances, bl, words, draws, stream, numbers)


def _reference(chances: Tensor, bl: Tensor, words: int, draws: Draws, stream: int, numbers: Tensor) -> Tensor:
    where = chances.device
    thresholds = (chances.abs().double() * 2.0**32).clamp(max=2.0**32).long()
    lines = torch.arange(chances.shape[1], device=where)[None, :]
    key = [torch.tensor(word, device=where) for word in draws.key]
    rows = []
    for word in range(words):
        slots = (bl - SLOTS * word).clamp(0, SLOTS)
        undecided = ((1 << slots) - 1)[:, None].expand_as(thresholds)
        fires = torch.where(thresholds >= 1 << 32, undecided, 0)
        undecided = undecided ^ fires
        for block in range(_BLOCKS):
            number = torch.full_like(lines, word * _BLOCKS + block)
            counter = (torch.full_like(lines, stream), lines, numbers[:, None] & 0xFFFFFFFF, number)
            for lane, bits in enumerate(random.philox(*counter, *key)):
                one = (thresholds >> (31 - 4 * block - lane)) & 1 == 1
                fires = torch.where(one, fires | (undecided & ~bits), fires)
                undecided = torch.where(one, undecided & bits, undecided & ~bits)
        signed = torch.where((chances < 0.0) & (fires != 0), fires - (1 << 31), fires)
        rows.append(signed.to(torch.int32))
    return torch.stack(rows, 1).reshape(chances.shape[0] * words, chances.shape[1])


@cache
def _compiled() -> Any:
    import numpy as np

    philox = compile_function(random.philox)
    word32 = np.uint32

    def fill(begin, end, out, chances, bl, numbers, words, stream, k0, k1):  # type: ignore[no-untyped-def]
        for n in range(begin, end):
            for word in range(words):
                slots = min(max(bl[n] - 31 * word, 0), 31)
                mask = (word32(1) << word32(slots)) - word32(1)
                row = out[n * words + word]
                for line in range(chances.shape[1]):
                    threshold = np.int64(min(np.float64(abs(chances[n, line])) * 4294967296.0, 4294967296.0))
                    undecided, fires = word32(mask), word32(0)
                    if threshold >= 1 << 32:
                        fires, undecided = undecided, word32(0)
                    remaining = word32(threshold & 0xFFFFFFFF)
                    block = word * 8
                    while undecided != 0 and remaining != 0:
                        four = philox(
                            word32(stream), word32(line), word32(numbers[n]), word32(block), word32(k0), word32(k1)
                        )
                        for bits in four:
                            if remaining >> word32(31):
                                fires |= undecided & ~bits
                                undecided &= bits
                            else:
                                undecided &= ~bits
                            remaining = word32(remaining << word32(1))
                        block += 1
                    if chances[n, line] < 0.0 and fires != 0:
                        fires |= word32(0x80000000)
                    row[line] = np.int32(fires)

    return compile_kernel(fill, __name__)
