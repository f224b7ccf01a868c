"""Brings cells into a block and back, compiled for the processor.

A block takes whole slices, parts of one, or those cells of a slice that get a pulse, if they are few.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import torch

from ohmgrad.engine import drain_cpu, elementary, queue_cpu, random
from ohmgrad.engine.compiler import INLINED, ON_VIEWS, compile_function
from ohmgrad.engine.drain_cpu import make_parts
from ohmgrad.engine.fingerprint import fingerprint, named
from ohmgrad.engine.implicit_cpu import cell_function, packed
from ohmgrad.engine.replay import Cells

Source = tuple[Callable[..., Any], int] | tuple[torch.dtype, ...]
"""Where cell parameters come from: a function of one cell and the number of its constants, or tensors of such types."""

_WIDENED = {torch.bfloat16: elementary.from_bfloat16, torch.float16: elementary.from_float16}
"""What makes float32 of the bits of another type."""


def source_of(cells: Cells) -> tuple[Source, tuple[Any, ...]]:
    """Where the parameters of cells come from, and what the kernel is given for that."""
    if cells.sampling is not None:
        return (cells.sampling.function, len(cells.sampling.constants)), packed(cells.sampling)
    stored = cells.parameters
    arrays = (value.view(torch.int16) if value.dtype in _WIDENED else value for value in stored)
    return tuple(value.dtype for value in stored), tuple(value.numpy() for value in arrays)


def spelled_out(tag: str, name: str, arguments: str, lines: list[str], **scope: Any) -> Any:
    """A compiled function of given lines: a law has any number of parameters, and Numba wants each spelled out."""
    import numba

    scope["__name__"] = __name__
    exec("\n".join([f"def {name}({arguments}):", *(f"    {line}" for line in lines)]), scope)
    return numba.njit(named(scope[name], tag), **INLINED)


def make_load(n_cell: int, source: Source, tag: str) -> Any:
    """A function that loads the parameters of the lanes of slice s that a block holds in its lanes ``at`` and so on.

    These are the lanes ``first`` and so on of the slice, or, if first is negative, those at ``block.place``.
    """
    rows, needed = range(n_cell), dict[str, Any]()
    lines = [f"row_{k} = block.cells[{k + 1}, at : at + width]" for k in rows]
    if source and callable(source[0]):
        needed["cell"] = cell_function(*source, tag)
        lines += ["rows, columns = block.row[at : at + width], block.column[at : at + width]"]
        lines += ["for lane in range(width):", "    values = cell(parameters, rows[lane], columns[lane])"]
        lines += [f"    row_{k}[lane] = values[{k}]" for k in rows]
    elif source:
        moves, scattered = ["if first >= 0:"], ["else:", "    places = block.place[at : at + width]"]
        for k, kind in enumerate(source):
            widened = "{}"
            if kind in _WIDENED:
                needed[f"widened_{k}"] = compile_function(_WIDENED[kind])
                widened = f"widened_{k}({{}})"
            moves += [f"    given_{k} = parameters[{k}][s, first : first + width]", "    for lane in range(width):"]
            moves += [f"        row_{k}[lane] = {widened.format(f'given_{k}[lane]')}"]
            scattered += [f"    given_{k} = parameters[{k}][s]", "    for lane in range(width):"]
            scattered += [f"        row_{k}[lane] = {widened.format(f'given_{k}[places[lane]]')}"]
        lines += moves + scattered
    return spelled_out(tag, "load", "parameters, block, s, first, at, width", [*lines, "return"], **needed)


@cache
def make_moves(noisy: bool) -> tuple[Any, Any, Any, Any, Any]:
    """What is done with the cells of a block whatever the law, as compiled functions.

    They are ``take``, ``put_back``, ``rewrite``, ``reset`` and a pair, ``copy`` and ``gather``.
    """
    import numba

    start, normals = make_parts(noisy)[0], compile_function(random.normals)
    tag, u32, i32 = fingerprint(sys.modules[__name__], drain_cpu, queue_cpu, random, noisy), np.uint32, np.int32

    def part(function: Any) -> Any:
        """A function of the kernel."""
        return numba.njit(named(function, tag), **ON_VIEWS)

    @part
    def copy(target, source):  # type: ignore[no-untyped-def]
        for lane in range(len(target)):
            target[lane] = source[lane]

    @part
    def gather(target, source, places):  # type: ignore[no-untyped-def]
        for lane in range(len(target)):
            target[lane] = source[u32(places[lane])]

    @part
    def scatter(target, source, places):  # type: ignore[no-untyped-def]
        for lane in range(len(source)):
            target[u32(places[lane])] = source[lane]

    @part
    def take(block, visible, seen, at, s, first, width, by_column, arrays):  # type: ignore[no-untyped-def]
        """Bring lanes of slice s into a block, from its lane ``at`` on.

        They are the lanes ``first`` and so on or, if first is negative, those that ``block.place`` names there.
        """
        here, written = slice(at, at + width), len(visible) > 0
        state, apparent, pulses, raised = arrays
        places, number = block.place[here], block.number[here]
        if first >= 0:
            home = slice(first, first + width)
            for lane in range(width):
                places[lane] = i32(first + lane)
            copy(block.cells[0, here], state[s, home])
            copy(number, pulses[s, home])
            copy(block.raised[here], raised[s, home])
            if written:
                copy(visible[here], apparent[s, home])
        else:
            gather(block.cells[0, here], state[s], places)
            gather(number, pulses[s], places)
            gather(block.raised[here], raised[s], places)
            if written:
                gather(visible[here], apparent[s], places)
        row, column, filled = block.row[here], block.column[here], block.filled[here]
        for lane in range(width):
            row[lane] = u32(places[lane]) if by_column else u32(s)
            column[lane] = u32(s) if by_column else u32(places[lane])
            filled[lane] = start(number[lane])
        if written:
            copy(seen[here], number)

    @part
    def put_back(block, visible, segments, held, arrays):  # type: ignore[no-untyped-def]
        """Bring back what was taken."""
        state, apparent, pulses, raised = arrays
        for k in range(held):
            s, first, width, at = segments[k]
            here, places, written = slice(at, at + width), block.place[at : at + width], len(visible) > 0
            if first >= 0:
                home = slice(first, first + width)
                copy(state[s, home], block.cells[0, here])
                copy(pulses[s, home], block.number[here])
                copy(raised[s, home], block.raised[here])
                if written:
                    copy(apparent[s, home], visible[here])
            else:
                scatter(state[s], block.cells[0, here], places)
                scatter(pulses[s], block.number[here], places)
                scatter(raised[s], block.raised[here], places)
                if written:
                    scatter(apparent[s], visible[here], places)

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

    return take, put_back, rewrite, reset, (copy, gather)
