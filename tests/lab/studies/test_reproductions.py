"""A reproduction: its files, its table beside the paper, its computed verdict, and going on after a stop."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from ohmgrad.cli import main
from ohmgrad.lab import studies
from ohmgrad.lab.studies import STUDIES
from ohmgrad.lab.studies.reproduction import Reproduction, verdict
from ohmgrad.lab.studies.study import QUESTION, At, Claim, Outcome, Panel, Results, Step, Study, Trial


class Doubling(Study):
    """A paper that says that a doubled number is larger."""

    name = "doubling"
    title = "Numbers and their doubles"
    paper = "A. Nobody (1900)"
    setting = "A number is doubled."
    source = "by heart"
    measure = "number"
    coordinates = ("number",)
    series: ClassVar[dict[str, str]] = {"one": "itself", "two": "doubled"}
    core_minutes = 1.0

    def trials(self, quick: bool) -> list[Trial]:
        """See :meth:`Study.trials`."""
        numbers = (1.0, 2.0) if quick else (1.0, 2.0, 3.0)
        return [self.trial(name, (at,), seed, 2) for seed in (0, 1) for at in numbers for name in self.series]

    def run(self, trial: Trial) -> Iterator[Step | Outcome]:
        """See :meth:`Study.run`."""
        yield Step(1, "halfway")
        value = trial.at[0] * (2.0 if trial.series == "two" else 1.0) + 0.1 * trial.seed
        yield Outcome(value, [0.0, 1.0], [0.0, value])

    def published(self, series: str, at: At) -> float | None:
        """See :meth:`Study.published`."""
        return 4.0 if (series, at) == ("two", (2.0,)) else None

    def claims(self, results: Results) -> list[Claim]:
        """See :meth:`Study.claims`."""
        one, two = results.mean("one", 2.0), results.mean("two", 2.0)
        return [Claim("a double is larger", f"{two:g} > {one:g}", two > one)]

    def panels(self, results: Results) -> list[Panel]:
        """See :meth:`Study.panels`."""
        return [Panel("all", "number", "value", results.lines(0))]


@pytest.fixture
def doubling(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The only study there is; the folder of its results."""
    monkeypatch.setattr(studies, "STUDIES", {"doubling": Doubling()})
    monkeypatch.chdir(tmp_path)
    return tmp_path / "ohmgrad-reproduce" / "doubling"


def reproduce(*options: str) -> int:
    return main(["reproduce", "doubling", "--workers", "1", *options])


def test_a_reproduction_leaves_tables_a_verdict_a_picture_and_numbers(
    doubling: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert reproduce() == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "about 1 minute on 1 core." in printed
    assert "doubled 2.05 4.05 6.05 the paper 4" in printed
    assert "reproduced: 1 of 1 claims hold" in printed
    numbers = json.loads((doubling / "results.json").read_text())
    line = numbers["panels"][0]["lines"][1]
    assert (line["y"], line["published"]) == ([2.05, 4.05, 6.05], [None, 4.0, None])
    assert numbers["claims"][0]["holds"] is True
    assert (doubling / "figure.png").stat().st_size > 10_000


def test_a_small_version_says_that_it_is_one(doubling: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert reproduce("--quick") == 0
    printed = capsys.readouterr().out
    assert "small version: 1 of 1 claims hold" in printed
    assert "reproduced" not in printed
    assert len(list((doubling.parent / "doubling-quick" / "trials").iterdir())) == 8


def test_lines_of_finished_trials_stand_below_each_other(doubling: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert reproduce("--quick") == 0
    printed = capsys.readouterr().out.splitlines()
    heading = next(number for number, line in enumerate(printed) if line.startswith("doubling") and "time" in line)
    lines = printed[heading + 1 : heading + 9]
    assert all("seed" in line and line.endswith(" s") for line in lines)
    assert len({line.rindex(".") for line in lines}) == 1  # of the seconds
    values = [line.rsplit(maxsplit=3)[1] for line in lines]
    ends = {line.index(value, line.index("seed") + 7) + len(value) for line, value in zip(lines, values, strict=True)}
    assert len(ends) == 1


def test_it_goes_on_where_it_was_stopped(doubling: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert reproduce() == 0
    whole = (doubling / "results.json").read_text()
    gone = doubling / "trials" / "two-3-seed1.json"
    gone.unlink()
    assert reproduce() == 2
    assert "--resume" in capsys.readouterr().err
    assert reproduce("--resume") == 0
    assert gone.exists()
    mean = [json.loads(text)["panels"] for text in (whole, (doubling / "results.json").read_text())]
    assert mean[0] == mean[1]


def test_a_wrong_name_gets_one_line(doubling: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["reproduce", "dubling"]) == 2
    assert capsys.readouterr().err.startswith("ohmgrad: There is no study 'dubling'. Did you mean 'doubling'?")


def test_a_verdict_is_no_better_than_its_claims() -> None:
    held, failed = Claim("so", "", True), Claim("not so", "", False)
    assert verdict([held, held]).startswith("reproduced: 2 of 2")
    assert verdict([held, failed]).startswith("not reproduced in full: 1 of 2")
    assert verdict([held, failed], quick=True) == "small version: 1 of 2 claims hold"
    assert verdict([Claim(QUESTION + "is it so?", "", False)]).startswith("there is no paper to reproduce: 0 of 1")


def test_without_claims_nothing_is_reproduced() -> None:
    assert verdict([]) == "no claim was computed"


def test_without_a_name_all_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["reproduce"]) == 0
    printed = capsys.readouterr().out
    for name in STUDIES:
        assert name in printed


@pytest.mark.parametrize("name", list(STUDIES))
def test_every_trial_has_a_file_of_its_own_and_a_series_with_a_title(name: str) -> None:
    study = STUDIES[name]
    for quick in (True, False):
        trials = study.trials(quick)
        assert len({trial.file_name for trial in trials}) == len(trials)
        for trial in trials:
            assert trial.series in study.series
            assert len(trial.at) == len(study.coordinates)
            assert trial.title
            value = study.published(trial.series, trial.at)
            assert value is None or value >= 0.0


@pytest.mark.parametrize("name", list(STUDIES))
def test_a_trial_gives_the_same_outcome_every_time(name: str) -> None:
    """As far as its first report, which is a few steps away."""
    trial = STUDIES[name].trials(quick=True)[0]
    first, again = (next(iter(trial.run())) for _ in range(2))
    assert isinstance(first, Step)
    assert first == again


def test_a_reproduction_without_records_has_no_results(tmp_path: Path) -> None:
    begun = Reproduction.start(Doubling(), True, tmp_path, resume=False, overwrite=False)
    assert begun.results().records == []
    assert len(begun.remaining()) == 8
