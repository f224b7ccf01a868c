"""Addressed random numbers: Philox4x32 and standard normal numbers from it.

Every number is a function of a 64-bit key (the tile's seed) and a 128-bit counter (stream, row, column, number), so it
does not matter when, where or in which order it is computed. The functions are written in the vocabulary of
:mod:`ohmgrad.words`: here they run on torch tensors, and the same source is compiled for the processor.

J. K. Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
"""

from __future__ import annotations

from ohmgrad.engine.elementary import split
from ohmgrad.words import (
    absolute,
    add_wrapped,
    int32,
    maximum,
    multiply_high,
    multiply_low,
    sqrt,
    to_float,
    uint32,
    where,
)

ROUNDS = 7
"""The fewest rounds that pass BigCrush (Salmon et al. 2011, table 2)."""

_MULTIPLIER_0, _MULTIPLIER_1 = 0xD2511F53, 0xCD9E8D57
_WEYL_0, _WEYL_1 = 0x9E3779B9, 0xBB67AE85


def philox(c0, c1, c2, c3, k0, k1, rounds=ROUNDS):  # type: ignore[no-untyped-def]
    """Four unsigned 32-bit numbers for the counter ``(c0, c1, c2, c3)`` under the key ``(k0, k1)``."""
    for _ in range(rounds):
        high0, low0 = multiply_high(c0, _MULTIPLIER_0), multiply_low(c0, _MULTIPLIER_0)
        high1, low1 = multiply_high(c2, _MULTIPLIER_1), multiply_low(c2, _MULTIPLIER_1)
        c0, c1, c2, c3 = uint32(high1 ^ c1 ^ k0), low1, uint32(high0 ^ c3 ^ k1), low0
        k0, k1 = add_wrapped(k0, _WEYL_0), add_wrapped(k1, _WEYL_1)
    return c0, c1, c2, c3


def uniform(word):  # type: ignore[no-untyped-def]
    """A float32 strictly inside (0, 1] from an unsigned 32-bit number."""
    return (to_float(int32(word >> 1)) + 0.5) * 4.656612873077393e-10  # 2**-31


def negative_log(u):  # type: ignore[no-untyped-def]
    """``-ln u`` for u in (0, 1], to 1e-7: exponent times ln 2 plus a polynomial on [sqrt(1/2), sqrt(2))."""
    exponent, f = split(u)
    p = f * 0.0872224329 - 0.143667882
    p = p * f + 0.14952283
    p = p * f - 0.165624019
    p = p * f + 0.199568328
    p = p * f - 0.250020737
    p = p * f + 0.333341856
    p = p * f - 0.49999988
    p = p * f + 0.999999974
    return exponent * -0.69314718 - p * f


def _sine_of_turns(t):  # type: ignore[no-untyped-def]
    """``sin(2 pi t)`` for t in [-1/4, 1/4], to 1e-8."""
    z = t * t
    p = z * 39.7109177 - 76.5749921
    p = p * z + 81.6022312
    p = p * z - 41.3416775
    p = p * z + 6.28318527
    return p * t


def normal_pair(a, b):  # type: ignore[no-untyped-def]
    """Two independent standard normal float32 from two unsigned 32-bit numbers (Box and Muller 1958)."""
    radius = sqrt(maximum(negative_log(uniform(a)) * 2.0, 0.0))
    turn = to_float(int32(b >> 1)) * 4.656612873077393e-10 - 0.5
    distance = absolute(turn)
    cosine = _sine_of_turns(0.25 - distance)
    sine = _sine_of_turns(where(distance > 0.25, 0.5 - distance, distance))
    return radius * cosine, radius * where(turn < 0.0, -sine, sine)


def normals(c0, c1, c2, c3, k0, k1):  # type: ignore[no-untyped-def]
    """Four standard normal float32 for one counter."""
    w0, w1, w2, w3 = philox(c0, c1, c2, c3, k0, k1)
    n0, n1 = normal_pair(w0, w1)
    n2, n3 = normal_pair(w2, w3)
    return n0, n1, n2, n3


def uniforms(c0, c1, c2, c3, k0, k1):  # type: ignore[no-untyped-def]
    """Four uniform float32 in (0, 1] for one counter."""
    w0, w1, w2, w3 = philox(c0, c1, c2, c3, k0, k1)
    return uniform(w0), uniform(w1), uniform(w2), uniform(w3)


def cell_normal(stream, row, column, part, k0, k1):  # type: ignore[no-untyped-def]
    """The entry of one cell of the matrix ``Draws.normal(stream, rows, width, part)``; any ``width`` gives the same."""
    w0, w1, w2, w3 = philox(stream, uint32(column >> 2), row, part, k0, k1)
    first = (column & 2) == 0
    cosine, sine = normal_pair(where(first, w0, w2), where(first, w1, w3))
    return where((column & 1) == 0, cosine, sine)


def cell_uniform(stream, row, column, part, k0, k1):  # type: ignore[no-untyped-def]
    """The entry of one cell of the matrix ``Draws.uniform(stream, rows, width, part)``."""
    w0, w1, w2, w3 = philox(stream, uint32(column >> 2), row, part, k0, k1)
    even = (column & 1) == 0
    return uniform(where((column & 2) == 0, where(even, w0, w1), where(even, w2, w3)))
