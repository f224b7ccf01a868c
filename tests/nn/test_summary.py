"""A summary counts what is there, and leaves it alone."""

from __future__ import annotations

import sys
from io import StringIO
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from builders import rule
from ohmgrad.amounts import amount
from ohmgrad.configs import (
    ConstantStepDevice,
    FloatingPointRPUConfig,
    IOParameters,
    MappingParameter,
    RPUConfig,
    SoftBoundsDevice,
    UnitCellRPUConfig,
    VectorUnitCell,
)
from ohmgrad.inference import program
from ohmgrad.nn import (
    AnalogConv2d,
    AnalogLinear,
    AnalogLSTMCell,
    AnalogLSTMCellCombinedWeight,
    AnalogRNN,
    Summary,
    analog_summary,
    named_analog_tiles,
)


def config(name: str = "sgd", **mapping: Any) -> RPUConfig:
    made = rule(name, SoftBoundsDevice())
    made.mapping = MappingParameter(**mapping)
    return made


def only(summary: Summary) -> Any:
    (row,) = summary.rows
    return row


# What is there


def test_a_linear_layer_by_hand() -> None:
    layer = AnalogLinear(5, 4, rpu_config=config(max_input_size=10, max_output_size=8))
    summary = analog_summary(layer)
    row = only(summary)
    assert (row.name, row.kind, row.shape, row.device) == ("", "AnalogLinear", (4, 5), "SoftBoundsDevice")
    assert (row.tiles, row.arrays, row.cells, row.utilisation) == (((4, 5),), 1, 20, 0.25)
    assert row.memory == summary.memory == layer.tile.memory().total
    assert (row.output_shape, row.products, summary.products) == (None, None, None)
    assert (summary.tiles, summary.cells, summary.digital_parameters) == (1, 20, 4)


def test_several_tiles_and_an_analog_bias() -> None:
    layer = AnalogLinear(7, 5, rpu_config=config(max_input_size=3, max_output_size=4, digital_bias=False))
    summary = analog_summary(layer)
    row = only(summary)
    assert row.shape == (5, 7)
    assert sorted(row.tiles) == sorted([(3, 2), (2, 2), (3, 3), (2, 3), (3, 3), (2, 3)])
    assert row.cells == 5 * 8
    assert row.utilisation == 40 / (6 * 12)
    assert summary.digital_parameters == 0
    assert row.memory == sum(tile.memory().total for tile in layer.tiles)


@pytest.mark.parametrize(("name", "kind"), [("ttv2", "BufferedTransferCompound"), ("mp", "MixedPrecisionCompound")])
def test_rules_are_named_with_their_devices(name: str, kind: str) -> None:
    row = only(analog_summary(AnalogLinear(3, 2, rpu_config=config(name))))
    assert row.device == f"{kind}(SoftBoundsDevice)"
    assert row.arrays == {"ttv2": 2, "mp": 1}[name]
    assert row.cells == 6 * row.arrays


def test_cells_of_several_devices_count_each() -> None:
    cell = VectorUnitCell(unit_cell_devices=[SoftBoundsDevice(), ConstantStepDevice(), SoftBoundsDevice()])
    row = only(analog_summary(AnalogLinear(3, 2, rpu_config=UnitCellRPUConfig(device=cell))))
    assert row.device == "VectorUnitCell(SoftBoundsDevice, ConstantStepDevice)"
    assert (row.arrays, row.cells) == (3, 18)


def test_arrays_of_low_rank_have_fewer_cells() -> None:
    row = only(analog_summary(AnalogLinear(30, 20, rpu_config=config("lrtt"))))
    assert row.device == "LowRankTransferCompound(SoftBoundsDevice)"
    assert (row.arrays, row.cells) == (3, 20 * 2 + 2 * 30 + 20 * 30)


def test_an_exact_weight_is_one_cell() -> None:
    row = only(analog_summary(AnalogLinear(3, 2, rpu_config=FloatingPointRPUConfig())))
    assert (row.device, row.arrays, row.cells) == ("FloatingPointDevice", 1, 6)


def test_tiles_without_a_limit_are_used_as_far_as_they_go() -> None:
    one = only(analog_summary(AnalogLinear(5, 4, rpu_config=config(max_input_size=0, max_output_size=8))))
    none = analog_summary(AnalogLinear(5, 4, rpu_config=config(max_input_size=0, max_output_size=0)))
    assert one.utilisation == 0.5
    assert only(none).utilisation is none.utilisation is None


def test_totals() -> None:
    narrow = config("ttv2", max_input_size=10, max_output_size=10)
    model = nn.Sequential(
        AnalogLinear(10, 10, rpu_config=narrow), nn.Linear(10, 5), AnalogLinear(5, 2, rpu_config=narrow)
    )
    summary = analog_summary(model)
    assert [row.name for row in summary.rows] == ["0", "2"]
    assert (summary.tiles, summary.cells) == (2, 220)
    assert summary.utilisation == 110 / 200
    assert summary.digital_parameters == 10 + 55 + 2
    assert summary.memory == sum(tile.memory().total for _, tile in named_analog_tiles(model))


def test_a_model_without_analog_layers_has_an_empty_summary() -> None:
    summary = analog_summary(nn.Linear(2, 3), (1, 2))
    assert (summary.rows, summary.tiles, summary.memory, summary.products) == ((), 0, 0, None)
    assert summary.digital_parameters == 9
    assert "0 layers" in str(summary)


def test_a_programmed_model_has_two_conductances_for_each_weight() -> None:
    model = nn.Sequential(AnalogLinear(3, 2))
    row = only(analog_summary(program(model, seed=1), (4, 3)))
    assert (row.arrays, row.cells, row.products) == (2, 12, 4)
    assert row.device.endswith("NoiseModel")
    assert row.memory > 0


# How it is used


def test_products_of_a_linear_layer_are_its_samples() -> None:
    row = only(analog_summary(AnalogLinear(5, 4), (2, 3, 5)))
    assert (row.output_shape, row.products) == ((2, 3, 4), 6)


def test_products_of_a_convolution_are_its_positions() -> None:
    layer = AnalogConv2d(4, 6, 3, groups=2, padding=1, rpu_config=config())
    row = only(analog_summary(layer, (2, 4, 5, 7)))
    assert row.shape == (6, 2, 3, 3)
    assert row.tiles == ((3, 18), (3, 18))
    assert (row.output_shape, row.products) == ((2, 6, 5, 7), 2 * 5 * 7)


@pytest.mark.parametrize("cell", [AnalogLSTMCell, AnalogLSTMCellCombinedWeight])
def test_products_of_a_recurrent_layer_are_its_steps(cell: Any) -> None:
    summary = analog_summary(AnalogRNN(cell, 3, 4, rpu_config=config(), num_layers=2), (5, 2, 3))
    assert {row.products for row in summary.rows} == {5 * 2}
    assert summary.rows[-1].output_shape == (2, 16)


class Shared(nn.Module):
    """A layer in two places, called thrice; another that is never called."""

    def __init__(self) -> None:
        super().__init__()
        self.first = self.second = AnalogLinear(3, 3, rpu_config=config())
        self.idle = AnalogLinear(3, 3, rpu_config=config())

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return self.second(self.second(self.first(x if y is None else x + y)))


def test_a_shared_layer_is_counted_once_with_all_its_products() -> None:
    first, idle = analog_summary(Shared(), (4, 3)).rows
    assert (first.name, first.products, first.output_shape) == ("first", 12, (4, 3))
    assert (idle.name, idle.products, idle.output_shape) == ("idle", 0, None)


def test_inputs_may_be_tensors() -> None:
    x = torch.randn(4, 3)
    one, two, shape = (analog_summary(Shared(), given) for given in (x, (x, x), (4, 3)))
    assert one == two == shape


def test_the_input_made_of_a_shape_has_the_type_and_place_of_the_model() -> None:
    half = nn.Sequential(nn.Linear(3, 3), AnalogLinear(3, 2)).to(torch.bfloat16)
    assert analog_summary(half, (4, 3)).products == 4


# What it leaves alone


def test_nothing_of_the_model_is_changed() -> None:
    made = config("ttv4")
    made.forward = IOParameters(out_noise=0.1)
    model = nn.Sequential(AnalogLinear(5, 4, rpu_config=made), nn.BatchNorm1d(4), nn.Dropout()).train()
    model(torch.randn(3, 5)).sum().backward()
    before, generator = {key: value.clone() for key, value in model.state_dict().items()}, torch.get_rng_state()
    waiting = len(model[0].tile._trace)
    analog_summary(model, (3, 5))
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), generator)
    assert model.training
    assert model[1].training
    assert len(model[0].tile._trace) == waiting == 1
    assert not any(module._forward_hooks for module in model.modules())


def test_an_input_that_does_not_fit_leaves_no_hooks() -> None:
    model = nn.Sequential(AnalogLinear(5, 4))
    with pytest.raises(ValueError, match="last dimension must be 5"):
        analog_summary(model, (3, 6))
    assert not any(module._forward_hooks for module in model.modules())


def test_a_model_without_memory_has_the_same_summary() -> None:
    def make() -> nn.Module:
        convolution = AnalogConv2d(1, 4, 3, rpu_config=config("ttv2"))
        return nn.Sequential(convolution, nn.Flatten(1, 2), nn.Flatten(1), AnalogLinear(16, 3, rpu_config=config()))

    with torch.device("meta"):
        without = make()
    assert analog_summary(without, (2, 1, 4, 4)) == analog_summary(make(), (2, 1, 4, 4))
    assert all(tile.weight.is_meta for _, tile in named_analog_tiles(without))


def test_a_recurrent_model_without_memory_has_the_same_summary() -> None:
    with torch.device("meta"):
        without = AnalogRNN(AnalogLSTMCell, 3, 4, rpu_config=config())
    assert analog_summary(without, (5, 2, 3)) == analog_summary(
        AnalogRNN(AnalogLSTMCell, 3, 4, rpu_config=config()), (5, 2, 3)
    )


# How it is shown


def example() -> Summary:
    cut = config("ttv2", max_input_size=6)
    model = nn.Sequential(AnalogConv2d(1, 4, 3, rpu_config=config()), nn.Flatten(), AnalogLinear(16, 3, rpu_config=cut))
    return analog_summary(model, (2, 1, 4, 4))


def test_the_plain_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rich.console", None)
    lines = str(example()).splitlines()
    widths = [len(part) for part in lines[2].split("  ")]
    starts = [sum(widths[:k]) + 2 * k for k in range(len(widths))]
    cells = [[line[s : s + w].strip() for s, w in zip(starts, widths, strict=True)] for line in lines]
    assert cells[0] == ["layer", "weight", "rule or", "cells", "used", "output"]
    assert cells[3][:4] == ["0", "4x1x3x3", "SoftBounds", "36"]
    assert cells[3][5] == "2x4x2x2"
    assert cells[4][:2] == ["AnalogConv2d", "1 tile 4x9"]
    assert cells[4][4:] == ["1", "8"]
    assert cells[5] == ["2", "3x16", "BufferedTransfer", "96", "< 1 %", "2x3"]
    assert cells[6][:3] == ["AnalogLinear", "1 tile 3x6", "(SoftBounds)"]
    assert cells[7][1] == "2 tiles 3x5"
    assert cells[9][:4] == ["2 layers", "", "7 digital", "132"]
    assert cells[10][1] == "4 tiles"
    assert cells[10][5] == "10"


@pytest.mark.parametrize("width", [80, 120])
def test_the_table_of_rich_says_the_same_and_fits(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    text = str(example())
    monkeypatch.setitem(sys.modules, "rich.console", None)
    plain = str(example())
    assert max(map(len, text.splitlines())) <= width
    assert set(plain.replace("-", "").split()) == set(text.replace("─", "").replace("-", "").split())


def test_rich_draws_it_by_itself() -> None:
    from rich.console import Console

    console = Console(width=100, record=True, file=StringIO())
    console.print(example())
    assert "AnalogConv2d" in console.export_text()


def test_names_are_no_markup() -> None:
    model = nn.ModuleDict({"[red]": AnalogLinear(2, 2)})
    assert "[red]" in str(analog_summary(model))


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1 kB"),
        (1234, "1.23 kB"),
        (999_499, "999 kB"),
        (999_500, "1 MB"),
        (2e10, "20 GB"),
    ],
)
def test_amounts(count: float, text: str) -> None:
    assert amount(count, "B") == text
    assert amount(count) == text.removesuffix("B").rstrip()
