"""Pictures of rules with several arrays: what A, C and H do, what choppers change, and what gamma is for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ohmgrad.analysis.plots.response import COLOURS, SHADE, UP
from ohmgrad.analysis.plots.style import INK
from ohmgrad.configs import (
    BufferedTransferCompound,
    ChoppedTransferCompound,
    DynamicTransferCompound,
    IOParameters,
    MultiTileTransferCompound,
    TransferCompound,
    UnitCellRPUConfig,
)
from pictures.drawing import LOOKS, NOTE, figure_of, finish, line, save, target
from pictures.experiment import TARGETS, cell, learn, learn_numbers
from pictures.rules import ABC, CHOPPED, OFFSET, SLOW, two

FEW = 10
"""States of the cells where gamma is looked at."""
SAMPLES, LATE = 1500, 400
"""Samples that they learn from, and those at the end that count for errors."""
WISHES = torch.linspace(-0.8, 0.8, 64)
"""What they learn."""
WATCHED = 53
"""The weight that is shown."""


def draw_fast_and_slow(folder: Path) -> None:
    """A, C and H of one weight, without and with a buffer."""
    figure, panels = figure_of(
        "Fast and slow", "One weight learns from noisy gradients: A gathers them, C receives what is read from A."
    )
    rate = {"transfer_lr": 0.05}
    cases: tuple[Any, ...] = (
        ("TTv1", TransferCompound, {}),
        ("TTv2", BufferedTransferCompound, {"H": "buffered_FP_weight_0"}),
    )
    for axes, (name, rule, more) in zip(panels, cases, strict=True):
        traces = learn(two(rule, **SLOW | rate)(0.0), 400, watch=(*ABC.values(), *more.values()))
        line(axes, "A", traces.parts["hidden_weights_0"])
        for part in more.values():
            line(axes, "H", 5.0 * traces.parts[part], "5 H")
        line(axes, "C", traces.weight, "C = W")
        target(axes, TARGETS[0][0])
        pulses = int(traces.tile.pulse_counts()[1].total.sum())
        axes.set_title(f"{pulses} pulses to all of C", loc="right", pad=20, **NOTE)
        finish(axes, name, columns=4)
    save(figure, folder, "fast-and-slow")


def draw_choppers(folder: Path) -> None:
    """What an offset of A does to C without choppers, with them, and with a learned reference."""
    figure, panels = figure_of(
        "Choppers",
        f"Gradients are noise alone, so C should stay at 0 (thin: all 12 weights); the symmetric point is {OFFSET:g}.",
        panels=3,
    )
    plain: dict[str, Any] = {**CHOPPED, "in_chop_prob": 0.0}
    regular = {"in_chop_random": False}
    past = "past_mean_weight"
    cases = (
        ("without (TTv2)", two(ChoppedTransferCompound, **plain), "buffered_FP_weight_0", False),
        ("choppers (TTv3)", two(ChoppedTransferCompound, **CHOPPED | regular), "buffered_FP_weight_0", False),
        ("and a reference (TTv4)", two(DynamicTransferCompound, **CHOPPED), "buffered_FP_weight", True),
    )
    for axes, (name, config, buffer, has_past) in zip(panels, cases, strict=True):
        watch = ("hidden_weights_0", buffer, *((past,) if has_past else ()))
        traces = learn(config(OFFSET), 800, watch=watch, noise=1.0, blind=True)
        for sample in (traces.signs < 0).nonzero()[:, 0].tolist():
            axes.axvspan(sample, sample + 1, color=SHADE, zorder=0, linewidth=0)
        line(axes, "A", traces.parts["hidden_weights_0"])
        line(axes, "H", traces.parts[buffer])
        if has_past:
            line(axes, "P", traces.parts[past])
        axes.plot(traces.weights.flatten(1).numpy(), color=LOOKS["C"]["color"], linewidth=0.4, alpha=0.6)
        line(axes, "C", traces.weights.mean((1, 2)), "mean of C", linewidth=2.2)
        finish(axes, name, columns=4)
    save(figure, folder, "choppers")


def draw_noise_gate(folder: Path) -> None:
    """Weights under noise alone, without the noise gate of TTv4 and with it."""
    figure, panels = figure_of(
        "The noise gate", "Nothing is to be learned, gradients are 0; what is read is the noise of the converters."
    )
    for axes, gate in zip(panels, (0.0, 2.0), strict=True):
        rule: dict[str, Any] = CHOPPED | {"in_chop_prob": 0.05, "transfer_lr": 0.3, "noise_gate": gate}
        traces = learn(two(DynamicTransferCompound, **rule)(0.0), 2000, noise=0.0, blind=True)
        axes.plot(traces.weights.flatten(1).numpy(), color=LOOKS["C"]["color"], linewidth=0.7, alpha=0.7)
        pulses = int(traces.tile.pulse_counts()[1].total.sum())
        axes.set_title(f"{pulses} pulses to all of C", loc="right", pad=6, **NOTE)
        print(f"noise gate {gate:g}: {pulses} pulses", flush=True)
        finish(axes, f"C of 12 weights, noise_gate = {gate:g}", columns=0)
    save(figure, folder, "noise-gate")


def _tiles(count: int, gamma: float, fast_lr: float = 0.5) -> UnitCellRPUConfig:
    """So many arrays of few states, whose reads are exact."""
    rule = MultiTileTransferCompound.of(
        cell(states=FEW), count, gamma=gamma, transfer_lr=0.01, transfer_lr_growth=1.0, fast_lr=fast_lr,
        scale_fast_lr=False, units_in_mbatch=False, transfer_forward=IOParameters(is_perfect=True),
    )  # fmt: skip
    return UnitCellRPUConfig(device=rule)


def _error(course: Tensor) -> float:
    """Root of the mean square error at the end."""
    return float((course[-LATE:] - WISHES).square().mean().sqrt())


def draw_residual(folder: Path) -> None:
    """The visible weight with A hidden and with A in it, and the error over gamma."""
    figure, (left, right) = figure_of(
        "Residual learning",
        f"Cells of {FEW} states: a step of C is about 0.2. With $\\gamma$ above 0, A is the digit below it.",
    )
    gammas = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9)
    errors = []
    for gamma in gammas:
        course, _ = learn_numbers(_tiles(2, gamma), WISHES, samples=SAMPLES)
        errors.append(_error(course))
        print(f"residual           gamma {gamma:g}: error {errors[-1]:.3f}", flush=True)
        if gamma in (0.0, 0.3):
            label, colour = f"W with $\\gamma$ = {gamma:g}", UP if gamma else INK
            left.plot(course[:, WATCHED].numpy(), color=colour, linewidth=1.0, label=label)
    target(left, float(WISHES[WATCHED]))
    finish(left, "The visible weight", columns=3)
    left.set_ylim(-0.1, 1.05)
    right.plot(gammas, errors, "o-", color=UP, markersize=5, linewidth=1.0, label=f"error of {len(WISHES)} weights")
    right.axvline(1.0 / FEW, color=COLOURS[4], linewidth=1.2, linestyle="--", label="1 / states")
    finish(right, "Error over $\\gamma$", "$\\gamma$", columns=2)
    right.xaxis.get_major_locator().set_params(integer=False)
    right.set_ylim(0.0, 1.1 * max(errors))
    save(figure, folder, "residual")


def draw_digits(folder: Path) -> None:
    """What each of three arrays adds to the weight, and the error by the number of arrays."""
    gamma = 0.5
    figure, (left, right) = figure_of(
        "Arrays as digits",
        f"Cells of {FEW} states, $\\gamma$ = {gamma:g}, noisy gradients: each array corrects the coarser one.",
    )
    counts, errors = (1, 2, 3, 4), []
    for count in counts:
        course, arrays = learn_numbers(_tiles(count, gamma, 0.2), WISHES, noise=0.3, samples=2 * SAMPLES)
        errors.append(_error(course))
        print(f"digits             {count} arrays: error {errors[-1]:.4f}", flush=True)
        if count == 3:
            for k, colour in zip(range(3), (UP, COLOURS[4], COLOURS[2]), strict=True):
                share = gamma ** (2 - k)
                added = share * arrays[k][:, WATCHED]
                left.plot(added.numpy(), color=colour, linewidth=1.0, label=f"{share:.2g} $w_{k}$")
            line(left, "W", course[:, WATCHED])
            target(left, float(WISHES[WATCHED]))
    finish(left, "What each array adds to W", columns=5)
    left.set_ylim(-0.3, 0.9)
    right.plot(counts, errors, "o-", color=UP, markersize=6, linewidth=1.0, label=f"error of {len(WISHES)} weights")
    finish(right, "Error by the number of arrays", "arrays", columns=1)
    right.set_ylim(0.0, 1.1 * max(errors))
    save(figure, folder, "digits")


def draw_flip(folder: Path) -> None:
    """The jumps of the visible weight at the flips of a chopper, with gamma above 0."""
    figure, panels = figure_of(
        "What a flip does with $\\gamma$ above 0",
        "A is stored with a sign. When the sign flips, $\\gamma$A counts the other way round.",
    )
    for axes, gamma in zip(panels, (0.1, 0.4), strict=True):
        rule: dict[str, Any] = {**CHOPPED, "gamma": gamma, "in_chop_random": False, "in_chop_prob": 0.05}
        rule["transfer_lr"] /= gamma  # which the rule multiplies by it
        traces = learn(two(ChoppedTransferCompound, **rule)(0.0), 800, watch=tuple(ABC.values()))
        for sample in (traces.signs < 0).nonzero()[:, 0].tolist():
            axes.axvspan(sample, sample + 1, color=SHADE, zorder=0, linewidth=0)
        signed: Tensor = gamma * traces.signs * traces.parts["hidden_weights_0"]
        line(axes, "A", signed, "$\\gamma$ c A")
        line(axes, "C", traces.parts["hidden_weights_1"])
        line(axes, "W", traces.weight)
        target(axes, TARGETS[0][0])
        finish(axes, f"$\\gamma$ = {gamma:g}", columns=4)
    save(figure, folder, "flip")


PICTURES: dict[str, Any] = {
    "fast-and-slow": draw_fast_and_slow,
    "choppers": draw_choppers,
    "noise-gate": draw_noise_gate,
    "residual": draw_residual,
    "digits": draw_digits,
    "flip": draw_flip,
}
"""What draws each picture."""
