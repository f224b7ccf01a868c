"""Brings cells into a block and back, compiled for the processor.

A block takes whole slices, parts of one, or those cells of a slice that get a pulse, if they are few.
"""

from __future__ import annotations

import sys
from functools import cache
from typing import Any

import numpy as np

from ohmgrad.engine import queue_cpu, random
from ohmgrad.engine.compiler import ON_VIEWS, compile_function
from ohmgrad.engine.fingerprint import fingerprint, named


@cache
def make_moves() -> tuple[Any, Any, Any, Any, Any]:
    """What is done with the cells of a block whatever the law, as compiled functions.

    They are ``take``, ``put_back``, ``rewrite``, ``reset`` and a pair, ``copy`` and ``gather``.
    """
    import numba

    normals = compile_function(random.normals)
    tag, u32, i32 = fingerprint(sys.modules[__name__], queue_cpu, random), np.uint32, np.int32

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
    def take(block, visible, seen, at, s, first, width, by_column, turn, arrays):  # type: ignore[no-untyped-def]
        """Bring lanes of slice s into a block, from its lane ``at`` on.

        They are the lanes ``first`` and so on or, if first is negative, those that ``block.place`` names there.

        :param turn: what of the number of a pulse says where its noise is in a Philox block: 3, or 0 without noise.
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
            filled[lane] = number[lane] & turn
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
    def reset(block, at, values, turn):  # type: ignore[no-untyped-def]
        """Set cells to values, which counts as a pulse; ``turn``: see ``take``."""
        here = slice(at, at + len(values))
        number, filled = block.number[here], block.filled[here]
        copy(block.cells[0, here], values)
        for lane in range(len(values)):
            number[lane] += 1
            filled[lane] = number[lane] & turn

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
