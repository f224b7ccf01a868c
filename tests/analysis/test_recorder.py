"""What is recorded inside analog layers, and that training does not notice."""

from __future__ import annotations

import copy
import csv
import math
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from builders import RULES, rule, steady
from ohmgrad.analysis import Recorder
from ohmgrad.analysis.plots import recorder as picture
from ohmgrad.configs import (
    ConstantStepDevice,
    LinearResponseDevice,
    ReferenceUnitCell,
    SingleRPUConfig,
    SoftBoundsDevice,
    UnitCellRPUConfig,
    VectorUnitCell,
)
from ohmgrad.errors import ConfigError
from ohmgrad.files import load_checkpoint, save_checkpoint
from ohmgrad.nn import AnalogLinear
from ohmgrad.optim import AnalogSGD


def made(config: Any) -> tuple[nn.Sequential, AnalogSGD]:
    torch.manual_seed(0)
    model = nn.Sequential(AnalogLinear(4, 3, rpu_config=config), nn.Tanh(), AnalogLinear(3, 2, rpu_config=config))
    return model, AnalogSGD(model.named_parameters(), lr=0.3)


def train(model: nn.Module, optimizer: torch.optim.Optimizer, steps: int = 6) -> None:
    data = torch.Generator().manual_seed(1)
    for _ in range(steps):
        optimizer.zero_grad()
        model(torch.randn(5, 4, generator=data)).square().sum().backward()
        optimizer.step()


def configuration(name: str) -> Any:
    if name in ("vector", "reference"):
        return UnitCellRPUConfig(
            device={"vector": VectorUnitCell, "reference": ReferenceUnitCell}[name]([SoftBoundsDevice()] * 2)
        )
    return rule(name, SoftBoundsDevice(dw_min=0.02), gamma=0.3) if name in ("ttv2", "ttv3", "ttv4") else rule(name)


@pytest.mark.parametrize("name", [*RULES, "vector", "reference"])
def test_training_is_the_same_to_the_last_bit(name: str) -> None:
    plain, watched = made(configuration(name)), made(configuration(name))
    recorder = Recorder(*watched, every=2)
    train(*plain)
    train(*watched)
    for mine, other in zip(plain[0].state_dict().values(), watched[0].state_dict().values(), strict=True):
        assert torch.equal(mine, other)
    assert [(row["step"], row["layer"]) for row in recorder.rows] == [(s, n) for s in (2, 4, 6) for n in ("0", "2")]
    assert set(recorder.rows[0]) == set(recorder.columns)


def test_a_share_of_the_weight_is_what_the_fast_array_contributes() -> None:
    model, optimizer = made(rule("ttv3", SoftBoundsDevice(dw_min=0.02), gamma=0.5))
    recorder = Recorder(model, optimizer, every=3)
    train(model, optimizer, 3)
    hidden, weights = model[0].tile.get_hidden_parameters(), model[0].tile.get_weights()
    state = model[0].tile.algorithm_state()
    signs = (1.0 - 2.0 * state["out_chopper"].float())[:, None] * (1.0 - 2.0 * state["in_chopper"].float())
    residual = (0.5 * signs * hidden["hidden_weights_0"]).norm() / weights.norm()
    assert recorder.rows[0]["residual"] == pytest.approx(float(residual), rel=1e-5)
    assert recorder.rows[0]["flipped"] == pytest.approx(
        float(torch.cat([state["in_chopper"], state["out_chopper"]]).float().mean())
    )
    assert recorder.rows[0]["sweeps"] == int(state["transfer_counter"])


def test_without_gamma_the_fast_array_contributes_nothing() -> None:
    model, optimizer = made(rule("ttv2"))
    recorder = Recorder(model, optimizer, every=2)
    train(model, optimizer)
    assert recorder.column("0", "residual") == [0.0, 0.0, 0.0]


def test_the_fill_of_a_buffer_is_in_its_thresholds() -> None:
    model, optimizer = made(rule("ttv2", SoftBoundsDevice(dw_min=0.02), thres_scale=2.0))
    recorder = Recorder(model, optimizer, every=1)
    train(model, optimizer, 4)
    h = model[0].tile.get_hidden_parameters()["buffered_FP_weight_0"]
    assert recorder.column("0", "fill")[-1] == pytest.approx(float((h / 0.04).square().mean().sqrt()), rel=1e-5)


def test_pulses_are_counted_in_all_and_per_step() -> None:
    model, optimizer = made(rule("ttv2"))
    recorder = Recorder(model, optimizer, every=3)
    train(model, optimizer, 6)
    total = recorder.column("0", "pulses_0")
    assert total[-1] == int(model[0].tile.pulse_counts()[0].total.sum())
    assert recorder.column("0", "pulses_per_step_0") == [total[0] / 3, (total[1] - total[0]) / 3]


def test_pulses_that_were_loaded_are_none_of_the_steps() -> None:
    model, optimizer = made(rule("ttv2"))
    train(model, optimizer, 20)
    saved = copy.deepcopy(model.state_dict())
    plain = Recorder(model, optimizer, every=3)
    train(model, optimizer, 3)
    resumed, other = made(rule("ttv2"))
    recorder = Recorder(resumed, other, every=3)
    resumed.load_state_dict(saved)
    train(resumed, other, 3)
    for name in ("pulses_0", "pulses_per_step_0", "pulses_per_step_1"):
        assert recorder.column("0", name) == plain.column("0", name)
    resumed.load_state_dict(made(rule("ttv2"))[0].state_dict())  # an earlier state
    train(resumed, other, 3)
    assert recorder.rows[-1]["pulses_per_step_0"] > 0.0


def test_cells_at_a_bound_are_saturated() -> None:
    model, optimizer = made(SingleRPUConfig(device=steady(ConstantStepDevice, w_max=0.6, w_min=-0.6)))
    model[0].tile.set_weights(torch.tensor([[0.6, -0.6, 0.5, 0.0]] * 3))
    optimizer.param_groups[0]["lr"] = 0.0
    recorder = Recorder(model, optimizer, every=1)
    train(model, optimizer, 1)
    assert recorder.column("0", "saturation_0") == [0.5]


def test_the_distance_is_that_from_the_symmetric_points() -> None:
    model, optimizer = made(SingleRPUConfig(device=steady(LinearResponseDevice, offset=0.2)))
    model[0].tile.set_weights(torch.full((3, 4), 0.5))
    optimizer.param_groups[0]["lr"] = 0.0
    recorder = Recorder(model, optimizer, every=1)
    train(model, optimizer, 1)
    assert recorder.column("0", "distance")[0] == pytest.approx(0.3, abs=1e-4)


def test_cells_without_symmetric_points_have_no_distance() -> None:
    model, optimizer = made(SingleRPUConfig(device=steady(ConstantStepDevice)))
    recorder = Recorder(model, optimizer, every=1)
    train(model, optimizer, 1)
    assert math.isnan(recorder.column("0", "distance")[0])


def test_a_warm_start_shows_its_phase() -> None:
    model, optimizer = made(rule("mrl", warm_start=True))
    recorder = Recorder(model, optimizer, every=1)
    train(model, optimizer, 1)
    assert recorder.column("0", "phase") == [0.0]


def test_a_file_is_whole_after_every_row(tmp_path: Path) -> None:
    model, optimizer = made(rule("ttv2"))
    with Recorder(model, optimizer, every=2, to=tmp_path / "run.csv") as recorder:
        train(model, optimizer, 4)
        with (tmp_path / "run.csv").open(encoding="utf-8") as file:  # not closed yet
            rows = list(csv.DictReader(file))
    assert list(rows[0]) == recorder.columns
    assert len(rows) == len(recorder.rows) == 4
    assert float(rows[-1]["pulses_0"]) == recorder.rows[-1]["pulses_0"]
    train(model, optimizer, 4)
    assert len(recorder.rows) == 4


def test_a_run_that_is_resumed_goes_on_in_its_file(tmp_path: Path) -> None:
    file, checkpoint = tmp_path / "run.csv", tmp_path / "run.pt"
    model, optimizer = made(rule("ttv2"))
    with Recorder(model, optimizer, every=2, to=file) as recorder:
        train(model, optimizer, 3)
        save_checkpoint(checkpoint, model=model, recorder=recorder)
        train(model, optimizer, 1)
    before = file.read_bytes()
    file.write_bytes(before + b"6,0,0.1")  # the crash; the number was longer
    model, optimizer = made(rule("ttv2"))
    with Recorder(model, optimizer, every=2, to=file) as recorder:
        load_checkpoint(checkpoint, model=model, recorder=recorder)
        train(model, optimizer, 3)
    assert file.read_bytes().startswith(before)
    with file.open(encoding="utf-8") as rows:
        steps = [int(row["step"]) for row in csv.DictReader(rows)]
    assert steps == [2, 2, 4, 4, 4, 4, 6, 6]


def test_pulses_per_step_after_a_continuation_are_those_of_the_steps_since() -> None:
    model, optimizer = made(rule("sgd"))
    with Recorder(model, optimizer, every=4) as recorder:
        recorder.load_state_dict({"steps": 3})  # one step before the next row
        train(model, optimizer, 1)
        (row, *_) = recorder.rows
    assert row["step"] == 4
    assert row["pulses_per_step_0"] == row["pulses_0"] > 0


def test_a_run_without_a_pulse_can_be_drawn(tmp_path: Path) -> None:
    model, optimizer = made(rule("sgd"))
    for group in optimizer.param_groups:
        group["lr"] = 0.0
    with Recorder(model, optimizer, every=1) as recorder:
        train(model, optimizer, 2)
        assert {row["pulses_0"] for row in recorder.rows} == {0}
        assert recorder.plot(tmp_path / "quiet.png").exists()


def test_a_file_with_other_columns_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "run.csv"
    file.write_text("step,loss\n1,0.5\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"run\.csv' exists, and its columns are not those.* Give another name"):
        Recorder(*made(rule("ttv2")), to=file)
    assert file.read_text(encoding="utf-8") == "step,loss\n1,0.5\n"


@pytest.mark.parametrize("state", [{}, {"steps": -1}, {"steps": "many"}])
def test_a_state_of_something_else_is_refused(state: dict[str, Any]) -> None:
    recorder = Recorder(*made(rule("sgd")))
    with pytest.raises(ConfigError, match=r"Give one that Recorder\.state_dict\(\) gave"):
        recorder.load_state_dict(state)


class Board:
    """Stands for the SummaryWriter of TensorBoard."""

    def __init__(self) -> None:
        self.curves: dict[str, list[tuple[int, float]]] = {}

    def add_scalar(self, tag: str, scalar_value: float, global_step: int) -> None:
        self.curves.setdefault(tag, []).append((global_step, scalar_value))

    def flush(self) -> None:
        """Nothing is kept back."""


def test_curves_go_to_a_board() -> None:
    model, optimizer = made(rule("ttv2"))
    board = Board()
    recorder = Recorder(model, optimizer, every=2, to=board)
    train(model, optimizer, 4)
    assert board.curves["2/fill"] == list(zip([2, 4], recorder.column("2", "fill"), strict=True))
    assert "0/layer" not in board.curves


def test_a_folder_needs_tensorboard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard.writer", None)
    model, optimizer = made(rule("sgd"))
    with pytest.raises(ConfigError, match=r"TensorBoard, which is not installed\. pip install tensorboard"):
        Recorder(model, optimizer, to=tmp_path / "runs")


def test_mistakes_are_named() -> None:
    model, optimizer = made(rule("sgd"))
    with pytest.raises(ConfigError, match=r"every = 0\. Give"):
        Recorder(model, optimizer, every=0)
    with pytest.raises(ConfigError, match="no analog layer"):
        Recorder(nn.Linear(2, 2), optimizer)
    with pytest.raises(ConfigError, match=r"optimizer = None\. Give the optimizer that steps the model"):
        Recorder(model, None)  # type: ignore[arg-type]
    recorder = Recorder(model, optimizer)
    with pytest.raises(ConfigError, match=r"no layer '1'\. There are: 0, 2"):
        recorder.column("1", "fill")
    with pytest.raises(ConfigError, match=r"no column 'fill'\. There are: step, layer, saturation_0"):
        recorder.column("0", "fill")


def test_it_draws_a_picture(tmp_path: Path) -> None:
    model, optimizer = made(rule("ttv3"))
    recorder = Recorder(model, optimizer, every=2)
    train(model, optimizer, 4)
    assert recorder.plot(tmp_path / "inside.png").read_bytes().startswith(b"\x89PNG")


def test_the_picture_names_arrays_and_layers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    figures: list[Any] = []
    monkeypatch.setattr(picture, "save", lambda figure, path: figures.append(figure))
    model, optimizer = made(configuration("ttv3"))
    recorder = Recorder(model, optimizer, every=2)
    train(model, optimizer)
    recorder.plot(tmp_path / "inside.png")
    (figure,) = figures
    assert figure.texts[1].get_text() == "6 steps; solid A, dashed C"
    assert figure.axes[0].get_legend().get_title().get_text() == "layer"
    axes = {each.get_title(loc="left"): each for each in figure.axes}
    assert axes["Pulses per step, logarithmic"].get_yscale() == "log"
    assert {line.get_linestyle() for line in axes["Choppers flipped"].lines} == {"None"}
