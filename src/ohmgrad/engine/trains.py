"""Packs Bernoulli pulse trains into words, thirty-one slots at a time.

All slots of a word are decided together, from the most significant bit of the probability on: a random word holds one
bit of every slot's uniform number; a slot is settled at the first bit in which its number differs from the
probability. About two Philox blocks settle a whole train, and the probability is exact to 32 bits.
"""

from __future__ import annotations

import sys
from functools import cache, partial
from typing import Any, NamedTuple

import numpy as np
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
"""Lines, of as many samples as it takes, whose slots the processor settles together, until the last of them is."""

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
        out = chances.new_empty(chances.shape[0] * words, chances.shape[1], dtype=torch.int32)
        arrays = [tensor.contiguous().numpy() for tensor in (out, chances, bl, numbers)]
        nanoseconds = NANOSECONDS * chances.numel() * words
        key = map(np.uint32, draws.key)
        share(_compiled(), chances.shape[0], nanoseconds, *arrays, words, stream, *key)
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


class Group(NamedTuple):
    """Places for lines whose slots are settled together, of one sample or of several.

    ``chances``: the probability that a line fires in a slot, with its sign; ``lines`` and ``samples``: which line it is
    and of which sample, by which its random words are addressed; ``lengths``: slots of the whole train; ``words``: what
    comes out; the rest is room to work in.
    """

    chances: Any
    lines: Any
    samples: Any
    lengths: Any
    words: Any
    remaining: Any
    undecided: Any
    fires: Any


@cache
def train_rows() -> Any:
    """The compiled form: a function of (out, chances, bl, numbers, words, stream, k0, k1), see :func:`pack`."""
    import numba

    from ohmgrad.engine.words_cpu import where

    philox = compile_function(random.philox)
    i32, u32, single = np.int32, np.uint32, np.float32
    zero, one, sign_bit, slots_of_word, size = u32(0), u32(1), u32(0x80000000), SLOTS, GROUP
    tag = fingerprint(sys.modules[__name__], random)

    @partial(numba.njit, **INLINED)
    @partial(named, tag=tag)
    def begin(chance, slots):  # type: ignore[no-untyped-def]
        """What of a chance is left to compare, the slots that are open, and those that fire for certain."""
        all_slots = u32((one << u32(slots)) - one)
        scaled = abs(chance) * single(4294967296.0)  # exact, like what follows
        certain, settled = scaled >= single(4294967296.0), (scaled < single(1.0)) | (scaled >= single(4294967296.0))
        return (
            u32(where(settled, single(0.0), scaled)),
            where(settled, zero, all_slots),
            where(certain, all_slots, zero),
        )

    @partial(numba.njit, **INLINED)
    @partial(named, tag=tag)
    def compare(bits, chance, undecided, fires):  # type: ignore[no-untyped-def]
        """Compare the next bit of every slot's number with that of the chance, the topmost one."""
        ones = u32(zero - u32(chance >> u32(31)))
        return (
            u32(chance << one),
            u32(undecided & u32(~u32(bits ^ ones))),
            u32(fires | u32(undecided & u32(ones & u32(~bits)))),
        )

    @partial(numba.njit, error_model="numpy", nogil=True)
    @partial(named, tag=tag)
    def settle(group, many, word, stream, k0, k1):  # type: ignore[no-untyped-def]
        """Decide all slots of one word of the trains; only the first ``many`` places are taken."""
        chances, lines, samples, lengths, words, remaining, undecided, fires = group
        pending = zero
        for lane in range(size):  # always as many: the compiler makes vector instructions of it
            length = where(lane < many, lengths[lane], i32(0)) - i32(slots_of_word * word)
            slots = min(max(length, i32(0)), i32(slots_of_word))
            remaining[lane], undecided[lane], fires[lane] = begin(chances[lane], slots)
            pending = u32(pending | undecided[lane])
        block = u32(word * BLOCKS)
        while pending != zero:
            pending = zero
            for lane in range(size):
                a, b, c, d = philox(u32(stream), lines[lane], samples[lane], block, k0, k1)
                chance, open_, on = remaining[lane], undecided[lane], fires[lane]
                chance, open_, on = compare(a, chance, open_, on)
                chance, open_, on = compare(b, chance, open_, on)
                chance, open_, on = compare(c, chance, open_, on)
                chance, open_, on = compare(d, chance, open_, on)
                open_ = where(chance != zero, open_, zero)  # no number is below 0
                remaining[lane], undecided[lane], fires[lane] = chance, open_, on
                pending = u32(pending | open_)
            block = u32(block + one)
        for lane in range(size):
            on = fires[lane]
            words[lane] = i32(u32(on | where((chances[lane] < single(0.0)) & (on != zero), sign_bit, zero)))

    def rows(out, chances, bl, numbers, words, stream, k0, k1):  # type: ignore[no-untyped-def]
        count, width = chances.shape
        group = Group(
            np.zeros(size, np.float32),
            np.zeros(size, np.uint32),
            np.zeros(size, np.uint32),
            np.zeros(size, np.int32),
            np.zeros(size, np.int32),
            np.zeros(size, np.uint32),
            np.zeros(size, np.uint32),
            np.zeros(size, np.uint32),
        )
        filled, n, line = 0, 0, 0  # places taken; the sample and the line of the first
        for sample in range(count):
            first = 0
            while first < width:
                many = min(size - filled, width - first)
                for lane in range(many):
                    here = np.uint64(filled + lane)
                    group.chances[here] = chances[sample, np.uint64(first + lane)]
                    group.lines[here] = u32(first + lane)
                    group.samples[here] = u32(numbers[sample])
                    group.lengths[here] = i32(bl[sample])
                filled, first = filled + many, first + many
                if filled < size and (sample < count - 1 or first < width):
                    continue
                for word in range(words):
                    settle(group, filled, word, stream, k0, k1)
                    of, at, place = n, line, 0
                    while place < filled:
                        many = min(width - at, filled - place)
                        for lane in range(many):
                            out[of * words + word, np.uint64(at + lane)] = group.words[np.uint64(place + lane)]
                        of, at, place = of + 1, 0, place + many
                filled, n, line = 0, sample, first

    return numba.njit(named(rows, tag), error_model="numpy", nogil=True)


@cache
def _compiled() -> Any:
    rows = train_rows()

    def fill(begin, end, out, chances, bl, numbers, words, stream, k0, k1):  # type: ignore[no-untyped-def]
        part = slice(begin, end)
        rows(out[begin * words : end * words], chances[part], bl[part], numbers[part], words, stream, k0, k1)

    return compile_kernel(fill, __name__)
