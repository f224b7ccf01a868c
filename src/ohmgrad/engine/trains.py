"""Packs Bernoulli pulse trains into words, thirty-one slots at a time.

All slots of a word are decided together, from the most significant bit of the probability on: a random word holds one
bit of every slot's uniform number; a slot is settled at the first bit in which its number differs from the
probability. About two Philox blocks settle a whole train, and the probability is exact to 32 bits.
"""

from __future__ import annotations

import sys
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor

from ohmgrad.engine import random
from ohmgrad.engine.compiler import INLINED, compile_function
from ohmgrad.engine.draws import Draws
from ohmgrad.engine.fingerprint import fingerprint, named
from ohmgrad.engine.kernel_cache import compile_kernel
from ohmgrad.engine.threads import share

SLOTS = 31
"""Slots of one word; the topmost bit is the sign."""

BLOCKS = 8
"""Philox blocks that hold the 32 random words of one train word."""

GROUP = 64
"""Lines whose slots the processor settles together, until the last of them is."""

NANOSECONDS = 8.0
"""What the processor needs, about, for one word of one line."""


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
        nanoseconds = NANOSECONDS * chances.numel() * words
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
        for block in range(BLOCKS):
            number = torch.full_like(lines, word * BLOCKS + block)
            counter = (torch.full_like(lines, stream), lines, numbers[:, None] & 0xFFFFFFFF, number)
            for lane, bits in enumerate(random.philox(*counter, *key)):
                one = (thresholds >> (31 - 4 * block - lane)) & 1 == 1
                fires = torch.where(one, fires | (undecided & ~bits), fires)
                undecided = torch.where(one, undecided & bits, undecided & ~bits)
        signed = torch.where((chances < 0.0) & (fires != 0), fires - (1 << 31), fires)
        rows.append(signed.to(torch.int32))
    return torch.stack(rows, 1).reshape(chances.shape[0] * words, chances.shape[1])


@cache
def train_row() -> Any:
    """The compiled form: one word of the trains of a sample.

    It is a function of the row that it fills, the signed chances of the lines, how many slots the word has, the number
    of the sample, the first Philox block of the word, stream and key, and :func:`workspace`.
    """
    import numba
    import numpy as np

    philox = compile_function(random.philox)
    word32, single = np.uint32, np.float32
    zero, one, sign_bit = word32(0), word32(1), word32(0x80000000)
    tag = fingerprint(sys.modules[__name__], random)

    @partial(numba.njit, **INLINED)
    @partial(named, tag=tag)
    def settle(bits, chance, undecided, fires):  # type: ignore[no-untyped-def]
        """Compare the next bit of every slot's number with that of the chance, the topmost one."""
        ones = word32(zero - word32(chance >> word32(31)))
        return (
            word32(chance << one),
            word32(undecided & word32(~word32(bits ^ ones))),
            word32(fires | word32(undecided & word32(ones & word32(~bits)))),
        )

    def row(out, chances, slots, number, first_block, stream, k0, k1, space):  # type: ignore[no-untyped-def]
        all_slots = word32((one << word32(slots)) - one)
        remaining, undecided, fires = space
        for first in range(0, len(out), GROUP):
            width = min(GROUP, len(out) - first)
            for lane in range(GROUP):  # always as many: the compiler makes vector instructions of it
                undecided[lane] = zero
            for lane in range(width):
                chance = abs(chances[first + lane]) * single(4294967296.0)  # exact, like what follows
                certain = chance >= single(4294967296.0)
                remaining[lane] = word32(single(0.0) if certain else chance)
                undecided[lane] = zero if certain else all_slots
                fires[lane] = all_slots if certain else zero
            block, pending = word32(first_block), one
            while pending != zero:
                pending = zero
                for lane in range(GROUP):
                    line = word32(word32(first) | word32(lane))  # a group begins at a multiple of its size
                    a, b, c, d = philox(word32(stream), line, word32(number), block, k0, k1)
                    chance, open_, on = remaining[lane], undecided[lane], fires[lane]
                    chance, open_, on = settle(a, chance, open_, on)
                    chance, open_, on = settle(b, chance, open_, on)
                    chance, open_, on = settle(c, chance, open_, on)
                    chance, open_, on = settle(d, chance, open_, on)
                    open_ = open_ if chance != zero else zero  # no number is below 0
                    remaining[lane], undecided[lane], fires[lane] = chance, open_, on
                    pending = word32(pending | open_)
                block = word32(block + one)
            for lane in range(width):
                on = fires[lane]
                on |= sign_bit if (chances[first + lane] < single(0.0)) & (on != zero) else zero
                out[first + lane] = np.int32(on)

    return numba.njit(named(row, tag), error_model="numpy", nogil=True)


@cache
def workspace() -> Any:
    """Makes the memory in which a compiled kernel settles slots."""
    import numba
    import numpy as np

    def make():  # type: ignore[no-untyped-def]
        return np.zeros(GROUP, np.uint32), np.zeros(GROUP, np.uint32), np.zeros(GROUP, np.uint32)

    return numba.njit(named(make, fingerprint(sys.modules[__name__])), nogil=True)


@cache
def _compiled() -> Any:
    import numpy as np

    train, space_of = train_row(), workspace()

    def fill(begin, end, out, chances, bl, numbers, words, stream, k0, k1):  # type: ignore[no-untyped-def]
        space = space_of()
        for n in range(begin, end):
            for word in range(words):
                slots = min(max(bl[n] - SLOTS * word, 0), SLOTS)
                key = np.uint32(k0), np.uint32(k1)
                train(out[n * words + word], chances[n], slots, numbers[n], word * BLOCKS, stream, *key, space)

    return compile_kernel(fill, __name__)
