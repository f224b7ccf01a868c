"""Replay compiled by Triton.

A program holds a block of lanes of one slice in registers while the whole batch walks over them. As on the processor,
the direction bits of a cell's pulses are *appended* to 64 bits, and when those may be full, all cells of the block are
*drained*: one Philox block, four pulses, per cell and step. What a slice carries in a word is one number for the whole
program, so words without pulses cost a test, and slices without any cost no more than reading them. Events of a slice
are part of its program's walk: a transfer after every sample takes one launch, like none.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
import triton.language as tl
from torch import Tensor

from ohmgrad.engine import random
from ohmgrad.engine.compiler_gpu import Kernel, Untranslatable, constant, helper, kernel, translate, warn
from ohmgrad.engine.draws import Draws
from ohmgrad.engine.draws_gpu import signed
from ohmgrad.engine.generated import generated
from ohmgrad.engine.host import refuse_capture
from ohmgrad.engine.implicit import Sampling
from ohmgrad.engine.replay import Cells, Events
from ohmgrad.engine.replay_reference import replay as reference
from ohmgrad.engine.words_gpu import largest, popcount, round_even

VARYING = ("words", "pulse_stream", "write_stream", "key0", "key1")
"""Arguments whose values are not compiled in."""


def replay(
    cells: Cells, slices: Tensor, lanes: Tensor, skips: Tensor | None, events: Events, draws: Draws, block: int = 0
) -> Tensor:
    """See :func:`ohmgrad.engine.replay.replay`; a law that cannot be compiled runs as the reference, with a warning.

    :param block: lanes of one program, a power of two; 0: as many as fit. Any number gives the same bits.
    """
    try:
        return _launch(cells, slices, lanes, skips, events, draws, block or _block(cells))
    except Untranslatable as reason:
        warn(f"The law {cells.law.function.__qualname__}", str(reason))
        refuse_capture(cells.state, "its law runs as torch operations, which wait for the device")
        return reference(cells, slices, lanes, skips, events, draws)


def _block(cells: Cells) -> int:
    """Lanes of one program: as many as fit into the registers of a warp; in the interpreter all, as programs cost."""
    if cells.state.device.type == "cpu":
        return 1 << max(cells.state.shape[1] - 1, 1).bit_length()
    is_large = len(cells.law.cell) > 6 or any(isinstance(value, tuple) for value in cells.law.constants)
    return 32 if is_large else 64


def _launch(
    cells: Cells, slices: Tensor, lanes: Tensor, skips: Tensor | None, events: Events, draws: Draws, block: int
) -> Tensor:
    lanes = lanes if lanes.stride(1) == 1 else lanes.contiguous()
    state, parts = cells.state, -(-cells.state.shape[1] // block)
    read = torch.empty(len(events), state.shape[1], dtype=torch.float32, device=state.device)
    in_memory = state.device.type == "cpu"
    launch = replay_kernel(cells, skips is not None, in_memory)
    starts, words, order, resets = _by_slice(events, len(state)) if len(read) else (cells.pulses,) * 4
    tables = [
        (_table(value, state.device), len(value) - 1) if isinstance(value, tuple) else value
        for value in cells.law.constants
    ]
    launch[(state.shape[0] * parts,)](
        state,
        state if cells.apparent is None else cells.apparent,
        cells.pulses,
        cells.raised,
        tuple(cells.parameters) if cells.sampling is None else _packed(cells.sampling),
        tuple(tables),
        slices,
        lanes,
        slices if skips is None else skips,
        starts,
        words,
        order,
        resets,
        read if events.values is None else events.values.contiguous(),
        read,
        state.shape[0],
        state.shape[1],
        lanes.shape[0],
        slices.stride(0),
        slices.stride(1),
        lanes.stride(0),
        cells.write_noise,
        cells.pulse_stream,
        cells.write_stream,
        *map(signed, draws.key),
        has_events=len(read) > 0,
        has_write_noise=cells.apparent is not None,
        by_column=cells.columns_are_slices,
        size=block,
        num_warps=1,
    )
    return read


def _by_slice(events: Events, slices: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Events in the order of slices, and of words within a slice: where each slice begins, words, numbers, resets."""
    by_word = torch.sort(events.words, stable=True)
    by_slice = torch.sort(events.slices[by_word.indices], stable=True)
    order = by_word.indices[by_slice.indices]
    starts = torch.searchsorted(by_slice.values, torch.arange(slices + 1, device=order.device))
    return starts, events.words[order], order, events.resets


@cache
def _table(values: tuple[float, ...], where: torch.device) -> Tensor:
    """A table of numbers in the memory of a device; copied there once, as copying waits for it."""
    return torch.tensor(values, dtype=torch.float32, device=where)


def _packed(sampling: Sampling) -> tuple[Any, ...]:
    """What implicit cells are computed from: words, then numbers."""
    return (*map(signed, (sampling.stream, sampling.last, *sampling.key)), *sampling.constants)


def replay_kernel(cells: Cells, counted: bool, interpreted: bool) -> Kernel:
    """The kernel of one law."""
    law, sampling = cells.law, cells.sampling
    tables = tuple(isinstance(value, tuple) for value in law.constants)
    source = None if sampling is None else (sampling.function, len(sampling.constants))
    return _kernel(law.function, law.order, len(law.cell), tables, source, cells.noisy, counted, interpreted)


@cache
def _kernel(
    function: Any,
    order: tuple[int, ...],
    n_cell: int,
    tables: tuple[bool, ...],
    source: tuple[Any, int] | None,
    noisy: bool,
    counted: bool,
    interpreted: bool,
) -> Kernel:
    try:
        law = translate(function, interpreted, True)
    except Untranslatable as reason:
        return Kernel(None, str(reason))
    step = _adapter(law, order, tables, interpreted)
    bound = {
        name: translate(each, interpreted)
        for name, each in {
            "normals": random.normals,
            "popcount": popcount,
            "largest": largest,
            "round_even": round_even,
        }.items()
    }
    bound |= {"step": step, "noisy": constant(noisy, interpreted), "counted": constant(counted, interpreted)}
    bound["load"] = _stored(n_cell, interpreted) if source is None else _implicit(*source, interpreted)
    parts: dict[str, Any] = {"attempt": _attempt, "drain": _drain, "rewrite": _rewrite}
    parts |= {"carries": _carries, "demand": _demand, "received": _received}
    for name, each in parts.items():
        bound[name] = helper(each, interpreted, bound)
    return kernel(_replay, interpreted, bound, VARYING)


# A law and a cell have any number of parameters. What is done with each is spelled out in these.


def _adapter(law: Any, order: tuple[int, ...], tables: tuple[bool, ...], interpreted: bool) -> Any:
    """The law as a function of (w, up, noise, cell, constants)."""

    def argument(k: int) -> str:
        if k >= 0:
            return f"cell[{k}]"
        return f"constants[{-1 - k}]" if tables[-1 - k] else _number(f"constants[{-1 - k}]", "w", interpreted)

    call = ", ".join(["w", "up", "noise", *map(argument, order)])
    text = f"def step(w, up, noise, cell, constants):\n    return law({call})\n"
    return helper(generated(text, "step", {}), interpreted, {"law": law})


def _number(name: str, like: str, interpreted: bool) -> str:
    """A number of the configuration; the interpreter fails to combine a truth value of one with those of a block."""
    return f"tl.full({like}.shape, {name}, tl.float32)" if interpreted else name


def _stored(n_cell: int, interpreted: bool) -> Any:
    """What loads the parameters of the cells."""
    loads = [f"tl.load(parameters[{k}] + at, mask=inside, other=0.0).to(tl.float32)," for k in range(n_cell)]
    text = f"def load(parameters, at, inside, row, column):\n    return ({' '.join(loads) or 'at,'})\n"
    return helper(generated(text, "load", {}), interpreted, {})


def _implicit(function: Any, n_constants: int, interpreted: bool) -> Any:
    """What computes them from where the cells are."""
    stream, last, key_0, key_1 = (f"tl.cast(parameters[{k}], tl.int32).to(tl.uint32, bitcast=True)" for k in range(4))
    constants = [_number(f"parameters[{4 + k}]", "at", interpreted) for k in range(n_constants)]
    call = ", ".join([stream, "row", "column", last, key_0, key_1, *constants])
    text = f"def load(parameters, at, inside, row, column):\n    return cell({call})\n"
    return helper(generated(text, "load", {}), interpreted, {"cell": translate(function, interpreted)})


# --- what is compiled ------------------------------------------------------------------------------------------------


def _attempt(w, bits, pending, i, noise, cell, constants):
    """The i-th pending pulse, if there is one."""
    up = ((bits >> (i & 63).to(tl.uint64)) & 1) != 0
    return tl.where((i >= 0) & (i < pending), step(w, up, noise, cell, constants), w)


def _drain(w, bits, pending, number, ups, cell, constants, stream, row, column, k0, k1):
    """Apply all pending pulses; the cells of a block lie at rows and columns, one of which is the same for all."""
    zero = w * 0.0
    n0, n1, n2, n3 = zero, zero, zero, zero
    behind = pending * 0
    if noisy:
        behind = (number & 3).to(tl.int32)
    end = largest(tl.where(pending > 0, pending + behind, 0))
    for block in range(0, (end + 3) // 4):
        if noisy:
            n0, n1, n2, n3 = normals(stream, row, column, (number >> 2) + tl.cast(block, tl.uint32), k0, k1)
        i = 4 * block - behind
        w = attempt(w, bits, pending, i, n0, cell, constants)
        w = attempt(w, bits, pending, i + 1, n1, cell, constants)
        w = attempt(w, bits, pending, i + 2, n2, cell, constants)
        w = attempt(w, bits, pending, i + 3, n3, cell, constants)
    ups += popcount(bits.to(tl.uint32)) + popcount((bits >> 32).to(tl.uint32))
    return w, number + pending.to(tl.uint32), ups


def _carries(line):
    """Whether words of a slice can give pulses at all."""
    if counted:
        some = line != 0.0
    else:
        some = (line & 0x7FFFFFFF) != 0
    return some


def _demand(line):
    """The most pulses that a word of a slice can give a cell."""
    if counted:
        most = (line != 0.0).to(tl.int32) * 31
    else:
        most = popcount((line & 0x7FFFFFFF).to(tl.uint32, bitcast=True))
    return most


def _received(line, other, skip):
    """How many pulses the cells get in a word, and all ones if they raise the cells, else 0."""
    if counted:
        product = line * other
        count = tl.minimum(tl.maximum(round_even(tl.abs(product)).to(tl.int32) - skip, 0), 31)
        up = product.to(tl.int32, bitcast=True) >> 31
    else:
        count = popcount((other & (line & 0x7FFFFFFF)).to(tl.uint32, bitcast=True))
        up = (line ^ other) >> 31
    return count.to(tl.uint32), up.to(tl.uint32, bitcast=True)


def _rewrite(w, visible, number, seen, strength, stream, row, column, k0, k1):
    """New write noise on the cells that were touched since the last time."""
    noise, _, _, _ = normals(stream, row, column, number, k0, k1)
    return tl.where(number != seen, w + strength * noise, visible)


def _replay(
    state, apparent, pulses, raised, parameters, constants, slices, lanes, skips, starts, event_words, event_ids,
    resets, values, read, n_slices, n_lanes, words, slice_step, word_step, lane_step, write_noise, pulse_stream,
    write_stream, key0, key1, has_events: tl.constexpr, has_write_noise: tl.constexpr, by_column: tl.constexpr,
    size: tl.constexpr,
):  # fmt: skip
    s, part = tl.program_id(0) % n_slices, tl.program_id(0) // n_slices
    lane = part * size + tl.arange(0, size)
    inside = lane < n_lanes
    line_of_slice = slices + s.to(tl.int64) * slice_step
    first = tl.full((), 0, tl.int32)
    last = first
    if has_events:
        first = tl.load(starts + s).to(tl.int32)
        last = tl.load(starts + s + 1).to(tl.int32)
    some = tl.full((64,), 0, tl.int32)
    for begin in range(0, words, 64):
        word = begin + tl.arange(0, 64)
        line = tl.load(line_of_slice + word.to(tl.int64) * word_step, mask=word < words, other=0)
        some = some | carries(line).to(tl.int32)
    if (largest(some) > 0) | (first < last):
        at = s.to(tl.int64) * n_lanes + lane
        w = tl.load(state + at, mask=inside, other=0.0)
        visible = w
        if has_write_noise:
            visible = tl.load(apparent + at, mask=inside, other=0.0)
        number = tl.load(pulses + at, mask=inside, other=0).to(tl.uint32, bitcast=True)
        seen = number
        ups = tl.load(raised + at, mask=inside, other=0)
        k0, k1 = key0.to(tl.uint32, bitcast=True), key1.to(tl.uint32, bitcast=True)
        row, column = s.to(tl.uint32), lane.to(tl.uint32)
        if by_column:
            row, column = lane.to(tl.uint32), s.to(tl.uint32)
        cell = load(parameters, at, inside, row, column)
        position = tl.full((), 0, tl.int32)
        e = first
        while e <= last:
            stop = tl.cast(words, tl.int32)
            if has_events:
                stop = tl.load(event_words + e, mask=e < last, other=words).to(tl.int32)
            end = tl.minimum(stop, words)
            bits, pending = tl.full((size,), 0, tl.uint64), tl.full((size,), 0, tl.int32)
            room = tl.full((), 64, tl.int32)
            fits = tl.full((), 1, tl.int32)
            while (position < end) & (fits > 0):
                line = tl.load(line_of_slice + position.to(tl.int64) * word_step)
                most = demand(line)
                if most > room:  # the bound on what is pending may be far above it
                    room = 64 - largest(pending)
                fits = (most <= room).to(tl.int32)
                if fits * most > 0:
                    other = tl.load(lanes + position.to(tl.int64) * lane_step + lane, mask=inside, other=0)
                    skip = 0
                    if counted:
                        skip = tl.load(skips + position)
                    count, up = received(line, other, skip)
                    new = ((tl.full((size,), 1, tl.uint32) << count) - 1) & up
                    bits = bits | (new.to(tl.uint64) << pending.to(tl.uint64))
                    pending += count.to(tl.int32)
                position += fits
                room -= fits * most
            w, number, ups = drain(w, bits, pending, number, ups, cell, constants, pulse_stream, row, column, k0, k1)
            if has_write_noise:
                visible = rewrite(w, visible, number, seen, write_noise, write_stream, row, column, k0, k1)
                seen = number
            if position >= end:
                if has_events:
                    if (e < last) & (stop <= words):
                        event = tl.load(event_ids + e)
                        target = event * n_lanes + lane
                        shown = w
                        if has_write_noise:
                            shown = visible
                        tl.store(read + target, shown, mask=inside)
                        if tl.load(resets + event):
                            w = tl.load(values + target, mask=inside, other=0.0)
                            number += 1
                            if has_write_noise:
                                visible = rewrite(
                                    w, visible, number, seen, write_noise, write_stream, row, column, k0, k1
                                )
                                seen = number
                e += 1
        tl.store(state + at, w, mask=inside)
        if has_write_noise:
            tl.store(apparent + at, visible, mask=inside)
        tl.store(pulses + at, number.to(tl.int32, bitcast=True), mask=inside)
        tl.store(raised + at, ups, mask=inside)
