"""Whole training steps: the same networks, built from the linear layer of either library."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, max_pool2d, unfold

from peers.cases import LENET, OURS, WIDE, Case
from peers.configuration import config
from peers.library import Library

GRANULARITY = 1e-3
STEPS = 5
"""Training steps before losses are compared."""


class Convolution(nn.Module):
    """A convolution as a linear layer on patches, the same in both libraries."""

    def __init__(self, linear: nn.Module, kernel: int) -> None:
        super().__init__()
        self.linear, self.kernel = linear, kernel

    def forward(self, images: Tensor) -> Tensor:
        side = images.shape[-1] - self.kernel + 1
        patches = unfold(images, self.kernel).transpose(1, 2)
        return self.linear(patches).transpose(1, 2).unflatten(2, (side, side))


class LeNet(nn.Module):
    """Two convolutions and three linear layers, for images of 28 x 28."""

    def __init__(self, linear: Callable[[int, int], nn.Module]) -> None:
        super().__init__()
        self.first, self.second = Convolution(linear(25, 6), 5), Convolution(linear(150, 16), 5)
        self.classify = nn.Sequential(linear(256, 120), nn.Tanh(), linear(120, 84), nn.Tanh(), linear(84, 10))

    def forward(self, images: Tensor) -> Tensor:
        features = max_pool2d(torch.tanh(self.first(images)), 2)
        features = max_pool2d(torch.tanh(self.second(features)), 2)
        return self.classify(features.flatten(1))


def perceptron(sizes: list[int], linear: Callable[[int, int], nn.Module]) -> nn.Module:
    """Linear layers with hyperbolic tangents between them."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        layers += [nn.Tanh(), linear(inputs, outputs)]
    return nn.Sequential(*layers[1:])


class Training:
    """A step of training: forward, loss, backward, update of every layer."""

    def __init__(self, library: Library, case: Case) -> None:
        self.library, self.batch, self.calls = library, case.batch, 0
        self.network, rule = case.subject.split()
        device_or_rule = "soft_bounds" if rule == "sgd" else rule
        self.rpu_config = library.one_array(config(library.configs, device_or_rule, GRANULARITY))
        torch.manual_seed(1)
        shape = (1, 28, 28) if self.network == LENET else (int(self.network.split("-")[0]),)
        self.x = torch.randn(case.batch, *shape)
        if self.network == WIDE:  # towards outputs, so that every output has a gradient
            self.target = 0.5 * torch.randn(case.batch, 1024)
            self.loss: Any = lambda y, target: (y - target).square().sum() / 2 / len(y)
        else:
            self.target, self.loss = torch.randint(10, (case.batch,)), cross_entropy
        self.start = self._weights()
        self.model, self.optimizer = self._made()

    def call(self) -> None:
        """What is timed."""
        self._step(self.model, self.optimizer)
        self.calls += 1

    @property
    def density(self) -> float:
        """Pulses for each cell and input of the network so far, by the counters of ours; 0 in the other."""
        if self.library.name != OURS:
            return 0.0
        counts = [tile.pulse_counts()[0].total for tile in self._tiles(self.model)]
        pulses, cells = (
            sum(float(value) for value in values)
            for values in zip(*((count.double().sum(), count.numel()) for count in counts), strict=True)
        )
        return pulses / cells / self.batch / self.calls

    def figures(self) -> dict[str, float]:
        """The loss after some steps of a new network, and how far its arrays went."""
        model, optimizer = self._made()
        before = [self.library.arrays(tile) for tile in self._tiles(model)]
        for _ in range(STEPS):
            self._step(model, optimizer)
        with torch.no_grad():
            found = {"loss": self.loss(model(self.x), self.target).item()}
        for number, (tile, start) in enumerate(zip(self._tiles(model), before, strict=True)):
            for name, values in self.library.arrays(tile).items():
                moved = (values - start[name]).double().square().mean().sqrt()
                found[f"layer {number} {name} spread"] = moved.item()
        return found

    def _step(self, model: nn.Module, optimizer: Any) -> None:
        optimizer.zero_grad()
        self.loss(model(self.x), self.target).backward()
        optimizer.step()

    def _made(self) -> tuple[nn.Module, Any]:
        """A new network with the first weights of the case, and its optimizer."""

        def linear(inputs: int, outputs: int) -> nn.Module:
            return self.library.linear(inputs, outputs, True, self.rpu_config)

        model = self._network(linear)
        with torch.no_grad():
            for tile, weights in zip(self._tiles(model), self.start, strict=True):
                tile.set_weights(weights)
            for name, value in model.named_parameters():
                if name.endswith("bias"):
                    value.zero_()
        return model, self.library.sgd(model.parameters(), lr=0.1)

    def _network(self, linear: Callable[[int, int], nn.Module]) -> nn.Module:
        if self.network == LENET:
            return LeNet(linear)
        return perceptron([int(size) for size in self.network.split("-")], linear)

    def _weights(self) -> list[Tensor]:
        """The first weights of every layer."""
        found: list[Tensor] = []

        def linear(inputs: int, outputs: int) -> nn.Module:
            found.append((2 * torch.rand(outputs, inputs) - 1) / math.sqrt(inputs))
            return nn.Identity()

        self._network(linear)
        return found

    def _tiles(self, model: nn.Module) -> list[Any]:
        layers = (module for module in model.modules() if isinstance(module, self.library.linear))
        return [self.library.tile_of(layer) for layer in layers]
