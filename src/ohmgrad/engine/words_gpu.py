"""The vocabulary of :mod:`ohmgrad.words` in Triton's language, in single precision.

Nothing here is decorated: :mod:`ohmgrad.engine.compiler_gpu` compiles these functions, or lets Triton's interpreter run
them. They round as the processor does (no approximate division or root), and order comparisons as its words do, so that
both give the same bits.
"""

from __future__ import annotations

from typing import Any

import triton.language as tl

from ohmgrad import words
from ohmgrad.engine import elementary


def where(condition, yes, no):
    return tl.where(condition, yes, no)


def minimum(a, b):
    return tl.where(a < b, a, b)


def maximum(a, b):
    return tl.where(a > b, a, b)


def sqrt(a):
    a = _tensor(a)
    if a.dtype == tl.float64:
        root = tl.math.sqrt(a)
    else:
        root = tl.math.sqrt_rn(a)
    return root


def floor(a):
    return tl.math.floor(_tensor(a))


def absolute(a):
    return tl.abs(_tensor(a))


def negative(a):
    return a * -1  # Triton's minus makes 0 of -0


def divide(a, b):
    if _tensor(a + b).dtype == tl.float64:
        quotient = a / b
    else:
        quotient = tl.math.div_rn(a, b)
    return quotient


def _tensor(a):
    """A number as a tensor, float32 if it is a constant."""
    return a * tl.full((), 1.0, tl.float32)


def interpolate(table, share):
    values, last = table  # where it lies in memory, and the number of its last entry
    place = share * tl.cast(last, tl.float32)
    first = minimum(maximum(place, 0.0), tl.cast(tl.maximum(last - 1, 0), tl.float32)).to(tl.int32)
    t = minimum(maximum(place - first.to(tl.float32), 0.0), 1.0)
    return (1.0 - t) * tl.load(values + first) + t * tl.load(values + tl.minimum(first + 1, last))


def multiply_high(a, b):
    return tl.math.umulhi(a, tl.full((), b, tl.uint32))


def multiply_low(a, b):
    return a * tl.full((), b, tl.uint32)


def add_wrapped(a, b):
    return a + tl.full((), b, tl.uint32)


def uint32(a):
    return tl.cast(a, tl.uint32)


def int32(a):
    return tl.cast(a, tl.int32)


def to_float(a):
    return tl.cast(a, tl.float32)


def single(a):
    return tl.cast(a, tl.float32)


def double(a):
    return tl.cast(a, tl.float64)


def bits_of(a):
    return tl.cast(tl.cast(a, tl.float32), tl.int32, bitcast=True)


def float_of(a):
    return tl.cast(a, tl.float32, bitcast=True)


def popcount(a):
    """Number of ones in an unsigned 32-bit number; the compiler knows this pattern and takes one instruction."""
    a = a - ((a >> 1) & 0x55555555)
    a = (a & 0x33333333) + ((a >> 2) & 0x33333333)
    a = (a + (a >> 4)) & 0x0F0F0F0F
    return ((a * 0x01010101) >> 24).to(tl.int32)


def round_even(a):
    size = tl.abs(a)
    whole = tl.where(size < 8388608.0, (size + 8388608.0) - 8388608.0, size)  # the sum has no digits behind the point
    return tl.where(a < 0.0, -whole, whole)


def within(a, bound):
    return maximum(minimum(a, bound), -bound)


def scale_negative(a, factor):
    return tl.where(a > 0.0, a, a * factor)


def largest(a):
    """The largest of the numbers of a block."""
    return tl.reduce(a, 0, tl.standard._elementwise_max)  # as tl.max does, which Triton's interpreter cannot call


COMPOSED: dict[Any, Any] = {words.exp: elementary.exp, words.log: elementary.log, words.power: elementary.power}
"""The words that are made of others, to be compiled like any helper function of a law."""

TRANSLATION = {
    word: globals()[word.__name__] for word in (*words.LAW_WORDS, *words.ENGINE_WORDS) if word not in COMPOSED
}
"""Each other word of :mod:`ohmgrad.words` and its version in Triton's language."""
