"""Replay compiled for the processor.

Blocks of lanes stay in the first cache while the whole batch walks over them. The direction bits of a cell's pulses
are *appended* to 64 bits (two words of 32, so that everything in a lane is of one width); when those may be full, all
cells of the block are *drained*: one Philox block, four pulses, per lane and step, all lanes together, so that the
compiler turns the loop over lanes into vector instructions. Slices are shared among threads; no cell looks at another,
so any number of threads gives the same bits.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ohmgrad.engine import elementary, random
from ohmgrad.engine.compiler import INLINED, compile_function
from ohmgrad.engine.draws import Draws
from ohmgrad.engine.fingerprint import fingerprint, named
from ohmgrad.engine.implicit_cpu import cell_function, packed
from ohmgrad.engine.kernel_cache import compile_kernel
from ohmgrad.engine.replay import Cells, Events
from ohmgrad.engine.threads import share
from ohmgrad.engine.trains import SLOTS

BLOCK = 128
"""Lanes of one block."""


def replay(cells: Cells, slices: Tensor, lanes: Tensor, skips: Tensor | None, events: Events, draws: Draws) -> Tensor:
    """See :func:`ohmgrad.engine.replay.replay`."""
    count, width = cells.state.shape
    if cells.prepared is None:
        cells.prepared = _prepared(cells)
    arrays, parameters, constants, source, kernels = cells.prepared
    counted = skips is not None
    if counted not in kernels:
        law = cells.law
        kernels[counted] = _kernel(law.function, law.order, len(law.cell), cells.noisy, counted, source)
    read = np.empty((len(events), width), np.float32)
    shared = (
        *arrays,
        parameters,
        constants,
        np.ascontiguousarray(slices.numpy()),
        _blocks(lanes),
        np.zeros(1, np.int32) if skips is None else skips.numpy(),
        *_in_order(events, count, lanes.shape[0], read),
        read,
        cells.apparent is not None,
        np.float32(cells.write_noise),
        cells.columns_are_slices,
        cells.pulse_stream,
        cells.write_stream,
        *draws.key,
    )
    share(kernels[counted], count, count * width * lanes.shape[0], *shared)
    return torch.from_numpy(read)


def _prepared(cells: Cells) -> tuple[Any, ...]:
    """What the kernel sees of the cells, as long as their tensors are where they are; and a place for its kernels."""
    source, parameters = _source(cells)
    apparent = cells.apparent if cells.apparent is not None else cells.state
    arrays = tuple(tensor.numpy() for tensor in (cells.state, apparent, cells.pulses, cells.raised))
    constants = tuple(
        np.array(value, np.float32) if isinstance(value, tuple) else np.float32(value) for value in cells.law.constants
    )
    return arrays, parameters, constants, source, {}


def _in_order(events: Events, count: int, words: int, read: Any) -> tuple[Any, ...]:
    """The events of each slice in turn: where they begin, after how many words, which, and their resets."""
    if len(read) == 0:
        nothing = np.zeros(0, np.int64)
        return np.zeros(count + 1, np.int64), nothing, nothing, np.zeros(0, np.bool_), read
    of_slice, after = events.slices.numpy(), events.words.numpy()
    order = np.lexsort((np.arange(len(events)), after, of_slice))
    order = order[after[order] <= words]
    starts = np.searchsorted(of_slice[order], np.arange(count + 1))
    values = read if events.values is None else events.values.contiguous().numpy()
    return starts, after[order], order, events.resets.numpy(), values


def _blocks(lanes: Tensor) -> Any:
    """Words of the lanes as ``[blocks, words, BLOCK]``, padded with empty words.

    In NumPy: after a parallel operation torch's threads spin for milliseconds on the cores that the kernel needs.
    """
    given = lanes.numpy()
    words, width = given.shape
    parts = -(-width // BLOCK)
    padded = np.zeros((parts, words, BLOCK), dtype=given.dtype)
    for part in range(parts):
        columns = given[:, part * BLOCK : (part + 1) * BLOCK]
        padded[part, :, : columns.shape[1]] = columns
    return padded


Source = tuple[Callable[..., Any], int] | tuple[torch.dtype, ...]
"""Where cell parameters come from: a function of one cell and the number of its constants, or tensors of such types."""

_WIDENED = {torch.bfloat16: elementary.from_bfloat16, torch.float16: elementary.from_float16}
"""What makes float32 of the bits of another type."""


def _source(cells: Cells) -> tuple[Source, tuple[Any, ...]]:
    """Where the parameters of cells come from, and what the kernel is given for that."""
    if cells.sampling is not None:
        return (cells.sampling.function, len(cells.sampling.constants)), packed(cells.sampling)
    stored = cells.parameters
    arrays = (value.view(torch.int16) if value.dtype in _WIDENED else value for value in stored)
    return tuple(value.dtype for value in stored), tuple(value.numpy() for value in arrays)


def _adapter(law: Any, order: tuple[int, ...], n_cell: int, source: Source, tag: str) -> Any:
    """Two functions around scratch memory that holds the parameters of the cells of a block.

    The first is the law as a function of (w, up, noise, scratch, constants, lane); the second fills the memory. A law
    has any number of parameters; what is done with each is spelled out here, as Numba wants it.
    """
    import numba

    arguments = [f"scratch[{BLOCK * (k + 1)} + lane]" if k >= 0 else f"constants[{-1 - k}]" for k in order]
    scope = {"law": law, "uint32": np.uint32, "__name__": __name__}
    rows = [f"scratch[{BLOCK * (k + 1)} + lane]" for k in range(n_cell)]
    if source and callable(source[0]):
        scope["cell"] = cell_function(*source, tag)
        loads = [
            "    _, row, column, row_step, column_step = origin",
            "    for lane in range(width):",
            "        n = uint32(lane)",
            "        values = cell(parameters, uint32(row + row_step * n), uint32(column + column_step * n))",
            *(f"        {row} = values[{k}]" for k, row in enumerate(rows)),
        ]
    else:
        loads = []
        for k, (row, kind) in enumerate(zip(rows, source, strict=True)):
            value = f"parameters[{k}][s, first + lane]"
            if kind in _WIDENED:
                scope[f"widened_{k}"] = compile_function(_WIDENED[kind])
                value = f"widened_{k}({value})"
            loads.append(f"    for lane in range(width): {row} = {value}")
    text = "\n".join(
        [
            "def step(w, up, noise, scratch, constants, lane):",
            f"    return law({', '.join(['w', 'up', 'noise', *arguments])})",
            "def load(parameters, scratch, s, first, width, origin):",
            *loads,
            "    return",
        ]
    )
    exec(text, scope)
    return tuple(numba.njit(named(scope[name], tag), **INLINED) for name in ("step", "load"))


@cache
def _kernel(function: Any, order: tuple[int, ...], n_cell: int, noisy: bool, counted: bool, source: Source) -> Any:
    """The kernel of one law, for trains or for counts."""
    import numba

    from ohmgrad.engine.words_cpu import popcount, round_even

    tag = fingerprint(function, order, n_cell, noisy, counted, *source)
    step, load = _adapter(compile_function(function, whole_numbers=True), order, n_cell, source, tag)
    normals = compile_function(random.normals)
    size = BLOCK
    scratch_size = BLOCK * (n_cell + 1)
    zero = np.float32(0.0)
    u32, i32 = np.uint32, np.int32

    def part(function: Any) -> Any:
        """A function of the kernel."""
        return numba.njit(named(function, tag), error_model="numpy", nogil=True)

    @partial(numba.njit, **INLINED)
    @partial(named, tag=tag)
    def attempt(w, low, high, count, i, noise, scratch, constants, lane):  # type: ignore[no-untyped-def]
        """The i-th pending pulse, if there is one."""
        word = high if i >= 32 else low
        up = u32(word >> u32(i & 31)) & u32(1) != u32(0)
        after = step(w, up, noise, scratch, constants, lane)
        return after if (i >= 0) & (i < count) else w

    @part
    def drain(scratch, constants, lows, highs, pending, number, ups, span, origin, k0, k1):  # type: ignore[no-untyped-def]
        """Apply all pending pulses of the block; ``origin`` is its address, see ``address``."""
        end = i32(0)
        for lane in range(span):
            last = pending[lane] + (number[lane] & 3) if noisy else pending[lane]
            end = max(end, i32(last if pending[lane] > 0 else 0))
        stream, row, column, row_step, column_step = origin
        for block in range((end + 3) // 4):
            for lane in range(span):
                w, low, high, count = scratch[lane], lows[lane], highs[lane], pending[lane]
                if noisy:
                    n = u32(number[lane])
                    n0, n1, n2, n3 = normals(
                        stream,
                        u32(row + row_step * u32(lane)),
                        u32(column + column_step * u32(lane)),
                        u32((n >> u32(2)) + u32(block)),
                        k0,
                        k1,
                    )
                    i = i32(4 * block - i32(n & u32(3)))
                else:
                    n0, n1, n2, n3 = zero, zero, zero, zero
                    i = i32(4 * block)
                w = attempt(w, low, high, count, i, n0, scratch, constants, lane)
                w = attempt(w, low, high, count, i32(i + 1), n1, scratch, constants, lane)
                w = attempt(w, low, high, count, i32(i + 2), n2, scratch, constants, lane)
                w = attempt(w, low, high, count, i32(i + 3), n3, scratch, constants, lane)
                scratch[lane] = w
        for lane in range(span):
            number[lane] += pending[lane]
            ups[lane] += i32(popcount(lows[lane])) + i32(popcount(highs[lane]))
            pending[lane] = 0
            lows[lane] = 0
            highs[lane] = 0

    @partial(numba.njit, **INLINED)
    @partial(named, tag=tag)
    def push(lows, highs, pending, lane, count, up):  # type: ignore[no-untyped-def]
        """Pulses of one direction, as bits behind those that are pending; ``up`` is all ones or 0."""
        ones = u32((u32(1) << u32(count)) - u32(1))
        new = u32(ones & up)
        full = pending[lane]
        shift = u32(full & 31)
        shifted, carried = u32(new << shift), u32(u32(new >> u32(1)) >> u32(u32(31) - shift))
        lows[lane] |= shifted if full < 32 else u32(0)
        highs[lane] |= carried if full < 32 else shifted
        pending[lane] += i32(count)

    def demand_of_train(word):  # type: ignore[no-untyped-def]
        """The most pulses that a word of a slice can give a cell."""
        return int(popcount(u32(word) & u32(0x7FFFFFFF)))

    def append_coincidences(lows, highs, pending, others, span, word, skip):  # type: ignore[no-untyped-def]
        """The coincidences of one word."""
        line = u32(word)
        slots = line & u32(0x7FFFFFFF)
        for lane in range(span):
            other = u32(others[lane])
            count = popcount(u32(other & slots))
            push(lows, highs, pending, lane, count, u32(u32(0) - u32(u32(other ^ line) >> u32(31))))

    def demand_of_count(word):  # type: ignore[no-untyped-def]
        """The most pulses that a word of a slice can give a cell."""
        return SLOTS if word != zero else 0

    def append_counts(lows, highs, pending, others, span, word, skip):  # type: ignore[no-untyped-def]
        """The pulses of one word that come after those of the words before it."""
        for lane in range(span):
            product = word * others[lane]
            count = min(max(i32(round_even(abs(product))) - skip, i32(0)), i32(SLOTS))
            push(lows, highs, pending, lane, count, u32(0xFFFFFFFF) if product < zero else u32(0))

    demand = part(demand_of_count if counted else demand_of_train)
    append = part(append_counts if counted else append_coincidences)

    @part
    def rewrite(scratch, visible, number, seen, span, write_noise, origin, k0, k1):  # type: ignore[no-untyped-def]
        """New write noise on the cells that were touched since the last time."""
        stream, row, column, row_step, column_step = origin
        for lane in range(span):
            if number[lane] != seen[lane]:
                noise, _, _, _ = normals(
                    stream,
                    u32(row + row_step * u32(lane)),
                    u32(column + column_step * u32(lane)),
                    u32(number[lane]),
                    k0,
                    k1,
                )
                visible[lane] = scratch[lane] + write_noise * noise
                seen[lane] = number[lane]

    @part
    def address(stream, s, first, by_column):  # type: ignore[no-untyped-def]
        """Where the random numbers of a block begin: stream, row, column, and which of the two a lane advances."""
        if by_column:
            return u32(stream), u32(first), u32(s), u32(1), u32(0)
        return u32(stream), u32(s), u32(first), u32(0), u32(1)

    def kernel(  # type: ignore[no-untyped-def]
        s_begin, s_end, state, apparent, pulses, raised, parameters, constants, slices, lanes, skips, starts,
        event_words, event_ids, resets, values, read, has_write_noise, write_noise, by_column, pulse_stream,
        write_stream, key0, key1,
    ):  # fmt: skip
        k0, k1 = u32(key0), u32(key1)
        words = slices.shape[1]
        scratch = np.zeros(scratch_size, np.float32)
        visible = np.zeros(size, np.float32)
        lows = np.zeros(size, np.uint32)
        highs = np.zeros(size, np.uint32)
        pending = np.zeros(size, np.int32)
        number = np.zeros(size, np.int32)
        seen = np.zeros(size, np.int32)
        ups = np.zeros(size, np.int32)
        for s in range(s_begin, s_end):
            active = starts[s] < starts[s + 1]
            word = 0
            while not active and word < words:
                active = demand(slices[s, word]) > 0
                word += 1
            if not active:
                continue
            for part in range(lanes.shape[0]):  # the cells of a slice lie together in memory: they are walked in order
                first = part * size
                width = min(size, state.shape[1] - first)
                span = (width + 15) // 16 * 16  # whole vectors; lanes beyond the array have no pulses
                pulse_origin = address(pulse_stream, s, first, by_column)
                write_origin = address(write_stream, s, first, by_column)
                for lane in range(width):
                    scratch[lane] = state[s, first + lane]
                    visible[lane] = apparent[s, first + lane]
                    number[lane] = pulses[s, first + lane]
                    seen[lane] = number[lane]
                    ups[lane] = raised[s, first + lane]
                load(parameters, scratch, s, first, width, pulse_origin)
                position = 0
                for e in range(starts[s], starts[s + 1] + 1):
                    is_event = e < starts[s + 1]
                    stop = event_words[e] if is_event else words
                    room = 64
                    for word in range(position, stop):
                        most = demand(slices[s, word])
                        if most == 0:
                            continue
                        if most > room:
                            fullest = i32(0)
                            for lane in range(span):
                                fullest = max(fullest, pending[lane])
                            room = 64 - int(fullest)
                            if most > room:
                                drain(scratch, constants, lows, highs, pending, number, ups, span, pulse_origin, k0, k1)
                                room = 64
                        room -= most
                        skip = skips[word] if counted else i32(0)
                        append(lows, highs, pending, lanes[part, word], span, slices[s, word], skip)
                    position = stop
                    drain(scratch, constants, lows, highs, pending, number, ups, span, pulse_origin, k0, k1)
                    if has_write_noise:
                        rewrite(scratch, visible, number, seen, span, write_noise, write_origin, k0, k1)
                    if is_event:
                        event = event_ids[e]
                        for lane in range(width):
                            read[event, first + lane] = visible[lane] if has_write_noise else scratch[lane]
                        if resets[event]:
                            for lane in range(width):
                                scratch[lane] = values[event, first + lane]
                                number[lane] += 1
                            if has_write_noise:
                                rewrite(scratch, visible, number, seen, span, write_noise, write_origin, k0, k1)
                for lane in range(width):
                    state[s, first + lane] = scratch[lane]
                    pulses[s, first + lane] = number[lane]
                    raised[s, first + lane] = ups[lane]
                    if has_write_noise:
                        apparent[s, first + lane] = visible[lane]

    return compile_kernel(kernel, __name__, tag)
