"""The pulses that wait for the cells of a block, compiled for the processor: one bit each, up or down.

A word of a batch gives most cells no pulse, and others several. If they were applied at once, most lanes of a vector
would idle. So the directions of a cell's pulses are *appended* to its queue, in order, until some queue may be full.
The place in the queue is that of the pulse's noise: a cell that has received n pulses begins at n modulo 4, its place
in the Philox block that its next noise comes from.
"""

from __future__ import annotations

import sys
from functools import cache, partial
from typing import Any, NamedTuple

import numpy as np

from ohmgrad.engine.compiler import INLINED
from ohmgrad.engine.fingerprint import fingerprint, named
from ohmgrad.engine.trains import SLOTS

WORDS = 4
"""Words of a queue."""
PLACES = 32 * WORDS
"""Pulses that a queue has places for."""
VECTOR = 16
"""Lanes of the widest vectors; blocks have whole ones."""
GROUP = 4
"""Words of a batch that are appended together, as far as they give no cell more than one word of pulses."""


class Block(NamedTuple):
    """The cells of some slices, or of a part of one, as compiled functions take them; a number for each lane.

    ``cells`` float32 ``[1 + parameters, lanes]``: weights, then what the law knows of the cells; ``queue`` uint32
    ``[WORDS, lanes]``; ``filled``: places of the queue that are taken; ``number`` and ``raised``: pulses that each cell
    has received, and those of them that were up, all int32; ``row`` and ``column`` uint32: where it is in the array.
    """

    cells: Any
    queue: Any
    filled: Any
    number: Any
    raised: Any
    row: Any
    column: Any


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
        )

    return numba.njit(named(make, fingerprint(sys.modules[__name__])))


@cache
def make_queue(counted: bool) -> tuple[Any, Any]:
    """Two compiled functions, ``listen`` and ``feed``: to find the words that give pulses, and to append them.

    :param counted: whether words are factors of counts; else they are trains.
    """
    import numba

    from ohmgrad.engine.hints_cpu import wide_vectors
    from ohmgrad.engine.words_cpu import popcount, round_even, where

    tag = fingerprint(sys.modules[__name__], counted)
    u32, i32, most_slots, ones = np.uint32, np.int32, SLOTS, np.uint32(0xFFFFFFFF)
    inlined = partial(numba.njit, **INLINED)

    def part(function: Any) -> Any:
        return numba.njit(named(function, tag), error_model="numpy", nogil=True)

    def of_trains(line, other, skip):  # type: ignore[no-untyped-def]
        """How many pulses two words give a cell, and their direction: all ones for up, or 0."""
        count = popcount(u32(u32(other & line) & u32(0x7FFFFFFF)))
        return count, u32(i32(other ^ line) >> i32(31))

    def of_counts(line, other, skip):  # type: ignore[no-untyped-def]
        """The same for two factors; the first ``skip`` pulses belong to words before."""
        product = line * other
        count = min(max(i32(round_even(abs(product))) - skip, i32(0)), i32(most_slots))
        return u32(count), where(product < np.float32(0.0), ones, u32(0))

    pulses = inlined(named(of_counts if counted else of_trains, tag))

    @inlined
    @partial(named, tag=tag)
    def demand(word):  # type: ignore[no-untyped-def]
        if counted:
            return most_slots if word != np.float32(0.0) else 0
        return int(popcount(u32(u32(word) & u32(0x7FFFFFFF))))

    @inlined
    @partial(named, tag=tag)
    def behind(bits, total, line, other, skip):  # type: ignore[no-untyped-def]
        """The pulses of one more word behind others, and how many there are now."""
        count, up = pulses(line, other, skip)
        new = u32(up & ~u32(ones << count))
        return u32(bits | u32(new << u32(total & u32(31)))), u32(total + count)

    @inlined
    @partial(named, tag=tag)
    def of_group(others, lines, lane, skip):  # type: ignore[no-untyped-def]
        """The pulses that the words of a group give a cell, and how many there are; spelled out, to be vectorised."""
        bits, total = behind(u32(0), u32(0), lines[0], others[0][lane], skip)
        bits, total = behind(bits, total, lines[1], others[1][lane], skip)
        bits, total = behind(bits, total, lines[2], others[2][lane], skip)
        return behind(bits, total, lines[3], others[3][lane], skip)

    @part
    def append(block, begin, end, lanes, column, group, lines, skip, least, fullest, most):  # type: ignore[no-untyped-def]
        """Append the pulses of a group of words; gives the least and the most places taken then.

        :param begin, end: the lanes of a slice in the block; :param lanes: words of all lanes ``[words, lanes]``;
            :param column: the first of them that is meant; :param group: numbers of some words; :param lines: the words
            of the slice that meet them; :param skip: see ``of_counts``; :param least, fullest: places taken before;
            :param most: the most pulses that the group can give a cell, at most 31.
        """
        wide_vectors()
        filled, span = block.filled[begin:end], end - begin
        a, b, c, d = group
        others = (
            lanes[a, column : column + span],
            lanes[b, column : column + span],
            lanes[c, column : column + span],
            lanes[d, column : column + span],
        )
        first = min(least >> 5, WORDS - 2)
        low, high = block.queue[first, begin:end], block.queue[first + 1, begin:end]
        least, after = i32(PLACES), i32(0)
        if fullest + most <= 32 * (first + 2):  # in two words of every queue
            for lane in range(span):
                bits, total = of_group(others, lines, lane, skip)
                place = filled[lane]
                shift = u32(u32(place) & u32(31))
                start, rest = u32(bits << shift), u32(u32(bits >> u32(1)) >> u32(shift ^ u32(31)))
                is_low = place < 32 * (first + 1)
                low[lane] |= where(is_low, start, u32(0))
                high[lane] |= where(is_low, rest, start)
                place = i32(place + i32(total))
                filled[lane] = place
                least, after = min(least, place), max(after, place)
        else:
            third, fourth = block.queue[WORDS - 2, begin:end], block.queue[WORDS - 1, begin:end]
            low, high = block.queue[0, begin:end], block.queue[1, begin:end]
            for lane in range(span):
                bits, total = of_group(others, lines, lane, skip)
                place = filled[lane]
                shift, word = u32(u32(place) & u32(31)), i32(place >> 5)
                start, rest = u32(bits << shift), u32(u32(bits >> u32(1)) >> u32(shift ^ u32(31)))
                low[lane] |= where(word == 0, start, u32(0))
                high[lane] |= where(word == 1, start, where(word == 0, rest, u32(0)))
                third[lane] |= where(word == 2, start, where(word == 1, rest, u32(0)))
                fourth[lane] |= where(word == 3, start, where(word == 2, rest, u32(0)))
                place = i32(place + i32(total))
                filled[lane] = place
                least, after = min(least, place), max(after, place)
        return int(least), int(after)

    @part
    def listen(line, loud, demands):  # type: ignore[no-untyped-def]
        """Find the words of a slice that give pulses, and how many at most; how many such words there are."""
        found = 0
        for word in range(len(line)):
            most = demand(line[word])
            if most > 0:
                loud[found], demands[found] = word, most
                found += 1
        return found

    @part
    def feed(block, begin, end, lanes, column, line, loud, demands, k, stop, skips, least, fullest):  # type: ignore[no-untyped-def]
        """Append loud words from number k on, until one of number ``stop`` or until the next may not fit.

        :param begin, end, lanes, column, least, fullest: see ``append``; :param line: the words of the slice;
            :param loud, demands: see ``listen``.
        :returns: the number of the next word, and the least and the most places taken then.
        """
        group, lines = np.zeros(GROUP, np.int64), np.zeros(GROUP, line.dtype)
        while k < len(loud) and loud[k] < stop and fullest + demands[k] <= PLACES:
            members, most, limit = 0, 0, min(most_slots, PLACES - fullest)
            skip = skips[loud[k]] if counted else i32(0)
            while members < GROUP and k < len(loud) and loud[k] < stop and most + demands[k] <= limit:
                group[members], lines[members] = loud[k], line[loud[k]]
                most += demands[k]
                members += 1
                k += 1
            for member in range(members, GROUP):
                lines[member] = 0
            four = (group[0], group[1], group[2], group[3]), (lines[0], lines[1], lines[2], lines[3])
            least, fullest = append(block, begin, end, lanes, column, *four, skip, least, fullest, most)
        return k, int(least), int(fullest)

    return listen, feed
