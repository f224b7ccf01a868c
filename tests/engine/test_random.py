"""Addressed random numbers: Philox as published, and normal numbers that are normal."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from ohmgrad.engine import random
from ohmgrad.engine.compiler import compile_function
from ohmgrad.engine.draws import Draws

ONES = 0xFFFFFFFF
# Counter, key and result at ten rounds, as published with the generator (Salmon et al. 2011).
KNOWN_ANSWERS = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((ONES, ONES, ONES, ONES), (ONES, ONES), (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]
BOTH = pytest.mark.parametrize("compiled", [False, True], ids=["torch", "compiled"])


def philox(counter: tuple[int, ...], key: tuple[int, ...], compiled: bool, **rounds: int) -> tuple[int, ...]:
    if compiled:
        result = compile_function(random.philox)(*(np.uint32(word) for word in (*counter, *key)), **rounds)
    else:
        result = random.philox(*(torch.tensor(word) for word in (*counter, *key)), **rounds)
    return tuple(int(word) for word in result)


@BOTH
@pytest.mark.parametrize(("counter", "key", "result"), KNOWN_ANSWERS)
def test_ten_rounds_of_philox_give_the_known_answers(counter, key, result, compiled) -> None:
    assert philox(counter, key, compiled, rounds=10) == result


def test_seven_rounds_are_used_and_both_implementations_agree_on_them() -> None:
    assert random.ROUNDS == 7
    words = torch.randint(2**32, (200, 6), generator=torch.Generator().manual_seed(3)).tolist()
    for row in [*words, [0] * 6, [ONES] * 6]:
        counter, key = tuple(row[:4]), tuple(row[4:])
        torch_words = philox(counter, key, compiled=False)
        assert torch_words == philox(counter, key, compiled=False, rounds=7)
        assert torch_words == philox(counter, key, compiled=True)


@BOTH
@pytest.mark.parametrize("word", [0, 1, 2, 3, 1 << 31, ONES - 1, ONES])
def test_a_uniform_number_is_above_0_and_at_most_1(word: int, compiled: bool) -> None:
    if compiled:
        value = compile_function(random.uniform)(np.uint32(word))
    else:
        value = float(random.uniform(torch.tensor(word)))
    assert 0.0 < value <= 1.0
    assert value == pytest.approx((word + 1) / 2**32, abs=1e-7)


def test_the_logarithm_is_single_precision_exact_over_its_range() -> None:
    u = torch.cat([torch.logspace(-9.6, 0.0, 200_001, dtype=torch.float64), torch.linspace(0.4, 1.0, 100_001)]).float()
    u = u.clamp(max=1.0)
    exact = -torch.log(u.double())
    error = (random.negative_log(u).double() - exact).abs()
    assert (error <= 1.5e-7 * exact.clamp(min=1.0)).all()


@BOTH
@pytest.mark.parametrize("first", [0, 1, 1 << 31, ONES - 1, ONES])
@pytest.mark.parametrize("second", [0, 1 << 30, 1 << 31, 3 << 30, ONES])
def test_normal_numbers_are_finite_for_extreme_words(first: int, second: int, compiled: bool) -> None:
    if compiled:
        pair = compile_function(random.normal_pair)(np.uint32(first), np.uint32(second))
    else:
        pair = tuple(float(n) for n in random.normal_pair(torch.tensor(first), torch.tensor(second)))
    radius, angle = math.hypot(*pair), second / 2**32
    largest = (first // 2 + 0.5) / 2**31  # 31 bits of the first word decide
    assert radius == pytest.approx(math.sqrt(-2.0 * math.log(largest)), abs=1e-3)
    if radius > 0.1:  # the second word is a fraction of a turn, counted from the opposite side
        expected = (-math.cos(2 * math.pi * angle), -math.sin(2 * math.pi * angle))
        assert tuple(n / radius for n in pair) == pytest.approx(expected, abs=1e-5)


@pytest.fixture(scope="module")
def numbers() -> Tensor:
    return Draws(20_240_229, "cpu").normal(5, torch.arange(4000), 500)


def test_both_implementations_give_the_same_normal_numbers() -> None:
    rows = torch.arange(0, 200_000, 97)
    first, second = (Draws(0x123456789ABCDEF, each).normal(9, rows, 37, part=3) for each in ("reference", "cpu"))
    assert (first - second).abs().max() <= 1e-6


def test_normal_numbers_are_normal(numbers: Tensor) -> None:
    assert stats.kstest(numbers[:200].flatten().numpy(), "norm").pvalue > 0.001
    for column in (0, 1, 2, 3, 499):
        assert stats.kstest(numbers[:, column].numpy(), "norm").pvalue > 0.001


def test_normal_numbers_have_the_moments_of_a_normal_distribution(numbers: Tensor) -> None:
    values = numbers.double().flatten()
    for power, moment in ((1, 0.0), (2, 1.0), (3, 0.0), (4, 3.0), (6, 15.0)):
        raised = values**power
        assert abs(raised.mean() - moment) <= 5 * raised.std() / math.sqrt(len(values)), power


def test_normal_numbers_have_the_tails_of_a_normal_distribution(numbers: Tensor) -> None:
    values = numbers.double().flatten()
    for threshold in (2.0, 3.0, 4.0, 4.5):
        expected = len(values) * float(stats.norm.sf(threshold))
        for count in ((values > threshold).sum(), (values < -threshold).sum()):
            assert abs(int(count) - expected) <= 5 * math.sqrt(expected), threshold


def test_neighbouring_normal_numbers_are_independent(numbers: Tensor) -> None:
    values = numbers.double()
    for v in (values, values.square() - 1.0):  # squares too: the numbers of a pair share a radius
        for rows, columns in ((0, 1), (0, 2), (0, 3), (0, 4), (1, 0), (1, 1), (4, 0)):
            products = v[rows:, columns:] * v[: len(v) - rows, : v.shape[1] - columns]
            correlation = float(products.mean() / v.square().mean())
            assert abs(correlation) <= 5 / math.sqrt(products.numel()), (rows, columns)
