"""Packs Bernoulli pulse trains into words, compiled by Triton: every lane of a program decides one word."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
import triton.language as tl
from torch import Tensor

from ohmgrad.engine import random
from ohmgrad.engine.compiler_gpu import kernel, translate
from ohmgrad.engine.draws_gpu import signed
from ohmgrad.engine.words_gpu import largest

LINES = 256
"""Lines of one program."""


def pack(
    chances: Tensor, bl: Tensor, words: int, key: tuple[int, int], stream: int, numbers: Tensor, block: int = LINES
) -> Tensor:
    """See :func:`ohmgrad.engine.trains.pack`."""
    samples, lines = chances.shape
    out = torch.empty(samples * words, lines, dtype=torch.int32, device=chances.device)
    parts = -(-lines // block)
    if out.numel():
        launch = pack_kernel(chances.device.type == "cpu")[(samples * words * parts,)]
        arguments = (out, chances.contiguous(), bl, numbers, lines, words, parts, stream, *map(signed, key))
        launch(*arguments, size=block, num_warps=4)
    return out


@cache
def pack_kernel(interpreted: bool) -> Any:
    """The kernel."""
    bound = {"philox": translate(random.philox, interpreted), "largest": translate(largest, interpreted)}
    bound |= {"settle": translate(_settle, interpreted)}
    return kernel(_pack, interpreted, bound, ("stream", "key0", "key1"))


def _settle(bits, remaining, fires, undecided):
    """One bit of every slot's number against one bit of the probability."""
    one, other = (remaining >> 31) != 0, bits ^ 0xFFFFFFFF
    fires = tl.where(one, fires | (undecided & other), fires)
    undecided = tl.where(one, undecided & bits, undecided & other)
    return remaining << 1, fires, undecided


def _pack(out, chances, bl, numbers, lines, words, parts, stream, key0, key1, size: tl.constexpr):
    row, part = tl.program_id(0) // parts, tl.program_id(0) % parts
    sample, word = row // words, row % words
    line = part * size + tl.arange(0, size)
    chance = tl.load(chances + sample.to(tl.int64) * lines + line, mask=line < lines, other=0.0)
    length = tl.load(bl + sample).to(tl.int32) - 31 * word
    slots = tl.minimum(tl.maximum(length, 0), 31).to(tl.uint32)
    whole = (tl.full((size,), 1, tl.uint32) << slots) - 1
    threshold = tl.minimum(tl.abs(chance) * 4294967296.0, 4294967296.0).to(tl.int64)
    certain = threshold >= 4294967296
    fires, undecided = tl.where(certain, whole, 0), tl.where(certain, 0, whole)
    remaining = threshold.to(tl.uint32)
    number = tl.load(numbers + sample).to(tl.uint32)
    k0, k1 = key0.to(tl.uint32, bitcast=True), key1.to(tl.uint32, bitcast=True)
    for block in range(0, 8):
        if largest(((undecided != 0) & (remaining != 0)).to(tl.int32)) > 0:
            counter = (word * 8 + block).to(tl.uint32)
            w0, w1, w2, w3 = philox(stream.to(tl.uint32), line.to(tl.uint32), number, counter, k0, k1)
            remaining, fires, undecided = settle(w0, remaining, fires, undecided)
            remaining, fires, undecided = settle(w1, remaining, fires, undecided)
            remaining, fires, undecided = settle(w2, remaining, fires, undecided)
            remaining, fires, undecided = settle(w3, remaining, fires, undecided)
    negative = (chance < 0.0) & (fires != 0)
    signed = tl.where(negative, fires | 0x80000000, fires)
    tl.store(out + row.to(tl.int64) * lines + line, signed.to(tl.int32, bitcast=True), mask=line < lines)
