"""Replay compiled for the processor.

A block of cells, those of some slices or of a part of one, stays in the first cache while the whole batch walks over
it. Pulses *queue* (:mod:`ohmgrad.engine.queue_cpu`) until a queue may be full, a slice is read or the batch ends; then
they are *drained* (:mod:`ohmgrad.engine.drain_cpu`), four pulses of many cells in each step. Slices are shared among
threads; no cell looks at another, so any number of threads gives the same bits.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ohmgrad.engine import drain_cpu, elementary, queue_cpu, random
from ohmgrad.engine.compiler import INLINED, compile_function
from ohmgrad.engine.drain_cpu import CHUNK, make_drain, make_parts, new_desk
from ohmgrad.engine.draws import Draws
from ohmgrad.engine.fingerprint import fingerprint, named
from ohmgrad.engine.implicit_cpu import cell_function, packed
from ohmgrad.engine.kernel_cache import compile_kernel
from ohmgrad.engine.queue_cpu import VECTOR, make_queue, new_block
from ohmgrad.engine.replay import Cells, Events
from ohmgrad.engine.threads import share

BLOCK = 512
"""Lanes of one block: more, and those that are drained together have more equal numbers of pulses, until the block no
longer fits into the first cache."""


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
        _whole_vectors(lanes),
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
    starts, (after, order) = np.zeros(count + 1, np.int64), np.empty((2, len(events)), np.int64)
    _sort()(starts, after, order, events.slices.numpy(), events.words.numpy(), words)
    values = read if events.values is None else events.values.contiguous().numpy()
    return starts, after, order, events.resets.numpy(), values


def _whole_vectors(lanes: Tensor) -> Any:
    """Words of the lanes as ``[words, lanes]``, with silent lanes behind the others if these do not fill vectors."""
    given = lanes.numpy()
    words, width = given.shape
    if width % VECTOR == 0:
        return np.ascontiguousarray(given)
    filled = np.zeros((words, -(-width // VECTOR) * VECTOR), given.dtype)
    filled[:, :width] = given
    return filled


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


def _spelled_out(tag: str, name: str, arguments: str, lines: list[str], **scope: Any) -> Any:
    """A compiled function of given lines: a law has any number of parameters, and Numba wants each spelled out."""
    import numba

    scope["__name__"] = __name__
    exec("\n".join([f"def {name}({arguments}):", *(f"    {line}" for line in lines)]), scope)
    return numba.njit(named(scope[name], tag), **INLINED)


def _step(law: Any, order: tuple[int, ...], tag: str) -> Any:
    """The law as a function of (w, up, noise, cells of a chunk, constants, lane)."""
    further = (f", cells[{CHUNK * (k + 1)} + lane]" if k >= 0 else f", constants[{-1 - k}]" for k in order)
    return _spelled_out(
        tag, "step", "w, up, noise, cells, constants, lane", [f"return law(w, up, noise{''.join(further)})"], law=law
    )


def _load(n_cell: int, source: Source, tag: str) -> Any:
    """A function that loads the parameters of lanes ``first`` and so on of slice s, from lane ``at`` of a block on."""
    rows, needed = range(n_cell), dict[str, Any]()
    lines = [f"row_{k} = block.cells[{k + 1}, at : at + width]" for k in rows]
    if source and callable(source[0]):
        needed["cell"] = cell_function(*source, tag)
        lines += ["rows, columns = block.row[at : at + width], block.column[at : at + width]"]
        lines += ["for lane in range(width):", "    values = cell(parameters, rows[lane], columns[lane])"]
        lines += [f"    row_{k}[lane] = values[{k}]" for k in rows]
    else:
        for k, kind in enumerate(source):
            value = f"given_{k}[lane]"
            if kind in _WIDENED:
                needed[f"widened_{k}"] = compile_function(_WIDENED[kind])
                value = f"widened_{k}({value})"
            lines += [f"given_{k} = parameters[{k}][s, first : first + width]"]
            lines += ["for lane in range(width):", f"    row_{k}[lane] = {value}"]
    return _spelled_out(tag, "load", "parameters, block, s, first, at, width", [*lines, "return"], **needed)


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


@cache
def _steps(noisy: bool) -> tuple[Any, Any, Any, Any, Any]:
    """What a kernel does whatever the law, as compiled functions."""
    import numba

    start, normals = make_parts(noisy)[0], compile_function(random.normals)
    tag, u32 = fingerprint(sys.modules[__name__], drain_cpu, queue_cpu, random, noisy), np.uint32

    def part(function: Any) -> Any:
        """A function of the kernel."""
        return numba.njit(named(function, tag), error_model="numpy", nogil=True)

    @part
    def copy(target, source):  # type: ignore[no-untyped-def]
        for lane in range(len(target)):
            target[lane] = source[lane]

    @part
    def take(block, visible, seen, at, s, first, width, by_column, arrays):  # type: ignore[no-untyped-def]
        """Bring lanes ``first`` and so on of slice s into a block, from its lane ``at`` on."""
        home, here = slice(first, first + width), slice(at, at + width)
        states, apparents, numbers, raises = (
            arrays[0][s, home],
            arrays[1][s, home],
            arrays[2][s, home],
            arrays[3][s, home],
        )
        row, column, number, filled = block.row[here], block.column[here], block.number[here], block.filled[here]
        for lane in range(width):
            row[lane] = u32(first + lane) if by_column else u32(s)
            column[lane] = u32(s) if by_column else u32(first + lane)
            number[lane] = numbers[lane]
            filled[lane] = start(numbers[lane])
        copy(block.cells[0, here], states)
        copy(block.raised[here], raises)
        if len(visible) > 0:
            copy(visible[here], apparents)
            copy(seen[here], numbers)

    @part
    def put_back(block, visible, segments, held, arrays):  # type: ignore[no-untyped-def]
        """Bring back what was taken."""
        for k in range(held):
            s, first, width, at = segments[k]
            home, here = slice(first, first + width), slice(at, at + width)
            copy(arrays[0][s, home], block.cells[0, here])
            copy(arrays[2][s, home], block.number[here])
            copy(arrays[3][s, home], block.raised[here])
            if len(visible) > 0:
                copy(arrays[1][s, home], visible[here])

    @part
    def reset(block, at, values):  # type: ignore[no-untyped-def]
        """Set cells to values, which counts as a pulse."""
        here = slice(at, at + len(values))
        number, filled = block.number[here], block.filled[here]
        copy(block.cells[0, here], values)
        for lane in range(len(values)):
            number[lane] += 1
            filled[lane] = start(number[lane])

    @part
    def rewrite(block, visible, seen, end, write_noise, stream, k0, k1):  # type: ignore[no-untyped-def]
        """New write noise on the cells that were touched since the last time."""
        weights, number = block.cells[0], block.number
        for lane in range(end):
            if number[lane] != seen[lane]:
                noise, _, _, _ = normals(stream, block.row[lane], block.column[lane], u32(number[lane]), k0, k1)
                visible[lane] = weights[lane] + write_noise * noise
                seen[lane] = number[lane]

    return take, put_back, rewrite, reset, copy


@cache
def _kernel(function: Any, order: tuple[int, ...], n_cell: int, noisy: bool, counted: bool, source: Source) -> Any:
    """The kernel of one law, for trains or for counts."""
    from ohmgrad.engine import hints_cpu
    from ohmgrad.engine.hints_cpu import wide_vectors

    tag = fingerprint(function, order, n_cell, noisy, counted, *source)
    step = _step(compile_function(function, whole_numbers=True), order, tag)
    load = _load(n_cell, source, tag)
    drain, (listen, feed) = make_drain(step, noisy, tag), make_queue(counted)
    take, put_back, rewrite, reset, copy = _steps(noisy)
    make_block, make_desk = new_block(), new_desk()
    u32 = np.uint32

    def kernel(  # type: ignore[no-untyped-def]
        s_begin, s_end, state, apparent, pulses, raised, parameters, constants, slices, lanes, skips, starts,
        event_words, event_ids, resets, values, read, has_write_noise, write_noise, by_column, pulse_stream,
        write_stream, key0, key1,
    ):  # fmt: skip
        wide_vectors()
        k0, k1, pulse_noise, write_address = u32(key0), u32(key1), u32(pulse_stream), u32(write_stream)
        words, last, arrays = slices.shape[1], state.shape[1], (state, apparent, pulses, raised)
        parts, nothing = (last + BLOCK - 1) // BLOCK, np.int64(0)  # a literal has a type of its own
        held, at, most_filled = nothing, nothing, nothing
        block, desk = make_block(n_cell, BLOCK), make_desk(n_cell, BLOCK)
        visible, seen = np.zeros(BLOCK * has_write_noise, np.float32), np.zeros(BLOCK * has_write_noise, np.int32)
        all_loud, all_demands = np.zeros(words, np.int64), np.zeros(words, np.int64)
        segments = np.zeros((BLOCK // VECTOR, 4), np.int64)  # slice, first lane, width, and where they are in the block
        for task in range(s_begin * parts, s_end * parts + 1):
            s, first = task // parts, task % parts * BLOCK
            width = min(BLOCK, last - first)
            span = (width + VECTOR - 1) // VECTOR * VECTOR  # lanes beyond the array have no pulses
            if s == s_end or at + span > BLOCK:  # the block is full: apply what waits, and put its cells back
                drain(block, at, most_filled, desk, constants, pulse_noise, k0, k1)
                if has_write_noise:
                    rewrite(block, visible, seen, at, write_noise, write_address, k0, k1)
                put_back(block, visible, segments, held, arrays)
                held, at, most_filled = nothing, nothing, nothing
            if s == s_end:
                break
            line = slices[s]
            if first == 0:
                found = listen(line, all_loud, all_demands)
            if found == 0 and starts[s] == starts[s + 1]:
                continue
            take(block, visible, seen, at, s, first, width, by_column, arrays)
            load(parameters, block, s, first, at, width)
            segments[held, 0], segments[held, 1], segments[held, 2], segments[held, 3] = s, first, width, at
            held, k, end = held + 1, nothing, at + span
            loud, demands = all_loud[:found], all_demands[:found]
            for e in range(starts[s], starts[s + 1] + 1):
                is_event = e < starts[s + 1]
                stop = event_words[e] if is_event else words
                event = event_ids[e] if is_event else -1
                least, fullest, waits = nothing, nothing + 3, True
                while waits:
                    k, least, fullest = feed(
                        block, at, end, lanes, first, line, loud, demands, k, stop, skips, least, fullest
                    )
                    most_filled = max(most_filled, fullest)
                    waits = k < found and loud[k] < stop
                    if waits or is_event:
                        drain(block, end, most_filled, desk, constants, pulse_noise, k0, k1)
                        least, fullest, most_filled = nothing, nothing + 3, nothing
                if is_event:
                    if has_write_noise:
                        rewrite(block, visible, seen, end, write_noise, write_address, k0, k1)
                    shown = visible if has_write_noise else block.cells[0]
                    copy(read[event, first : first + width], shown[at : at + width])
                    if resets[event]:
                        reset(block, at, values[event, first : first + width])
                        if has_write_noise:
                            rewrite(block, visible, seen, end, write_noise, write_address, k0, k1)
            at = end

    return compile_kernel(kernel, __name__, tag, queue_cpu, drain_cpu, hints_cpu)
