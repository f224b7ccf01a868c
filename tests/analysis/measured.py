"""Measurements that simulated cells give."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from ohmgrad.analysis import Measurements
from ohmgrad.analysis.response import Row


def measured(device: Any, cells: int = 1, train: int = 80, rounds: int = 3, read: float = 0.0) -> Measurements:
    """Trains of pulses up and down from weight 0 on; read: standard deviation of errors of reading."""
    torch.manual_seed(0)
    row = Row(device, cells, "reference")
    row.set(torch.zeros(cells))
    weights, directions = [row.weights()], [0.0]
    for gradient in [*[-1.0] * train, *[1.0] * train] * rounds:
        weights.append(row.send([gradient]))
        directions.append(-gradient)
    values = torch.stack(weights).double()
    return Measurements.of((values + read * torch.randn_like(values)).numpy(), directions)


def written(path: Path, measurements: Measurements, scale: float = 1.0, offset: float = 0.0) -> Path:
    """The same as a file, in conductances."""
    lines = ["cell,direction,conductance_uS"]
    for name, trace in measurements.traces.items():
        directions = ["", *("up" if up else "down" for up in trace.up.tolist())]
        values = (offset + scale * trace.values).tolist()
        lines += [f"{name},{way},{value:.9g}" for way, value in zip(directions, values, strict=True)]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path
