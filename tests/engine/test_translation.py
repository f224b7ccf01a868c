"""What functions become when they are translated for Triton or Numba."""

import torch
import triton.language as tl

from ohmgrad.engine.compiler import compile_function
from ohmgrad.engine.compiler_gpu import kernel, translate
from ohmgrad.words import round_even, scale_negative, within

SLOPE = "a global name that is no number"


def _shadowed(a, SLOPE):
    return a * SLOPE


def _divided(a, b):
    a /= b
    a /= b + 1.0
    return a


def _rounded(a, b):
    return round_even(a) + b


def _limited(a, b):
    return within(a, 0.75) + b


def _weakened(a, b):
    return scale_negative(a, 0.3) + b


def _apply(out, a, b, size: tl.constexpr):
    at = tl.arange(0, size)
    tl.store(out + at, function(tl.load(a + at), tl.load(b + at)))  # noqa: F821


def interpreted(function, a, b):
    out = torch.empty_like(a)
    kernel(_apply, True, {"function": translate(function, True)})[(1,)](out, a, b, size=len(a))
    return out


def pairs():
    a = torch.cat([torch.arange(-4.0, 4.0, 0.125), torch.tensor([-0.0, 8388607.5, -8388609.0, 1e30])])
    a = torch.cat([a, torch.zeros(128 - len(a))])
    return a, torch.linspace(0.1, 3.0, 128)


def test_an_argument_may_have_the_name_of_something_global():
    a, b = pairs()
    assert torch.equal(interpreted(_shadowed, a, b), a * b)


def test_a_division_in_place_is_a_division():
    a, b = pairs()
    assert torch.equal(interpreted(_divided, a, b), a / b / (b + 1.0))


def test_words_of_converters_mean_the_same_everywhere():
    a, b = pairs()
    for function in (_rounded, _limited, _weakened):
        wanted = function(a.clone(), b)
        assert torch.equal(interpreted(function, a, b), wanted)
        compiled = compile_function(function)
        single = [compiled(*pair) for pair in zip(a.numpy(), b.numpy(), strict=True)]
        assert torch.equal(torch.tensor(single), wanted)
