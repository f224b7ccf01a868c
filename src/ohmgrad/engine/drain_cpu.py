"""Applies the pulses that wait for the cells of a block, compiled for the processor.

The cells with the most pulses come first, so that those of a chunk of lanes have about equally many: nearly all lanes
of a vector have a pulse to do in nearly every step. A step is one Philox block, four pulses of each cell: random words,
normal numbers and applications of the law each have a loop over the lanes of a chunk, which the compiler turns into
vector instructions.
"""

from __future__ import annotations

import sys
from functools import cache, partial
from typing import Any, NamedTuple

import numpy as np

from ohmgrad.engine import queue_cpu, random
from ohmgrad.engine.compiler import INLINED, compile_function
from ohmgrad.engine.fingerprint import fingerprint, named
from ohmgrad.engine.queue_cpu import PLACES, WORDS

CHUNK = 32
"""Lanes that are drained together."""
_MOST = PLACES // 4
"""Philox blocks that a queue may take."""


class Desk(NamedTuple):
    """Memory for what is worked on.

    ``order``: lanes in the order in which they are drained, ``needs``: Philox blocks that each needs, ``ends``: of how
    many of each kind there are; then for the lanes of a chunk their places in the array, their cells and queues, with
    the number of the first Philox block, the first and the last place of each queue, and the random words and normal
    numbers of one step.
    """

    order: Any
    needs: Any
    ends: Any
    row: Any
    column: Any
    cells: Any
    queue: Any
    first: Any
    begin: Any
    end: Any
    words: Any
    noise: Any


@cache
def new_desk() -> Any:
    """A compiled function that makes one, all 0, of the numbers of parameters and lanes."""
    import numba

    def make(parameters, lanes):  # type: ignore[no-untyped-def]
        return Desk(
            np.zeros(lanes, np.uint32),
            np.zeros(lanes, np.int32),
            np.zeros(_MOST + 2, np.uint32),
            np.zeros(CHUNK, np.uint32),
            np.zeros(CHUNK, np.uint32),
            np.zeros((1 + parameters) * CHUNK, np.float32),
            np.zeros((WORDS, CHUNK), np.uint32),
            np.zeros(CHUNK, np.uint32),
            np.zeros(CHUNK, np.int32),
            np.zeros(CHUNK, np.int32),
            np.zeros(4 * CHUNK, np.uint32),
            np.zeros(4 * CHUNK, np.float32),
        )

    return numba.njit(named(make, fingerprint(sys.modules[__name__])))


@cache
def make_parts(noisy: bool) -> tuple[Any, Any, Any, Any]:
    """What draining does whatever the law, as compiled functions: ``start``, ``arrange``, ``gather`` and ``draw``.

    The first is the first place of an empty queue of a cell that has received a number of pulses.
    """
    import numba

    from ohmgrad.engine.words_cpu import where

    philox, normal_pair = compile_function(random.philox), compile_function(random.normal_pair)
    tag = fingerprint(sys.modules[__name__], queue_cpu, random, noisy)
    u32, i32, size = np.uint32, np.int32, CHUNK
    inlined = partial(numba.njit, **INLINED)

    @inlined
    @partial(named, tag=tag)
    def start(number):  # type: ignore[no-untyped-def]
        return i32(number & 3) if noisy else i32(0)

    @inlined
    @partial(named, tag=tag)
    def arrange(block, span, desk):  # type: ignore[no-untyped-def]
        """The lanes with pulses, those that need the most Philox blocks first; how many there are."""
        order, needs, ends = desk.order, desk.needs, desk.ends
        number, filled = block.number, block.filled
        for lane in range(span):
            needs[lane] = where(filled[lane] > start(number[lane]), (filled[lane] + 3) >> 2, 0)
        ends[:] = 0
        for lane in range(span):
            ends[u32(needs[lane])] += u32(1)
        count = 0
        for need in range(len(ends) - 1, 0, -1):
            many, ends[need] = ends[need], u32(count)
            count += int(many)
        for lane in range(span):
            kind = needs[lane]
            if kind > 0:
                order[ends[u32(kind)]] = u32(lane)
                ends[u32(kind)] += u32(1)
        for place in range(count, (count + size - 1) // size * size):  # lanes that have nothing to do fill a chunk
            order[place] = order[0]
        return count

    @inlined
    @partial(named, tag=tag)
    def gather(block, desk, lanes, many, used):  # type: ignore[no-untyped-def]
        """Bring the cells of a chunk together; the lanes behind the first ``many`` have nothing to do."""
        for k in range(block.cells.shape[0]):
            source, target = block.cells[k], desk.cells[k * size : (k + 1) * size]
            for lane in range(size):
                target[lane] = source[lanes[lane]]
        for word in range(used):
            waiting, queue = block.queue[word], desk.queue[word]
            for lane in range(size):
                queue[lane] = waiting[lanes[lane]]
        for lane in range(size):
            desk.row[lane], desk.column[lane] = block.row[lanes[lane]], block.column[lanes[lane]]
            number = block.number[lanes[lane]]
            desk.first[lane] = u32(u32(number) >> u32(2))
            desk.begin[lane] = start(number)
            desk.end[lane] = block.filled[lanes[lane]] if lane < many else i32(0)

    @inlined
    @partial(named, tag=tag)
    def draw(desk, turn, stream, k0, k1):  # type: ignore[no-untyped-def]
        """The noise of four pulses of every lane: that of places ``4 * turn`` to ``4 * turn + 3``."""
        row, column, words, noise, first = desk.row, desk.column, desk.words, desk.noise, desk.first
        for lane in range(size):
            words[lane], words[size + lane], words[2 * size + lane], words[3 * size + lane] = philox(
                stream, row[lane], column[lane], u32(first[lane] + u32(turn)), k0, k1
            )
        for lane in range(size):
            noise[lane], noise[size + lane] = normal_pair(words[lane], words[size + lane])
        for lane in range(size):
            noise[2 * size + lane], noise[3 * size + lane] = normal_pair(words[2 * size + lane], words[3 * size + lane])

    return start, arrange, gather, draw


def make_drain(step: Any, noisy: bool, tag: str) -> Any:
    """A compiled function that applies all that waits.

    :param step: the law as a compiled function of (w, up, noise, cells of a chunk, constants, lane).
    :param noisy: whether the law uses its noise.
    """
    import numba

    from ohmgrad.engine.hints_cpu import wide_vectors
    from ohmgrad.engine.words_cpu import popcount, where

    start, arrange, gather, draw = make_parts(noisy)
    u32, i32, size, zero = np.uint32, np.int32, CHUNK, np.float32(0.0)
    inlined = partial(numba.njit, **INLINED)

    @inlined
    @partial(named, tag=tag)
    def attempt(w, four, j, place, begin, end, noise, cells, constants, lane):  # type: ignore[no-untyped-def]
        """The pulse of one place, if there is one."""
        after = step(w, u32(four & u32(1 << j)) != u32(0), noise, cells, constants, lane)
        return where((place + j >= begin) & (place + j < end), after, w)

    @inlined
    @partial(named, tag=tag)
    def apply(desk, constants, turn):  # type: ignore[no-untyped-def]
        """Apply four pulses of every lane."""
        cells, noise, begins, ends, queue = desk.cells, desk.noise, desk.begin, desk.end, desk.queue[turn >> 3]
        shift, place = u32(u32(4 * (turn & 7)) & u32(31)), i32(4 * turn)
        for lane in range(size):
            w, four, begin, end = cells[lane], u32(queue[lane] >> shift), begins[lane], ends[lane]
            if noisy:
                n0, n1, n2, n3 = noise[lane], noise[size + lane], noise[2 * size + lane], noise[3 * size + lane]
            else:
                n0, n1, n2, n3 = zero, zero, zero, zero
            w = attempt(w, four, i32(0), place, begin, end, n0, cells, constants, lane)
            w = attempt(w, four, i32(1), place, begin, end, n1, cells, constants, lane)
            w = attempt(w, four, i32(2), place, begin, end, n2, cells, constants, lane)
            cells[lane] = attempt(w, four, i32(3), place, begin, end, n3, cells, constants, lane)

    @partial(numba.njit, error_model="numpy", nogil=True)
    @partial(named, tag=tag)
    def drain(block, span, fullest, desk, constants, stream, k0, k1):  # type: ignore[no-untyped-def]
        """Apply all pulses that wait.

        :param span: lanes of the block; :param fullest: the most places taken of a queue; :param stream: of its noise.
        """
        wide_vectors()
        weights, used = block.cells[0], (fullest + 31) >> 5
        count = arrange(block, span, desk)
        for begin in range(0, count, size):
            lanes, many = desk.order[begin : begin + size], min(size, count - begin)
            gather(block, desk, lanes, many, used)
            for turn in range(desk.needs[lanes[0]]):
                if noisy:
                    draw(desk, turn, stream, k0, k1)
                apply(desk, constants, turn)
            for lane in range(many):
                weights[lanes[lane]] = desk.cells[lane]
        number, filled, raised = block.number, block.filled, block.raised
        for word in range(used):
            queue = block.queue[word]
            for lane in range(span):
                raised[lane] += i32(popcount(queue[lane]))
                queue[lane] = 0
        for lane in range(span):
            number[lane] += filled[lane] - start(number[lane])
            filled[lane] = start(number[lane])

    return drain
