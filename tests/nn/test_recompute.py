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
from ohmgrad.nn import same_noise


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
