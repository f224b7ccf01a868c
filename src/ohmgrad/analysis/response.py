"""How the cells of a device answer to pulses: up and down, and in turns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from ohmgrad.configs import PulseType, RuntimeParameter, SingleRPUConfig, UpdateParameters
from ohmgrad.nn import AnalogLinear

POINTS = 80
"""Points of a curve for one train of pulses."""


@dataclass(frozen=True)
class Response:
    """Weights of a row of cells, [points, cells], in normalised weight units."""

    each: int
    """Pulses, or pairs of pulses, between two points."""
    phase: int
    """Pulses of one train."""
    trains: Tensor
    """From 0: a train up, one down, one up, one down."""
    pairs: Tensor
    """From the upper bound: one pulse up, one down, in turns. A cell drifts to its symmetric point, where both steps
    are equal."""

    def plain(self) -> dict[str, Any]:
        """As JSON values, four digits."""
        rounded = {
            name: [[float(f"{value:.4g}") for value in row] for row in matrix.tolist()]
            for name, matrix in (("trains", self.trains), ("pairs", self.pairs))
        }
        return {"pulses_between_points": self.each, "pulses_of_a_train": self.phase, **rounded}


def measure_response(device: Any, cells: int, seed: int = 0) -> Response:
    """Send pulses to a row of ``cells`` new cells of a device; one and a half times its number of states in a train."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        row = Row(device, cells)
    each = max(1, round(1.5 * device.num_states / POINTS))
    steps = max(2, round(1.5 * device.num_states) // each)
    trains = [row.weights()]
    for gradient in (-1.0, 1.0, -1.0, 1.0):
        for _ in range(steps):
            trains.append(row.send([gradient] * each))
    pairs = [row.send([-1.0] * (2 * steps * each))]
    for _ in range(POINTS):
        pairs.append(row.send([-1.0, 1.0] * each))
    return Response(each, steps * each, torch.stack(trains), torch.stack(pairs))


class Row:
    """A row of new cells; trains of one slot at full probability deliver exactly one pulse for each sample."""

    def __init__(self, device: Any, cells: int, implementation: Literal["auto", "reference"] = "auto") -> None:
        # The reference takes long to draw trains; a count of one pulse is the same without drawing.
        kind = PulseType.DETERMINISTIC_IMPLICIT if implementation == "reference" else PulseType.STOCHASTIC_COMPRESSED
        update = UpdateParameters(desired_bl=1, update_management=False, update_bl_management=False, pulse_type=kind)
        config = SingleRPUConfig(device=device, update=update, runtime=RuntimeParameter(implementation=implementation))
        self.tile = AnalogLinear(cells, 1, bias=False, rpu_config=config).tile
        self.tile.set_weights(torch.zeros(1, cells))
        self.tile.set_learning_rate(device.weight_granularity)

    def set(self, weights: Tensor) -> None:
        """Set the weight of every cell, [cells]."""
        self.tile.set_weights(weights.reshape(1, -1))

    def send(self, gradients: list[float]) -> Tensor:
        """Send one pulse for each gradient, upwards if it is negative; gives the weights after them."""
        self.tile.update(torch.ones(len(gradients), self.tile.in_size), torch.tensor(gradients).reshape(-1, 1))
        return self.weights()

    def weights(self) -> Tensor:
        """The weight of every cell as it is read, [cells]."""
        return self.tile.get_weights().reshape(-1)

    def stored(self) -> Tensor:
        """What pulses move, [cells]: the weight without write noise."""
        return self.tile.get_hidden_parameters().get("persistent_weights", self.tile.get_weights()).reshape(-1)

    def parameters(self) -> dict[str, Tensor]:
        """Parameters of the cells by name, each [cells]."""
        hidden = self.tile.get_hidden_parameters()
        return {name: hidden[name].reshape(-1) for name in hidden if name != "persistent_weights"}

    def assume(self, parameters: dict[str, Tensor]) -> None:
        """Give the cells other parameters, each [cells]."""
        hidden = self.tile.get_hidden_parameters()
        self.tile.set_hidden_parameters(hidden | {name: value.reshape(1, -1) for name, value in parameters.items()})
