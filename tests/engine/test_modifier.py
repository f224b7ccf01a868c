"""The laws by which weights are disturbed in training against numbers worked out by hand, and their moments."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from ohmgrad.configs import WeightModifierParameter, WeightModifierType
from ohmgrad.engine import modifier as laws
from ohmgrad.engine.draws import Draws
from ohmgrad.engine.implementation import Implementation
from ohmgrad.engine.modifier import Modifier

W = torch.tensor([[0.5, -0.25, 0.0], [-1.0, 0.125, 2.0]])
TWO = torch.tensor(2.0)
KINDS = list(WeightModifierType)[:-1]


def close(found: Tensor, expected: list[list[float]]) -> None:
    assert found.dtype is torch.float32
    torch.testing.assert_close(found, torch.tensor(expected))


def test_discrete_weights_are_evenly_spaced_with_halves_away_from_0() -> None:
    close(laws.discretized(W, TWO, 0.25), [[0.5, -0.5, 0.0], [-1.0, 0.0, 2.0]])
    close(laws.discretized(W, TWO, 4.0), [[0.5, -0.5, 0.0], [-1.0, 0.0, 2.0]])  # a number of steps
    close(laws.discretized(W, TWO, 0.0), W.tolist())


def test_weights_are_rounded_by_chance_in_proportion() -> None:
    up, down = torch.tensor(0.76), torch.tensor(0.74)
    w = torch.tensor([[0.25]])  # a quarter of a step
    close(laws.discretized(w, torch.tensor(1.0), 1.0, up), [[1.0]])
    close(laws.discretized(w, torch.tensor(1.0), 1.0, down), [[0.0]])
    for chance in (1e-7, 0.9999):  # what lies on a step stays there
        close(laws.discretized(W, TWO, 0.0625, torch.tensor(chance)), W.tolist())


def test_noise_is_relative_to_the_largest_weight() -> None:
    noise = torch.tensor([[1.0, -2.0, 3.0], [0.0, 1.0, -1.0]])
    close(laws.with_noise(W, TWO, 0.1, noise), [[0.7, -0.65, 0.6], [-1.0, 0.325, 1.8]])
    close(laws.with_relative_noise(W, TWO, 0.1, noise), [[0.6, -0.15, 0.0], [-1.0, 0.15, 1.6]])


def test_noise_may_be_a_polynomial_of_the_size_of_a_weight() -> None:
    one, coeffs = torch.tensor(1.0), [0.1, 0.2, -0.4]
    # shares 0.25, 0.125, 0, 0.5, 0.0625, 1: 0.125, 0.11875, 0.1, 0.1, 0.1109375, -0.1
    expected = [[0.5 + 0.125, -0.25 + 0.11875, 0.1], [-1.0 + 0.1, 0.125 + 0.1109375, 2.0 - 0.1]]
    close(laws.with_polynomial_noise(W, TWO, 0.5, coeffs, one), expected)
    flipped = [[0.5 + 2.5, 0.25 - 2.375, 0.0], [-1.0 + 2.0, 0.125 + 2.21875, 2.0 - 2.0]]
    signs = [[1, -1, 0], [-1, 1, 1]]
    expected = [[s * abs(v) for s, v in zip(*rows, strict=True)] for rows in zip(signs, flipped, strict=True)]
    expected[0][1] = -abs(-0.25 + 2.375)
    close(laws.as_programmed(W, TWO, 10.0, coeffs, one), expected)


def test_dorefa_brings_weights_into_a_range_of_its_own() -> None:
    found = laws.dorefa(W, TWO, 0.6, 0.0)
    close(found, [[0.6 * math.tanh(w) / math.tanh(2.0) for w in row] for row in W.tolist()])
    close(laws.dorefa(W, TWO, 0.6, 0.1), [[0.3, -0.2, 0.0], [-0.5, 0.1, 0.6]])


def test_weights_are_dropped_by_chance() -> None:
    chance = torch.tensor([[0.1, 0.9, 0.2], [0.3, 0.25, 0.26]])
    close(laws.dropped(W, 0.25, chance), [[0.0, -0.25, 0.0], [-1.0, 0.0, 2.0]])
    assert torch.equal(laws.dropped(W, 0.0, chance), W)


def disturbed(w: Tensor, seed: int = 5, implementation: Implementation = "cpu", **fields: Any) -> Tensor:
    fields = {"std_dev": 0.1, "res": 0.25, **fields}
    return Modifier(WeightModifierParameter(**fields), w).seen(w, Draws(seed, implementation)).clone()


def within(found: Tensor, expected: float, std: float) -> bool:
    """Whether the mean of independent numbers is within five standard errors."""
    return abs(float(found.double().mean()) - expected) < 5.0 * std / math.sqrt(found.numel())


SPREAD: dict[WeightModifierType, tuple[float, float]] = {  # of weights of 0.4 where the largest are 0.8
    WeightModifierType.ADD_NORMAL: (0.4, 0.08),
    WeightModifierType.MULT_NORMAL: (0.4, 0.032),
    WeightModifierType.DISCRETIZE_ADD_NORMAL: (0.4, 0.08),
    WeightModifierType.POLY: (0.4, 0.08 * (0.0105392 + 0.0384 - 0.01173125)),
    WeightModifierType.PROG_NOISE: (0.4, 0.0032 * (0.0105392 + 0.0384 - 0.01173125)),
}


@pytest.mark.parametrize("kind", SPREAD)
def test_noisy_weights_have_the_distribution_of_their_law(kind: WeightModifierType) -> None:
    w = torch.full((100, 200), 0.4)
    w[0] = 0.8
    mean, std = SPREAD[kind]
    noise = (disturbed(w, type=kind)[1:] - mean) / std
    assert within(noise, 0.0, 1.0)
    assert within(noise**2, 1.0, math.sqrt(2.0))


def test_chance_rounds_and_drops_independently() -> None:
    w = torch.full((100, 200), 0.35)
    w[0] = 1.0
    found = disturbed(w, type=WeightModifierType.DISCRETIZE, sto_round=True, pdrop=0.25)[1:]
    up, down, gone = (found == 0.5).float(), (found == 0.25).float(), (found == 0.0).float()
    assert bool(((up + down + gone) == 1.0).all())
    for share, expected in ((gone, 0.25), (up, 0.75 * 0.4), (down, 0.75 * 0.6)):
        assert within(share, expected, math.sqrt(expected * (1.0 - expected)))


def test_the_largest_weight_may_be_assumed() -> None:
    half, full = (
        disturbed(W, type=WeightModifierType.ADD_NORMAL, rel_to_actual_wmax=False, assumed_wmax=a) - W for a in (1, 2)
    )
    torch.testing.assert_close(full, 2 * half)
    torch.testing.assert_close(full, disturbed(W, type=WeightModifierType.ADD_NORMAL) - W)


@pytest.mark.parametrize("kind", KINDS)
def test_a_column_may_be_left_as_it_is(kind: WeightModifierType) -> None:
    found = disturbed(W, type=kind, copy_last_column=True, pdrop=0.9)
    assert torch.equal(found[:, -1], W[:, -1])
    assert not torch.equal(found[:, :-1], W[:, :-1])


@pytest.mark.parametrize("kind", [WeightModifierType.COPY, WeightModifierType.DROP_CONNECT])
def test_two_kinds_only_drop(kind: WeightModifierType) -> None:
    assert torch.equal(disturbed(W, type=kind), W)
    assert not disturbed(W, type=kind, pdrop=1.0).any()


@pytest.mark.parametrize("kind", KINDS)
def test_weights_of_0_stay_numbers(kind: WeightModifierType) -> None:
    assert not disturbed(torch.zeros(3, 4), type=kind, pdrop=0.1).any()


@pytest.mark.parametrize("kind", KINDS)
def test_all_implementations_disturb_alike(kind: WeightModifierType) -> None:
    first, *others = (
        disturbed(W, implementation=each, type=kind, sto_round=True, pdrop=0.2) for each in ("reference", "cpu", "gpu")
    )
    for other in others:
        torch.testing.assert_close(other, first)
