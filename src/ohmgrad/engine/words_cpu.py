"""The vocabulary of :mod:`ohmgrad.words` for the processor, compiled by Numba in single precision.

What the processor has no instruction for is made of the other words in :mod:`ohmgrad.engine.elementary`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from ohmgrad import words
from ohmgrad.engine import elementary

_word = njit(error_model="numpy", nogil=True, forceinline=True)


@intrinsic
def where(typing: Any, condition: Any, yes: Any, no: Any) -> Any:
    """One of two numbers, both of which are there.

    Not a conditional expression: of that the compiler makes a jump, moves what is read from memory for either side
    behind it, and so reads every lane from an address of its own.
    """
    kind = typing.unify_types(yes, no)

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        given = zip(arguments, signature.args, (types.boolean, kind, kind), strict=True)
        return builder.select(*(context.cast(builder, *each) for each in given))

    return kind(condition, yes, no), build


@_word
def minimum(a, b):  # type: ignore[no-untyped-def]
    return where(a < b, a, b)


@_word
def maximum(a, b):  # type: ignore[no-untyped-def]
    return where(a > b, a, b)


@_word
def sqrt(a):  # type: ignore[no-untyped-def]
    return math.sqrt(a)


@_word
def floor(a):  # type: ignore[no-untyped-def]
    return np.floor(a)


@_word
def absolute(a):  # type: ignore[no-untyped-def]
    return math.fabs(a)


@_word
def interpolate(table, share):  # type: ignore[no-untyped-def]
    last = np.int32(table.shape[0] - 1)
    place = share * np.float32(last)
    first = np.int32(minimum(maximum(place, np.float32(0.0)), np.float32(max(last - np.int32(1), np.int32(0)))))
    t = minimum(maximum(place - np.float32(first), np.float32(0.0)), np.float32(1.0))
    return (np.float32(1.0) - t) * table[first] + t * table[min(first + np.int32(1), last)]


@_word
def multiply_high(a, b):  # type: ignore[no-untyped-def]
    return np.uint32((np.uint64(np.uint32(a)) * np.uint64(np.uint32(b))) >> np.uint64(32))


@_word
def multiply_low(a, b):  # type: ignore[no-untyped-def]
    return np.uint32(np.uint32(a) * np.uint32(b))


@_word
def add_wrapped(a, b):  # type: ignore[no-untyped-def]
    return np.uint32(np.uint32(a) + np.uint32(b))


@_word
def uint32(a):  # type: ignore[no-untyped-def]
    return np.uint32(a)


@_word
def int32(a):  # type: ignore[no-untyped-def]
    return np.int32(a)


@_word
def to_float(a):  # type: ignore[no-untyped-def]
    return np.float32(np.int32(a))


@_word
def single(a):  # type: ignore[no-untyped-def]
    return np.float32(a)


@_word
def double(a):  # type: ignore[no-untyped-def]
    return np.float64(a)


@intrinsic
def bits_of(context: Any, value: Any) -> Any:
    """Bit pattern of a float32."""

    def build(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.IntType(32))

    return types.int32(types.float32), build


@intrinsic
def float_of(context: Any, value: Any) -> Any:
    """Float32 with a bit pattern."""

    def build(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.FloatType())

    return types.float32(types.int32), build


@intrinsic
def popcount(context: Any, value: Any) -> Any:
    """Number of ones in an unsigned 32-bit number."""

    def build(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return types.uint32(types.uint32), build


@intrinsic
def lowest_one(context: Any, value: Any) -> Any:
    """Number of zeros below the lowest one of an unsigned 32-bit number, which is not 0."""

    def build(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1))

    return types.uint32(types.uint32), build


@intrinsic
def round_even(context: Any, value: Any) -> Any:
    """The nearest whole number, halves to the even one."""

    def build(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.call(builder.module.declare_intrinsic("llvm.rint", [ir.FloatType()]), arguments)

    return types.float32(types.float32), build


@_word
def within(a, bound):  # type: ignore[no-untyped-def]
    return maximum(minimum(a, bound), -bound)


@_word
def scale_negative(a, factor):  # type: ignore[no-untyped-def]
    return a if a > 0.0 else a * factor


COMPOSED: dict[Any, Any] = {words.exp: elementary.exp, words.log: elementary.log, words.power: elementary.power}
"""The words that are made of others, to be compiled like any helper function of a law."""

TRANSLATION = {
    word: globals()[word.__name__] for word in (*words.LAW_WORDS, *words.ENGINE_WORDS) if word not in COMPOSED
}
"""Each other word of :mod:`ohmgrad.words` and its version for the processor."""
