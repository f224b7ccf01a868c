"""Cells vary from one to the other as the reference's cells were seen to vary."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor

from conformance.cases import build, load
from ohmgrad.tile import AnalogTile

CASES = list(load("dtod"))
QUANTILES = (0.01, 0.1, 0.5, 0.9, 0.99)
IMPLEMENTATIONS = pytest.mark.parametrize("implementation", ["reference", "cpu"])
BY_CASE = pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])


@cache
def sampled(number: int, implementation: str) -> dict[str, Tensor]:
    torch.manual_seed(2)
    case = CASES[number]
    config = build(case["config"])
    config.runtime.implementation = implementation
    hidden = AnalogTile(case["out_features"], case["in_features"], config).get_hidden_parameters()
    return {name: value.double().reshape(-1) for name, value in hidden.items()}


def cells(case: dict[str, Any], implementation: str) -> dict[str, Tensor]:
    return sampled(CASES.index(case), implementation)


@IMPLEMENTATIONS
@BY_CASE
def test_cells_have_the_recorded_parameters_in_the_recorded_order(case: dict[str, Any], implementation: str) -> None:
    assert list(cells(case, implementation)) == list(case["mean"])


@IMPLEMENTATIONS
@BY_CASE
def test_mean_and_spread_over_cells_are_those_recorded(case: dict[str, Any], implementation: str) -> None:
    for name, value in cells(case, implementation).items():
        if name.startswith("slope"):  # a ratio with heavy tails: its quantiles tell more
            continue
        share = (2.0 / len(value)) ** 0.5
        centred = value - value.mean()
        variance = centred.square().mean()
        error_of_std = torch.sqrt(((centred**4).mean() / variance.clamp(min=1e-30) - variance).clamp(min=0.0)) / 2
        assert abs(value.mean() - case["mean"][name]) <= 5 * variance.sqrt() * share + 1e-8, name
        assert abs(value.std() - case["std"][name]) <= 5 * error_of_std * share + 1e-8, name


@IMPLEMENTATIONS
@BY_CASE
def test_as_many_cells_lie_below_each_recorded_quantile(case: dict[str, Any], implementation: str) -> None:
    for name, value in cells(case, implementation).items():
        for p, quantile in zip(QUANTILES, case["quantiles"][name], strict=True):
            if case["std"][name] == 0.0:
                torch.testing.assert_close(value, torch.full_like(value, quantile), rtol=1e-6, atol=0.0)
                continue
            error = (2.0 * p * (1.0 - p) / len(value)) ** 0.5
            assert abs((value <= quantile).double().mean() - p) <= 5 * error, (name, p)
