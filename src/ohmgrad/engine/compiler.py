"""Compiles functions written in the vocabulary of laws for the processor.

A copy of the function is made in which every word of the vocabulary is replaced by the processor's version, helper
functions are compiled in the same way, and numbers are bound as float32, so that the whole law is computed in single
precision, like the reference. Nothing in the function itself knows about any target.
"""

from __future__ import annotations

import types
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from ohmgrad.engine.fingerprint import fingerprint, named

INLINED = {"error_model": "numpy", "nogil": True, "forceinline": True}
"""Options of every compiled helper: a loop over cells becomes vector instructions only if nothing in it is called."""
ON_VIEWS = {"error_model": "numpy", "nogil": True, "_nrt": False}
"""Options of a part of a kernel that makes no arrays, and only looks at its caller's: references to them need not be
counted. That would be two atomic operations for every view of every part of a block."""


def _bound(value: Any, whole_numbers: bool) -> Any:
    if isinstance(value, float) or (whole_numbers and type(value) is int):
        return np.float32(value)
    return value


def _translate(value: Any, whole_numbers: bool) -> Any:
    from ohmgrad.engine.words_cpu import COMPOSED, TRANSLATION

    if isinstance(value, types.FunctionType):
        if value in COMPOSED:
            return compile_function(COMPOSED[value])
        return TRANSLATION[value] if value in TRANSLATION else compile_function(value, whole_numbers)
    if isinstance(value, (list, tuple)) and value and all(isinstance(item, (int, float)) for item in value):
        return np.array(value, np.float32)  # a table, for interpolate
    return _bound(value, whole_numbers)


@cache
def compile_function(function: Callable[..., Any], whole_numbers: bool = False) -> Any:
    """The function compiled for the processor.

    :param function: written in the vocabulary of :mod:`ohmgrad.words`; module-level helpers are compiled with it.
    :param whole_numbers: also bind whole numbers as float32, as in a law, where every number is real.
    """
    import numba

    code = function.__code__
    code = code.replace(co_consts=tuple(_bound(value, whole_numbers) for value in code.co_consts))
    used = {name: function.__globals__[name] for name in code.co_names if name in function.__globals__}
    scope = {**function.__globals__, **{name: _translate(value, whole_numbers) for name, value in used.items()}}
    cells = tuple(types.CellType(_translate(cell.cell_contents, whole_numbers)) for cell in function.__closure__ or ())
    defaults = tuple(_translate(value, whole_numbers) for value in function.__defaults__ or ())
    # It belongs to this module: the one of the law may be a notebook, which a later process cannot import.
    copy = types.FunctionType(code, {**scope, "__name__": __name__}, function.__name__, defaults, cells)
    return numba.njit(named(copy, fingerprint(function, whole_numbers)), **INLINED)
