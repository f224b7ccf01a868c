"""The floor of SGD on least squares, digital and analog."""

from dataclasses import replace
from statistics import fmean

import pytest

from ohmgrad.lab.studies.wu_2024 import DIMENSION, Problem, descended, steepness

PROBLEM = Problem(rate=0.1, tau=1.0, dw_min=1e-3, slots=300, spread=1.0, noise=0.1)


def floor(problem: Problem, digital: bool) -> float:
    """The mean loss when it no longer falls."""
    return fmean(loss for step, loss in descended(problem, digital, 1200, 0) if step >= 400)


@pytest.mark.parametrize("rate", [0.05, 0.1])
def test_the_digital_floor_is_a_quarter_of_rate_and_variance(rate: float) -> None:
    """For every dimension; larger by the curvature times the rate."""
    assert floor(replace(PROBLEM, rate=rate), digital=True) == pytest.approx(DIMENSION * rate * 0.01 / 4, rel=0.2)


def test_the_analog_floor_is_higher_and_falls_with_the_bound() -> None:
    near, far = (floor(replace(PROBLEM, tau=tau), digital=False) for tau in (1.0, 5.0))
    assert near > 1.5 * far
    assert far > floor(PROBLEM, digital=True)


def test_rows_that_send_pulses_of_their_own_leave_a_higher_floor_as_they_do_not_cancel() -> None:
    noisy = replace(PROBLEM, noise=0.5, by_row=True)
    assert floor(noisy, digital=False) > 10.0 * floor(noisy, digital=True)


def test_a_power_has_its_exponent_as_steepness() -> None:
    assert steepness([1.0, 10.0, 100.0], [3.0, 0.3, 0.03]) == pytest.approx(-1.0)
