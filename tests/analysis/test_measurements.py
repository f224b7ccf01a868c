"""Files of measurements are read, or one line says what is wrong where."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from analysis.measured import measured, written
from ohmgrad.analysis import Measurements, fit_measurements
from ohmgrad.analysis.plots import fit as picture_of_fit
from ohmgrad.configs import SoftBoundsDevice
from ohmgrad.errors import ConfigError


def read(folder: Path, text: str) -> Measurements:
    path = folder / "data.csv"
    path.write_text(text, encoding="utf-8")
    return Measurements.read(path)


def test_a_file_gives_what_arrays_give(tmp_path: Path) -> None:
    data = measured(SoftBoundsDevice(dw_min=0.1), cells=2, train=10, rounds=1)
    found = Measurements.read(written(tmp_path / "data.csv", data, scale=3.0, offset=7.0))
    assert found.unit == "uS"
    for name, trace in data.traces.items():
        torch.testing.assert_close(found.traces[name].values, 7.0 + 3.0 * trace.values, rtol=1e-6, atol=0.0)
        assert torch.equal(found.traces[name].up, trace.up)


@pytest.mark.parametrize(
    "text",
    [
        "conductance,direction\n1,0\n2,1\n3,up\n4,1\n3,-1\n",
        "# a comment\nDirection;Conductance (mS);remark\n;1;x\nUP;2;x\n1;3;x\n1;4;x\n\ndown;3;x\n",
        "voltage\tconductance\n0.0\t1\n1.5\t2\n1.5\t3\n0.9\t4\n-2\t3\n",
        "pulse,conductance,direction\n4,3,-1\n0,1,\n1,2,1\n3,4,1\n2,3,1\n",
    ],
    ids=["words", "semicolons", "voltages", "any order"],
)
def test_columns_may_be_said_in_several_ways(tmp_path: Path, text: str) -> None:
    trace = read(tmp_path, text).traces["0"]
    assert trace.values.tolist() == [1.0, 2.0, 3.0, 4.0, 3.0]
    assert trace.up.tolist() == [True, True, True, False]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "is empty"),
        ("conductance,direction\n", "has a header and no rows"),
        ("g,direction\n1,1\n", "line 1: no column conductance among g, direction"),
        ("conductance,way\n1,1\n", "line 1: no column direction or voltage"),
        ("conductance,voltage,direction\n1,1,1\n", "line 1: 2 columns direction or voltage"),
        ("# a comment\n\nconductance,way\n1,1\n", "line 3: no column direction or voltage"),
        ("conductance,direction,Direction\n1,1,1\n", "line 1: 2 columns direction or voltage"),
        ("conductance,direction,cell,cell\n1,1,1,1\n", "line 1: 2 columns cell among"),
        ("conductance,direction,pulse,pulse\n1,1,1,1\n", "line 1: 2 columns pulse among"),
        ("conductance,direction\n1,0\n2,1\nx,1\n", "line 4: conductance 'x'. Give a finite number"),
        ("conductance,direction\n1,0\nnan,1\n", "line 3: conductance 'nan'"),
        ("conductance,direction\n1,0\n2,left\n", "line 3: direction 'left'. Give up, down, 1 or -1"),
        ("conductance,voltage\n1,0\n2,high\n", "line 3: voltage 'high'. Give a number, positive for up"),
        ("conductance,direction\n1,0\n2,\n", "line 3: a pulse without direction"),
        ("conductance,direction\n1,0\n2\n", "line 3: 1 columns instead of 2"),
        ("pulse,conductance,direction\n0,1,0\n1,2,1\n1,3,1\n", "line 4: pulse 1 of cell 0 for the second time"),
        ("conductance,direction\n1,0\n2,1\n", "cell 0 has 1 pulses. Give at least 4"),
        ("conductance,direction\n" + "1,1\n" * 9, "has the conductance 1 throughout"),
    ],
)
def test_a_wrong_file_names_the_line_and_the_remedy(tmp_path: Path, text: str, error: str) -> None:
    with pytest.raises(ConfigError, match=error) as caught:
        read(tmp_path, text)
    assert "data.csv" in str(caught.value)


def test_arrays_must_fit_together() -> None:
    with pytest.raises(ConfigError, match=r"directions \[2\] for conductances \[3\]\. Give one for each pulse"):
        Measurements.of([1.0, 2.0, 3.0], [1.0, 1.0])
    with pytest.raises(ConfigError, match=r"directions \[5, 3\] for conductances \[5, 2\]"):
        Measurements.of(torch.rand(5, 2), torch.ones(5, 3))
    with pytest.raises(ConfigError, match="not finite"):
        Measurements.of([1.0, float("nan")], [1.0, 1.0])
    with pytest.raises(ConfigError, match="a pulse has no direction"):
        Measurements.of([1.0, 2.0, 3.0, 4.0, 5.0], [0.0, 1.0, 0.0, 1.0, 1.0])


@pytest.mark.parametrize(
    ("conductance", "direction", "error"),
    [
        ([], [], r"conductance of shape \[0\]"),
        (1.0, 1.0, r"conductance of shape \[\]"),
        (torch.rand(5, 2, 2), torch.ones(5), r"conductance of shape \[5, 2, 2\]"),
        (["a", "b"], [1, 1], r"conductance = \['a', 'b'\]"),
        ([1.0, [2.0, 3.0]], [1, 1], r"conductance = \[1.0, \[2.0, 3.0\]\]"),
        ([1.0, 2.0], ["up", "down"], r"direction = \['up', 'down'\]"),
        ([1.0, 2.0], 1.0, r"direction of shape \[\]"),
    ],
)
def test_arrays_are_numbers_of_one_cell_or_several(conductance: Any, direction: Any, error: str) -> None:
    with pytest.raises(ConfigError, match=rf"Measurements: {error}.*Give numbers, \[n\] or \[n, cells\]"):
        Measurements.of(conductance, direction)


@pytest.mark.parametrize("read", [Measurements.read, fit_measurements])
def test_a_file_that_cannot_be_read_says_why(read: Callable[[Path], object], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nope\.csv cannot be read: No such file or directory\. Give a CSV file"):
        read(tmp_path / "nope.csv")
    with pytest.raises(ConfigError, match=r"cannot be read: Is a directory\. Give a CSV file"):
        read(tmp_path)


def test_a_picture_shows_data_fit_and_residuals(tmp_path: Path) -> None:
    from matplotlib.image import imread

    data = measured(SoftBoundsDevice(dw_min=0.1), cells=4, train=20, rounds=1)
    picture = fit_measurements(data).plot(tmp_path / "fit.png")
    pixels = imread(picture)[..., :3]
    height, width, _ = pixels.shape
    for part in (pixels[height // 8 : height // 2, : width // 2], pixels[height // 8 : height // 2, width // 2 :],
                 pixels[height // 2 :, : width // 2]):  # fmt: skip
        assert ((part.max(-1) - part.min(-1)) > 0.2).sum() > 100


def test_the_band_of_errors_stays_within_the_bounds(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    figures: list[Any] = []
    monkeypatch.setattr(picture_of_fit, "save", lambda figure, path: figures.append(figure))
    monkeypatch.setattr(picture_of_fit, "uncertainty", lambda curve, values, covariance: 9.0)
    fit = fit_measurements(measured(SoftBoundsDevice(dw_min=0.1), cells=1, train=20, rounds=1))
    fit.plot(tmp_path / "fit.png")
    (cell,) = fit.cells.values()
    law, band = fit.candidates.cell(cell.values), figures[0].axes[0].collections[0].get_paths()[0].vertices[:, 1]
    assert band.min() == pytest.approx(float(law.lower))
    assert band.max() == pytest.approx(float(law.upper))
