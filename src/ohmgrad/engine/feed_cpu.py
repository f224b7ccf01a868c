"""Where the lines of a batch meet, compiled for the processor: which pulses every cell of a slice gets, in order.

A word of one sample gives a cell as many pulses as it has slots in common with that of the lane, all in one direction:
they are counted, four words at once. The slots of a pack belong to several samples, with directions of their own: they
are looked for one by one, which is little work where pulses are rare.
"""

from __future__ import annotations

import sys
from functools import cache, partial
from typing import Any, NamedTuple

import numpy as np

from ohmgrad.engine import queue_cpu
from ohmgrad.engine.compiler import INLINED, ON_VIEWS
from ohmgrad.engine.fingerprint import fingerprint, named
from ohmgrad.engine.queue_cpu import PLACES, make_push
from ohmgrad.engine.trains import SLOTS

GROUP = 4
"""Words of a batch that are appended together, as far as they give no cell more than one word of pulses."""
STEPS = (1, 2, 3, 4, 8)
"""How many pulses of each cell are taken from a pack at once."""


class Line(NamedTuple):
    """Slice ``s`` of a batch, and what follows from the packs (:class:`~ohmgrad.engine.packs_cpu.Packs`).

    ``slots`` and ``flips``: words of all slices, and their signs. ``loud``: numbers of the packs that give the slice
    pulses, ``demands``: how many at most, ``rows``: where the lanes of each are in ``lanes`` and ``signs``, from column
    ``column`` on. ``members`` and ``words`` are room for the rows and the words of a group.
    """

    s: Any
    slots: Any
    flips: Any
    lanes: Any
    signs: Any
    column: Any
    loud: Any
    rows: Any
    demands: Any
    members: Any
    words: Any


@cache
def make_meet_words(counted: bool) -> Any:
    """A compiled function that brings the pulses of four words of a slice on their way to the queues.

    :param counted: whether words are factors of counts; else they are trains.
    """
    import numba

    from ohmgrad.engine.hints_cpu import wide_vectors
    from ohmgrad.engine.words_cpu import popcount, round_even, where

    tag = fingerprint(sys.modules[__name__], queue_cpu, counted)
    u32, i32, most_slots, ones = np.uint32, np.int32, SLOTS, np.uint32(0xFFFFFFFF)
    inlined = partial(numba.njit, **INLINED)

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
    def behind(bits, total, line, other, skip):  # type: ignore[no-untyped-def]
        """The pulses of one more word behind others, and how many there are now."""
        count, up = pulses(line, other, skip)
        new = u32(up & ~u32(ones << count))
        return u32(bits | u32(new << u32(total & u32(31)))), u32(total + count)

    @partial(numba.njit, **ON_VIEWS)
    @partial(named, tag=tag)
    def meet(block, begin, end, lanes, column, rows, lines, skip):  # type: ignore[no-untyped-def]
        """Bring the pulses of four words on their way; the most that a cell gets."""
        wide_vectors()
        span, most = end - begin, i32(0)
        bits, many = block.bits[begin:end], block.many[begin:end]
        others = (
            lanes[rows[0], column : column + span],
            lanes[rows[1], column : column + span],
            lanes[rows[2], column : column + span],
            lanes[rows[3], column : column + span],
        )
        for lane in range(span):  # spelled out, to be vectorised
            found, total = behind(u32(0), u32(0), lines[0], others[0][lane], skip)
            found, total = behind(found, total, lines[1], others[1][lane], skip)
            found, total = behind(found, total, lines[2], others[2][lane], skip)
            found, total = behind(found, total, lines[3], others[3][lane], skip)
            bits[lane], many[lane] = found, i32(total)
            most = max(most, i32(total))
        return int(most)

    return meet


@cache
def make_feed_words(counted: bool) -> Any:
    """A compiled function that feeds the pulses of words, each of one sample: they are counted."""
    import numba

    tag, meet, push = fingerprint(sys.modules[__name__], queue_cpu, counted), make_meet_words(counted), make_push()
    i32, most_slots, size = np.int32, SLOTS, GROUP

    @partial(numba.njit, **ON_VIEWS)
    @partial(named, tag=tag)
    def feed_words(block, begin, end, line, skips, k, stop, waiting, least, fullest):  # type: ignore[no-untyped-def]
        """See ``feed``."""
        loud, demands, rows, lines = line.loud, line.demands, line.members, line.words
        while True:
            if waiting > 0:
                if fullest + waiting > PLACES:
                    return k, waiting, least, fullest, True
                least, fullest = push(block, begin, end, waiting, least, fullest)
            if k == len(loud) or loud[k] >= stop:
                return k, 0, least, fullest, False
            members, most, skip = 0, 0, skips[loud[k]] if counted else i32(0)
            while members < size and k < len(loud) and loud[k] < stop and most + demands[k] <= most_slots:
                rows[members], lines[members] = line.rows[k], line.slots[loud[k], line.s]
                most, members, k = most + demands[k], members + 1, k + 1
            for member in range(members, size):
                rows[member], lines[member] = rows[0], 0
            four = (rows[0], rows[1], rows[2], rows[3]), (lines[0], lines[1], lines[2], lines[3])
            waiting = meet(block, begin, end, line.lanes, line.column, *four, skip)

    return feed_words


@cache
def make_meet_packs() -> tuple[Any, tuple[Any, ...]]:
    """Compiled functions to find the slots in which a slice and lanes meet, and to bring those pulses on their way."""
    import numba

    from ohmgrad.engine.hints_cpu import wide_vectors
    from ohmgrad.engine.words_cpu import popcount, where

    tag, u32, i32 = fingerprint(sys.modules[__name__], queue_cpu), np.uint32, np.int32

    @partial(numba.njit, **ON_VIEWS)
    @partial(named, tag=tag)
    def meet(rest, lanes, slots):  # type: ignore[no-untyped-def]
        """Find the slots in which lanes meet a slice; the most of a lane."""
        wide_vectors()
        most = u32(0)
        for lane in range(len(rest)):
            met = u32(u32(lanes[lane]) & slots)
            rest[lane] = met
            most = max(most, popcount(met))
        return int(most)

    def steps(count: int) -> Any:
        """A function that brings the first ``count`` pulses of every lane on their way; the most that are then."""

        @partial(numba.njit, **ON_VIEWS)
        @partial(named, tag=fingerprint(tag, count))
        def take(rest, bits, many, signs, flips, is_first):  # type: ignore[no-untyped-def]
            wide_vectors()
            most = i32(0)
            for lane in range(len(rest)):
                met, up, found = rest[lane], u32(u32(signs[lane]) ^ flips), u32(0)
                number = min(popcount(met), u32(count))
                for step in range(count):
                    after = u32(met & u32(met - u32(1)))
                    found = u32(found | where(u32(u32(met ^ after) & up) != u32(0), u32(1 << step), u32(0)))
                    met = after
                rest[lane] = met
                before = where(is_first, i32(0), many[lane])
                bits[lane] = u32(where(is_first, u32(0), bits[lane]) | u32(found << u32(u32(before) & u32(31))))
                total = i32(before + i32(number))
                many[lane] = total
                most = max(most, total)
            return int(most)

        return take

    return meet, tuple(map(steps, STEPS))


@cache
def make_feed_packs() -> Any:
    """A compiled function that feeds the pulses of packs, each of several samples: they are looked for one by one."""
    import numba

    tag, push, (meet, steps) = fingerprint(sys.modules[__name__], queue_cpu), make_push(), make_meet_packs()
    one, two, three, four, eight = steps
    u32, ones = np.uint32, np.uint32(0xFFFFFFFF)

    @partial(numba.njit, **ON_VIEWS)
    @partial(named, tag=tag)
    def feed_packs(block, begin, end, line, firsts, below, k, done, stop, waiting, least, fullest):  # type: ignore[no-untyped-def]
        """See ``feed``."""
        span, column, loud = end - begin, line.column, line.loud
        rest, bits, many = block.rest[begin:end], block.bits[begin:end], block.many[begin:end]
        while k < len(loud) and max(done, firsts[loud[k]]) < stop:
            pack = loud[k]
            wanted = ones
            if stop < firsts[pack + 1]:
                wanted = below[stop]
            if done > firsts[pack]:
                wanted = u32(wanted & ~below[done])
            slots, flips = u32(u32(line.slots[pack, line.s]) & wanted), u32(line.flips[pack, line.s])
            lanes, signs = line.lanes[line.rows[k]], line.signs[line.rows[k]]
            most = meet(rest, lanes[column : column + span], slots)
            if waiting + most > SLOTS:
                if fullest + waiting > PLACES:
                    return k, done, waiting, least, fullest, True
                least, fullest = push(block, begin, end, waiting, least, fullest)
                waiting = 0
            while most > 0:
                given = rest, bits, many, signs[column : column + span], flips, waiting == 0
                if most == 1:
                    waiting, most = one(*given), 0
                elif most == 2:
                    waiting, most = two(*given), 0
                elif most == 3:
                    waiting, most = three(*given), 0
                elif most == 4:
                    waiting, most = four(*given), 0
                else:
                    waiting, most = eight(*given), most - 8
            if stop < firsts[pack + 1]:
                break
            k += 1
        if waiting > 0:
            if fullest + waiting > PLACES:
                return k, stop, waiting, least, fullest, True
            least, fullest = push(block, begin, end, waiting, least, fullest)
        return k, stop, 0, least, fullest, False

    return feed_packs


@cache
def make_queue(counted: bool) -> tuple[Any, Any, Any]:
    """What a kernel does with the words of a batch, as compiled functions ``listen``, ``find`` and ``feed``.

    :param counted: whether words are factors of counts; else they are trains.
    """
    import numba

    from ohmgrad.engine.hints_cpu import wide_vectors
    from ohmgrad.engine.words_cpu import lowest_one, popcount, where

    tag = fingerprint(sys.modules[__name__], queue_cpu, counted)
    u32, i32, most_slots = np.uint32, np.int32, SLOTS
    feed_words, feed_packs = make_feed_words(counted), make_feed_packs()

    def part(function: Any) -> Any:
        return numba.njit(named(function, tag), **ON_VIEWS)

    @part
    def listen(slots, s, is_packed, loud, demands):  # type: ignore[no-untyped-def]
        """Find the packs that give a slice pulses, and how many at most; how many packs, how many pulses."""
        found, total = 0, 0
        for pack in range(len(slots)):
            word = slots[pack, s]
            if counted:
                most = most_slots if word != np.float32(0.0) else 0
            else:
                most = int(popcount(u32(u32(word) & (u32(0xFFFFFFFF) if is_packed else u32(0x7FFFFFFF)))))
            if most > 0:
                loud[found], demands[found] = pack, most
                found, total = found + 1, total + most
        return found, total

    @part
    def find(line, width, is_packed, rest, places):  # type: ignore[no-untyped-def]
        """Find the lanes that meet any slot of a slice, among ``width`` from its column on; how many there are."""
        wide_vectors()
        met, count = rest[:width], 0
        for k in range(len(line.loud)):
            lanes = line.lanes[line.rows[k]][line.column : line.column + width]
            slots = u32(u32(line.slots[line.loud[k], line.s]) & (u32(0xFFFFFFFF) if is_packed else u32(0x7FFFFFFF)))
            for lane in range(width):
                met[lane] = u32(where(k == 0, u32(0), met[lane]) | u32(u32(lanes[lane]) & slots))
        for first in range(0, width, 32):
            marked = u32(0)
            for lane in range(min(32, width - first)):
                marked = u32(marked | where(met[first + lane] != u32(0), u32(u32(1) << u32(lane)), u32(0)))
            while marked != u32(0):
                places[count] = i32(line.column + first + lowest_one(marked))
                marked, count = u32(marked & u32(marked - u32(1))), count + 1
        return count

    @part
    def feed(block, begin, end, line, packs, k, done, stop, waiting, least, fullest):  # type: ignore[no-untyped-def]
        """Append the pulses of the words before ``stop``, until a queue is full.

        :param begin, end: lanes of the block; :param packs: whether there are packs, ``firsts``, ``below`` and
            ``skips``; :param k: number of the next loud pack; :param done: words that were fed; :param waiting: the
            most pulses on their way to a cell; :param least, fullest: the least and the most places taken.
        :returns: the same anew: k, done, waiting, least, fullest; and whether the queues must be drained to go on.
        """
        is_packed, firsts, below, skips = packs
        if counted or not is_packed:
            k, waiting, least, fullest, more = feed_words(
                block, begin, end, line, skips, k, stop, waiting, least, fullest
            )
            return k, done, waiting, least, fullest, more
        return feed_packs(block, begin, end, line, firsts, below, k, done, stop, waiting, least, fullest)

    return listen, find, feed
