"""A comparison: its files, its table, and going on after an interruption."""

import json
from pathlib import Path
from typing import Any

import pytest

from ohmgrad.cli import main
from ohmgrad.errors import ConfigError
from ohmgrad.lab.compare import Comparison
from ohmgrad.lab.settings import Setting
from ohmgrad.lab.storage import write_json
from ohmgrad.lab.sweep.search import Sweep
from ohmgrad.lab.tune import recorded

QUICK = ["--task", "wine", "--algorithms", "sgd,ttv1,rttv3", "--epochs", "2", "--seeds", "2", "--workers", "1"]


def contents(folder: Path) -> dict[str, Any]:
    """Every JSON file of a comparison, without the times."""

    def timeless(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: timeless(item) for name, item in value.items() if name != "seconds"}
        return [timeless(item) for item in value] if isinstance(value, list) else value

    return {
        str(path.relative_to(folder)): timeless(json.loads(path.read_text(encoding="utf-8")))
        for path in sorted(folder.rglob("*.json"))
    }


@pytest.fixture
def tuning_file(tmp_path: Path, tuned: dict[str, Any]) -> str:
    write_json(tmp_path / "tuned.json", tuned)
    return str(tmp_path / "tuned.json")


def test_a_comparison_leaves_a_table_pictures_and_numbers(
    tmp_path: Path, tuning_file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "o[b]ut"
    assert main(["compare", *QUICK, "--tuned", tuning_file, "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    for word in ("analog SGD", "TTv1", "residual TTv3", "to A", "ns", "±", "curves.png", "arrays.png", "device.png"):
        assert word in printed
    assert f" {out / 'curves.png'}\n" in printed
    assert f" {out / 'summary.json'} and {out / 'runs'}\n" in printed
    assert max(len(line) for line in printed.splitlines() if "±" in line or "to A" in line) <= 80
    assert "…" not in printed
    assert "of analog SGD and mixed precision, which have one array" in " ".join(printed.split())
    for name in ("curves", "arrays", "device"):
        assert (out / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    summary = contents(out)["summary.json"]
    assert [row["algorithm"] for row in summary["algorithms"]] == ["sgd", "ttv1", "rttv3"]
    assert summary["finished_runs"] == summary["all_runs"] == len(list((out / "runs").iterdir())) == 6
    assert all(min(row["latency"], row["energy"], row["storage"]) > 0.0 for row in summary["algorithms"])
    assert "torch" in summary["versions"]
    assert summary["knobs"]["sgd"] == {"lr": 0.2}
    assert contents(out)["runs/rttv3-seed1.json"]["config"]["device"]["gamma"] == 0.3


def test_going_on_after_an_interruption_gives_what_no_interruption_would_have_given(
    tmp_path: Path, tuning_file: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "p[b]arts"
    assert main(["compare", *QUICK, "--tuned", tuning_file, "--out", str(whole)]) == 0
    save = Comparison.save

    def save_then_stop(self: Comparison, *news: Any) -> None:
        save(self, *news)
        if len(self.remaining()) == 3:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Comparison, "save", save_then_stop)
        assert main(["compare", *QUICK, "--tuned", tuning_file, "--out", str(parts)]) == 130
    again = f"Go on with: ohmgrad compare --resume --out '{parts}'"
    assert f"3 of 6 runs are kept in {parts}. {again}\n" in capsys.readouterr().out
    assert contents(parts)["summary.json"]["finished_runs"] == 3
    assert main(["compare", "--resume", "--out", str(parts), "--workers", "1"]) == 0
    assert contents(parts) == contents(whole)


def test_resuming_refuses_another_setting(tmp_path: Path, setting: Setting, tuned: dict[str, Any]) -> None:
    Comparison.start(setting, tuned, tmp_path)
    assert Comparison.resume(tmp_path, {"epochs": 2}).setting == setting
    with pytest.raises(ConfigError, match=r"--epochs contradicts .*, which has 2"):
        Comparison.resume(tmp_path, {"epochs": 3})


def test_resuming_refuses_other_hyperparameters(tmp_path: Path, setting: Setting, tuned: dict[str, Any]) -> None:
    Comparison.start(setting, tuned, tmp_path)
    assert Comparison.resume(tmp_path, {}, tuned).setting == setting
    other = {**tuned, "best": {**tuned["best"], "sgd": {"lr": 0.3}}}
    with pytest.raises(ConfigError, match=r"--tuned contradicts .* Leave it out"):
        Comparison.resume(tmp_path, {}, other)


def test_resuming_looks_into_the_tuning_file_that_is_given(
    tmp_path: Path, tuning_file: str, setting: Setting, tuned: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    Comparison.start(setting, {**tuned, "best": {**tuned["best"], "sgd": {"lr": 0.3}}}, tmp_path / "out")
    assert main(["compare", "--resume", "--tuned", tuning_file, "--out", str(tmp_path / "out")]) == 2
    assert "--tuned contradicts the comparison" in capsys.readouterr().err


@pytest.mark.parametrize("command", [["compare"], ["sweep", "ttv4"], ["reproduce", "rider-mean", "--quick"]])
@pytest.mark.parametrize("go_on", ["--resume", "--overwrite"])
def test_a_folder_of_another_command_is_left_alone(
    command: list[str], go_on: str, tmp_path: Path, setting: Setting, tuned: dict[str, Any], capsys: Any
) -> None:
    out = tmp_path / "rider-mean-quick"
    if command == ["compare"]:
        Sweep.start(Setting(task="wine", algorithms=("ttv4",)), (), 4, 1, out)
    else:
        Comparison.start(setting, tuned, out)
    before = contents(tmp_path)
    assert main([*command, "--out", str(tmp_path if "--quick" in command else out), go_on]) == 2
    error = capsys.readouterr().err
    assert "Choose another folder" in error
    assert error.count("\n") == 1
    assert contents(tmp_path) == before


FOR_DIGITS = {"task": "digits", "device": "linear", "states": 10, "batch_size": 10}


@pytest.mark.parametrize(
    ("content", "remedy"),
    [
        ([1], "it has no 'best'. Name a file that `ohmgrad tune` wrote."),
        ({"best": {"sgd": {"lr": 0.1}}}, "it has no 'setting'"),
        ({"best": [], "setting": FOR_DIGITS}, "it has no 'best'"),
        ({"best": {"sgd": {"lr": 0.1}}, "setting": {}}, "its task is None, not one of digits"),
        ({"best": {"sgd": {"lr": 0.1}}, "setting": FOR_DIGITS | {"states": "ten"}}, "its states is 'ten'"),
        ({"best": {"sgd": 0.1}, "setting": FOR_DIGITS}, "the hyperparameters of sgd are 0.1, not finite numbers"),
        ({"best": {"sgd": {"lr": "a"}}, "setting": FOR_DIGITS}, "the hyperparameters of sgd are {'lr': 'a'}"),
        ({"best": {"sgd": {"lr": float("inf")}}, "setting": FOR_DIGITS}, "the hyperparameters of sgd are {'lr': inf}"),
        ({"best": {"sgd": {}}, "setting": FOR_DIGITS}, "analog SGD: lr is missing"),
        ({"best": {"sgd": {"lr": -0.1}}, "setting": FOR_DIGITS}, "Give a learning rate of 0 or above"),
        ({"best": {"sgd": {"lr": 0.1, "tau": 3.0}}, "setting": FOR_DIGITS}, "tau"),
        ({"best": {}, "setting": FOR_DIGITS}, "knows nothing of sgd"),
    ],
)
def test_a_file_that_is_no_outcome_of_a_search_gets_one_line_before_anything_is_cleared(
    content: Any, remedy: str, tmp_path: Path, tuned: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    first = Comparison.start(Setting(task="wine", algorithms=("sgd",)), tuned, tmp_path / "out")
    first.save(first.jobs[0], {})
    before = contents(tmp_path / "out")
    (tmp_path / "tuned.json").write_text(json.dumps(content), encoding="utf-8")
    options = ["--algorithms", "sgd", "--tuned", str(tmp_path / "tuned.json"), "--overwrite"]
    assert main(["compare", *options, "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert remedy in error
    assert error.count("\n") == 1
    assert contents(tmp_path / "out") == before


def test_an_earlier_comparison_is_not_overwritten_unasked(
    tmp_path: Path, setting: Setting, tuned: dict[str, Any]
) -> None:
    first = Comparison.start(setting, tuned, tmp_path)
    write_json(first.path(first.jobs[0]), {})
    with pytest.raises(ConfigError, match=r"--resume.*--overwrite"):
        Comparison.start(setting, tuned, tmp_path)
    assert len(first.remaining()) == 5
    assert len(Comparison.start(setting, tuned, tmp_path, overwrite=True).remaining()) == 6


def test_gamma_reaches_the_residual_rules_only(tmp_path: Path, tuned: dict[str, Any]) -> None:
    comparison = Comparison.start(Setting(task="wine", gamma=0.7), tuned, tmp_path)
    with_gamma = {name: knobs["gamma"] for name, knobs in comparison.knobs.items() if "gamma" in knobs}
    assert with_gamma == dict.fromkeys(("rl", "rttv3", "rlv2", "mrl", "rider", "e-rider"), 0.7)


def test_the_recorded_search_gave_every_algorithm_the_same_budget() -> None:
    search = recorded()
    assert search["complete"]
    for name in search["best"]:
        trials = [trial for trial in search["trials"] if trial["algorithm"] == name]
        assert len(trials) == search["trials_per_algorithm"]
        assert sum(len(trial["scores"]) for trial in trials) == len(trials) + search["finalists"] * (
            search["setting"]["seeds"] - 1
        )
        assert search["best"][name] in [trial["knobs"] for trial in trials]
