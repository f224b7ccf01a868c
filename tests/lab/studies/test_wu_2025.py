"""Residual learning on cells whose symmetric point is not zero."""

from ohmgrad.lab.studies.study import Outcome
from ohmgrad.lab.studies.wu_2025 import ShiftedSymmetryPoint

STUDY = ShiftedSymmetryPoint()


def loss(series: str, asymmetry: float) -> float:
    """After a fifth of the iterations."""
    *_, outcome = STUDY.run(STUDY.trial(series, (asymmetry,), 42, 200))
    assert isinstance(outcome, Outcome)
    return outcome.value


def test_a_fast_array_that_rests_elsewhere_holds_up_residual_learning_unless_it_is_read_from_there() -> None:
    assert loss("rl", 0.3) > 2.0 * loss("shifted", 0.3)


def test_without_asymmetry_there_is_nothing_to_shift() -> None:
    shifted, plain = loss("shifted", 0.0), loss("rl", 0.0)
    assert abs(shifted - plain) < 0.05 * plain


def test_only_what_the_paper_shows_has_a_number_of_the_paper() -> None:
    assert STUDY.published("rl", (0.3,)) == 1.1
    assert STUDY.published("shifted", (0.3,)) is None
