"""Exponential function, logarithm and power from arithmetic, bit patterns and selects.

A call of a mathematical library keeps the loop over the lanes of a block scalar; these are inlined into it and become
vector instructions. They are written in the vocabulary of :mod:`ohmgrad.words`, and the compiler puts them in the place
of its ``exp``, ``log`` and ``power`` (:mod:`ohmgrad.engine.compiler`); on the reference those words are torch's.

All of it holds in single precision without fused operations: a product is exact where both factors are short, a
difference where both are close. The polynomials are fits of least relative error, made in double precision, with
coefficients rounded to single; their terms are paired, so that fewer of them wait for each other. Where an argument may
be NaN, the order of the two in a comparison lets it through.
"""

from __future__ import annotations

from math import inf

from ohmgrad.words import absolute, bits_of, float_of, floor, int32, maximum, minimum, to_float, where

_SQRT_HALF_BITS = 0x3F3504F3
_MANTISSA = 0x7FFFFF
_SMALLEST_NORMAL = 1.1754943508222875e-38

_LN2_HIGH = 0.693145751953125  # 15 bits: its product with an exponent is exact
_LN2_LOW = 1.42860677e-06
_ROUNDER = 12583166.0  # 1.5 * 2**23 + 2 * 127: the sum with it has no digits behind the point


def split(a):  # type: ignore[no-untyped-def]
    """``(e, f)`` with ``a = 2**e * (1 + f)`` and 1 + f in [sqrt(1/2), sqrt(2)), for a positive normal number."""
    shifted = int32(bits_of(a) - _SQRT_HALF_BITS)
    exponent = to_float(int32(shifted >> 23))
    return exponent, float_of(int32((shifted & _MANTISSA) + _SQRT_HALF_BITS)) - 1.0


def _split_any(a):  # type: ignore[no-untyped-def]
    """``split`` for numbers that may be below the normal ones."""
    small = a < _SMALLEST_NORMAL
    exponent, f = split(where(small, a * 8388608.0, a))  # 2**23
    return exponent - where(small, 23.0, 0.0), f


def _log_tail(f):  # type: ignore[no-untyped-def]
    """``ln(1 + f) - f + f**2 / 2`` for f as in ``split``, to 7e-9 of the logarithm."""
    z = f * f
    p = (f * -0.0763449892 + 0.12761578) * z + (f * -0.131601825 + 0.142017573)
    p = (p * z + (f * -0.166233569 + 0.200012267)) * z + (f * -0.250008196 + 0.333333313)
    return p * (f * z)


def _exp_of_sum(high, low):  # type: ignore[no-untyped-def]
    """``exp(high + low)`` for a sum in [-111, 96] and a small ``low``: 2**n times a polynomial, to 4e-9."""
    rounded = (high + low) * 1.44269504 + _ROUNDER
    n = rounded - _ROUNDER
    r = (high - n * _LN2_HIGH) - n * _LN2_LOW + low
    z = r * r
    p = (z * 0.00138145406 + (r * 0.00836874545 + 0.041668389)) * z + (r * 0.166665211 + 0.49999994)
    p = p * z + r + 1.0
    # 2**n may lie beyond the normal numbers: 2**(n // 2) times the rest. ``rounded`` ends in the 9 bits of n + 2 * 127,
    # and in a bit pattern an exponent of 0 is 127.
    half = int32((bits_of(rounded) >> 1) << 23)
    return p * float_of(half) * float_of(int32((bits_of(rounded) << 23) - half))


def _coarse(a):  # type: ignore[no-untyped-def]
    """The leading 12 bits of a number, so that the product of two such is exact."""
    return float_of(int32(bits_of(a) & -4096))


def exp(a):  # type: ignore[no-untyped-def]
    """The exponential function, to 1 unit in the last place."""
    return _exp_of_sum(maximum(-104.0, minimum(89.0, a)), -0.0)  # a sum with -0.0 vanishes in the compiler


def log(a):  # type: ignore[no-untyped-def]
    """The natural logarithm, to 1 unit in the last place."""
    exponent, f = _split_any(a)
    value = exponent * _LN2_LOW + _log_tail(f) - 0.5 * (f * f) + f + exponent * _LN2_HIGH
    return where(a > 0.0, where(a < inf, value, inf), where(a == 0.0, -inf, inf - inf))


def power(a, b):  # type: ignore[no-untyped-def]
    """``a`` to the power of ``b``, as C and torch define it: ``exp(b * ln|a|)``, whose argument has a second part.

    Its relative error is that of ``exp`` and below 5e-9 times ``b * ln|a|``.
    """
    base = absolute(a)
    exponent, f = _split_any(base)
    # ln|a| = high + rest: e * ln 2, f and f**2 / 2 are added up exactly, the errors go to the rest.
    leading = _coarse(f)
    half_square = 0.5 * leading * leading
    whole = exponent * _LN2_HIGH
    high = whole + f - half_square
    lost = f - (high - whole) - half_square
    rest = lost + exponent * _LN2_LOW + (_log_tail(f) - 0.5 * (f - leading) * (f + leading))
    # b * ln|a|: the product of the leading bits is exact, the others are small.
    logarithm = high + rest
    b_limited = maximum(-1e12, minimum(1e12, b))  # beyond all that matters
    leading, b_leading = _coarse(logarithm), _coarse(b_limited)
    low = b_leading * ((high - leading) + rest) + (b_limited - b_leading) * logarithm
    product = where(base == 0.0, b * -inf, where(base < inf, b_leading * leading, b * base))  # NaN comes through
    value = _exp_of_sum(maximum(-110.0, minimum(95.0, product)), maximum(-1.0, minimum(1.0, low)))
    # What is not a number times a logarithm.
    fractional = floor(b_limited) != b_limited
    odd = (floor(0.5 * b_limited) != 0.5 * b_limited) & (floor(b_limited) == b_limited)
    value = where((bits_of(a) < 0) & odd, -value, value)
    value = where((a < 0.0) & (base < inf) & fractional, inf - inf, value)
    return where((b == 0.0) | (a == 1.0), 1.0, value)


def from_bfloat16(bits):  # type: ignore[no-untyped-def]
    """The number whose bits in bfloat16 are given as a signed 16-bit number."""
    return float_of(int32(int32(bits) << 16))


def from_float16(bits):  # type: ignore[no-untyped-def]
    """The finite number whose bits in float16 are given as a signed 16-bit number."""
    whole = int32(bits)
    magnitude = float_of(int32((whole & 0x7FFF) << 13)) * 5.192296858534828e33  # 2**112: between the two exponents
    return where(whole < 0, -magnitude, magnitude)
