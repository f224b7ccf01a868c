"""Pictures of single cells: pulses that meet, steps, the symmetric point, and what noise does to a weight."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ohmgrad.analysis.plots.response import COLOURS, DOWN, UP
from ohmgrad.analysis.plots.style import FAINT, INK, tidy
from ohmgrad.analysis.response import Row
from ohmgrad.analysis.steps import SampledCells
from ohmgrad.configs import SingleRPUConfig, SoftBoundsDevice
from ohmgrad.engine.draws import Draws
from ohmgrad.engine.trains import SLOTS, pack
from pictures.drawing import NOTE, figure_of, finish, save, target
from pictures.experiment import cell, learn_numbers

POINT = 0.3
"""The symmetric point in these pictures."""


def draw_pulses(folder: Path) -> None:
    """Two trains and where they meet; a weight under pulses, with few and with many states."""
    figure, (left, middle, right) = figure_of(
        "What a pulse does", "Where a pulse of x meets a pulse of d, the weight takes one step.", panels=3
    )
    draws = Draws(2, "reference")
    words = pack(torch.tensor([[0.5, 0.4]]), torch.tensor([SLOTS]), 1, draws, 0, torch.tensor([0]))[0]
    trains = [[(int(word) >> slot) & 1 for slot in range(SLOTS)] for word in words]
    rows = [*trains, [a & b for a, b in zip(*trains, strict=True)]]
    for height, (row, colour) in enumerate(zip(rows, (UP, COLOURS[2], DOWN), strict=True)):
        for slot in range(SLOTS):
            if row[slot]:
                left.bar(slot, 0.6, 0.8, bottom=2 - height, color=colour)
    tidy(left, f"{sum(rows[2])} of {SLOTS} slots meet")
    left.set_yticks([2.3, 1.3, 0.3], ["x", "d", "both"])
    left.set_xlabel("slot", fontsize=9)
    left.grid(False)
    for axes, states in ((middle, 20), (right, 200)):
        quiet = cell(states=states).replaced(dw_min_std=0.0)
        axes.plot(_trains(cell(states=states), states).numpy(), color=UP, linewidth=0.8)
        axes.plot(_trains(quiet, states)[:, 0].numpy(), color=INK, linewidth=1.4)
        finish(axes, f"{states} states", "pulses up, then down", columns=0)
    middle.text(0.97, 0.05, "blue: noise of 30 %", transform=middle.transAxes, ha="right", **NOTE)
    save(figure, folder, "pulses")


def _trains(device: SoftBoundsDevice, pulses: int) -> Tensor:
    """The weights of four cells under pulses up, then down, from 0."""
    torch.manual_seed(3)
    row = Row(device, 4)
    steps = [row.weights()]
    for gradient in [-1.0] * pulses + [1.0] * pulses:
        steps.append(row.send([gradient]))
    return torch.stack(steps)


def draw_symmetric_point(folder: Path) -> None:
    """Steps up and down over the weight, and where pairs of pulses lead."""
    figure, (left, right) = figure_of(
        "The symmetric point", "Where a step up is as long as a step down. Pairs of pulses lead there from anywhere."
    )
    device = cell(POINT).replaced(dw_min_std=0.0)
    torch.manual_seed(1)
    row = Row(device, 1)
    steps = SampledCells(device, row.parameters()).statistics()
    left.plot(steps.weights.numpy(), steps.up_mean.numpy(), color=UP, label="step up")
    left.plot(steps.weights.numpy(), -steps.down_mean.numpy(), color=DOWN, label="step down, its length")
    left.axvline(POINT, color=FAINT, linewidth=1.0, linestyle=":")
    finish(left, "Length of a step", "weight", columns=2)
    left.set_ylim(0.0, 0.21)
    starts = (-0.9, -0.3, 0.9)
    for colour, start in zip(COLOURS, starts, strict=False):
        right.plot(_pairs(cell(POINT, states=40), start, 120).numpy(), color=colour, linewidth=0.8)
    right.axhline(POINT, color=FAINT, linewidth=1.2, linestyle=":", label="symmetric point")
    finish(right, "Pulses up and down in turns", "pulses", columns=1)
    save(figure, folder, "symmetric-point")


def _pairs(device: SoftBoundsDevice, start: float, pairs: int) -> Tensor:
    """The weight of a cell after every pulse of pairs."""
    torch.manual_seed(2)
    row = Row(device, 1)
    row.set(torch.tensor([start]))
    steps = [row.weights()]
    for gradient in [-1.0, 1.0] * pairs:
        steps.append(row.send([gradient]))
    return torch.stack(steps)[:, 0]


def draw_asymmetry(folder: Path) -> None:
    """A gradient that is noise alone moves a weight; so SGD misses its target, by what the formula says."""
    figure, (left, right) = figure_of(
        "Why asymmetry biases SGD", "Soft-bounds cells of 200 states between -1 and 1; their symmetric point is 0."
    )
    wish, many = 0.6, SingleRPUConfig(device=cell(states=200))
    wishes = torch.full((64,), wish)
    for seed, (start, colour) in enumerate(((0.8, UP), (-0.6, DOWN))):
        course, _ = learn_numbers(many, wishes, start, 1.0, blind=True, seed=seed)
        left.plot(course[:, :6].numpy(), color=colour, linewidth=0.6, alpha=0.5)
        left.plot(course.mean(1).numpy(), color=colour, linewidth=2.0)
    finish(left, "A gradient of noise alone, with mean 0", "samples", columns=0)
    levels = torch.linspace(0.0, 2.0, 9)
    found = torch.stack([learn_numbers(many, wishes, noise=float(level))[0][100:].mean() for level in levels])
    fine = torch.linspace(0.0, 2.0, 50)
    size = fine * (2.0 / torch.pi) ** 0.5
    right.plot(
        fine.numpy(), (wish / (1.0 + size)).numpy(), color=INK, linewidth=1.2, label="$w_* / (1 + \\Sigma/\\tau)$"
    )
    right.plot(levels.numpy(), found.numpy(), "o", color=UP, markersize=5, label="mean weight, measured")
    target(right, wish)
    finish(right, "Where SGD comes to rest", "standard deviation of the gradient's noise", columns=3)
    right.set_ylim(0.0, 0.7)
    for level, value in zip(levels.tolist(), found.tolist(), strict=True):
        print(f"asymmetry          noise {level:.2f}: mean weight {value:.3f}", flush=True)
    save(figure, folder, "asymmetry")


PICTURES: dict[str, Any] = {
    "pulses": draw_pulses,
    "symmetric-point": draw_symmetric_point,
    "asymmetry": draw_asymmetry,
}
"""What draws each picture."""
