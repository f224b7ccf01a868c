"""Zero-shifting takes pulses, a running mean takes none."""

import pytest

from ohmgrad.lab.studies.study import Outcome, Study
from ohmgrad.lab.studies.xiao_2026 import RunningMean, ZeroShifting


def value(study: Study, series: str, at: float, length: int) -> float:
    """The outcome of a trial."""
    *_, outcome = study.run(study.trial(series, (at,), 0, length))
    assert isinstance(outcome, Outcome)
    return outcome.value


def test_steps_of_half_the_size_take_twice_the_pulses() -> None:
    large, small = (value(ZeroShifting(), "exact", step, 3500) for step in (4e-3, 2e-3))
    assert small == pytest.approx(2.0 * large, rel=0.05)


def test_noise_of_the_steps_takes_more_pulses() -> None:
    exact, noisy = (value(ZeroShifting(), name, 2e-3, 3500) for name in ("exact", "noisy"))
    assert noisy > 1.2 * exact


def test_the_running_mean_is_nearer_to_the_symmetric_points_than_the_weights_are() -> None:
    weights, mean = (value(RunningMean(), name, 0.03, 800) for name in ("p", "q"))
    assert mean < 0.9 * weights
