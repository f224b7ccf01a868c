"""The pulses that wait for the cells of a block, compiled for the processor: one bit each, up or down.

A word of a batch gives most cells no pulse, and others several. If they were applied at once, most lanes of a vector
would idle. So the directions of a cell's pulses are *appended* to its queue, in order, until some queue may be full.
The place in the queue is that of the pulse's noise: a cell that has received n pulses begins at n modulo 4, its place
in the Philox block that its next noise comes from.

Pulses of some words are put together first (:mod:`ohmgrad.engine.feed_cpu`), and then *pushed* to the queue.
"""

from __future__ import annotations

import sys
from functools import cache, partial
from typing import Any, NamedTuple

import numpy as np

from ohmgrad.engine.compiler import INLINED, ON_VIEWS
from ohmgrad.engine.fingerprint import fingerprint, named

WORDS = 4
"""Words of a queue."""
PLACES = 32 * WORDS
"""Pulses that a queue has places for."""
VECTOR = 16
"""Lanes of the widest vectors; blocks have whole ones."""


class Block(NamedTuple):
    """The cells of some slices, or of a part of one, as compiled functions take them; a number for each lane.

    ``cells`` float32 ``[1 + parameters, lanes]``: weights, then what the law knows of the cells; ``queue`` uint32
    ``[WORDS, lanes]``; ``filled``: places of the queue that are taken; ``number`` and ``raised``: pulses that each cell
    has received, and those of them that were up, all int32; ``row`` and ``column`` uint32: where it is in the array,
    ``place`` int32: in its slice. On their way to the queue: ``bits`` uint32, the directions of ``many`` int32 pulses,
    and ``rest`` uint32, the slots of a pack that are not looked at yet.
    """

    cells: Any
    queue: Any
    filled: Any
    number: Any
    raised: Any
    row: Any
    column: Any
    place: Any
    bits: Any
    many: Any
    rest: Any


@cache
def new_block() -> Any:
    """A compiled function that makes one, all 0, of the numbers of parameters and lanes."""
    import numba

    def make(parameters, lanes):  # type: ignore[no-untyped-def]
        return Block(
            np.zeros((1 + parameters, lanes), np.float32),
            np.zeros((WORDS, lanes), np.uint32),
            np.zeros(lanes, np.int32),
            np.zeros(lanes, np.int32),
            np.zeros(lanes, np.int32),
            np.zeros(lanes, np.uint32),
            np.zeros(lanes, np.uint32),
            np.zeros(lanes, np.int32),
            np.zeros(lanes, np.uint32),
            np.zeros(lanes, np.int32),
            np.zeros(lanes, np.uint32),
        )

    return numba.njit(named(make, fingerprint(sys.modules[__name__])))


@cache
def make_push() -> Any:
    """A compiled function that appends the pulses that are on their way to the queues."""
    import numba

    from ohmgrad.engine.hints_cpu import wide_vectors
    from ohmgrad.engine.words_cpu import where

    tag, u32, i32, words = fingerprint(sys.modules[__name__]), np.uint32, np.int32, WORDS
    inlined = partial(numba.njit, **INLINED)

    @inlined
    @partial(named, tag=tag)
    def parts(bits, place):  # type: ignore[no-untyped-def]
        """Pulses at their place in a word of the queue, and those that go into the next word."""
        shift = u32(u32(place) & u32(31))
        return u32(bits << shift), u32(u32(bits >> u32(1)) >> u32(shift ^ u32(31)))

    @partial(numba.njit, **ON_VIEWS)
    @partial(named, tag=tag)
    def push(block, begin, end, most, least, fullest):  # type: ignore[no-untyped-def]
        """Append them; gives the least and the most places taken then.

        :param begin, end: lanes of the block; :param most: the most pulses on their way to a cell, at most 31;
            :param least, fullest: the least and the most places taken before.
        """
        wide_vectors()
        filled, bits, many = block.filled[begin:end], block.bits[begin:end], block.many[begin:end]
        first = min(least >> 5, words - 2)
        least, after = i32(32 * words), i32(0)
        if fullest + most <= 32 * (first + 2):  # in two words of every queue
            low, high = block.queue[first, begin:end], block.queue[first + 1, begin:end]
            limit = i32(32 * (first + 1))
            for lane in range(len(filled)):
                place = filled[lane]
                start, over = parts(bits[lane], place)
                low[lane] |= where(place < limit, start, u32(0))
                high[lane] |= where(place < limit, over, start)
                place = i32(place + many[lane])
                filled[lane] = place
                least, after = min(least, place), max(after, place)
        else:
            low, high = block.queue[0, begin:end], block.queue[1, begin:end]
            third, fourth = block.queue[2, begin:end], block.queue[3, begin:end]
            for lane in range(len(filled)):
                place = filled[lane]
                start, over = parts(bits[lane], place)
                word = i32(place >> 5)
                low[lane] |= where(word == 0, start, u32(0))
                high[lane] |= where(word == 1, start, where(word == 0, over, u32(0)))
                third[lane] |= where(word == 2, start, where(word == 1, over, u32(0)))
                fourth[lane] |= where(word == 3, start, where(word == 2, over, u32(0)))
                place = i32(place + many[lane])
                filled[lane] = place
                least, after = min(least, place), max(after, place)
        return int(least), int(after)

    return push
