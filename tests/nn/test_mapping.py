"""The weight of a layer on tiles, cut into blocks and scaled, with a range of its inputs: it learns what it would."""

from __future__ import annotations

import copy
import io
import pickle
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from builders import perfect
from ohmgrad import AnalogLinear, AnalogSGD, ConfigError, TileError
from ohmgrad.configs import (
    IdealDevice,
    InputRangeParameter,
    MappingParameter,
    PrePostProcessingParameter,
    RPUConfig,
    SingleRPUConfig,
    SoftBoundsDevice,
)
from ohmgrad.nn.matrix import TiledMatrix, pieces

SCALES: list[dict[str, Any]] = [
    {},
    {"weight_scaling_omega": 0.6},
    {"weight_scaling_omega": 0.6, "weight_scaling_columnwise": True},
    {"weight_scaling_omega": 0.6, "weight_scaling_lr_compensation": True},
    {"weight_scaling_omega": 0.6, "weight_scaling_columnwise": True, "weight_scaling_lr_compensation": True},
]


def exact(**mapping: Any) -> RPUConfig:
    return perfect(SingleRPUConfig(device=IdealDevice(), mapping=MappingParameter(**mapping)))


def twins(config: RPUConfig, inputs: int = 7, outputs: int = 5) -> tuple[nn.Linear, AnalogLinear]:
    """A digital and an analog layer with the same weights."""
    torch.manual_seed(3)
    digital, analog = nn.Linear(inputs, outputs), AnalogLinear(inputs, outputs, rpu_config=config)
    analog.set_weights(digital.weight.detach(), digital.bias.detach())
    return digital, analog


def train(model: nn.Module, steps: int = 6) -> None:
    analog = isinstance(model, AnalogLinear)
    optimizer = (AnalogSGD if analog else torch.optim.SGD)(model.parameters(), lr=0.1)
    for step in range(steps):
        optimizer.zero_grad()
        x = torch.randn(4, model.in_features, generator=torch.Generator().manual_seed(step))
        (model(x) - 1.0).square().mean().backward()
        optimizer.step()


@given(st.integers(1, 2000), st.integers(0, 600))
def test_pieces_fit_on_a_tile_and_differ_by_one_line_at_most(size: int, most: int) -> None:
    found = pieces(size, most)
    assert sum(found) == size
    assert max(found) - min(found) <= 1
    assert most == 0 or max(found) <= most
    assert most == 0 or len(found) == -(-size // most)  # as few as that takes


def test_the_pieces_are_those_of_aihwkit() -> None:
    assert pieces(1030, 512) == [344, 343, 343]
    assert pieces(600, 512) == [300, 300]


@pytest.mark.parametrize("scales", SCALES)
@pytest.mark.parametrize("bias", [True, False], ids=["digital bias", "analog bias"])
@pytest.mark.parametrize("size", [0, 4, 3])
def test_however_a_weight_lies_on_tiles_it_learns_what_a_linear_layer_learns(
    scales: dict[str, Any], bias: bool, size: int
) -> None:
    config = exact(max_input_size=size, max_output_size=size, digital_bias=bias, **scales)
    digital, analog = twins(config)
    assert len(analog.tiles) == (len(pieces(7 + (not bias), size)) * len(pieces(5, size)))
    x = torch.randn(2, 3, 7)
    torch.testing.assert_close(analog(x), digital(x))
    train(digital)
    train(analog)
    weight, column = analog.get_weights()
    torch.testing.assert_close(weight, digital.weight.detach(), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(column, digital.bias.detach(), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(analog.weight.detach()[:, :7], weight)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 3), st.integers(1, 4), st.integers(1, 5), st.integers(0, 3), st.booleans())
def test_a_grouped_matrix_is_a_block_diagonal_one(groups: int, rows: int, columns: int, size: int, bias: bool) -> None:
    torch.manual_seed(0)
    if size == 1 and bias:
        size = 2
    matrix = TiledMatrix(groups * rows, columns, exact(max_input_size=size, max_output_size=size), bias, groups)
    weights = torch.randn(groups * rows, columns + int(bias))
    matrix.set_weights(weights)
    assert torch.equal(matrix.get_weights(), weights)
    x = torch.randn(6, groups * columns)
    y = torch.block_diag(*weights[:, :columns].split(rows)) @ x.T + (weights[:, -1:] if bias else 0.0)
    torch.testing.assert_close(matrix(x), y.T, rtol=1e-5, atol=1e-5)


def test_scaling_fills_the_range_of_the_cells() -> None:
    config = SingleRPUConfig(
        device=SoftBoundsDevice(w_max_dtod=0.0, w_min_dtod=0.0),
        mapping=MappingParameter(weight_scaling_omega=0.5, weight_scaling_columnwise=True),
    )
    layer = AnalogLinear(6, 4, rpu_config=config)
    weights = 10.0 * torch.randn(4, 6)
    layer.set_weights(weights)
    torch.testing.assert_close(layer.tile.get_weights().abs().amax(1), torch.full((4,), 0.5))
    torch.testing.assert_close(layer.get_weights()[0], weights)


def test_compensation_moves_the_scale_from_the_gradient_to_the_learning_rate() -> None:
    seen = {}
    for compensated in (False, True):
        config = exact(weight_scaling_omega=0.5, weight_scaling_lr_compensation=compensated)
        _, layer = twins(config)
        layer(torch.ones(1, 7)).sum().backward()
        ((_, gradient),) = layer.tile._trace
        AnalogSGD(layer.parameters(), lr=0.2).step()
        seen[compensated] = gradient, layer.tile.get_learning_rate()
    scale = layer.matrix.blocks[0].mapping_scale
    torch.testing.assert_close(seen[True][0], torch.ones(1, 5))
    torch.testing.assert_close(seen[False][0], torch.ones(1, 5) / scale)
    assert seen[False][1] == pytest.approx(0.2)
    assert seen[True][1] == pytest.approx(0.2 / float(scale))


@pytest.mark.parametrize("columnwise", [False, True])
def test_learned_scales_have_the_gradient_of_a_factor(columnwise: bool) -> None:
    config = exact(learn_out_scaling=True, out_scaling_columnwise=columnwise)
    digital, analog = twins(config)
    alpha = analog.matrix.blocks[0].out_scale
    alpha.data.uniform_(0.5, 1.5)
    x = torch.randn(3, 7)
    factor = alpha.detach().clone().requires_grad_()
    (factor * (x @ digital.weight.detach().T) + digital.bias.detach()).square().sum().backward()
    analog(x).square().sum().backward()
    torch.testing.assert_close(alpha.grad, factor.grad)
    torch.testing.assert_close(analog.get_weights()[0], (alpha.detach()[:, None] * digital.weight).detach())


def ranged(**fields: Any) -> RPUConfig:
    config = exact()
    config.pre_post = PrePostProcessingParameter(input_range=InputRangeParameter(enable=True, **fields))
    return config


def test_inputs_within_the_range_pass_as_if_there_were_none() -> None:
    digital, analog = twins(ranged(init_value=4.0, init_from_data=0))
    x = torch.randn(3, 7).clamp(-3, 3)
    torch.testing.assert_close(analog(x), digital(x))
    train(digital, steps=2)
    train(analog, steps=2)
    torch.testing.assert_close(analog.get_weights()[0], digital.weight.detach(), rtol=1e-5, atol=1e-6)


def test_inputs_beyond_the_range_are_clipped_and_their_gradient_passes_straight_through() -> None:
    digital, analog = twins(ranged(init_value=0.5, init_from_data=0))
    x = torch.randn(3, 7, requires_grad=True)
    y = analog(x)
    torch.testing.assert_close(y, digital(x.detach().clamp(-0.5, 0.5)))
    y.sum().backward()
    torch.testing.assert_close(x.grad, digital.weight.detach().sum(0).expand(3, 7))


def test_the_range_grows_where_clipping_costs_and_decays_where_it_does_not() -> None:
    def gradient(x: Tensor, slope: float, **fields: Any) -> float:
        _, analog = twins(ranged(init_value=1.0, init_from_data=0, **fields), 1, 1)
        analog.set_weights(torch.ones(1, 1))
        (slope * analog(x)).sum().backward()
        return float(analog.matrix.blocks[0].input_range.value.grad)

    above = torch.tensor([[2.0]])
    assert gradient(above, -1.0, decay=0.0) == -1.0  # a larger output would be better: descent makes the range larger
    assert gradient(above, 1.0, decay=0.0) == 0.0
    assert gradient(-above, 1.0, decay=0.0) == -1.0
    assert gradient(0.5 * above.expand(40, 1) / 2, 1.0, decay=0.1) == pytest.approx(0.1)
    assert gradient(above, -1.0, decay=0.0, gradient_relative=False) == -1.0


def test_the_range_begins_with_the_spread_of_the_first_batches() -> None:
    _, analog = twins(ranged(init_value=9.0, init_from_data=2, init_std_alpha=2.0))
    batches = [torch.randn(50, 7), 3.0 * torch.randn(50, 7), 100.0 * torch.randn(50, 7)]
    for x in batches:
        analog(x)
    analog.eval()
    expected = 2.0 * (batches[0].std() + batches[1].std()) / 2
    torch.testing.assert_close(analog.matrix.blocks[0].input_range.value.detach(), expected[None])


@pytest.mark.parametrize("way", ["deepcopy", "pickle", "state_dict"])
def test_a_copy_of_a_scaled_layer_on_several_tiles_learns_on_as_the_original(way: str) -> None:
    config = SingleRPUConfig(
        device=SoftBoundsDevice(),
        mapping=MappingParameter(
            weight_scaling_omega=0.4, weight_scaling_lr_compensation=True, learn_out_scaling=True, max_input_size=4
        ),
        pre_post=PrePostProcessingParameter(input_range=InputRangeParameter(enable=True)),
    )
    _, layer = twins(config)
    train(layer, 2)
    if way == "deepcopy":
        other = copy.deepcopy(layer)
    elif way == "pickle":
        other = pickle.loads(pickle.dumps(layer))
    else:
        torch.manual_seed(99)
        other, file = AnalogLinear(7, 5, rpu_config=config), io.BytesIO()
        torch.save(layer.state_dict(), file)
        file.seek(0)
        other.load_state_dict(torch.load(file))
    for model in (layer, other):
        train(model, 3)
    assert all(torch.equal(value, other.state_dict()[name]) for name, value in layer.state_dict().items())


def test_every_tile_of_a_layer_is_called_after_the_layer() -> None:
    model = nn.Sequential(nn.Tanh(), AnalogLinear(6, 4, rpu_config=exact(max_input_size=2)))
    AnalogSGD(model.named_parameters(), lr=0.1)
    assert {tile.label for tile in model[1].tiles} == {"layer '1' (2 inputs, 4 outputs)"}


def test_what_cannot_be_is_an_error_that_says_so() -> None:
    layer = AnalogLinear(6, 4, rpu_config=exact(max_input_size=2))
    with pytest.raises(TileError, match=r"has 3 tiles. Use layer.tiles"):
        _ = layer.tile
    with pytest.raises(TileError, match=r"last dimension must be 6"):
        layer(torch.zeros(2, 5))
    with pytest.raises(TileError, match=r"\(4, 6\) needed"):
        layer.set_weights(torch.zeros(4, 5))
    with pytest.raises(ConfigError, match="digital_bias=True"):
        AnalogLinear(6, 4, rpu_config=exact(max_input_size=1, digital_bias=False))
    with pytest.raises(ConfigError, match="max_input_size"):
        MappingParameter(max_input_size=-1)


def test_a_range_that_is_still_found_from_data_does_not_disturb_a_backward_pass_that_waits() -> None:
    layer = AnalogLinear(4, 3, rpu_config=ranged())
    outputs = [layer(torch.randn(5, 4)) for _ in range(2)]
    sum(y.sum() for y in outputs).backward()
    assert len(layer.tile._trace) == 2
