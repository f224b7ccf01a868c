"""Models and memories for tests of inference."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from builders import perfect
from ohmgrad import AnalogLinear, AnalogSGD
from ohmgrad.configs import IdealDevice, MappingParameter, RPUConfig, SingleRPUConfig, SoftBoundsDevice
from ohmgrad.inference import PCMLikeNoiseModel


class Alike(PCMLikeNoiseModel):
    """Phase-change memory without variation, all of whose cells drift alike."""

    prog_noise_scale: float = 0.0
    read_noise_scale: float = 0.0

    def exponent(self, g_target: Tensor, noise: Tensor) -> Tensor:
        return torch.full_like(g_target, 0.06)


def exact(**mapping: Any) -> RPUConfig:
    """Exact cells and products."""
    return perfect(SingleRPUConfig(device=IdealDevice(), mapping=MappingParameter(**mapping)))


def noisy(**mapping: Any) -> RPUConfig:
    """Cells with bounds, and products with converters and noise."""
    return SingleRPUConfig(device=SoftBoundsDevice(), mapping=MappingParameter(**mapping))


def one_layer(weight: float | Tensor, rows: int = 3, columns: int = 4, config: RPUConfig | None = None) -> AnalogLinear:
    """A layer whose weights are given, or all the same."""
    layer = AnalogLinear(columns, rows, bias=False, rpu_config=config or exact())
    layer.set_weights(torch.as_tensor(weight, dtype=torch.float32).expand(rows, columns))
    return layer


@cache
def digits() -> tuple[Tensor, Tensor]:
    """Images with numbers from 0 to 1 ``[n, 64]`` and what they show."""
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    return torch.tensor(x / 16.0, dtype=torch.float32), torch.tensor(y)


@cache
def trained_on_digits() -> nn.Module:
    """A small network that has learned three quarters of the digits; not to be changed."""
    torch.manual_seed(0)
    x, y = digits()
    config = SingleRPUConfig(device=IdealDevice())
    model = nn.Sequential(AnalogLinear(64, 32, rpu_config=config), nn.Tanh(), AnalogLinear(32, 10, rpu_config=config))
    optimizer = AnalogSGD(model.named_parameters(), lr=1.0)
    for _ in range(8):
        for rows in torch.randperm(1350).split(50):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x[rows]), y[rows]).backward()
            optimizer.step()
    return model


def accuracy(model: nn.Module) -> float:
    """The share of the other digits that a model recognises."""
    x, y = digits()
    return float((model(x[1350:]).argmax(1) == y[1350:]).float().mean())


def loss(model: nn.Module) -> float:
    """The cross-entropy of what a model says of them."""
    x, y = digits()
    return float(nn.functional.cross_entropy(model(x[1350:]), y[1350:]))
