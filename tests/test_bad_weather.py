"""What is wrong is refused by name, and nothing is changed by it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from builders import RULES, perfect, rule
from ohmgrad import AnalogLinear, AnalogSGD, AnalogTile
from ohmgrad.configs import (
    ChoppedTransferCompound,
    DynamicTransferCompound,
    IdealDevice,
    SingleRPUConfig,
    SoftBoundsDevice,
    UnitCellRPUConfig,
)
from ohmgrad.errors import ConfigError, OhmgradError, OptimizerError, TileError

BAD = pytest.mark.parametrize(
    ("bad", "word"), [(math.nan, "NaN"), (math.inf, "infinite"), (-math.inf, "infinite")], ids=["NaN", "inf", "-inf"]
)
BY_RULE = pytest.mark.parametrize("name", RULES)


def tile_of(name: str = "sgd") -> AnalogTile:
    torch.manual_seed(1)
    tile = AnalogTile(3, 4, rule(name))
    for _ in range(3):
        tile.update(torch.randn(3, 4), torch.randn(3, 3))
    return tile


def everything(tile: AnalogTile) -> dict[str, Tensor]:
    seen = {**tile.state_dict(), **tile.get_hidden_parameters(), **tile.algorithm_state(), "w": tile.get_weights()}
    return {name: value.clone() for name, value in seen.items()}


def refuses(tile: AnalogTile, action: Callable[[], Any], message: str) -> None:
    """The action raises a TileError, and the tile is what it was, to the last bit and counter."""
    before = everything(tile)
    with pytest.raises(TileError, match=message):
        action()
    after = everything(tile)
    assert all(torch.equal(value, after[name]) for name, value in before.items())


# Numbers that are not finite


@BAD
@BY_RULE
def test_inputs_and_gradients_of_an_update_must_be_finite(name: str, bad: float, word: str) -> None:
    tile = tile_of(name)
    good_x, good_d, x, d = torch.ones(5, 4), torch.ones(5, 3), torch.ones(5, 4), torch.ones(5, 3)
    x[4, 1], d[2, 0] = bad, bad
    refuses(tile, lambda: tile.update(x, good_d), rf"analog layer \(4 inputs, 3 outputs\): the input is {word}")
    refuses(tile, lambda: tile.update(good_x, d), f"the gradient is {word}")
    refuses(tile, lambda: tile(x), f"the input is {word}")
    refuses(tile, lambda: tile.backward(d), f"the gradient is {word}")
    refuses(tile, lambda: tile.set_weights(torch.full((3, 4), bad)), f"the weight is {word}")


def test_a_number_too_large_for_single_precision_is_infinite() -> None:
    tile = tile_of()
    refuses(tile, lambda: tile(torch.full((2, 4), 1e300, dtype=torch.float64)), "the input is infinite")


def deep() -> tuple[nn.Sequential, AnalogSGD]:
    torch.manual_seed(2)
    config = perfect(SingleRPUConfig(device=IdealDevice()))
    model = nn.Sequential(
        AnalogLinear(4, 6, rpu_config=config), nn.Tanh(), nn.Sequential(AnalogLinear(6, 3, rpu_config=config))
    )
    return model, AnalogSGD(model.named_parameters(), lr=0.1)


@BAD
def test_the_layer_that_meets_a_bad_input_is_named(bad: float, word: str) -> None:
    model, _ = deep()
    x = torch.ones(2, 4)
    x[1, 1] = bad
    with pytest.raises(TileError, match=rf"layer '0' \(4 inputs, 6 outputs\): the input is {word}"):
        model(x)
    with pytest.raises(TileError, match=rf"layer '2\.0' \(6 inputs, 3 outputs\): the input is {word}"):
        model[2](torch.full((2, 6), bad))


@BAD
def test_the_layer_that_meets_a_bad_gradient_is_named_and_nothing_is_learned(bad: float, word: str) -> None:
    model, optimizer = deep()
    before = {name: value.clone() for name, value in model.state_dict().items() if "vectors" not in name}
    loss = (model(torch.ones(2, 4)) * bad).sum()
    with pytest.raises(TileError, match=rf"layer '2\.0' \(6 inputs, 3 outputs\): the gradient is {word}"):
        loss.backward()
    optimizer.zero_grad()
    optimizer.step()
    after = model.state_dict()
    assert [name for name, value in before.items() if not torch.equal(value, after[name])] == []


def test_a_layer_that_nobody_named_is_told_by_its_size() -> None:
    layer = AnalogLinear(7, 2)
    with pytest.raises(TileError, match=r"^analog layer \(7 inputs, 2 outputs\): the input is NaN"):
        layer(torch.full((1, 7), math.nan))


def test_training_goes_on_after_an_error() -> None:
    model, optimizer = deep()
    other, other_optimizer = deep()
    with pytest.raises(TileError, match="NaN"):
        model(torch.full((2, 4), math.nan))
    for one, step in ((model, optimizer), (other, other_optimizer)):
        one(torch.ones(2, 4)).square().sum().backward()
        step.step()
    assert all(torch.equal(value, other.state_dict()[name]) for name, value in model.state_dict().items())


# Shapes


@BY_RULE
def test_a_wrong_width_is_refused(name: str) -> None:
    tile = tile_of(name)
    for width in (0, 1, 3, 5):
        shape = rf"shape \(2, {width}\).*must be 4"
        refuses(tile, lambda w=width: tile(torch.ones(2, w)), f"the input has {shape}")
        refuses(tile, lambda w=width: tile.update(torch.ones(2, w), torch.ones(2, 3)), f"the input has {shape}")
    refuses(
        tile, lambda: tile.update(torch.ones(2, 4), torch.ones(2, 4)), r"the gradient has shape \(2, 4\).*must be 3"
    )
    refuses(tile, lambda: tile.backward(torch.ones(4)), r"the gradient has shape \(4,\).*must be 3")
    refuses(tile, lambda: tile(torch.tensor(1.0)), r"the input has shape \(\)")


def test_every_input_needs_a_gradient() -> None:
    tile = tile_of()
    refuses(tile, lambda: tile.update(torch.ones(3, 4), torch.ones(2, 3)), "3 inputs but 2 gradients")
    refuses(tile, lambda: tile.update(torch.ones(0, 4), torch.ones(2, 3)), "0 inputs but 2 gradients")


@pytest.mark.parametrize("shape", [(4, 3), (3,), (12,), (1, 3, 4), (3, 5), ()])
def test_weights_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    tile = tile_of()
    refuses(tile, lambda: tile.set_weights(torch.zeros(shape)), r"weights of shape \(.*\(3, 4\) needed")


@pytest.mark.parametrize("shape", [(0, 4), (2, 0, 4)])
@BY_RULE
def test_an_empty_batch_trains_nothing_and_breaks_nothing(name: str, shape: tuple[int, ...]) -> None:
    torch.manual_seed(1)
    layer = AnalogLinear(4, 3, rpu_config=rule(name))
    optimizer = AnalogSGD(layer.named_parameters(), lr=0.1)
    before = everything(layer.tile)
    x = torch.zeros(shape, requires_grad=True)
    y = layer(x)
    assert y.shape == (*shape[:-1], 3)
    y.sum().backward()
    assert x.grad is not None
    assert x.grad.shape == shape
    optimizer.step()
    after = everything(layer.tile)
    assert all(torch.equal(value, after[key]) for key, value in before.items())


def test_an_empty_batch_beside_a_full_one_adds_nothing() -> None:
    models = [deep() for _ in range(2)]
    for (model, optimizer), empty in zip(models, (True, False), strict=True):
        if empty:
            model(torch.zeros(0, 4)).sum().backward()
        model(torch.ones(2, 4)).square().sum().backward()
        optimizer.step()
    for name, value in models[0][0].state_dict().items():
        torch.testing.assert_close(value, models[1][0].state_dict()[name], msg=name)


@BY_RULE
def test_a_batch_of_one_is_a_batch(name: str) -> None:
    flat, deep_one = tile_of(name), tile_of(name)
    flat.update(torch.ones(4), torch.ones(3))
    deep_one.update(torch.ones(1, 4), torch.ones(1, 3))
    assert all(torch.equal(value, everything(deep_one)[key]) for key, value in everything(flat).items())


@BY_RULE
def test_a_layer_of_one_cell_trains(name: str) -> None:
    torch.manual_seed(1)
    layer = AnalogLinear(1, 1, rpu_config=rule(name))
    optimizer = AnalogSGD(layer.parameters(), lr=0.1)
    for _ in range(5):
        optimizer.zero_grad()
        (layer(torch.ones(2, 1)) - 0.3).square().sum().backward()
        optimizer.step()
    assert torch.isfinite(layer.weight).all()
    assert layer.tile.pulse_counts()[0].total.any()


# Extremes that are not errors


@BY_RULE
def test_huge_finite_numbers_stay_finite(name: str) -> None:
    tile = tile_of(name)
    for x, d in ((1e30, 1.0), (1.0, 1e30), (3e38, 3e38), (1e-38, 1e-38), (1e-45, 1.0)):
        tile.update(torch.full((2, 4), x), torch.tensor([[d, -d, 0.0]]).expand(2, 3))
        seen = everything(tile)
        assert all(torch.isfinite(value).all() for value in seen.values())


@BY_RULE
def test_zero_inputs_and_gradients_send_no_pulses(name: str) -> None:
    torch.manual_seed(1)
    tile = AnalogTile(3, 4, rule(name))
    for x, d in ((0.0, 1.0), (1.0, 0.0), (0.0, 0.0), (-0.0, 1.0)):
        tile.update(torch.full((1, 4), x), torch.full((1, 3), d))
    assert not tile.pulse_counts()[0].total.any()


def test_cells_at_their_bounds_stay_there() -> None:
    tile = tile_of()
    tile.set_weights(torch.full((3, 4), 9.0))
    bounds = tile.get_hidden_parameters()["max_bound"]
    tile.set_learning_rate(1.0)
    for _ in range(20):
        tile.update(torch.ones(4), -torch.ones(3))
    assert (tile.get_weights() <= bounds).all()


# The kinds of errors


def test_every_error_is_one_of_ours_and_one_of_pythons() -> None:
    assert issubclass(ConfigError, OhmgradError)
    assert issubclass(TileError, OhmgradError)
    assert issubclass(OptimizerError, OhmgradError)
    assert issubclass(ConfigError, ValueError)
    assert issubclass(TileError, ValueError)
    assert issubclass(OptimizerError, RuntimeError)


def test_a_weight_whose_layer_is_gone_says_so() -> None:
    weight = AnalogLinear(3, 2).weight
    with pytest.raises(RuntimeError, match="lost its tile"):
        AnalogSGD([weight], lr=0.1).step()


@pytest.mark.parametrize("compound", [ChoppedTransferCompound, DynamicTransferCompound])
def test_enormous_gradients_leave_the_buffers_of_a_scaled_rule_finite(compound: type[ChoppedTransferCompound]) -> None:
    rule = compound(
        unit_cell_devices=[SoftBoundsDevice(), SoftBoundsDevice()], auto_scale=True, correct_gradient_magnitudes=True
    )
    tile = AnalogTile(3, 4, UnitCellRPUConfig(device=rule))
    for _ in range(5):
        tile.update(torch.full((1, 4), 1e30), torch.full((1, 3), 1e30))
    assert all(torch.isfinite(value).all() for value in tile.get_hidden_parameters().values())
