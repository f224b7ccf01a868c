"""Weights of floating-point numbers in a tile: nothing is analog but decay, diffusion and drift."""

from __future__ import annotations

import pytest
import torch

from ohmgrad.configs import FloatingPointDevice, FloatingPointRPUConfig, PulseType
from ohmgrad.errors import ConfigError, TileError
from ohmgrad.nn import AnalogLinear
from ohmgrad.optim import AnalogSGD
from ohmgrad.tile import AnalogTile


def test_updates_and_products_are_exact() -> None:
    torch.manual_seed(1)
    tile = AnalogTile(3, 4, FloatingPointRPUConfig())
    weights, x, d = torch.randn(3, 4), torch.randn(5, 4), torch.randn(5, 3)
    tile.set_weights(weights)
    torch.testing.assert_close(tile(x).detach(), x @ weights.t())
    torch.testing.assert_close(tile.backward(d), d @ weights)
    tile.set_learning_rate(0.1)
    tile.update(x, d)
    torch.testing.assert_close(tile.get_weights(), weights - 0.1 * d.t() @ x)
    assert tile.get_hidden_parameters() == {}
    assert tile.pulse_counts() == []


def test_it_trains_as_torch_does() -> None:
    torch.manual_seed(1)
    digital = torch.nn.Linear(4, 3, bias=False)
    layer = AnalogLinear(4, 3, bias=False, rpu_config=FloatingPointRPUConfig())
    layer.tile.set_weights(digital.weight)
    optimizers = AnalogSGD(layer.named_parameters(), lr=0.1), torch.optim.SGD(digital.parameters(), lr=0.1)
    for _ in range(5):
        x = torch.randn(6, 4)
        for model, optimizer in zip((layer, digital), optimizers, strict=True):
            optimizer.zero_grad()
            model(x).square().mean().backward()
            optimizer.step()
    torch.testing.assert_close(layer.tile.get_weights(), digital.weight.detach())


def test_weights_decay_and_diffuse() -> None:
    tile = AnalogTile(30, 40, FloatingPointRPUConfig(device=FloatingPointDevice(lifetime=10.0, diffusion=0.01)))
    tile.set_weights(torch.full((30, 40), 0.5))
    tile.decay_weights()
    torch.testing.assert_close(tile.get_weights(), torch.full((30, 40), 0.45))
    tile.diffuse_weights()
    assert abs(float(tile.get_weights().std()) - 0.01) <= 5 * 0.01 / 2400**0.5


def test_there_are_no_cells_to_reset() -> None:
    with pytest.raises(TileError, match="no cells to reset"):
        AnalogTile(2, 3, FloatingPointRPUConfig()).reset()


def test_its_products_and_updates_cannot_be_given() -> None:
    assert FloatingPointRPUConfig().forward.is_perfect
    assert FloatingPointRPUConfig().update.pulse_type is PulseType.NONE
    with pytest.raises(ConfigError, match="forward"):
        FloatingPointRPUConfig(forward=FloatingPointRPUConfig().forward)  # type: ignore[call-arg]
