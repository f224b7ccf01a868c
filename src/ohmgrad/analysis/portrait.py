"""Everything that the picture of one device shows: trains of pulses, pulses in turns, steps and symmetric points."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ohmgrad.analysis.response import POINTS, Row
from ohmgrad.analysis.steps import SampledCells, Steps, mean_parameters
from ohmgrad.devices.base import PulsedDevice

CELLS = 400
"""Cells that are sampled for the statistics."""
PULSES = (10, 40_000)
"""Pulses of a train: at least, so that there is something to see; at most, so that it ends."""
WORTH_COMPILING = 100
"""Pulses of a train from which on a compiled law is faster, even if it must be compiled first."""


@dataclass(frozen=True)
class Portrait:
    """How the cells of a device answer, in normalised weight units."""

    each: int
    """Pulses, or pairs of pulses, between two points of a curve."""
    trains: Tensor
    """[points, shown cells]: up from the lower bound, then down; what pulses move, without write noise."""
    apparent: Tensor | None
    """The same weights as they are read; None without write noise."""
    mean: Tensor
    """[points]: a cell of mean parameters without noise of any kind."""
    turns: Tensor
    """[2, points, shown cells]: pulses up and down in turns, from the lower and from the upper bound; each point is the
    middle between the weights after the up and after the down pulse."""
    steps: Steps
    symmetry: Tensor
    """[all cells]: see :meth:`SampledCells.symmetry_points`; the cells that are shown come first."""
    at_bound: float
    """Share of the cells whose symmetric point lies at a bound."""


def portray(device: PulsedDevice, shown: int, seed: int = 0) -> Portrait:
    """Sample cells of a device, send pulses to the first ``shown`` of them, and work out the steps of all.

    A train has one and a half times the number of states of the device, within :data:`PULSES`.
    """
    pulses = min(max(round(1.5 * device.num_states), PULSES[0]), PULSES[1])
    each = max(1, round(pulses / POINTS))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        parameters = Row(device, max(CELLS, shown)).parameters()
        torch.manual_seed(seed)
        row = Row(device, shown, "auto" if pulses > WORTH_COMPILING else "reference")
    first = {name: value[:shown] for name, value in parameters.items()}
    row.assume(first)
    lower, upper = device.limits(first)
    points = round(pulses / each)
    trains, apparent = _up_and_down(row, lower, points, each)
    turns = torch.stack([_in_turns(row, start, points, each) for start in (lower, upper)])
    cells = SampledCells(device, parameters)
    symmetry = cells.symmetry_points()
    return Portrait(
        each=each,
        trains=trains,
        apparent=apparent if device.write_noise > 0.0 else None,
        mean=_mean_train(device, points, each),
        turns=turns,
        steps=cells.statistics(),
        symmetry=symmetry,
        at_bound=float(cells.at_bound(symmetry).double().mean()),
    )


def _up_and_down(row: Row, start: Tensor, points: int, each: int) -> tuple[Tensor, Tensor]:
    """Stored and apparent weights, [points, cells], of a train up and a train down."""
    row.set(start)
    stored, apparent = [row.stored()], [row.weights()]
    for gradient in (-1.0, 1.0):
        for _ in range(points):
            apparent.append(row.send([gradient] * each))
            stored.append(row.stored())
    return torch.stack(stored), torch.stack(apparent)


def _mean_train(device: PulsedDevice, points: int, each: int) -> Tensor:
    """Weights, [points], of a train up and a train down sent to a cell of mean parameters, without noise."""
    cell = SampledCells(device, mean_parameters(device))
    weight = cell.lower
    curve = [weight]
    for up in (True, False):
        for _ in range(points):
            for _ in range(each):
                weight = weight + cell.step(weight, up)
            curve.append(weight)
    return torch.cat(curve)


def _in_turns(row: Row, start: Tensor, points: int, each: int) -> Tensor:
    """Stored weights, [points, cells], in the middle of every ``each``-th pair of pulses."""
    row.set(start)
    middles = [row.stored()]
    for _ in range(points):
        row.send([*[-1.0, 1.0] * (each - 1), -1.0])
        raised = row.stored()
        row.send([1.0])
        middles.append((raised + row.stored()) / 2.0)
    return torch.stack(middles)
