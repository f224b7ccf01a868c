"""Every rule finds the sign of a correlation."""

import pytest

from ohmgrad.lab.studies.correlation import Detection
from ohmgrad.lab.studies.study import Outcome


@pytest.mark.parametrize("rule", list(Detection.series))
def test_the_weight_has_the_sign_of_the_correlation(rule: str) -> None:
    study = Detection()
    for correlation in (-0.4, 0.4):
        *_, outcome = study.run(study.trial(rule, (correlation,), 0, 1000))
        assert isinstance(outcome, Outcome)
        assert outcome.value * correlation > 0.1
