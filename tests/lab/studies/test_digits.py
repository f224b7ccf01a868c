"""Studies on the digits of scikit-learn: their settings, and that they learn."""

import pytest

from ohmgrad.configs import UnitCellRPUConfig
from ohmgrad.lab.recipes import Choice, LogRange
from ohmgrad.lab.studies.digits import DigitsStudy, accuracies, found, last
from ohmgrad.lab.studies.digits_cells import CycleNoise, Responses
from ohmgrad.lab.studies.digits_reference import References
from ohmgrad.lab.studies.digits_states import FewStates, ResidualRules
from ohmgrad.tile import AnalogTile

STUDIES = (FewStates(), ResidualRules(), Responses(), CycleNoise(), References())


@pytest.mark.parametrize("study", STUDIES, ids=lambda study: study.name)
def test_every_place_has_settings_from_a_search_of_its_ranges(study: DigitsStudy) -> None:
    for trial in study.trials(quick=False):
        assert trial.length == study.training.epochs
        knobs, space = study.knobs(trial.series, trial.at), study.recipes[trial.series].space
        assert list(knobs) == list(space)
        for name, scale in space.items():
            if isinstance(scale, LogRange):
                assert 0.99 * scale.low <= knobs[name] <= 1.01 * scale.high
            else:
                assert isinstance(scale, Choice)
                assert knobs[name] in scale.values
        study.config(trial.series, trial.at, knobs).device.check()


def test_every_rule_of_a_study_was_searched_as_often() -> None:
    for places in found().values():
        for rules in places.values():
            runs = {sum(len(trial["scores"]) for trial in rule["trials"]) for rule in rules.values()}
            assert len(runs) == 1


def test_the_winner_has_the_best_mean_among_those_tried_twice() -> None:
    for rule in found()["digits-response"]["0 0.5 0.7"].values():
        twice = [trial for trial in rule["trials"] if len(trial["scores"]) > 1]
        best = [sum(trial["scores"]) for trial in twice if trial["knobs"] == rule["best"]]
        assert best == [max(sum(trial["scores"]) for trial in twice)]


def test_mixed_precision_learns_within_an_epoch_where_a_cell_has_ten_states() -> None:
    study = FewStates()
    knobs = study.knobs("mp", (10.0,))
    (accuracy,) = accuracies(study.config("mp", (10.0,), knobs), knobs["lr"], 0, 1, study.training.batch)
    assert 60.0 < accuracy <= 100.0


def test_products_are_perfect_where_the_paper_has_them_so() -> None:
    config = FewStates().config("mrl3", (4.0,), FewStates().knobs("mrl3", (4.0,)))
    assert config.forward.is_perfect
    assert config.backward.is_perfect
    assert config.device.transfer_forward.is_perfect
    assert len(config.device.unit_cell_devices) == 3


def test_a_chain_has_the_periods_and_rates_of_its_paper_whatever_its_learning_rate() -> None:
    device = FewStates().config("mrl6", (4.0,), {"lr": 0.7}).device
    tile = AnalogTile(3, 4, UnitCellRPUConfig(device=device))
    assert [tile.rule.period(k, 8) // 8 for k in range(6)] == [2, 10, 50, 250, 1250, 0]
    assert tile.rule.transfer_lrs[:3] == pytest.approx([0.1, 0.12, 0.144])
    assert tile.rule.gammas[-2:] == [0.5, 1.0]


def test_the_value_is_the_mean_of_the_last_epochs() -> None:
    assert last([0.0, 90.0, 91.0, 92.0]) == 91.0
