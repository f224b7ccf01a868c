"""One small experiment for every rule: a few weights learn targets from noisy gradients, and one of them is watched."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ohmgrad.configs import SoftBoundsDevice
from ohmgrad.tile import AnalogTile

TARGETS = ((0.55, -0.3, 0.2, -0.5), (-0.2, 0.4, -0.6, 0.1), (0.35, -0.45, 0.0, 0.3))
"""What the weights shall become, [out, in]; the first is watched."""
NOISE = 0.5
"""Standard deviation of what is added to every gradient."""
STATES = 20


def cell(symmetric_point: float = 0.0, states: int = STATES) -> SoftBoundsDevice:
    """A cell with few states between -1 and 1, noisy steps, and its symmetric point where it is asked for.

    With c = ``up_down`` that is c / (2 - c). All cells are alike, so that one weight stands for all.
    """
    alike: dict[str, Any] = {"dw_min_dtod": 0.0, "w_max_dtod": 0.0, "w_min_dtod": 0.0, "up_down_dtod": 0.0}
    up_down = 2.0 * symmetric_point / (1.0 + symmetric_point)
    return SoftBoundsDevice(dw_min=2.0 / states, w_max=1.0, w_min=-1.0, up_down=up_down, **alike)


@dataclass(frozen=True)
class Traces:
    """What the watched weight and its cells held after every batch."""

    weights: Tensor
    """The visible weights W after every batch, [batches, out, in]."""
    parts: dict[str, Tensor]
    """The hidden parameters that were asked for, each [batches]."""
    signs: Tensor
    """The sign in which A is stored, [batches]; 1 without choppers."""
    tile: AnalogTile

    @property
    def weight(self) -> Tensor:
        """The watched weight."""
        return self.weights[:, 0, 0]

    @property
    def error(self) -> float:
        """Root of the mean square error of all weights over the second half."""
        late = self.weights[len(self.weights) // 2 :]
        return float((late - torch.tensor(TARGETS)).square().mean().sqrt())

    @property
    def bias(self) -> float:
        """The same for the mean of every weight over that time, which noise averages out of."""
        late = self.weights[len(self.weights) // 2 :].mean(0)
        return float((late - torch.tensor(TARGETS)).square().mean().sqrt())


def learn(
    config: Any,
    samples: int = 1500,
    rate: float = 0.1,
    watch: tuple[str, ...] = (),
    noise: float = NOISE,
    batch: int = 1,
    blind: bool = False,
    seed: int = 1,
) -> Traces:
    """Train a tile on gradients of the squared error, and watch its first weight.

    :param watch: names of hidden parameters; :param noise: standard deviation; :param batch: samples of a batch;
    :param blind: gradients are nothing but noise.
    """
    torch.manual_seed(seed)
    target = torch.tensor(TARGETS)
    out, inputs = target.shape
    tile = AnalogTile(out, inputs, config)
    tile.set_weights(torch.zeros(out, inputs))
    tile.set_learning_rate(rate)
    weights, signs = [], []
    parts: dict[str, list[Tensor]] = {name: [] for name in watch}
    for _ in range(samples // batch):
        x = torch.randn(batch, inputs)
        error = torch.zeros_like(target) if blind else tile.get_weights() - target
        d = x @ error.t() + noise * torch.randn(batch, out)
        tile.update(x, d)
        hidden, state = tile.get_hidden_parameters(), tile.algorithm_state()
        weights.append(tile.get_weights().clone())
        for name in watch:
            parts[name].append(hidden[name][0, 0])
        flipped = (bool(state[name][0]) for name in ("in_chopper", "out_chopper") if name in state)
        signs.append(torch.tensor(-1.0 if sum(flipped) % 2 else 1.0))
    return Traces(
        torch.stack(weights), {name: torch.stack(values) for name, values in parts.items()}, torch.stack(signs), tile
    )


def learn_numbers(
    config: Any, wishes: Tensor, start: float = 0.0, noise: float = 0.0, rate: float = 0.05, samples: int = 300,
    blind: bool = False, seed: int = 4,
) -> tuple[Tensor, list[Tensor]]:  # fmt: skip
    """Train weights with one input, which is 1, so that each learns its own number from gradients w - wish.

    :param wishes: [weights]; :param noise: standard deviation; :param blind: gradients are nothing but noise.
    :returns: the visible weights, [samples, weights], and what every array holds, likewise.
    """
    torch.manual_seed(seed)
    tile = AnalogTile(len(wishes), 1, config)
    tile.set_weights(torch.full((len(wishes), 1), start))
    tile.set_learning_rate(rate)
    course, arrays = [], []
    for _ in range(samples):
        slope = torch.zeros(1, len(wishes)) if blind else tile.get_weights().t() - wishes
        tile.update(torch.ones(1, 1), slope + noise * torch.randn(1, len(wishes)))
        course.append(tile.get_weights()[:, 0].clone())
        hidden = tile.get_hidden_parameters()
        names = sorted(name for name in hidden if name.startswith("hidden_weights"))
        arrays.append(torch.stack([hidden[name][:, 0] for name in names] or [course[-1]]))
    return torch.stack(course), list(torch.stack(arrays, 1))
