"""The command line: a mistake of the user costs one line, never a traceback."""

from pathlib import Path

import pytest

from ohmgrad.cli import main


@pytest.mark.parametrize(
    ("arguments", "remedy"),
    [
        (
            ["compare", "--task", "mnst"],
            "wine, mnist, fashion-mnist, cifar10, cifar100, not 'mnst'",
        ),
        (["compare", "--algorithms", "sgd,ttv9"], "out of fp, sgd, ttv1, rl, ttv2, ttv3, rttv3, ttv4, rlv2"),
        (["compare", "--algorithms", ""], "give all, or names"),
        (["compare", "--device", "flux"], "give one of soft-bounds, linear, constant"),
        (["compare", "--states", "1"], "give a whole number from 2 to 100000, not '1'"),
        (["compare", "--states", "ten"], "give a whole number from 2 to 100000, not 'ten'"),
        (["compare", "--gamma", "nan"], "give a number from 0 to 1, not 'nan'"),
        (["compare", "--gamma", "1e400"], "give a number from 0 to 1"),
        (["compare", "--epochs", "0"], "give a whole number from 1"),
        (["compare", "--epochs", "2.5"], "give a whole number from 1"),
        (["compare", "--seeds", "-1"], "give a whole number from 1"),
        (["compare", "--batch-size", "0"], "give a whole number from 1"),
        (["compare", "--workers", "none"], "give a whole number from 1"),
        (["compare", "--epoch", "3"], "--epochs"),
        (["compare", "--epochs"], "--help"),
        (["compare", "digits"], "--help"),
        (["compar"], "compare"),
        (["compare", "--tuned", "nowhere.json"], "nowhere.json"),
        (["compare", "--resume", "--out", "nowhere"], "Leave out --resume"),
        (["compare", "--resume", "--overwrite"], "give --resume or --overwrite"),
        (["tune", "--trials", "0"], "give a whole number from 1"),
    ],
)
def test_a_mistake_gets_one_line_that_says_what_is_allowed(
    arguments: list[str],
    remedy: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert remedy in printed.err
    assert printed.err.startswith("ohmgrad: ")
    assert printed.err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    assert main(["compare", "--out", str(tmp_path / "file" / "results")]) == 2
    error = capsys.readouterr().err
    assert str(tmp_path / "file") in error
    assert error.count("\n") == 1


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("ohmgrad ")


def test_the_help_lists_what_is_allowed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "--help"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "soft-bounds, linear, constant" in text
    assert "Default: 10." in text
