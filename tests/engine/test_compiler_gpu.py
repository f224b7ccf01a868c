"""Functions in the vocabulary of laws mean the same in Triton, bit for bit what they mean on the processor."""

from __future__ import annotations

from types import FunctionType
from typing import Any

import numpy as np
import pytest
import torch
import triton.language as tl
from torch import Tensor

from ohmgrad import words
from ohmgrad.configs import ConstantStepDevice, SingleRPUConfig
from ohmgrad.engine.compiler import compile_function
from ohmgrad.engine.compiler_gpu import Untranslatable, kernel, translate
from ohmgrad.engine.generated import generated
from ohmgrad.tile import AnalogTile
from ohmgrad.words import (
    absolute,
    clip,
    exp,
    floor,
    interpolate,
    log,
    maximum,
    minimum,
    power,
    round_even,
    scale_negative,
    sqrt,
    where,
    within,
)

THIRD = 1.0 / 3.0
FOUR = 4
TABLE = [0.5, 2.0, -1.0, 0.25]
GRID = torch.cat([torch.linspace(-1.3, 1.4, 12), torch.tensor([0.0, -0.0, 1.0, 1e-40, 3e38, torch.inf, torch.nan])])


def _call(out, a, b, size: tl.constexpr):
    at = tl.arange(0, size)
    tl.store(out + at, expression(tl.load(a + at), tl.load(b + at)))  # noqa: F821


def in_triton(function: FunctionType, a: Tensor, b: Tensor) -> Tensor:
    """What a function of two numbers gives in Triton's interpreter."""
    size = 1 << (len(a) - 1).bit_length()
    padded = [torch.cat([side, side.new_ones(size - len(side))]) for side in (a, b)]
    out = torch.full((size,), torch.nan)
    launch = kernel(_call, True, {"expression": translate(function, True, True)})
    launch[(1,)](out, *padded, size=size)
    return out[: len(a)]


def on_processor(function: FunctionType, a: Tensor, b: Tensor) -> Tensor:
    compiled = compile_function(function, whole_numbers=True)
    with np.errstate(all="ignore"):
        return torch.tensor([compiled(*pair) for pair in zip(a.numpy(), b.numpy(), strict=True)])


def assert_same_bits(function: FunctionType) -> None:
    a, b = (side.flatten() for side in torch.meshgrid(GRID, GRID, indexing="ij"))
    first, second = in_triton(function, a, b), on_processor(function, a, b)
    nan = first.isnan() & second.isnan()
    assert torch.equal(first.view(torch.int32)[~nan], second.view(torch.int32)[~nan])


WORDS: dict[Any, Any] = {
    where: lambda a, b: where(a > b, a, -b),
    minimum: lambda a, b: minimum(a, b),
    maximum: lambda a, b: maximum(a, b),
    exp: lambda a, b: exp(a) + b,
    log: lambda a, b: log(a * a + 0.1) + b,
    sqrt: lambda a, b: sqrt(a * a) - b,
    power: lambda a, b: power(a, b),
    floor: lambda a, b: floor(4 * a + b),
    absolute: lambda a, b: absolute(a - b),
    interpolate: lambda a, b: interpolate(TABLE, minimum(maximum(a, 0), 1)) + 0 * minimum(maximum(b, 0), 1),
}


def test_every_word_is_tried() -> None:
    assert set(WORDS) == set(words.LAW_WORDS)


@pytest.mark.parametrize("word", WORDS, ids=lambda word: word.__name__)
def test_every_word_gives_the_bits_of_the_processor(word: Any) -> None:
    assert_same_bits(WORDS[word])


def _scaled(w):
    return w * THIRD


def _shifted(w, by=0.25):
    return _scaled(w) + by


def test_helpers_defaults_closures_and_constants_mean_the_same() -> None:
    slope = 3

    def inner(w):
        """The docstring is no part of it."""
        return slope * w / FOUR

    def outer(a, b):
        return clip(_shifted(a) + inner(b), -0.5, 0.75) / (2 + b)

    assert_same_bits(outer)


def test_a_loop_over_a_known_range_is_unrolled() -> None:
    def summed(a, b):
        for _ in range(3):
            a = a + b / 7
        return a

    assert_same_bits(summed)


def test_of_two_lambdas_on_one_line_the_right_one_is_found() -> None:
    first, second = (lambda a, b: a + b, lambda a, b: a + 2 * b)
    one = torch.ones(1)
    assert (in_triton(first, one, one).item(), in_triton(second, one, one).item()) == (2.0, 3.0)


def test_helpers_of_the_same_name_are_told_apart() -> None:
    def made(by):
        def helper(w):
            return by * w

        return helper

    double, triple = made(2.0), made(3.0)

    def both(a, b):
        return double(a) + triple(b)

    assert_same_bits(both)


def test_an_argument_may_have_the_name_of_something_global() -> None:
    def shadowed(a, FOUR):
        return a * FOUR

    assert_same_bits(shadowed)


def test_a_division_in_place_is_a_division() -> None:
    def divided(a, b):
        a /= b
        a /= b + 1.0
        return a

    assert_same_bits(divided)


def test_words_of_converters_mean_what_torch_means() -> None:
    for function in (
        lambda a, b: round_even(a) + b,
        lambda a, b: within(a, 0.75) + b,
        lambda a, b: scale_negative(a, 0.3) + b,
    ):
        a = torch.cat([torch.arange(-4.0, 4.0, 0.125), torch.tensor([-0.0, 8388607.5, -8388609.0, 1e30])])
        b = torch.linspace(0.1, 3.0, len(a))
        wanted = function(a.clone(), b)  # in place, in torch
        assert torch.equal(in_triton(function, a, b), wanted)
        assert torch.equal(on_processor(function, a, b), wanted)


# Laws that Triton cannot compile


class ThroughModule(ConstantStepDevice):
    @staticmethod
    def law(w, up, noise, dwmin_up, dwmin_down, min_bound, max_bound):
        return clip(w + words.where(up, dwmin_up, -dwmin_down), min_bound, max_bound)


def test_a_law_that_cannot_be_compiled_runs_as_the_reference_and_says_so_once() -> None:
    weights = []
    for implementation in ("reference", "gpu"):
        torch.manual_seed(4)
        config = SingleRPUConfig(device=ThroughModule())
        config.runtime.implementation = implementation
        tile = AnalogTile(2, 3, config)
        x, d = torch.rand(4, 3), torch.rand(4, 2)
        if implementation == "gpu":
            with pytest.warns(UserWarning, match=r"ThroughModule\.law cannot be compiled.*through the module 'words'"):
                tile.update(x, d)
        else:
            tile.update(x, d)
        tile.update(x, d)  # warnings are errors here
        weights.append(tile.get_weights())
    assert torch.equal(*weights)


def test_what_has_no_source_text_is_refused_with_the_reason() -> None:
    scope: dict[str, Any] = {}
    exec("def law(w):\n    return w", scope)
    with pytest.raises(Untranslatable, match="source text of 'law' cannot be found"):
        translate(scope["law"], True)
    assert (
        in_triton(generated("def law(a, b):\n    return a\n", "law", {}), GRID[:3], GRID[:3]).tolist()
        == GRID[:3].tolist()
    )


def test_objects_that_are_no_numbers_are_refused_by_name() -> None:
    table = torch.ones(3)

    def law(w):
        return w * table

    with pytest.raises(Untranslatable, match="it uses 'table', a Tensor"):
        translate(law, True)
