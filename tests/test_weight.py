"""The visible weight of a tile can be read like any parameter, and not be written to."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize, prune

from builders import rule
from ohmgrad import AnalogLinear, AnalogSGD, ConfigError, TileError
from ohmgrad.configs import SingleRPUConfig
from ohmgrad.errors import OptimizerError
from ohmgrad.optim import AnalogOptimizer
from ohmgrad.weight import AnalogWeight


def layer_of(name: str = "sgd", **fields: float) -> AnalogLinear:
    torch.manual_seed(0)
    return AnalogLinear(4, 3, rpu_config=rule(name, **fields))


def divide(weight: Tensor) -> None:
    weight /= 2.0


def assign(weight: Tensor) -> None:
    weight[0] = 1.0


def replace(weight: Tensor) -> None:
    weight.data = torch.zeros(3, 4)


AT_ONCE: dict[str, Callable[[Tensor], object]] = {
    "fill_": lambda weight: weight.fill_(0.1),
    "add_": lambda weight: weight.add_(1.0),
    "copy_": lambda weight: weight.copy_(torch.zeros(3, 4)),
    "uniform_": lambda weight: nn.init.uniform_(weight),
    "__setitem__": assign,
    "__itruediv__": divide,
    "data = ...": replace,
}
BEHIND_ITS_BACK: dict[str, Callable[[Tensor], object]] = {
    "data": lambda weight: weight.data.fill_(0.1),
    "detach": lambda weight: weight.detach().mul_(2.0),
    "out": lambda weight: torch.zeros(3, 4, out=weight.detach()),
    "row": lambda weight: weight.detach()[0].zero_(),
}
USES: dict[str, Callable[[AnalogLinear], object]] = {
    "forward": lambda layer: layer(torch.ones(1, 4)),
    "backward": lambda layer: layer.tile.backward(torch.ones(1, 3)),
    "update": lambda layer: layer.tile.update(torch.ones(1, 4), torch.ones(1, 3)),
    "get_weights": lambda layer: layer.get_weights(),
    "decay": lambda layer: layer.tile.decay_weights(),
    "move": lambda layer: layer.to("cpu"),
    "check": lambda layer: layer.tile.check(),
}


@pytest.mark.parametrize("way", AT_ONCE)
def test_writing_to_the_weight_is_refused_at_once(way: str) -> None:
    layer = layer_of()
    before = layer.tile.get_weights()
    with (
        torch.no_grad(),
        pytest.raises(TileError, match=r"4 inputs, 3 outputs.*cannot be written to.*set_weights") as e,
    ):
        AT_ONCE[way](layer.weight)
    assert way in str(e.value)
    assert torch.equal(layer.tile.get_weights(), before)


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("way", BEHIND_ITS_BACK)
def test_what_was_written_behind_its_back_is_noticed_before_it_is_used(way: str, use: str) -> None:
    layer = layer_of()
    with torch.no_grad():
        BEHIND_ITS_BACK[way](layer.weight)
    for _ in range(2):
        with pytest.raises(TileError, match="set_weights"):
            USES[use](layer)
    layer.set_weights(torch.zeros(3, 4))  # which puts it right
    USES[use](layer)


def test_an_optimizer_step_notices_before_anything_moves() -> None:
    layer = layer_of()
    optimizer = AnalogSGD(layer.parameters(), lr=0.1)
    layer(torch.ones(1, 4)).sum().backward()
    bias = layer.bias.detach().clone()
    layer.weight.data.fill_(0.1)
    with pytest.raises(TileError, match="set_weights"):
        optimizer.step()
    assert torch.equal(layer.bias, bias)


@pytest.mark.parametrize("name", ["sgd", "ttv3", "mp"])
def test_what_the_tile_itself_does_is_no_writing(name: str) -> None:
    layer = layer_of(name)
    optimizer = AnalogSGD(layer.parameters(), lr=0.1)
    for _ in range(3):
        layer(torch.ones(2, 4)).sum().backward()
        optimizer.step()
    tile = layer.tile
    tile.set_weights(torch.zeros(3, 4))
    tile.decay_weights()
    tile.clip_weights(0.1)
    tile.set_hidden_parameters(tile.get_hidden_parameters())
    layer.load_state_dict(layer.state_dict())
    for other in (layer, copy.deepcopy(layer), pickle.loads(pickle.dumps(layer)), copy.deepcopy(layer).half()):
        assert not other.weight.is_written
        other.tile.check()


def test_a_model_may_be_moved_shared_and_frozen() -> None:
    layer = layer_of().share_memory()
    layer.weight.requires_grad_(False)
    assert layer.weight.is_shared()
    layer(torch.ones(1, 4))


def test_the_weight_is_read_like_any_parameter() -> None:
    layer = layer_of()
    weights = layer.tile.get_weights()
    parameters = dict(layer.named_parameters())
    shown = parameters["matrix.blocks.0.tile.weight"]
    assert type(shown) is AnalogWeight
    assert shown.shape == (3, 4)
    assert torch.equal(shown.detach(), weights)
    assert torch.equal(shown.data, weights)
    assert torch.equal(shown + 1.0, weights + 1.0)
    torch.testing.assert_close(shown.norm().detach(), weights.norm())
    assert sum(each.numel() for each in layer.parameters()) == 3 * 4 + 3
    assert nn.utils.parameters_to_vector(layer.parameters()).numel() == 3 * 4 + 3


def test_a_vector_is_not_written_into_it() -> None:
    layer = layer_of()
    with pytest.raises(TileError, match="set_weights"):
        nn.utils.vector_to_parameters(torch.zeros(15), layer.parameters())


@pytest.mark.parametrize("unsafe", [False, True])
def test_a_parametrization_is_refused(unsafe: bool) -> None:
    layer = layer_of()
    with pytest.raises(TileError, match=r"visible weight cannot be.*set_weights"):
        parametrize.register_parametrization(layer.tile, "weight", nn.Identity(), unsafe=unsafe)
    with pytest.raises(ValueError, match="'weight'"):
        parametrize.register_parametrization(layer, "weight", nn.Identity())
    layer(torch.ones(1, 4))
    parametrize.register_parametrization(layer, "bias", nn.Identity())  # which is digital
    layer(torch.ones(1, 4)).sum().backward()


def test_pruning_is_refused() -> None:
    layer = layer_of()
    for module in (layer, layer.tile):
        with pytest.raises(TileError, match=r"visible weight cannot be.*weight_orig.*set_weights"):
            prune.l1_unstructured(module, "weight", 2)
    layer(torch.ones(1, 4))


def scaled(**mapping: Any) -> AnalogLinear:
    config = rule("sgd")
    config.mapping = config.mapping.replaced(**mapping)
    torch.manual_seed(0)
    return AnalogLinear(4, 3, rpu_config=config)


@pytest.mark.parametrize("mapping", [{"weight_scaling_omega": 0.4}, {"max_input_size": 2}], ids=str)
def test_what_several_tiles_or_scales_amount_to_is_a_copy_that_cannot_be_changed(mapping: dict[str, Any]) -> None:
    layer = scaled(**mapping)
    for way in (*AT_ONCE.values(), lambda weight: weight.requires_grad_(False)):
        with torch.no_grad(), pytest.raises(TileError, match=r"is a copy.*layer\.freeze\(\)"):
            way(layer.weight)
    assert type(layer.weight + 1.0) is Tensor
    torch.testing.assert_close(layer.weight.norm(), layer.get_weights()[0].norm())


@pytest.mark.parametrize("mapping", [{}, {"weight_scaling_omega": 0.4}, {"max_input_size": 2}], ids=str)
def test_a_layer_is_frozen_on_all_its_tiles(mapping: dict[str, Any]) -> None:
    layer = scaled(**mapping)
    optimizer = AnalogSGD(layer.parameters(), lr=0.5)
    before = layer.get_weights()[0]
    for change, moves in ((layer.freeze, False), (layer.unfreeze, True)):
        assert change() is layer
        layer(torch.randn(8, 4)).square().sum().backward()
        optimizer.step()
        assert torch.equal(layer.get_weights()[0], before) != moves


def test_what_was_written_to_the_weight_is_not_copied_or_saved() -> None:
    layer = layer_of()
    layer.weight.data.mul_(2.0)
    for way in (copy.deepcopy, pickle.dumps, AnalogLinear.state_dict):
        with pytest.raises(TileError, match="set_weights"):
            way(layer)


@pytest.mark.parametrize("fused", [False, True])
def test_a_penalty_of_the_weight_is_refused_before_anything_moves(fused: bool) -> None:
    layer = layer_of()
    optimizer = AnalogOptimizer(torch.optim.AdamW, layer.parameters(), lr=0.1, fused=fused)
    (layer(torch.ones(2, 4)).sum() + layer.weight.square().sum()).backward()
    before = layer.tile.get_weights()
    with pytest.raises(OptimizerError, match="a term of the loss uses the weight itself"):
        optimizer.step()
    assert torch.equal(layer.tile.get_weights(), before)


def test_batches_that_no_optimizer_takes_are_mentioned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ohmgrad.tile._MANY", 3)
    layer = layer_of()
    layer(torch.ones(2, 4)).sum().backward()
    layer(torch.ones(2, 4)).sum().backward()
    with pytest.warns(UserWarning, match=r"remembers 3 batches.*layer\.freeze\(\)"):
        layer(torch.ones(2, 4)).sum().backward()


@pytest.mark.parametrize(
    ("weight", "bias", "said"),
    [
        (torch.ones(3, 2, 2), None, r"weight of shape \(3, 2, 2\) given, \(3, 4\) needed"),
        (torch.ones(3, 4), torch.ones(1), r"bias of shape \(1,\) given, \(3,\) needed"),
        (torch.ones(3, 4), torch.full((3,), torch.nan), "the bias is not finite"),
        (torch.tensor([[1.0, 1.0, 1.0, torch.nan]]).expand(3, 4), None, "the weight is not finite"),
    ],
)
def test_weights_that_cannot_be_set_change_nothing(weight: Tensor, bias: Tensor | None, said: str) -> None:
    layer = scaled(max_input_size=2)
    before = layer.get_weights()
    with pytest.raises(TileError, match=said):
        layer.set_weights(weight, bias)
    assert all(torch.equal(*pair) for pair in zip(layer.get_weights(), before, strict=True))
    with pytest.raises(TileError, match="has no bias"):
        AnalogLinear(4, 3, bias=False).set_weights(torch.ones(3, 4), torch.ones(3))


def test_a_configuration_in_the_place_of_the_bias_is_a_mistake() -> None:
    with pytest.raises(ConfigError, match=r"bias is a SingleRPUConfig.*rpu_config="):
        AnalogLinear(4, 3, rule("sgd"))
    with pytest.raises(ConfigError, match=r"the class SingleRPUConfig\. Make one"):
        AnalogLinear(4, 3, rpu_config=SingleRPUConfig)
