"""The vocabulary of laws: the few functions, beside arithmetic and comparisons, that a law may use.

These are the torch versions, so a law can be called on tensors as it stands; that is its definition. The same law
is compiled for the processor by putting that target's versions in their place
(:mod:`ohmgrad.engine.compiler`). The second group serves the engine itself; in torch an unsigned 32-bit number is
held by an int64 tensor.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

_MASK = 0xFFFFFFFF


def _tensor(value: Tensor | float) -> Tensor:
    return value if isinstance(value, Tensor) else torch.tensor(value, dtype=torch.float32)


def where(condition: Tensor | bool, yes: Tensor | float, no: Tensor | float) -> Tensor:
    """``yes`` where ``condition`` holds, else ``no`` (both are computed)."""
    if not isinstance(condition, Tensor):
        condition = torch.tensor(condition)
    if isinstance(yes, Tensor) or isinstance(no, Tensor):
        return torch.where(condition, yes, no)
    return torch.where(condition, _tensor(yes), _tensor(no))


def minimum(a: Tensor | float, b: Tensor | float) -> Tensor:
    """The smaller of two numbers."""
    return torch.minimum(_tensor(a), _tensor(b))


def maximum(a: Tensor | float, b: Tensor | float) -> Tensor:
    """The larger of two numbers."""
    return torch.maximum(_tensor(a), _tensor(b))


def exp(a: Tensor | float) -> Tensor:
    """The exponential function."""
    return torch.exp(_tensor(a))


def log(a: Tensor | float) -> Tensor:
    """The natural logarithm."""
    return torch.log(_tensor(a))


def sqrt(a: Tensor | float) -> Tensor:
    """The square root."""
    return torch.sqrt(_tensor(a))


def power(a: Tensor | float, b: Tensor | float) -> Tensor:
    """``a`` to the power of ``b``; NaN if ``a`` is negative and ``b`` is not a whole number."""
    return torch.pow(_tensor(a), _tensor(b))


def floor(a: Tensor | float) -> Tensor:
    """The largest whole number that is not above ``a``."""
    return torch.floor(_tensor(a))


def absolute(a: Tensor | float) -> Tensor:
    """The magnitude of a number."""
    return torch.abs(_tensor(a))


def interpolate(table: Tensor | Sequence[float], share: Tensor | float) -> Tensor:
    """The value of a table of equally spaced numbers, a share (from 0 to 1) of the way from its first to its last."""
    share = _tensor(share)
    table = torch.as_tensor(table, dtype=torch.float32, device=share.device)
    place = share * (len(table) - 1)
    below = torch.floor(place).clamp(0, max(len(table) - 2, 0))
    first = below.long()
    t = (place - below).clamp(0.0, 1.0)
    return (1.0 - t) * table[first] + t * table[(first + 1).clamp(max=len(table) - 1)]


def clip(value: Tensor | float, lower: Tensor | float, upper: Tensor | float) -> Tensor:
    """``value`` moved to the nearest point of [lower, upper]."""
    return maximum(minimum(value, upper), lower)


LAW_WORDS = (where, minimum, maximum, exp, log, sqrt, power, floor, absolute, interpolate)
"""Everything a law may call (``clip`` is made of them)."""


def multiply_high(a: Tensor, b: int) -> Tensor:
    """Upper 32 bits of the product of two unsigned 32-bit numbers."""
    return ((a * b) >> 32) & _MASK


def multiply_low(a: Tensor, b: int) -> Tensor:
    """Lower 32 bits of the product of two unsigned 32-bit numbers."""
    return (a * b) & _MASK


def add_wrapped(a: Tensor, b: int) -> Tensor:
    """Sum of two unsigned 32-bit numbers modulo 2**32."""
    return (a + b) & _MASK


def uint32(a: Tensor) -> Tensor:
    """A whole number that is known to fit, as an unsigned 32-bit one."""
    return a


def int32(a: Tensor) -> Tensor:
    """A whole number that is known to fit, as a signed 32-bit one."""
    return a.to(torch.int32)


def to_float(a: Tensor) -> Tensor:
    """A signed 32-bit whole number as a float32."""
    return a.to(torch.float32)


def single(a: Tensor) -> Tensor:
    """A number in single precision."""
    return a.to(torch.float32)


def double(a: Tensor) -> Tensor:
    """A number in double precision."""
    return a.to(torch.float64)


def bits_of(a: Tensor) -> Tensor:
    """The bit pattern of a float32, as a signed 32-bit number."""
    return a.view(torch.int32)


def float_of(a: Tensor) -> Tensor:
    """The float32 with a given bit pattern."""
    return a.to(torch.int32).view(torch.float32)


def round_even(a: Tensor) -> Tensor:
    """The nearest whole number, halves to the even one; in place."""
    return a.round_()


def within(a: Tensor, bound: float) -> Tensor:
    """``a`` moved to the nearest point of [-bound, bound]; in place."""
    return a.clamp_(-bound, bound)


def scale_negative(a: Tensor, factor: float) -> Tensor:
    """``a`` where it is positive, else ``factor`` times it; in place."""
    return torch.nn.functional.leaky_relu_(a, factor)


ENGINE_WORDS = (
    *(multiply_high, multiply_low, add_wrapped, uint32, int32, to_float, single, double),
    *(bits_of, float_of, round_even, within, scale_negative),
)
"""What the engine itself uses beside the words of laws."""
