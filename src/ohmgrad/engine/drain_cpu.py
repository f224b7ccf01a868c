"""Applies the pulses that wait for the cells of a block, compiled for the processor.

Cells with many pulses are brought together, those with the most first, so that the cells of a chunk of lanes have about
equally many: nearly all lanes of a vector have a pulse to do in nearly every step. A step is one Philox block, four
pulses of each cell. Where most cells have but one pulse or two, these are applied one by one where the cells are.
Random words, normal numbers and applications of the law each have a loop over lanes, which the compiler turns into
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
FEW_PULSES = 2
"""Pulses for each lane, on average, below which they are applied one by one where the cells are, as long as a third of
the lanes have one: to bring a cell to others that have as many costs more than it saves then."""
MOST_BY_ONE = 8
"""So many of a lane at most: they lie in the first word of its queue."""
FEW_KINDS = 4
"""Kinds of lanes, by the Philox blocks that they need, which are found one after the other; more are counted first."""


class Desk(NamedTuple):
    """Memory for what is worked on.

    ``order``: lanes in the order in which they are drained, ``needs``: Philox blocks that each needs, ``ends``: of how
    many of each kind there are; then for the lanes of a chunk their places in the array, their cells and queues, with
    the number of the first Philox block, the first and the last place of each queue; and the random words and normal
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
            np.zeros(lanes + CHUNK, np.uint32),
            np.zeros(lanes, np.int32),
            np.zeros(PLACES // 4 + 2, np.uint32),
            np.zeros(CHUNK, np.uint32),
            np.zeros(CHUNK, np.uint32),
            np.zeros((1 + parameters) * CHUNK, np.float32),
            np.zeros((WORDS, CHUNK), np.uint32),
            np.zeros(CHUNK, np.uint32),
            np.zeros(CHUNK, np.int32),
            np.zeros(CHUNK, np.int32),
            np.zeros(2 * lanes, np.uint32),
            np.zeros(lanes, np.float32),
        )

    return numba.njit(named(make, fingerprint(sys.modules[__name__])))


@cache
def make_parts(noisy: bool) -> tuple[Any, Any, Any, Any, Any, Any]:
    """What draining does whatever the law, as compiled functions.

    They are ``start``, ``survey``, ``arrange``, ``gather``, ``draw`` and ``draw_one``. The first is the first place of
    an empty queue of a cell that has received a number of pulses.
    """
    import numba

    from ohmgrad.engine.words_cpu import where

    philox, normal_pair = compile_function(random.philox), compile_function(random.normal_pair)
    tag = fingerprint(sys.modules[__name__], queue_cpu, random, noisy)
    u32, i32, size, few = np.uint32, np.int32, CHUNK, FEW_KINDS
    inlined = partial(numba.njit, **INLINED)

    @inlined
    @partial(named, tag=tag)
    def start(number):  # type: ignore[no-untyped-def]
        return i32(number & 3) if noisy else i32(0)

    @inlined
    @partial(named, tag=tag)
    def survey(block, span, done):  # type: ignore[no-untyped-def]
        """How many lanes have pulses behind the first ``done``, and how many pulses there are all together."""
        lanes, total, number, filled = i32(0), i32(0), block.number, block.filled
        for lane in range(span):
            waiting = filled[lane] - start(number[lane])
            lanes += i32(waiting > done)
            total += waiting
        return int(lanes), int(total)

    @inlined
    @partial(named, tag=tag)
    def arrange(block, span, desk, done):  # type: ignore[no-untyped-def]
        """The lanes with pulses behind the first ``done``, those that need the most Philox blocks first; how many."""
        order, needs, ends, most, count = desk.order, desk.needs, desk.ends, i32(0), u32(0)
        number, filled = block.number, block.filled
        for lane in range(span):
            need = where(filled[lane] > start(number[lane]) + done, i32((filled[lane] + 3) >> 2), i32(0))
            needs[lane] = need
            most = max(most, need)
        if most <= few:
            for need in range(most, 0, -1):
                for lane in range(span):  # without a jump: most of them could not be foreseen
                    order[count] = u32(lane)
                    count = u32(count + u32(needs[lane] == need))
        else:
            ends[:] = 0
            for lane in range(span):
                ends[u32(needs[lane])] += u32(1)
            for need in range(most, 0, -1):
                many, ends[need] = ends[need], count
                count = u32(count + many)
            ends[0] = count
            for lane in range(span):
                kind = u32(needs[lane])
                order[ends[kind]] = u32(lane)
                ends[kind] += u32(1)
        for place in range(count, (count + size - 1) // size * size):  # lanes that have nothing to do fill a chunk
            order[place] = order[0]
        return int(count)

    @inlined
    @partial(named, tag=tag)
    def gather(block, desk, lanes, many, used, done):  # type: ignore[no-untyped-def]
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
            desk.begin[lane] = start(number) + done
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

    @inlined
    @partial(named, tag=tag)
    def draw_one(block, span, desk, done, stream, k0, k1):  # type: ignore[no-untyped-def]
        """The noise of the pulse behind the first ``done`` of every lane of a block.

        Long loops, for each number waits for the one before in a long chain: many chains have to be under way.
        """
        number, row, column = block.number[:span], block.row[:span], block.column[:span]
        first, second, noise = desk.words[:span], desk.words[span : 2 * span], desk.noise[:span]
        for lane in range(span):
            n = u32(number[lane] + done)
            a, b, c, d = philox(stream, row[lane], column[lane], u32(n >> u32(2)), k0, k1)
            is_late = u32(n & u32(2)) != u32(0)
            first[lane], second[lane] = where(is_late, c, a), where(is_late, d, b)
        for lane in range(span):
            cosine, sine = normal_pair(first[lane], second[lane])
            noise[lane] = where(u32(u32(number[lane] + done) & u32(1)) != u32(0), sine, cosine)

    return start, survey, arrange, gather, draw, draw_one


def make_drain(step: Any, step_here: Any, noisy: bool, tag: str) -> Any:
    """A function, to be compiled, that applies all that waits.

    :param step: the law as a compiled function of (w, up, noise, cells of a chunk, numbers, lane); :param step_here:
        the same of (w, up, noise, cells of a block, numbers, lane).
    :param noisy: whether the law uses its noise.
    """
    import numba

    from ohmgrad.engine.hints_cpu import wide_vectors
    from ohmgrad.engine.words_cpu import popcount, where

    start, survey, arrange, gather, draw, draw_one = make_parts(noisy)
    u32, i32, size, zero, few, most_by_one = np.uint32, np.int32, CHUNK, np.float32(0.0), FEW_PULSES, MOST_BY_ONE
    inlined = partial(numba.njit, **INLINED)

    @inlined
    @partial(named, tag=tag)
    def attempt(w, four, j, place, begin, end, noise, cells, numbers, lane):  # type: ignore[no-untyped-def]
        """The pulse of one place, if there is one."""
        after = step(w, u32(four & u32(1 << j)) != u32(0), noise, cells, numbers, lane)
        return where((place + j >= begin) & (place + j < end), after, w)

    @inlined
    @partial(named, tag=tag)
    def apply(desk, numbers, turn):  # type: ignore[no-untyped-def]
        """Apply four pulses of every lane."""
        cells, noise, begins, ends, queue = desk.cells, desk.noise, desk.begin, desk.end, desk.queue[turn >> 3]
        shift, place = u32(u32(4 * (turn & 7)) & u32(31)), i32(4 * turn)
        for lane in range(size):
            w, four, begin, end = cells[lane], u32(queue[lane] >> shift), begins[lane], ends[lane]
            if noisy:
                n0, n1, n2, n3 = noise[lane], noise[size + lane], noise[2 * size + lane], noise[3 * size + lane]
            else:
                n0, n1, n2, n3 = zero, zero, zero, zero
            w = attempt(w, four, i32(0), place, begin, end, n0, cells, numbers, lane)
            w = attempt(w, four, i32(1), place, begin, end, n1, cells, numbers, lane)
            w = attempt(w, four, i32(2), place, begin, end, n2, cells, numbers, lane)
            cells[lane] = attempt(w, four, i32(3), place, begin, end, n3, cells, numbers, lane)

    @inlined
    @partial(named, tag=tag)
    def apply_one(block, span, done, desk, numbers, stream, k0, k1):  # type: ignore[no-untyped-def]
        """Apply the pulse behind the first ``done`` of every lane that has it, where the cells are."""
        weights, number, filled, queue = (
            block.cells[0, :span],
            block.number[:span],
            block.filled[:span],
            block.queue[0, :span],
        )
        noise = desk.noise[:span]
        if noisy:
            draw_one(block, span, desk, done, stream, k0, k1)
        for lane in range(span):
            place, w = i32(start(number[lane]) + done), weights[lane]
            up = u32(u32(queue[lane] >> u32(u32(place) & u32(31))) & u32(1)) != u32(0)
            after = step_here(w, up, noise[lane] if noisy else zero, block.cells, numbers, u32(lane))
            weights[lane] = where(filled[lane] > place, after, w)

    def drain(block, span, fullest, desk, numbers, stream, k0, k1):  # type: ignore[no-untyped-def]
        """Apply all pulses that wait.

        :param span: lanes of the block; :param fullest: the most places taken of a queue; :param stream: of its noise.
        """
        wide_vectors()
        weights, used, done = block.cells[0], (fullest + 31) >> 5, i32(0)
        lanes_left, total = survey(block, span, done)
        if total < few * span:
            while lanes_left * 3 > span and done < most_by_one:
                apply_one(block, span, done, desk, numbers, stream, k0, k1)
                done = i32(done + 1)
                lanes_left, total = survey(block, span, done)
        count = arrange(block, span, desk, done) if lanes_left > 0 else 0
        for begin in range(0, count, size):
            lanes, many = desk.order[begin : begin + size], min(size, count - begin)
            gather(block, desk, lanes, many, used, done)
            for turn in range(desk.needs[lanes[0]]):
                if noisy:
                    draw(desk, turn, stream, k0, k1)
                apply(desk, numbers, turn)
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
