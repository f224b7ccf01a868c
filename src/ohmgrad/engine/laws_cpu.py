"""What the replay does for one law, compiled for the processor: apply pulses, and load the parameters of cells.

All else is the same for every law and compiled but once, which takes most of the time that compiling takes.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import torch

from ohmgrad.engine import drain_cpu, elementary, queue_cpu
from ohmgrad.engine.compiler import INLINED, compile_function
from ohmgrad.engine.drain_cpu import CHUNK, make_drain, new_desk
from ohmgrad.engine.fingerprint import fingerprint, named
from ohmgrad.engine.implicit_cpu import cell_function, packed
from ohmgrad.engine.kernel_cache import compile_kernel
from ohmgrad.engine.pointers_cpu import caller, compiled_at
from ohmgrad.engine.queue_cpu import new_block
from ohmgrad.engine.refused import explain
from ohmgrad.engine.replay import Cells

_WIDENED = {torch.bfloat16: elementary.from_bfloat16, torch.float16: elementary.from_float16}
"""What makes float32 of the bits of another type."""

Source = tuple[torch.dtype, ...] | tuple[Callable[..., Any], int]
"""Where cell parameters come from: tensors of such types, or a function of one cell and the number of its constants."""


class Bound(NamedTuple):
    """The law of some cells as a kernel takes it.

    ``drain`` and ``load``: addresses of the compiled functions; ``numbers`` float32: the constants of the law, then
    those of implicit cells; ``places`` int64 ``[n, 2]``: address and distance of the slices of every cell parameter, or
    what implicit cells are drawn with.
    """

    drain: int
    load: int
    numbers: Any
    places: Any


_STORED = torch.float32, torch.bfloat16, torch.float16
"""Types that parameters of cells are loaded from."""


def bind(cells: Cells) -> Bound:
    """The law of some cells, compiled; valid as long as their tensors are where they are."""
    law, sampling, numbers = cells.law, cells.sampling, list[float]()
    spans = []
    for value in law.constants:
        spans.append((len(numbers), len(value) if isinstance(value, tuple) else 0))
        numbers += value if isinstance(value, tuple) else [value]
    source: Source
    if sampling is not None:
        source = sampling.function, len(sampling.constants)
        whole, drawn = packed(sampling)[:4], packed(sampling)[4:]
        places, numbers = [(int(each), 0) for each in whole], [*numbers, *drawn]
    else:
        source = tuple(value.dtype for value in cells.parameters)
        for given in cells.parameters:
            if given.dtype not in _STORED or not (given.stride(1) == 1 or given.shape[1] == 1):
                raise TypeError(f"A parameter of cells is {given.dtype} with strides {given.stride()}.")
        places = [(value.data_ptr(), value.stride(0)) for value in cells.parameters]
    try:
        drain, load, _ = _compiled(law.function, law.order, len(law.cell), tuple(spans), cells.noisy, source)
    except Exception as error:
        explain(law.function, error)
    return Bound(drain, load, np.array(numbers, np.float32), np.array(places, np.int64).reshape(-1, 2))


@cache
def signatures() -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """Types of the arguments of ``drain`` and of ``load``."""
    from numba import float32, int64, typeof, uint32

    block, desk = typeof(new_block().py_func(0, CHUNK)), typeof(new_desk().py_func(0, CHUNK))
    drain = (block, int64, int64, desk, float32[::1], uint32, uint32, uint32)
    return drain, (int64[:, ::1], float32[::1], block, int64, int64, int64, int64)


@cache
def callers() -> tuple[Any, Any]:
    """What calls ``drain`` and ``load``: compiled functions of their address and a tuple of arguments."""
    drain, load = signatures()
    return caller(drain), caller(load)


@cache
def _compiled(
    function: Any, order: tuple[int, ...], n_cell: int, spans: tuple[tuple[int, int], ...], noisy: bool, source: Source
) -> tuple[int, int, Any]:
    """The addresses of ``drain`` and ``load``, and what keeps their machine code in memory."""
    from ohmgrad.engine import addresses_cpu, hints_cpu

    tag = fingerprint(function, order, n_cell, spans, noisy, *source)
    law = compile_function(function, whole_numbers=True)
    step = _step(law, order, spans, f"cells[{CHUNK} + {CHUNK} * {{k}} + lane]", tag)
    step_here = _step(law, order, spans, "cells[1 + {k}, lane]", tag)
    modules = queue_cpu, drain_cpu, hints_cpu, addresses_cpu
    drain = compile_kernel(make_drain(step, step_here, noisy, tag), __name__, tag, *modules, views=True)
    kernels = drain, compile_kernel(_load(n_cell, spans, source, tag), __name__, tag, *modules)
    at = [compiled_at(kernel, types) for kernel, types in zip(kernels, signatures(), strict=True)]
    return at[0], at[1], kernels


def _spelled_out(name: str, arguments: str, lines: list[str], **scope: Any) -> Any:
    """A function of given lines: a law has any number of parameters, and Numba wants each spelled out."""
    scope["__name__"] = __name__
    exec("\n".join([f"def {name}({arguments}):", *(f"    {line}" for line in lines)]), scope)
    return scope[name]


def _step(law: Any, order: tuple[int, ...], spans: tuple[tuple[int, int], ...], cell: str, tag: str) -> Any:
    """The law as a function of (w, up, noise, cells, numbers, lane).

    :param spans: where each constant is among the numbers, and its length, 0 if it is no table; :param cell: how
        parameter ``{k}`` of a lane is found in the cells.
    """
    import numba

    further = [cell.format(k=k) if k >= 0 else _constant(*spans[-1 - k]) for k in order]
    line = f"return law({', '.join(['w', 'up', 'noise', *further])})"
    step = _spelled_out("step", "w, up, noise, cells, numbers, lane", [line], law=law)
    return numba.njit(named(step, fingerprint(tag, cell)), **INLINED)


def _constant(first: int, length: int) -> str:
    return f"numbers[{first} : {first + length}]" if length else f"numbers[{first}]"


def _load(n_cell: int, spans: tuple[tuple[int, int], ...], source: Source, tag: str) -> Any:
    """A function that loads the parameters of the lanes of slice s that a block holds in its lanes ``at`` and so on.

    These are the lanes ``first`` and so on of the slice, or, if first is negative, those at ``block.place``.
    """
    from ohmgrad.engine.addresses_cpu import floats_at, shorts_at

    rows, needed = range(n_cell), dict[str, Any](floats_at=floats_at, shorts_at=shorts_at, u32=np.uint32)
    lines = [f"row_{k} = block.cells[{k + 1}, at : at + width]" for k in rows]
    if source and callable(source[0]):
        needed["cell"] = cell_function(*source, tag)
        begin = sum(max(1, length) for _, length in spans)
        drawn = [f"u32(places[{k}, 0])" for k in range(4)] + [f"numbers[{begin + k}]" for k in range(source[1])]
        lines += ["rows, columns = block.row[at : at + width], block.column[at : at + width]"]
        lines += [f"drawn = ({', '.join(drawn)},)", "for lane in range(width):"]
        lines += ["    values = cell(drawn, rows[lane], columns[lane])"]
        lines += [f"    row_{k}[lane] = values[{k}]" for k in rows]
    else:
        scattered = ["wanted = block.place[at : at + width]"] if source else []
        moves = list[str]()
        for k, kind in enumerate(source):
            value, at = "{}", "floats_at"
            if kind in _WIDENED:
                needed[f"widened_{k}"] = compile_function(_WIDENED[kind])
                value, at = f"widened_{k}({{}})", "shorts_at"
            slice_at = f"{at}(places[{k}, 0], s * places[{k}, 1] + {{}}, {{}})"
            moves += [f"given_{k} = {slice_at.format('first', 'width')}", "for lane in range(width):"]
            moves += [f"    row_{k}[lane] = {value.format(f'given_{k}[lane]')}"]
            scattered += [f"given_{k} = {slice_at.format('0', f'places[{k}, 1]')}", "for lane in range(width):"]
            scattered += [f"    row_{k}[lane] = {value.format(f'given_{k}[u32(wanted[lane])]')}"]
        if source:
            lines += ["if first >= 0:", *(f"    {line}" for line in moves)]
            lines += ["else:", *(f"    {line}" for line in scattered)]
    load = _spelled_out("load", "places, numbers, block, s, first, at, width", [*lines, "return"], **needed)
    return named(load, tag)
