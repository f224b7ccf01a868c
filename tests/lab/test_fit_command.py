"""The command `ohmgrad fit`: a file becomes a device, with uncertainties."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ohmgrad import configs
from ohmgrad.cli import main
from ohmgrad.configs import SoftBoundsDevice

HEADER = "conductance,direction\n"


def curve_of(pulses: int) -> str:
    """Soft bounds 0 and 10 of a conductance, whose steps are 0.2 of the way."""
    value, lines = 5.0, ["5,0"]
    for direction in [1] * pulses + [-1] * pulses:
        value += 0.2 * (10.0 - value) if direction > 0 else -0.2 * value
        lines.append(f"{value:.6f},{direction}")
    return HEADER + "\n".join(lines)


def test_a_file_becomes_a_table_numbers_a_picture_and_a_line_of_python(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "chip.csv"
    file.write_text(curve_of(20), encoding="utf-8")
    assert main(["fit", str(file), "--scale", "5", "--offset", "5", "--out", str(tmp_path / "out")]) == 0
    text = capsys.readouterr().out
    assert "Mean upper bound of the weight." in " ".join(text.split())
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["chip.json", "chip.png"]
    numbers = json.loads((tmp_path / "out" / "chip.json").read_text(encoding="utf-8"))
    assert numbers["fitted"]["dw_min"]["value"] == pytest.approx(0.2, rel=1e-3)
    assert numbers["fitted"]["w_max"]["value"] == pytest.approx(1.0, rel=1e-3)
    line = next(line for line in text.splitlines() if line.startswith("python:"))
    made = eval(line.rpartition("device = ")[2], vars(configs))
    assert made.w_min == pytest.approx(-1.0, rel=1e-3)
    assert isinstance(made, SoftBoundsDevice)
    assert max(len(line) for line in text.splitlines() if not line.startswith(("python", "picture", "numbers"))) <= 80


def test_paths_are_printed_as_they_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "chip.csv").write_text(curve_of(20), encoding="utf-8")
    out = tmp_path / "o[b]x:smile:"
    assert main(["fit", str(tmp_path / "chip.csv"), "--scale", "5", "--offset", "5", "--out", str(out)]) == 0
    assert f"numbers: {out / 'chip.json'}\n" in capsys.readouterr().out


def test_files_that_differ_in_the_last_part_of_their_names_do_not_meet(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("cell.v1.csv", "cell.v2.csv"):
        (tmp_path / name).write_text(curve_of(20), encoding="utf-8")
        assert main(["fit", str(tmp_path / name), "--out", str(tmp_path / "out")]) == 0
    written = [f"cell.{version}.{kind}" for version in ("v1", "v2") for kind in ("json", "png")]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == written
    capsys.readouterr()


def test_fields_and_device_can_be_chosen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "chip.csv"
    file.write_text(curve_of(20), encoding="utf-8")
    options = ["--device", "linearresponse", "--vary", "dw_min, tau", "--g-min", "0", "--g-max", "10"]
    assert main(["fit", str(file), *options, "--out", str(tmp_path)]) == 0
    numbers = json.loads((tmp_path / "chip.json").read_text(encoding="utf-8"))
    assert list(numbers["fitted"]) == ["dw_min", "tau"]
    assert numbers["fitted"]["tau"]["value"] == pytest.approx(1.0, rel=1e-3)
    capsys.readouterr()


@pytest.mark.parametrize(
    ("content", "options", "remedy"),
    [
        (HEADER + "1,0\n2,left\n", [], "line 3: direction 'left'. Give up, down, 1 or -1."),
        (None, [], "No such file"),
        (curve_of(20), ["--device", "SoftBound"], "Did you mean"),
        (curve_of(20), ["--method", "magic"], "Give 'steps' or 'trajectory'."),
        (curve_of(20), ["--vary", "dw_mn"], "'dw_mn' of SoftBoundsDevice cannot vary"),
    ],
)
def test_a_mistake_gets_one_line(
    content: str | None, options: list[str], remedy: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, out = tmp_path / "chip.csv", tmp_path / "out"
    if content is not None:
        file.write_text(content, encoding="utf-8")
    assert main(["fit", str(file), *options, "--out", str(out)]) == 2
    printed = capsys.readouterr()
    assert printed.out.strip() == ""
    assert remedy in printed.err
    assert printed.err.count("\n") == 1
    assert not out.exists()
