"""Wrong references and symmetric cells, in the cells of Rasch et al."""

from ohmgrad.lab.studies.rasch_2024 import cells
from ohmgrad.lab.studies.rasch_2024_symmetry import Symmetry
from ohmgrad.lab.studies.rasch_2024_traces import OFFSET, ConstantGradient
from ohmgrad.lab.studies.study import At, Outcome, Study


def value(study: Study, series: str, at: At, length: int) -> float:
    """The outcome of a short trial."""
    *_, outcome = study.run(study.trial(series, at, 0, length))
    assert isinstance(outcome, Outcome)
    return outcome.value


def test_with_a_wrong_reference_ttv2_moves_c_where_nothing_is_correlated_and_agad_does_not() -> None:
    study = ConstantGradient()
    assert value(study, "ttv2", (OFFSET, 0.0), 2000) > 5.0
    assert abs(value(study, "ttv4", (OFFSET, 0.0), 2000)) < 1.0


def test_wider_bounds_leave_the_step_as_it_is() -> None:
    usual, wide = cells(100, 0.0), cells(100, 0.0, bound=25.0)
    assert wide.dw_min == usual.dw_min
    assert wide.num_states == 25 * usual.num_states


def test_analog_sgd_gains_from_symmetry() -> None:
    usual, symmetric = (value(Symmetry(), "sgd", (index,), 600) for index in (1.0, 25.0))
    assert symmetric < 0.7 * usual
