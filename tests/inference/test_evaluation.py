"""How good a trained network is on chips of different ages, and how that is told."""

from __future__ import annotations

import copy
import math
from pathlib import Path

import pytest
import torch
from torch import nn

from inference.problems import accuracy, loss, one_layer, trained_on_digits
from ohmgrad import ConfigError
from ohmgrad.inference import (
    Evaluation,
    GlobalDriftCompensation,
    NoiseModel,
    drift,
    evaluate,
    program,
)
from ohmgrad.inference.evaluation import name_of_time

YEAR = 31536000.0
BOTH = (GlobalDriftCompensation(), None)


def test_a_network_that_recognises_digits_still_does_after_a_year() -> None:
    model = trained_on_digits()
    before = accuracy(copy.deepcopy(model).eval())
    assert before > 0.9
    with_it, without = (evaluate(model, accuracy, [YEAR], 12, drift_compensation=each, seed=1) for each in BOTH)
    assert with_it.mean[0] > before - 0.02
    assert with_it.mean[0] >= without.mean[0]


def test_compensation_keeps_a_network_as_sure_as_it_was() -> None:
    times = [1.0, YEAR]
    with_it, without = (evaluate(trained_on_digits(), loss, times, 3, drift_compensation=each, seed=1) for each in BOTH)
    assert with_it.mean[0] == pytest.approx(without.mean[0], abs=0.02)
    assert without.mean[1] - with_it.mean[1] > 5.0 * math.hypot(with_it.standard_error[1], without.standard_error[1])


def largest(model: nn.Module) -> float:
    return float(model.weight.max())


def test_chips_of_an_evaluation_can_be_made_again_one_by_one() -> None:
    layer = one_layer(0.5)
    seen = evaluate(layer, largest, times=[0.0, 60.0], repeats=3, seed=5)
    for repeat in range(3):
        chip = program(layer, seed=5 + repeat)
        for seconds, value in zip(seen.times, seen.values[repeat], strict=True):
            drift(chip, seconds)
            assert largest(chip) == value
    assert len(set(sum(seen.values, ()))) == 6
    torch.manual_seed(0)
    first = evaluate(layer, largest, repeats=2)
    torch.manual_seed(0)
    assert evaluate(layer, largest, repeats=2) == first


def test_evaluation_needs_no_gradient_and_tells_its_progress() -> None:
    told = []

    def metric(model: nn.Module) -> float:
        assert not torch.is_grad_enabled()
        assert not model.training
        return 1.0

    evaluate(one_layer(0.5), metric, times=[1, 2, 3], repeats=2, progress=lambda *numbers: told.append(numbers))
    assert told == [(count, 6) for count in range(1, 7)]


def test_means_have_standard_errors() -> None:
    seen = Evaluation((1.0, 3600.0), ((0.9, 0.8), (0.7, 0.8)), "mine")
    assert seen.mean == pytest.approx((0.8, 0.8))
    assert seen.standard_error == pytest.approx((0.1, 0.0))
    assert str(seen).splitlines() == ["mine, 2 chips", "       1 s  0.8000 ± 0.1000", "       1 h  0.8000 ± 0.0000"]
    alone = Evaluation((1.0,), ((0.9,),), "mine")
    assert math.isnan(alone.standard_error[0])
    assert str(alone).splitlines() == ["mine, 1 chip", "       1 s  0.9000"]


@pytest.mark.parametrize(
    ("seconds", "name"),
    [(0, "0 s"), (1, "1 s"), (0.5, "0.5 s"), (90, "1.5 min"), (3600, "1 h"), (86400, "1 day"), (2 * YEAR, "2 years")],
)
def test_times_have_names(seconds: float, name: str) -> None:
    assert name_of_time(seconds) == name


@pytest.mark.parametrize("first", [0.0, 1.0])
def test_a_picture_shows_evaluations_beside_each_other(tmp_path: Path, first: float) -> None:
    seen = [
        evaluate(one_layer(0.5), largest, [first, 3600.0, 86400.0, YEAR], 2, NoiseModel(), drift_compensation=each)
        for each in BOTH
    ]
    figure = seen[0].plot(tmp_path / "chips.png", beside=seen[1:], metric="accuracy")
    assert (tmp_path / "chips.png").stat().st_size > 1000
    (axes,) = figure.axes
    labels = [label.get_text() for label in axes.get_xticklabels()]
    assert labels == [f"{first:.0f} s", "1 h", "1 day", "1 year"]
    legend = [text.get_text() for text in axes.get_legend().get_texts()]
    assert legend == ["with drift compensation", "without drift compensation"]
    assert axes.get_xscale() == ("log" if first else "symlog")
    seen[0].plot()


def test_nothing_to_measure_is_an_error() -> None:
    with pytest.raises(ConfigError, match="0 repeats at 4 times"):
        evaluate(one_layer(0.5), largest, repeats=0)
    with pytest.raises(ConfigError, match="5 repeats at 0 times"):
        evaluate(one_layer(0.5), largest, times=[])
    with pytest.raises(ConfigError, match="Seed"):
        evaluate(one_layer(0.5), largest, seed=2**63 - 2, repeats=3)
