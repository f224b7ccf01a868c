"""Tensors as compiled kernels see them: by the address of their numbers.

To make a NumPy array of a tensor takes as long as the kernel of a small product; an address is there at once. The
caller holds the tensor while the kernel runs, and gives a contiguous one of the right type. None is no tensor: what is
compiled for it leaves out what depends on it.
"""

# mypy: disable-error-code="no-untyped-def"
from __future__ import annotations

from typing import Any

import numpy as np
import torch
from llvmlite import ir
from numba import carray, njit, types
from numba.extending import intrinsic
from torch import Tensor

from ohmgrad.engine.compiler import INLINED


def address(tensor: Tensor | None, kind: torch.dtype = torch.float32) -> int | None:
    """Where the numbers of a tensor are.

    :raises TypeError: if they are of another kind, or not one behind the other: compiled code would not notice.
    """
    if tensor is None:
        return None
    if tensor.dtype is not kind or not tensor.is_contiguous():
        raise TypeError(f"A kernel was given {tensor.dtype} with strides {tensor.stride()}, not contiguous {kind}.")
    return tensor.data_ptr()


@intrinsic
def _pointer(context: Any, value: Any) -> Any:
    """A number as the pointer that it is."""

    def build(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], ir.IntType(8).as_pointer())

    return types.voidptr(types.int64), build


@njit(**INLINED)
def array_at(place, shape, kind):
    """The array of a shape and a type of numbers at an address."""
    return carray(_pointer(place), shape, kind)


@njit(**INLINED)
def floats(place, rows, columns):
    """The float32 matrix at an address; None: there is none."""
    return None if place is None else carray(_pointer(place), (rows, columns), np.float32)


@njit(**INLINED)
def row_at(place, width):
    """The float32 row at an address; None: there is none."""
    return None if place is None else carray(_pointer(place), (width,), np.float32)


@njit(**INLINED)
def floats_at(place, first, count):
    """The float32 numbers at an address, from number ``first`` on."""
    return carray(_pointer(place + 4 * first), (count,), np.float32)


@njit(**INLINED)
def shorts_at(place, first, count):
    """The 16-bit numbers at an address, from number ``first`` on."""
    return carray(_pointer(place + 2 * first), (count,), np.int16)


@njit(**INLINED)
def number_at(place, first, r):
    """Element r of the int64 numbers at an address, as a word of a counter; 0: of numbers from ``first`` on."""
    return np.uint32(first + r if place == 0 else carray(_pointer(place), (r + 1,), np.int64)[r])


@njit(**INLINED)
def truths(place, rows, columns):
    """The bool matrix at an address; None: there is none."""
    return None if place is None else carray(_pointer(place), (rows, columns), np.bool_)


@njit(**INLINED)
def room(width, wanted):
    """Memory for random numbers of a row, whole Philox blocks; None where None is wanted."""
    return None if wanted is None else np.empty((width + 3) // 4 * 4, np.float32)


@njit(**INLINED)
def at(row, j):
    """An element; None of None."""
    return None if row is None else row[j]
