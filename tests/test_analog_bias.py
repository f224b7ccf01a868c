"""A bias may live on the tile, as one more column whose input is always 1."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch

from builders import perfect, rule, steady
from ohmgrad.configs import (
    ConstantStepDevice,
    IdealDevice,
    MappingParameter,
    OneSidedUnitCell,
    RPUConfig,
    SingleRPUConfig,
    SoftBoundsDevice,
    UnitCellRPUConfig,
)
from ohmgrad.nn import AnalogLinear
from ohmgrad.optim import AnalogSGD
from ohmgrad.tile import AnalogTile

ANALOG = MappingParameter(digital_bias=False)


def layer_of(config: RPUConfig, seed: int = 0) -> AnalogLinear:
    torch.manual_seed(seed)
    config.mapping = ANALOG
    return AnalogLinear(3, 2, rpu_config=config)


def test_the_product_adds_the_last_column() -> None:
    layer = layer_of(perfect(SingleRPUConfig(device=IdealDevice())))
    assert layer.bias is None
    weights, x = layer.tile.get_weights(), torch.randn(4, 5, 3)
    assert weights.shape == (2, 4)
    torch.testing.assert_close(layer(x).detach(), x @ weights[:, :3].t() + weights[:, 3])


def test_the_gradient_of_the_input_leaves_the_bias_out() -> None:
    layer, x = layer_of(perfect(SingleRPUConfig(device=IdealDevice()))), torch.randn(5, 3, requires_grad=True)
    d = torch.randn(5, 2)
    layer(x).backward(d)
    torch.testing.assert_close(x.grad, d @ layer.tile.get_weights()[:, :3])


def test_an_exact_update_moves_the_bias_by_the_sum_of_the_gradients() -> None:
    layer = layer_of(perfect(SingleRPUConfig(device=IdealDevice())))
    before, x, d = layer.tile.get_weights(), torch.randn(5, 3), torch.randn(5, 2)
    optimizer = AnalogSGD(layer.named_parameters(), lr=0.1)
    layer(x).backward(d)
    optimizer.step()
    change = layer.tile.get_weights() - before
    torch.testing.assert_close(change[:, :3], -0.1 * d.t() @ x)
    torch.testing.assert_close(change[:, 3], -0.1 * d.sum(0))


def test_the_constant_input_is_scaled_like_any_other() -> None:
    layer = layer_of(SingleRPUConfig(device=IdealDevice()))
    layer.tile.rpu_config.forward.out_noise = 0.0
    layer.tile.set_weights(torch.tensor([[0.0, 0.0, 0.0, 0.5]] * 2))
    tiny = torch.full((1, 3), 0.001)  # below half a step of the converter beside the 1 of the bias
    torch.testing.assert_close(layer(tiny).detach(), torch.full((1, 2), 0.5), rtol=0.0, atol=0.03)


@pytest.mark.parametrize("name", ["sgd", "ttv1", "ttv2", "ttv3", "ttv4"])
def test_every_rule_learns_a_bias(name: str) -> None:
    layer = layer_of(perfect(rule(name)))
    optimizer = AnalogSGD(layer.named_parameters(), lr=0.1)
    target = torch.tensor([0.3, -0.3])

    def loss() -> torch.Tensor:
        return (layer(torch.zeros(8, 3)) - target).square().mean()

    before = loss().item()
    for _ in range(150):
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()
    assert loss().item() < 0.5 * before


DEVICE = SoftBoundsDevice(dw_min=0.01, perfect_bias=True, corrupt_devices_prob=0.5, up_down_dtod=0.3)


def test_a_perfect_bias_has_equal_steps_and_distant_bounds() -> None:
    hidden = AnalogTile(50, 4, SingleRPUConfig(device=DEVICE), has_bias=True).get_hidden_parameters()
    assert (hidden["dwmin_up"][:, -1] == 0.01).all()
    assert (hidden["dwmin_down"][:, -1] == 0.01).all()
    torch.testing.assert_close(hidden["max_bound"][:, -1], torch.full((50,), 60.0))
    torch.testing.assert_close(hidden["min_bound"][:, -1], torch.full((50,), -60.0))
    torch.testing.assert_close(hidden["slope_up"][:, -1], torch.full((50,), -0.01 / 60.0))
    assert (hidden["dwmin_up"][:, :-1] == 0.0).any()


def test_the_other_columns_of_a_tile_with_a_perfect_bias_are_as_without() -> None:
    torch.manual_seed(0)
    with_bias = AnalogTile(50, 4, SingleRPUConfig(device=DEVICE), has_bias=True).get_hidden_parameters()
    torch.manual_seed(0)
    without = AnalogTile(50, 5, SingleRPUConfig(device=DEVICE)).get_hidden_parameters()
    for name, value in without.items():
        assert torch.equal(value[:, :-1], with_bias[name][:, :-1]), name


def test_a_perfect_bias_needs_a_bias() -> None:
    torch.manual_seed(0)
    asked = AnalogTile(5, 4, SingleRPUConfig(device=DEVICE)).get_hidden_parameters()
    torch.manual_seed(0)
    plain = AnalogTile(5, 4, SingleRPUConfig(device=DEVICE.replaced(perfect_bias=False))).get_hidden_parameters()
    assert all(torch.equal(asked[name], plain[name]) for name in plain)


@pytest.mark.parametrize("inverted", [True, False])
def test_both_halves_of_a_one_sided_cell_have_a_perfect_bias(inverted: bool) -> None:
    cell: Any = OneSidedUnitCell(unit_cell_devices=[DEVICE], copy_inverted=inverted)
    hidden = AnalogTile(5, 4, UnitCellRPUConfig(device=cell), has_bias=True).get_hidden_parameters()
    for k in (0, 1):
        assert (hidden[f"dwmin_up_{k}"][:, -1] == 0.01).all()


def test_a_layer_with_an_analog_bias_is_saved_and_goes_on() -> None:
    layer, other = (layer_of(rule("ttv3", steady(ConstantStepDevice, dw_min=0.01)), seed) for seed in (0, 1))
    other.load_state_dict(layer.state_dict())
    copied = copy.deepcopy(layer)
    for each in (layer, other, copied):
        each.tile.update(torch.ones(6, 3), torch.linspace(-1.0, 1.0, 12).reshape(6, 2))
    assert torch.equal(layer.tile.get_weights(), other.tile.get_weights())
    assert torch.equal(layer.tile.get_weights(), copied.tile.get_weights())
