"""The search for hyperparameters: fair, on the training part alone, and resumable."""

import json
from pathlib import Path
from typing import Any

import pytest

from ohmgrad.cli import main
from ohmgrad.errors import ConfigError
from ohmgrad.lab import tasks
from ohmgrad.lab.recipes import RECIPES, Choice, LogRange
from ohmgrad.lab.settings import Setting
from ohmgrad.lab.tune import Search, draw_trials, score

QUICK = ["tune", "--task", "wine", "--algorithms", "sgd,ttv1", "--trials", "3", "--epochs", "1", "--seeds", "2",
         "--workers", "1"]  # fmt: skip


def record(accuracy: float, diverged: bool = False) -> dict[str, Any]:
    return {"diverged": diverged, "epochs": [{"accuracy": accuracy}]}


@pytest.mark.parametrize("name", list(RECIPES))
def test_trials_cover_every_range_evenly(name: str) -> None:
    trials = draw_trials(name, 8)
    assert [trial.knobs for trial in trials] == [trial.knobs for trial in draw_trials(name, 8)]
    for knob, scale in RECIPES[name].space.items():
        values = sorted(trial.knobs[knob] for trial in trials)
        if isinstance(scale, LogRange):
            edges = [scale.at(i / 8) for i in range(9)]
            assert all(edges[i] <= value <= edges[i + 1] for i, value in enumerate(values))
        else:
            assert isinstance(scale, Choice)
            assert set(values) == set(scale.values)


def test_the_best_of_the_first_round_get_more_seeds_and_the_best_mean_wins(tmp_path: Path) -> None:
    search = Search(Setting(task="wine", algorithms=("sgd",), seeds=2), 6, tmp_path / "tuned.json")
    first = search.first_round()
    assert [job.held_out for job in first] == ["validation"] * 6
    for number, job in enumerate(first):
        search.save(job, record(0.1 * number))
    second = search.second_round()
    assert [job.knobs for job in second] == [first[number].knobs for number in (5, 4, 3)]
    for job, accuracy in zip(second, (0.0, 0.5, 0.1), strict=True):
        search.save(job, record(accuracy))
    assert search.best("sgd").number == 4
    written = json.loads((tmp_path / "tuned.json").read_text(encoding="utf-8"))
    assert written["complete"]
    assert written["best"] == {"sgd": first[4].knobs}


def test_a_run_that_diverged_scores_nothing() -> None:
    assert score(record(0.9, diverged=True)) == 0.0


def test_the_search_is_a_command_that_trains_on_the_training_part_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen = set()
    load = tasks.load
    monkeypatch.setattr(tasks, "load", lambda task, part, *data: seen.add(part) or load(task, part, *data))
    assert main([*QUICK, "--out", str(tmp_path / "tuned.json")]) == 0
    assert seen == {"validation"}
    assert "validation accuracy" in capsys.readouterr().out


def test_an_interrupted_search_goes_on_to_the_same_outcome(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, parts = tmp_path / "whole.json", tmp_path / "parts.json"
    assert main([*QUICK, "--out", str(whole)]) == 0
    save = Search.save

    def save_then_stop(self: Search, *news: Any) -> None:
        save(self, *news)
        if len(self.first_round()) == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Search, "save", save_then_stop)
        assert main([*QUICK, "--out", str(parts)]) == 130
    assert f"Go on with: ohmgrad tune --resume --out {parts}" in capsys.readouterr().out
    assert main(["tune", "--resume", "--workers", "1", "--out", str(parts)]) == 0
    results = [json.loads(path.read_text(encoding="utf-8")) for path in (whole, parts)]
    for result in results:
        del result["wall_seconds"]
    assert results[0] == results[1]


def test_a_search_is_not_mixed_with_another(tmp_path: Path) -> None:
    setting = Setting(task="wine", algorithms=("sgd",))
    Search.start(setting, 2, tmp_path / "tuned.json")
    with pytest.raises(ConfigError, match=r"--resume.*--overwrite"):
        Search.start(setting, 2, tmp_path / "tuned.json")
    assert Search.resume(tmp_path / "tuned.json", {"trials": 2, "task": "wine"}).setting == setting
    for name, value, known in (("trials", 3, "2"), ("states", 4, "10")):
        with pytest.raises(
            ConfigError, match=f"--{name} contradicts the search in .*, which has {known}.*another file"
        ):
            Search.resume(tmp_path / "tuned.json", {name: value})


@pytest.mark.parametrize("go_on", [[], ["--resume"], ["--overwrite"]])
def test_a_folder_is_no_file_of_a_search(tmp_path: Path, go_on: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tune", *go_on, "--out", str(tmp_path)]) == 2
    assert "--out of tune is a file, such as tuned.json" in capsys.readouterr().err


@pytest.mark.parametrize("content", [None, "[1, 2]", '{"best": {}}'], ids=["none", "list", "another"])
def test_only_a_search_can_be_gone_on_with(tmp_path: Path, content: str | None, capsys: Any) -> None:
    path = tmp_path / "tuned.json"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    assert main(["tune", "--resume", "--out", str(path)]) == 2
    assert f"{path} holds no search to go on with" in capsys.readouterr().err
