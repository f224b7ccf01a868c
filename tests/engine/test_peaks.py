"""The largest magnitudes of numbers, with those that are not finite."""

from __future__ import annotations

import math

import pytest
import torch

from ohmgrad.engine.peaks import all_finite, row_peaks


@pytest.mark.parametrize("implementation", ["reference", "cpu", "gpu"])
@pytest.mark.parametrize("lines", [1, 3, 63, 500])
def test_the_peak_of_a_row_is_its_largest_magnitude(lines: int, implementation: str) -> None:
    values = torch.randn(5, lines, generator=torch.Generator().manual_seed(lines))
    values[0], values[1, -1] = -0.0, -1e-42  # silent, and smaller than any normal number
    assert torch.equal(row_peaks(values, implementation), values.abs().amax(1))


@pytest.mark.parametrize("bad", [math.nan, -math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("shape", [(1,), (7, 33), (2, 3, 4)])
def test_one_number_that_is_not_finite_is_found_anywhere(shape: tuple[int, ...], bad: float) -> None:
    values = torch.full(shape, -3.4e38)
    assert all_finite(values)
    for place in (0, values.numel() // 2, values.numel() - 1):
        spoiled = values.clone()
        spoiled.view(-1)[place] = bad
        assert not all_finite(spoiled)
        assert not all_finite(spoiled.mT if spoiled.ndim > 1 else spoiled)
        assert not all_finite(spoiled.double())


def test_of_nothing_all_is_finite() -> None:
    assert all_finite(torch.empty(0, 5))
    assert all_finite(torch.empty(0))
