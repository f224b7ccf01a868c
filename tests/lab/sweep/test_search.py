"""A search that learns from its scores, can be stopped anywhere, and shows the test part to its winner alone."""

import json
import math
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console

from ohmgrad.cli import main
from ohmgrad.errors import ConfigError
from ohmgrad.lab import tasks
from ohmgrad.lab.cells import make_cell
from ohmgrad.lab.compare import Comparison
from ohmgrad.lab.fields import configure
from ohmgrad.lab.settings import Setting
from ohmgrad.lab.storage import read_json
from ohmgrad.lab.sweep.console import best_table
from ohmgrad.lab.sweep.search import Sweep
from ohmgrad.lab.training import Job

SETTING = Setting(task="wine", algorithms=("ttv4",), epochs=1, seeds=2)
VARY = ("lr=0.01..1:log", "in_chop_prob=0.01..0.5", "transfer_every=2", "transfer_lr=0.3")
QUICK = ["sweep", "ttv4", "--task", "wine", "--epochs", "1", "--seeds", "1", "--trials", "4", "--workers", "1"]


def record(job: Job) -> dict[str, Any]:
    """As if the accuracy depended on the learning rate alone, with its best at 0.1."""
    accuracy = 1.0 - abs(math.log10(job.knobs["lr"] / 0.1))
    return {"diverged": False, "epochs": [{"accuracy": accuracy}], "config": {}}


def propose(sweep: Sweep) -> None:
    for job in sweep.first_round():
        sweep.keep_proposal(job, record(job))


def finish(sweep: Sweep) -> None:
    propose(sweep)
    for jobs in (sweep.second_round, sweep.last_round):
        for job in jobs():
            sweep.keep(job, record(job))


def knobs(sweep: Sweep) -> list[dict[str, float]]:
    return [trial.knobs for trial in sweep.trials]


def test_proposals_learn_from_the_scores(tmp_path: Path) -> None:
    sweep = Sweep.start(SETTING, VARY, 40, 1, tmp_path)
    propose(sweep)
    scores = [trial.mean for trial in sweep.trials]
    assert sum(scores[-20:]) / 20 > sum(scores[:10]) / 10 + 0.15
    assert {(values["transfer_every"], values["transfer_lr"]) for values in knobs(sweep)} == {(2.0, 0.3)}
    shares = sweep.importances()
    assert shares["lr"] > 0.8
    assert shares["transfer_every"] == 0.0


def test_a_search_that_was_stopped_goes_on_as_if_it_had_not_been(tmp_path: Path) -> None:
    whole = Sweep.start(SETTING, VARY, 14, 1, tmp_path / "whole")
    propose(whole)
    first = Sweep.start(SETTING, VARY, 14, 1, tmp_path / "parts")
    for count, job in enumerate(first.first_round()):
        if count == 11:  # while this one runs
            break
        first.keep_proposal(job, record(job))
    again = Sweep.resume(tmp_path / "parts", {})
    assert len(again.first_round()) == 3
    propose(again)
    assert knobs(again) == knobs(whole)
    assert [trial.number for trial in again.trials] == list(range(14))


def test_another_seed_proposes_others_and_more_trials_go_on(tmp_path: Path) -> None:
    one, two = (Sweep.start(SETTING, VARY, 3, seed, tmp_path / str(seed)) for seed in (1, 2))
    propose(one)
    propose(two)
    before = knobs(one)
    assert before[0] != knobs(two)[0]
    more = Sweep.resume(tmp_path / "1", {"trials": 5})
    propose(more)
    assert knobs(more)[:3] == before
    assert len(more.trials) == 5


def test_the_best_three_get_more_seeds_and_the_winner_alone_sees_the_test_part(tmp_path: Path) -> None:
    sweep = Sweep.start(SETTING, VARY, 6, 1, tmp_path)
    finish(sweep)
    runs = sorted(path.name for path in (tmp_path / "runs").iterdir())
    ranked = sorted(sweep.trials, key=lambda trial: -trial.scores["0"])
    best = ranked[0].number
    expected = [f"trial{trial.number}-validation-seed1.json" for trial in ranked[:3]]
    assert runs == sorted([*expected, f"trial{best}-test-seed0.json", f"trial{best}-test-seed1.json"])
    assert sweep.best.number == best
    ending = sweep.ending()
    assert ending is not None
    assert len(ending.accuracies) == 2


def test_the_outcome_is_a_file_for_a_comparison(tmp_path: Path) -> None:
    sweep = Sweep.start(SETTING, VARY, 4, 1, tmp_path / "sweep")
    finish(sweep)
    tuned = read_json(sweep.write_results())
    comparison = Comparison.start(SETTING, tuned, tmp_path / "compare")
    assert [job.knobs for job in comparison.jobs] == [sweep.best.knobs] * 2
    assert "in_chop_prob" in comparison.jobs[0].knobs


def test_names_of_many_hyperparameters_are_not_torn_in_a_narrow_terminal(tmp_path: Path) -> None:
    setting = replace(SETTING, algorithms=("rttv3",))
    sweep = Sweep.start(setting, ["in_chop_prob=0.01..0.5"], 3, 1, tmp_path)
    propose(sweep)
    console = Console(width=80, record=True, file=StringIO())
    console.print(best_table(sweep))
    first, second, *_ = (line for line in console.export_text().splitlines()[1:] if line.strip())
    assert first.split() == ["validation", "transfer_", "transfer_", "in_chop_"]
    assert second.split() == ["trial", "accuracy", "seeds", "lr", "every", "lr", "gamma", "prob"]


def test_a_search_is_not_mixed_with_another(tmp_path: Path) -> None:
    Sweep.start(SETTING, VARY, 4, 1, tmp_path)
    with pytest.raises(ConfigError, match=r"--resume.*--overwrite"):
        Sweep.start(SETTING, VARY, 4, 1, tmp_path)
    with pytest.raises(ConfigError, match="no search to go on with"):
        Sweep.resume(tmp_path / "nowhere", {})


@pytest.mark.parametrize(
    ("option", "known"),
    [(("epochs", 3), "--epochs .*, which has 1"), (("seed", 2), "--seed .*, which has 1"),
     (("rule", "rl"), "RULE .*, which has ttv4"), (("vary", ("lr=0.1..1",)), "--vary .*, which has lr=0.01..1:log,in")],
)  # fmt: skip
def test_resuming_refuses_what_contradicts_the_search(tmp_path: Path, option: tuple[str, Any], known: str) -> None:
    Sweep.start(SETTING, VARY, 4, 1, tmp_path)
    agreed = {"task": "wine", "epochs": 1, "rule": "ttv4", "vary": VARY, "seed": 1}
    assert Sweep.resume(tmp_path, agreed).setting == SETTING
    with pytest.raises(ConfigError, match=known.replace(" .*", " contradicts the search in .*")):
        Sweep.resume(tmp_path, dict([option]))


def test_trials_beyond_those_of_the_first_command_are_remembered(tmp_path: Path) -> None:
    assert Sweep.start(SETTING, VARY, 4, 1, tmp_path).wanted == 4
    assert Sweep.resume(tmp_path, {"trials": 6}).wanted == 6
    assert Sweep.resume(tmp_path, {}).wanted == 6
    with pytest.raises(ConfigError, match=r"--trials 5: the search in .* has 6\. Give as many, or more"):
        Sweep.resume(tmp_path, {"trials": 5})


@pytest.mark.parametrize("rule", ["fp", "ttv4", "rttv3", "mrl"])
def test_the_lines_of_python_make_what_the_winner_was_trained_with(tmp_path: Path, rule: str) -> None:
    setting = Setting(task="wine", algorithms=(rule,), epochs=1, seeds=1)
    vary = ["in_chop_prob=0.01..0.5", "w_max_dtod=0.1..0.2"] if rule == "ttv4" else []
    sweep = Sweep.start(setting, vary, 2, 1, tmp_path)
    finish(sweep)
    made: dict[str, Any] = {"model": torch.nn.Linear(1, 1)}
    exec("\n".join(sweep.python()), made)
    (job,) = list(sweep._tests())
    trained = configure(sweep.recipe, make_cell(job.device, job.states), job.knobs)
    assert made["config"] == trained
    assert made["config"].describe() == trained.describe()
    assert made["optimizer"].param_groups[0]["lr"] == job.knobs["lr"]


def test_the_search_is_a_command_that_leaves_a_picture_a_page_and_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen = []
    load = tasks.load
    monkeypatch.setattr(tasks, "load", lambda task, held_out, data: seen.append(held_out) or load(task, held_out, data))
    save = Sweep.keep_proposal

    def save_then_stop(self: Sweep, *news: Any) -> None:
        save(self, *news)
        if len(self.trials) == 2:
            raise KeyboardInterrupt

    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr(Sweep, "keep_proposal", save_then_stop)
        assert main([*QUICK, "--vary", "in_chop_prob=0.01..0.5", "--out", str(out)]) == 130
    stopped = " ".join(capsys.readouterr().out.split())
    assert f"2 of 4 proposals are kept in {out}. Go on with: ohmgrad sweep --resume --out {out}" in stopped
    assert main(["sweep", "--resume", "--workers", "1", "--out", str(out)]) == 0
    assert seen == ["validation"] * 4 + ["test"]
    printed = capsys.readouterr().out
    configuration = 'config = build_config("ttv4", SoftBoundsDevice('
    for words in ("Best of 4 proposals for TTv4", "test accuracy of the winner", configuration, "results.json"):
        assert words in printed
    assert (out / "figure.png").read_bytes().startswith(b"\x89PNG")
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "--vary in_chop_prob=0.01..0.5 --trials 4 --seed 1" in page
    results = json.loads((out / "results.json").read_text(encoding="utf-8"))
    assert results["complete"]
    assert results["best"]["ttv4"].keys() == {"lr", "transfer_every", "transfer_lr", "in_chop_prob"}
    assert 0.0 <= results["test"]["mean"] <= 1.0


@pytest.mark.parametrize(
    "options", [["ttv4", "--trials", "1"], ["sgd", "--vary", "lr=0.5", "--trials", "2"]], ids=["one", "fixed"]
)
def test_a_search_in_which_nothing_varies_ends_with_numbers_and_without_a_picture(
    options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    setting = ["--task", "wine", "--epochs", "1", "--seeds", "1", "--workers", "1"]
    assert main(["sweep", *options, *setting, "--out", str(tmp_path)]) == 0
    assert "picture" not in capsys.readouterr().out
    assert not (tmp_path / "figure.png").exists()
    assert json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))["complete"]
    assert "test accuracy of the winner" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_numbers_are_written_before_pictures_are_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("ohmgrad.lab.plots.draw_sweep", fail)
    with pytest.raises(ZeroDivisionError):
        main([*QUICK, "--trials", "1", "--out", str(tmp_path)])
    assert (tmp_path / "results.json").exists()


@pytest.mark.parametrize(
    ("arguments", "remedy"),
    [
        (["sweep"], "RULE: give one of fp, sgd"),
        (["sweep", "--resume", "--out", "nowhere"], "Leave out --resume"),
        (["sweep", "sgd", "--vary", "lr=-1..0"], "Give a learning rate of 0 or above"),
        (["sweep", "ttv9"], "e-rider, lrtt, mp, not 'ttv9'"),
        (["sweep", "ttv4", "--vary", "in_chop=0..1"], "Did you mean 'in_chop_prob'?"),
        (["sweep", "ttv4", "--trials", "0"], "give a whole number from 1"),
        (["sweep", "ttv4", "--resume", "--out", "nowhere"], "Leave out --resume"),
    ],
)
def test_a_mistake_gets_one_line(
    arguments: list[str], remedy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert remedy in error
    assert error.count("\n") == 1
    assert not list(tmp_path.iterdir())
