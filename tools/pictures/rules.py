"""One picture for each rule: the same experiment, with the symmetric points of the cells at 0, and away from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from ohmgrad.analysis.plots.response import SHADE
from ohmgrad.configs import (
    BufferedTransferCompound,
    ChoppedTransferCompound,
    DigitalRankUpdateRPUConfig,
    DynamicTransferCompound,
    ERiderTransferCompound,
    LowRankTransferCompound,
    MixedPrecisionCompound,
    MultiTileTransferCompound,
    ResidualTransferCompound,
    RiderTransferCompound,
    SingleRPUConfig,
    TransferCompound,
    UnitCellRPUConfig,
)
from pictures.drawing import NOTE, figure_of, finish, line, save, target
from pictures.experiment import NOISE, STATES, TARGETS, cell, learn

CHOPPERS = ("ttv3", "ttv4", "e-rider")
LATE = 500
"""Samples at the end in which A and the phases are shown where there are choppers: of all, they would be a tangle."""
OFFSET = 0.3
"""Where the symmetric points are in the right panel."""
SAMPLES = 2000
ABC = {"A": "hidden_weights_0", "C": "hidden_weights_1"}
EVERY: dict[str, Any] = {"transfer_every": 1, "units_in_mbatch": False}
SLOW: dict[str, Any] = {**EVERY, "transfer_lr": 0.02, "scale_transfer_lr": False}
CHOPPED: dict[str, Any] = {**SLOW, "fast_lr": 0.1, "in_chop_prob": 0.1}


@dataclass(frozen=True)
class Case:
    """A rule as it is shown: its configuration on cells with a symmetric point, its rate and what is watched."""

    title: str
    config: Callable[[float], Any]
    parts: dict[str, str] = field(hash=False)
    """The name of the hidden parameter behind each letter."""
    rate: float = 0.1


def two(rule: Any, **fields: Any) -> Callable[[float], Any]:
    """A rule on two arrays of the same cells."""
    return lambda point: UnitCellRPUConfig(device=rule(unit_cell_devices=[cell(point), cell(point)], **fields))


def low_rank(point: float) -> Any:
    """Low-rank Tiki-taka on three arrays."""
    rule = LowRankTransferCompound(unit_cell_devices=[cell(point)] * 3, rank=3, transfer_every=100)
    return UnitCellRPUConfig(device=rule)


CASES = {
    "sgd": Case("Analog SGD", lambda point: SingleRPUConfig(device=cell(point)), {}, rate=0.05),
    "ttv1": Case("TTv1", two(TransferCompound, **SLOW), ABC),
    "residual-learning": Case("Residual learning, $\\gamma$ = 0.2", two(TransferCompound, gamma=0.2, **SLOW), ABC),
    "ttv2": Case("TTv2", two(BufferedTransferCompound, **SLOW), ABC | {"H": "buffered_FP_weight_0"}),
    "rlv2": Case(
        "RLv2, $\\gamma$ = 0.2",
        two(ResidualTransferCompound, gamma=0.2, transfer_lr=0.05, leak=0.05, **EVERY),
        ABC | {"H": "buffered_FP_weight_0"},
    ),
    "ttv3": Case("TTv3", two(ChoppedTransferCompound, **CHOPPED), ABC | {"H": "buffered_FP_weight_0"}),
    "ttv4": Case(
        "TTv4", two(DynamicTransferCompound, **CHOPPED), ABC | {"P": "past_mean_weight", "H": "buffered_FP_weight"}
    ),
    "multi-tile": Case(
        "Three arrays, $\\gamma$ = 0.3",
        lambda point: UnitCellRPUConfig(
            device=MultiTileTransferCompound.of(cell(point), 3, gamma=0.3, transfer_lr=0.02, units_in_mbatch=False)
        ),
        {"A": "hidden_weights_0", "middle": "hidden_weights_1", "C": "hidden_weights_2"},
    ),
    "rider": Case(
        "RIDER, $\\gamma$ = 0.2",
        two(RiderTransferCompound, gamma=0.2, transfer_lr=0.02, eta=0.005, **EVERY),
        ABC | {"Q": "reference"},
    ),
    "e-rider": Case(
        "E-RIDER, $\\gamma$ = 0.2",
        two(ERiderTransferCompound, gamma=0.2, transfer_lr=0.02, eta=0.05, in_chop_prob=0.05, **EVERY),
        ABC | {"Q": "programmed_reference"},
    ),
    "low-rank": Case("Low-rank Tiki-taka, rank 3", low_rank, {"C": "hidden_weights_2"}),
    "mixed-precision": Case(
        "Mixed precision",
        lambda point: DigitalRankUpdateRPUConfig(device=MixedPrecisionCompound(device=cell(point))),
        {"χ": "hidden_weights_chi"},
        rate=0.05,
    ),
}
"""Every rule by the name of its page."""


def draw_rule(name: str, folder: Path) -> None:
    """Draw what the watched weight and its cells do under a rule."""
    case = CASES[name]
    hidden, chopped = name in ("ttv1", "ttv2", "ttv3", "ttv4"), name in CHOPPERS  # hidden: A is no part of W
    shown = " A: at the end alone; grey: flipped." if chopped else ""
    figure, panels = figure_of(
        case.title,
        f"One of {len(TARGETS) * len(TARGETS[0])} weights learns from noisy gradients ($\\sigma$ = {NOISE:g}); cells of"
        f" {STATES} states, steps with 30 % noise.{shown}",
    )
    for axes, point in zip(panels, (0.0, OFFSET), strict=True):
        traces = learn(case.config(point), SAMPLES, case.rate, tuple(case.parts.values()))
        begin = SAMPLES - LATE if chopped else 0
        if chopped:
            for sample in (traces.signs[begin:] < 0).nonzero()[:, 0].tolist():
                axes.axvspan(begin + sample, begin + sample + 1, color=SHADE, zorder=0, linewidth=0)
        for letter, part in case.parts.items():
            if letter == "C" and hidden:
                continue  # it is W
            values = traces.parts[part].clone()
            if letter == "A":
                values[:begin] = torch.nan
            line(axes, letter, values, "middle array" if letter == "middle" else letter)
        line(axes, "W", traces.weight, "W = C" if hidden else "W")
        target(axes, TARGETS[0][0])
        finish(axes, f"Symmetric points at {point:g}", columns=6)
        text = f"error {traces.error:.3f}, bias {traces.bias:.3f}"
        axes.set_title(text, loc="right", pad=20, **NOTE)
        print(f"{name:18} symmetric points at {point:g}: {text}", flush=True)
    save(figure, folder, name)
