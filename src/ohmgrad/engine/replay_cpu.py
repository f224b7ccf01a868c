"""Replay compiled for the processor.

A block of cells (:mod:`ohmgrad.engine.blocks_cpu`) stays in the first cache while the whole batch walks over it. Pulses
*queue* (:mod:`ohmgrad.engine.queue_cpu`) until a queue may be full, a slice is read or the batch ends; then they are
*drained* (:mod:`ohmgrad.engine.drain_cpu`). Slices are shared among threads; no cell looks at another, so any number of
threads gives the same bits.
"""

from __future__ import annotations

from functools import cache, partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ohmgrad.engine import blocks_cpu, drain_cpu, feed_cpu, queue_cpu
from ohmgrad.engine.blocks_cpu import make_moves
from ohmgrad.engine.compiler import ON_VIEWS
from ohmgrad.engine.drain_cpu import new_desk
from ohmgrad.engine.draws import Draws
from ohmgrad.engine.feed_cpu import GROUP, Line, make_queue
from ohmgrad.engine.fingerprint import fingerprint, named
from ohmgrad.engine.kernel_cache import compile_kernel
from ohmgrad.engine.laws_cpu import bind, callers
from ohmgrad.engine.packs_cpu import pack, unpacked
from ohmgrad.engine.queue_cpu import VECTOR, new_block
from ohmgrad.engine.replay import Cells, Events
from ohmgrad.engine.threads import share

BLOCK = 512
"""Lanes of one block: more, and those that are drained together have more equal numbers of pulses, until the block no
longer fits into the first cache."""


SPARSE = 0.7
"""Pulses for each cell of a slice below which only the cells that get any are brought: half of them, or fewer."""
MOST_PACKS = 8
"""Loud packs of a slice up to which that is done."""


def replay(cells: Cells, slices: Any, lanes: Any, skips: Tensor | None, events: Events, draws: Draws) -> Tensor:
    """See :func:`ohmgrad.engine.replay.replay`.

    :param slices: words ``[words, slices]``, and :param lanes: ``[words, lanes]``, both as NumPy arrays.
    """
    if cells.prepared is None:
        cells.prepared = _Prepared.of(cells)
    (count, width), before, behind, quiet = cells.prepared
    counted, words, reads = skips is not None, len(lanes), len(events)
    of_slices, of_lanes = np.ascontiguousarray(slices), _whole_vectors(lanes)
    packs = unpacked(of_slices, of_lanes) if counted else pack(of_slices, of_lanes)
    in_order, found = _in_order(events, count, words, width) if reads else quiet
    skipped = _NO_SKIPS if skips is None else skips.numpy()
    share(_kernel(counted), count, count * width * words, *before, *packs, skipped, *in_order, *behind, *draws.key)
    return found


_NO_SKIPS = np.zeros(1, np.int32)


class _Prepared(NamedTuple):
    """What a replay makes of cells, as long as their tensors are where they are."""

    shape: tuple[int, int]
    before: tuple[Any, ...]
    """What the kernel is given before what differs from replay to replay;"""
    behind: tuple[Any, ...]
    """and behind it."""
    quiet: tuple[Any, ...]
    """No events, see :func:`_in_order`."""

    @staticmethod
    def of(cells: Cells) -> _Prepared:
        """Those of some cells."""
        apparent = cells.apparent if cells.apparent is not None else cells.state
        arrays = (tensor.numpy() for tensor in (cells.state, apparent, cells.pulses, cells.raised))
        behind = cells.apparent is not None, np.float32(cells.write_noise), cells.columns_are_slices
        count, width = cells.state.shape
        nothing, read = np.zeros(0, np.int64), np.empty((0, width), np.float32)
        quiet = (np.zeros(count + 1, np.int64), nothing, nothing, np.zeros(0, np.bool_), read, read)
        return _Prepared(
            (count, width),
            (*arrays, *bind(cells), len(cells.law.cell), 3 if cells.noisy else 0),
            (*behind, cells.pulse_stream, cells.write_stream),
            (quiet, torch.from_numpy(read)),
        )


def _in_order(events: Events, count: int, words: int, width: int) -> tuple[tuple[Any, ...], Tensor]:
    """The events of each slice in turn: where they begin, after how many words, which, their resets and values.

    Behind these is room for what they read, which is also given as a tensor.
    """
    read = np.empty((len(events), width), np.float32)
    starts, (after, order) = np.zeros(count + 1, np.int64), np.empty((2, len(events)), np.int64)
    _sort()(starts, after, order, events.slices.numpy(), events.words.numpy(), words)
    values = read if events.values is None else events.values.contiguous().numpy()
    return (starts, after, order, events.resets.numpy(), values, read), torch.from_numpy(read)


@cache
def _sort() -> Any:
    def sort(starts, after, order, of_slice, words_before, words):  # type: ignore[no-untyped-def]
        """Sort events by slice, then by time; equal ones stay in turn, and those that never happen are left out."""
        for e in range(len(of_slice)):
            starts[of_slice[e] + 1] += words_before[e] <= words
        for s in range(1, len(starts)):
            starts[s] += starts[s - 1]
        ends = starts[:-1].copy()
        for e in range(len(of_slice)):
            s, time = of_slice[e], words_before[e]
            if time <= words:
                k = ends[s]
                while k > starts[s] and after[k - 1] > time:
                    after[k], order[k] = after[k - 1], order[k - 1]
                    k -= 1
                after[k], order[k] = time, e
                ends[s] += 1

    return compile_kernel(sort, __name__)


def _whole_vectors(given: Any) -> Any:
    """Words of the lanes as ``[words, lanes]``, with silent lanes behind the others if these do not fill vectors."""
    words, width = given.shape
    if width % VECTOR == 0:
        return np.ascontiguousarray(given)
    filled = np.zeros((words, -(-width // VECTOR) * VECTOR), given.dtype)
    filled[:, :width] = given
    return filled


@cache
def _kernel(counted: bool) -> Any:
    """The kernel for trains or for counts."""
    import numba

    from ohmgrad.engine import hints_cpu, pointers_cpu
    from ohmgrad.engine.hints_cpu import wide_vectors

    listen, find, feed = make_queue(counted)
    take, put_back, rewrite, reset, (copy, gather) = make_moves()
    make_block, make_desk, (call_drain, call_load) = new_block(), new_desk(), callers()
    modules = blocks_cpu, feed_cpu, queue_cpu, drain_cpu, hints_cpu, pointers_cpu
    tag, u32 = fingerprint(*modules, counted), np.uint32

    @partial(numba.njit, **ON_VIEWS)
    @partial(named, tag=tag)
    def walk(  # type: ignore[no-untyped-def]
        s_begin, s_end, arrays, law, packs, events, write_noise, by_column, turn, address, memory
    ):
        """Bring the slices ``s_begin`` to ``s_end - 1`` through the batch."""
        wide_vectors()
        slices, lanes, slice_signs, lane_signs, firsts, below, fires, is_packed, skips = packs
        starts, event_words, event_ids, resets, values, read = events
        block, desk, visible, seen, all_loud, all_demands, segments, places, in_turn, few, few_signs, group = memory
        k0, k1, pulse_noise, write_address = address
        drain_at, load_at, numbers, places_of = law
        words, last, has_write_noise = len(below), arrays[0].shape[1], len(seen) > 0
        parts: Any = (last + BLOCK - 1) // BLOCK
        nothing: Any = np.int64(0)  # a literal has a type of its own
        held, at, most_filled, order = nothing, nothing, nothing, (is_packed, firsts, below, skips)
        found, demand = nothing, nothing
        for task in range(s_begin * parts, s_end * parts + 1):
            s, first = task // parts, task % parts * BLOCK
            width, is_end = min(BLOCK, last - first), s == s_end
            if not is_end:
                if first == 0:
                    found, demand = listen(slices, s, is_packed, all_loud, all_demands)
                if found == 0 and starts[s] == starts[s + 1]:
                    continue
                loud, demands = all_loud[:found], all_demands[:found]
                line = Line(s, slices, slice_signs, lanes, lane_signs, first, loud, loud, demands, *group)
                if demand * fires < SPARSE and found <= MOST_PACKS and starts[s] == starts[s + 1]:
                    width = find(line, width, is_packed, block.rest, places)
                    if width == 0:
                        continue
                    for k in range(found):
                        gather(few[k, :width], lanes[loud[k]], places)
                        if is_packed:
                            gather(few_signs[k, :width], lane_signs[loud[k]], places)
                    line = Line(s, slices, slice_signs, few, few_signs, nothing, loud, in_turn[:found], demands, *group)
                    first = -1
            span = (width + VECTOR - 1) // VECTOR * VECTOR  # lanes beyond the array have no pulses
            if is_end or at + span > BLOCK:  # the block is full: apply what waits, and put its cells back
                call_drain(drain_at, (block, at, most_filled, desk, numbers, pulse_noise, k0, k1))
                if has_write_noise:
                    rewrite(block, visible, seen, at, write_noise, write_address, k0, k1)
                put_back(block, visible, segments, held, arrays)
                held, at, most_filled = nothing, nothing, nothing
            if is_end:
                break
            if first < 0:
                copy(block.place[at : at + width], places)
                few[:found, width:span] = 0
            take(block, visible, seen, at, s, first, width, by_column, turn, arrays)
            call_load(load_at, (places_of, numbers, block, s, first, at, width))
            segments[held, 0], segments[held, 1], segments[held, 2], segments[held, 3] = s, first, width, at
            held, k, done, waiting, end = held + 1, nothing, nothing, nothing, at + span
            least, fullest = nothing, nothing + 3
            for e in range(starts[s], starts[s + 1] + 1):
                is_event = e < starts[s + 1]
                stop = event_words[e] if is_event else words
                event = event_ids[e] if is_event else nothing
                more = True
                while more:
                    k, done, waiting, least, fullest, more = feed(
                        block, at, end, line, order, k, done, stop, waiting, least, fullest
                    )
                    most_filled = max(most_filled, fullest)
                    if more or is_event:
                        call_drain(drain_at, (block, end, most_filled, desk, numbers, pulse_noise, k0, k1))
                        least, fullest, most_filled = nothing, nothing + 3, nothing
                if is_event:
                    if has_write_noise:
                        rewrite(block, visible, seen, end, write_noise, write_address, k0, k1)
                    shown = visible if has_write_noise else block.cells[0]
                    copy(read[event, first : first + width], shown[at : at + width])
                    if resets[event]:
                        reset(block, at, values[event, first : first + width], turn)
                        if has_write_noise:
                            rewrite(block, visible, seen, end, write_noise, write_address, k0, k1)
            at = end

    def kernel(  # type: ignore[no-untyped-def]
        s_begin, s_end, state, apparent, pulses, raised, drain_at, load_at, numbers, cell_places, cell_count, turn,
        slices, lanes, slice_signs, lane_signs, firsts, below, fires, is_packed, skips, starts, event_words, event_ids,
        resets, values, read, has_write_noise, write_noise, by_column, pulse_stream, write_stream, key0, key1,
    ):  # fmt: skip
        written, packs = BLOCK * has_write_noise, len(lanes)
        memory = (
            make_block(cell_count, BLOCK),
            make_desk(cell_count, BLOCK),
            np.zeros(written, np.float32),
            np.zeros(written, np.int32),
            np.zeros(packs, np.int64),
            np.zeros(packs, np.int64),
            np.zeros((BLOCK, 4), np.int64),  # slice, first lane, width, and where they are in the block
            np.zeros(BLOCK, np.int32),
            np.arange(MOST_PACKS),
            np.zeros((MOST_PACKS, BLOCK), lanes.dtype),
            np.zeros((MOST_PACKS, BLOCK), np.int32),
            (np.zeros(GROUP, np.int64), np.zeros(GROUP, slices.dtype)),
        )
        walk(
            s_begin,
            s_end,
            (state, apparent, pulses, raised),
            (drain_at, load_at, numbers, cell_places),
            (slices, lanes, slice_signs, lane_signs, firsts, below, fires, is_packed, skips),
            (starts, event_words, event_ids, resets, values, read),
            write_noise,
            by_column,
            np.int32(turn),
            (u32(key0), u32(key1), u32(pulse_stream), u32(write_stream)),
            memory,
        )

    return compile_kernel(kernel, __name__, *modules)
