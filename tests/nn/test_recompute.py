"""Activations that are computed again give the same training, to the bit, with the noise that they had."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from builders import rule
from ohmgrad import AnalogLinear, AnalogSGD
from ohmgrad.configs import NoiseManagementType, RPUConfig
from ohmgrad.errors import TileError
from ohmgrad.inference import program, programmed_tiles
from ohmgrad.nn import named_analog_tiles, same_noise


def plain() -> RPUConfig:
    return rule("ttv3")


def averaged() -> RPUConfig:
    config = rule("sgd")
    config.forward.noise_management = NoiseManagementType.AVERAGE_ABS_MAX
    config.pre_post.input_range.enable = True
    config.pre_post.input_range.init_from_data = 2
    return config


def blocks(config: RPUConfig) -> nn.ModuleList:
    torch.manual_seed(1)
    return nn.ModuleList(
        nn.Sequential(AnalogLinear(4, 4, rpu_config=config), nn.Tanh(), AnalogLinear(4, 4, rpu_config=config))
        for _ in range(3)
    )


def train(model: nn.ModuleList, run: Callable[[nn.Module, Tensor], Tensor]) -> dict[str, Tensor]:
    optimizer = AnalogSGD(model.parameters(), lr=0.1)
    for step in range(4):
        x = torch.randn(3, 4, generator=torch.Generator().manual_seed(step)).requires_grad_()
        optimizer.zero_grad()
        y = x
        for block in model:
            y = run(block, y)
        y.square().sum().backward()
        optimizer.step()
    return {**model.state_dict(), "x": x.grad}


@pytest.mark.parametrize("config", [plain, averaged])
def test_with_the_same_noise_it_is_the_same_training(config: Callable[[], RPUConfig]) -> None:
    model = blocks(config())
    wanted = train(copy.deepcopy(model), lambda block, y: block(y))
    found = train(model, lambda block, y: checkpoint(block, y, use_reentrant=False, context_fn=same_noise(block)))
    assert all(torch.equal(found[name], value) for name, value in wanted.items())


@pytest.mark.parametrize("reentrant", [False, True])
def test_without_it_noise_is_drawn_anew_and_every_sample_is_learned_once(reentrant: bool) -> None:
    model = blocks(plain())
    x = torch.randn(3, 4, requires_grad=True)
    checkpoint(model[0], x, use_reentrant=reentrant).sum().backward()
    tiles = [layer.tile for layer in model[0] if isinstance(layer, AnalogLinear)]
    assert [len(tile._trace) for tile in tiles] == [1, 1]
    assert [int(tile.forward_vectors) for tile in tiles] == [6, 6]


def test_counters_come_back_whatever_happens_when_it_is_computed_again() -> None:
    model, seen = blocks(plain()), []

    def fails_later(x: Tensor) -> Tensor:
        seen.append(1)
        if len(seen) > 1:
            raise KeyboardInterrupt
        return model[0](x)

    x = torch.randn(3, 4, requires_grad=True)
    y = checkpoint(fails_later, x, use_reentrant=False, context_fn=same_noise(model))
    before = [tile.forward_vectors.clone() for _, tile in named_analog_tiles(model)]
    with pytest.raises(KeyboardInterrupt):
        y.sum().backward()
    assert [tile.forward_vectors for _, tile in named_analog_tiles(model)] == before


def test_it_may_be_computed_again_twice_and_on_a_chip() -> None:
    model = program(blocks(rule("sgd")), seed=1)
    x = torch.randn(3, 4, requires_grad=True)
    y = checkpoint(model[0], x, use_reentrant=False, context_fn=same_noise(model[0]))
    y.sum().backward(retain_graph=True)
    first = x.grad.clone()
    y.sum().backward()
    torch.testing.assert_close(x.grad, 2.0 * first)
    assert {int(tile.forward_vectors) for _, tile in programmed_tiles(model)} == {0, 3}


def test_modules_without_analog_layers_are_a_mistake() -> None:
    with pytest.raises(TileError, match="no analog layer"):
        same_noise(nn.Linear(2, 2))
