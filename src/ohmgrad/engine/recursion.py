"""What is done digitally with what is read from an array: a recursion for every cell, over its reads in order.

A rule states it as a function of one cell, written like a law in the vocabulary of :mod:`ohmgrad.words`::

    recursion(z, <other numbers of the cell at this read>, <digital matrices>, <numbers of the read>, <constants>)
        -> (what is written, <digital matrices>)

Reads of different slices do not meet, so those of one run can be handled at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
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
    recursion: Recursion, slices: Tensor, valid: Tensor | None, runs: Iterable[slice], implementation: Implementation
) -> Tensor:
    """Run a recursion over reads.

    :param slices: which slice each read is of, int64 ``[E]``.
    :param valid: which reads happen, bool ``[E]``, None: all; the others write 0 and change nothing.
    :param runs: parts of the reads, in order, none of which touches a slice twice.
    :returns: what is written, float32 ``[E, lanes]``.
    """
    if not all(matrix.is_contiguous() for matrix in recursion.matrices):  # loaded in another layout
        tight = tuple(matrix.contiguous() for matrix in recursion.matrices)
        written = run(replace(recursion, matrices=tight), slices, valid, runs, implementation)
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
        return _on_processor(recursion, slices, valid)
    written = torch.zeros_like(recursion.cells[0])
    for part in runs:
        rows, reads = slices[part], [value[part, None].float() for value in recursion.reads]
        before = [matrix[rows] for matrix in recursion.matrices]
        result = recursion.function(*(cell[part] for cell in recursion.cells), *before, *reads, *recursion.constants)
        happens = None if valid is None else valid[part, None]
        for k, matrix in enumerate(recursion.matrices):
            matrix[rows] = result[k + 1] if happens is None else torch.where(happens, result[k + 1], before[k])
        written[part] = result[0] if happens is None else torch.where(happens, result[0], 0.0)
    return written


def _on_processor(recursion: Recursion, slices: Tensor, valid: Tensor | None) -> Tensor:
    assert valid is None or bool(valid.all())
    written = np.empty(tuple(recursion.cells[0].shape), np.float32)
    tensors = (*recursion.cells, *recursion.matrices, *recursion.reads)
    constants = map(np.float32, recursion.constants)
    arguments = (written, slices.numpy(), *(tensor.numpy() for tensor in tensors), *constants)
    share(_compiled(*recursion.form), written.shape[1], 2.0 * written.size, *arguments)
    return torch.from_numpy(written)


@cache
def _compiled(function: Any, cells: int, matrices: int, reads: int, constants: int) -> Any:
    """The recursion over the reads of some lanes; any number of arguments is spelled out here, as Numba wants it."""
    z, m, r, c = (
        [f"{name}{k}" for k in range(n)] for name, n in zip("zmrc", (cells, matrices, reads, constants), strict=True)
    )
    rows = dict.fromkeys(("written", *z), "e") | dict.fromkeys(m, "s")
    before = [*(f"{name}_[lane]" for name in z + m), *(f"{name}_" for name in r), *c]
    after = [f"{name}_[lane]" for name in ("written", *m)]
    source = "\n".join(
        [
            f"def fill(begin, end, written, slices, {', '.join([*z, *m, *r, *c])}):",
            "    for e in range(len(slices)):",
            "        s = slices[e]",
            # Rows that begin with 0: an index that might be negative would keep the loop from becoming vectors.
            *(f"        {name}_ = {name}[{row}, begin:end]" for name, row in rows.items()),
            *(f"        {name}_ = single({name}[e])" for name in r),
            "        for lane in range(len(written_)):",
            f"            {', '.join(after)} = step({', '.join(before)})",
        ]
    )
    tag = fingerprint(function, cells, matrices, reads, constants)
    scope = {"step": compile_function(function, whole_numbers=True), "single": np.float32, "__name__": __name__}
    exec(source, scope)
    return compile_kernel(named(scope["fill"], tag), __name__, tag)
