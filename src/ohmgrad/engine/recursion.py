"""What is done digitally with what is read from an array: a recursion for every cell, over its reads in order.

A rule states it as a function of one cell, written like a law in the vocabulary of :mod:`ohmgrad.words`::

    recursion(z, <other numbers of the cell at this read>, <digital matrices>, <numbers of the read>, <constants>)
        -> (what is written, <digital matrices>)

Reads of different slices do not meet, so those of one run can be handled at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ohmgrad.engine.compiler import compile_function
from ohmgrad.engine.fingerprint import fingerprint, named
from ohmgrad.engine.implementation import Implementation
from ohmgrad.engine.kernel_cache import compile_kernel
from ohmgrad.engine.refused import explain
from ohmgrad.engine.threads import share


@dataclass
class Recursion:
    """A recursion and what it works on.

    ``function``: of one cell; ``cells``: tensors ``[E, lanes]``, first what was read; ``matrices``: digital matrices
    ``[slices, lanes]``, changed in place; ``reads``: tensors ``[E]``, which the function sees as float32;
    ``constants``: numbers.
    """

    function: Callable[..., Any]
    cells: tuple[Tensor, ...]
    matrices: tuple[Tensor, ...]
    reads: tuple[Tensor, ...]
    constants: tuple[float, ...]

    @property
    def form(self) -> tuple[Any, int, int, int, int]:
        """What a kernel for it depends on."""
        return self.function, len(self.cells), len(self.matrices), len(self.reads), len(self.constants)


def run(
    recursion: Recursion, slices: Tensor, valid: Tensor | None, at_once: int, implementation: Implementation
) -> Tensor:
    """Run a recursion over reads.

    :param slices: which slice each read is of, int64 ``[E]``.
    :param valid: which reads happen, bool ``[E]``, None: all; the others write 0 and change nothing.
    :param at_once: so many reads from the first on, and from there on again, touch no slice twice.
    :returns: what is written, float32 ``[E, lanes]``.
    """
    if not all(map(Tensor.is_contiguous, recursion.matrices)):  # loaded in another layout
        tight = tuple(matrix.contiguous() for matrix in recursion.matrices)
        written = run(replace(recursion, matrices=tight), slices, valid, at_once, implementation)
        for matrix, copy in zip(recursion.matrices, tight, strict=True):
            matrix.copy_(copy)
        return written
    if implementation == "gpu":
        from ohmgrad.engine.compiler_gpu import Untranslatable, warn
        from ohmgrad.engine.recursion_gpu import run as on_gpu

        try:
            return on_gpu(recursion, slices, valid)
        except Untranslatable as reason:
            warn(f"The recursion {recursion.function.__qualname__}", str(reason))
    if implementation == "cpu":
        assert valid is None or bool(valid.all())
        return _on_processor(recursion, slices)
    written = torch.zeros_like(recursion.cells[0])
    for begin in range(0, len(slices), at_once):
        part = slice(begin, begin + at_once)
        rows, reads = slices[part], [value[part, None].float() for value in recursion.reads]
        before = [matrix[rows] for matrix in recursion.matrices]
        result = recursion.function(*(cell[part] for cell in recursion.cells), *before, *reads, *recursion.constants)
        happens = None if valid is None else valid[part, None]
        for k, matrix in enumerate(recursion.matrices):
            matrix[rows] = result[k + 1] if happens is None else torch.where(happens, result[k + 1], before[k])
        written[part] = result[0] if happens is None else torch.where(happens, result[0], 0.0)
    return written


def _on_processor(recursion: Recursion, slices: Tensor) -> Tensor:
    first, tensors = recursion.cells[0], (*recursion.cells, *recursion.matrices, *recursion.reads)
    (count, lanes), size = first.shape, recursion.matrices[0].shape[0] if recursion.matrices else 0
    written = torch.empty(count, lanes, dtype=torch.float32, device="cpu")
    held = [written, *map(Tensor.contiguous, (slices, *tensors))]
    places = map(Tensor.data_ptr, held)
    try:
        kernel = _compiled(*recursion.form, tuple([tensor.dtype for tensor in tensors]))
        share(kernel, lanes, 2.0 * written.numel(), count, lanes, size, *places, *recursion.constants)
    except Exception as error:  # at the first call, when it is compiled
        explain(recursion.function, error)
    return written


@cache
def _compiled(
    function: Any, cells: int, matrices: int, reads: int, constants: int, types: tuple[torch.dtype, ...]
) -> Any:
    """The recursion over the reads of some lanes; any number of arguments is spelled out here, as Numba wants it."""
    from ohmgrad.engine import addresses_cpu

    z, m, r, c = (
        [f"{name}{k}" for k in range(n)] for name, n in zip("zmrc", (cells, matrices, reads, constants), strict=True)
    )
    rows = dict.fromkeys(("written", *z), "e") | dict.fromkeys(m, "s")
    shapes = dict.fromkeys(z, "count, lanes") | dict.fromkeys(m, "size, lanes") | dict.fromkeys(r, "count,")
    before = [*(f"{name}_[lane]" for name in z + m), *(f"{name}_" for name in r), *c]
    after = [f"{name}_[lane]" for name in ("written", *m)]
    source = "\n".join(
        [
            f"def fill(begin, end, count, lanes, size, {', '.join(['written', 'slices', *shapes, *c])}):",
            "    written = array_at(written, (count, lanes), single)",
            "    slices = array_at(slices, (count,), whole)",
            *(f"    {name} = array_at({name}, ({shape}), of_{name})" for name, shape in shapes.items()),
            *(f"    {name} = single({name})" for name in c),
            "    for e in range(count):",
            "        s = slices[e]",
            # Rows that begin with 0: an index that might be negative would keep the loop from becoming vectors.
            *(f"        {name}_ = {name}[{row}, begin:end]" for name, row in rows.items()),
            *(f"        {name}_ = single({name}[e])" for name in r),
            "        for lane in range(len(written_)):",
            f"            {', '.join(after)} = step({', '.join(before)})",
        ]
    )
    tag = fingerprint(function, cells, matrices, reads, constants, types)
    numbers = {f"of_{name}": _numpy_type(kind) for name, kind in zip(shapes, types, strict=True)}
    scope = {"step": compile_function(function, whole_numbers=True), "array_at": addresses_cpu.array_at, **numbers}
    scope |= {"single": np.float32, "whole": np.int64, "__name__": __name__}
    exec(source, scope)
    return compile_kernel(named(scope["fill"], tag), __name__, tag, addresses_cpu)


def _numpy_type(kind: torch.dtype) -> Any:
    return torch.empty(0, dtype=kind, device="cpu").numpy().dtype.type
