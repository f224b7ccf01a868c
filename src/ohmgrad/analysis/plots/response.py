"""Pictures of how the cells of a device answer to pulses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ohmgrad.analysis.plots.style import FAINT, INK, new_figure, save, tidy
from ohmgrad.analysis.portrait import Portrait
from ohmgrad.analysis.response import Response
from ohmgrad.analysis.steps import Steps

COLOURS = ("#0072b2", "#d1421c", "#1a9870", "#8e4fa8", "#e08e00")
"""One for each cell that is shown."""
UP, DOWN = COLOURS[:2]
SHADE = "#f3f3f3"
UNIT = "weight (normalised units)"
BARS = "#7aa6c9"
"""Colour of distributions."""


def draw_response(response: Response, subtitle: str, path: Path) -> None:
    """Draw trains of up and of down pulses (left), pulses in turns (middle), and where these lead all cells (right)."""
    figure = new_figure(11, 4.3, "Response of the cells to pulses", subtitle)
    left, middle, right = (
        figure.add_axes((x, 0.135, width, 0.645)) for x, width in ((0.06, 0.45), (0.555, 0.26), (0.845, 0.125))
    )
    trains, pairs = response.trains.numpy(), response.pairs.numpy()
    shown = len(COLOURS)
    _cells(left, trains[:, :shown], response.each)
    _cells(middle, pairs[:, :shown], response.each)
    for start in (response.phase, 3 * response.phase):
        left.axvspan(start, start + response.phase, color=SHADE, zorder=0, linewidth=0)
    _histogram(right, pairs[-1])
    limit = 1.05 * float(max(np.abs(trains[:, :shown]).max(), np.abs(pairs[:, :shown]).max()))
    titles = (
        "up, down, up, down",
        "up and down in turns",
        f"the end, {pairs.shape[1]} cells",
    )
    for axes, title, label in zip(
        (left, middle, right), titles, ("pulses sent", "pairs of pulses sent", "cells"), strict=True
    ):
        frame(axes, title, label)
        axes.set_ylim(-limit, limit)
    left.set_ylabel(UNIT, fontsize=9)
    right.set_yticklabels([])
    left.margins(x=0)
    middle.margins(x=0)
    save(figure, path)


def draw_portrait(portrait: Portrait, title: str, subtitle: str, granularity: float, path: Path) -> None:
    """Draw trains (top left), steps over the weight (top right), pulses in turns and symmetric points (below)."""
    figure = new_figure(11, 8.2, title, subtitle)
    trains, steps = (figure.add_axes((x, 0.535, width, 0.32)) for x, width in ((0.065, 0.5), (0.64, 0.335)))
    turns, points = (figure.add_axes((x, 0.065, width, 0.32)) for x, width in ((0.065, 0.5), (0.64, 0.335)))
    _draw_trains(trains, portrait)
    _draw_steps(steps, portrait.steps, granularity)
    _draw_turns(turns, portrait)
    values = portrait.symmetry[portrait.symmetry.isfinite()].numpy()
    bottom, top = turns.get_ylim()
    for axes in (turns, points):
        axes.set_ylim(min([bottom, *values]), max([top, *values]))
    _draw_symmetry(points, values, portrait)
    save(figure, path)


def _draw_trains(axes: Any, portrait: Portrait) -> None:
    each, curves = portrait.each, portrait.trains.numpy()
    phase = each * (len(curves) // 2)
    axes.axvspan(phase, 2 * phase, color=SHADE, zorder=0, linewidth=0)
    if portrait.apparent is not None:
        _cells(axes, portrait.apparent.numpy(), each, linestyle="", marker=".", markersize=2.5, alpha=0.45)
    _cells(axes, curves, each, linewidth=1.0)
    axes.plot(
        np.arange(len(curves)) * each, portrait.mean.numpy(), color=INK, linewidth=2.2, label="mean cell, no noise"
    )
    axes.plot([], [], color=FAINT, linewidth=1.0, label="sampled cells")
    if portrait.apparent is not None:
        axes.plot([], [], color=FAINT, linestyle="", marker=".", markersize=4, label="as read, with write noise")
    frame(axes, "Pulses up from the lower bound, then down", "pulses sent", legend=3)
    axes.set_ylabel(UNIT, fontsize=9)
    axes.margins(x=0)


def _draw_steps(axes: Any, steps: Steps, granularity: float) -> None:
    weights = steps.weights.numpy()
    for name, mean, std, colour, dashes in (
        ("up", steps.up_mean, steps.up_std, UP, "-"),
        ("down", steps.down_mean, steps.down_std, DOWN, "--"),
    ):
        middle, spread = mean.numpy() / granularity, std.numpy() / granularity
        axes.fill_between(weights, middle - spread, middle + spread, color=colour, alpha=0.18, linewidth=0)
        axes.plot(weights, middle, color=colour, linewidth=1.8, linestyle=dashes, label=f"{name}: mean and deviation")
    frame(axes, "Step of one pulse, over cells and pulses", UNIT, legend=3)
    axes.set_ylabel(f"step, in units of {granularity:.3g}", fontsize=9)
    axes.margins(x=0)


def _draw_turns(axes: Any, portrait: Portrait) -> None:
    shown = portrait.turns.shape[2]
    for curves, dashes, bound in zip(portrait.turns.numpy(), ("--", "-"), ("lower", "upper"), strict=True):
        _cells(axes, curves, portrait.each, linestyle=dashes)
        axes.plot([], [], color=FAINT, linewidth=1.1, linestyle=dashes, label=f"from the {bound} bound")
    end = portrait.each * (portrait.turns.shape[1] - 1)
    for cell, point in enumerate(portrait.symmetry[:shown].tolist()):  # those that do not exist are NaN
        look = {"marker": "<", "markersize": 7.5, "markeredgecolor": "white", "markeredgewidth": 0.6}
        axes.plot([end], [point], color=COLOURS[cell % len(COLOURS)], clip_on=False, zorder=5, **look)
    if portrait.symmetry[:shown].isfinite().any():
        axes.plot([], [], color=FAINT, linestyle="", marker="<", markersize=6, label="symmetric point by the law")
    frame(axes, "Up and down in turns", "pairs of pulses", legend=3)
    axes.set_ylabel(UNIT, fontsize=9)
    axes.margins(x=0)


def _draw_symmetry(axes: Any, values: Any, portrait: Portrait) -> None:
    at_bound = f", {100 * portrait.at_bound:.0f} % at a bound" if portrait.at_bound > 0.005 else ""
    frame(axes, f"Symmetric points of {len(portrait.symmetry)} cells{at_bound}", "cells")
    axes.set_ylabel(UNIT, fontsize=9)
    if len(values) and not np.allclose(values, values[0], atol=1e-9):
        bottom, top = axes.get_ylim()
        _histogram(axes, values, np.linspace(bottom, top, 49))
        return
    text = "none: up and down steps\nare equal at every weight"
    if len(values):
        text = f"that of every cell is {values[0]:.3g}"
        axes.axhline(values[0], color=BARS, linewidth=3)
    axes.text(0.5, 0.7, text, transform=axes.transAxes, ha="center", va="center", fontsize=10, color=INK)
    axes.set_xticks([])


def _cells(axes: Any, curves: Any, each: int, **look: Any) -> None:
    """One curve for each cell, in its colour."""
    for cell in range(curves.shape[1]):
        colour = COLOURS[cell % len(COLOURS)]
        axes.plot(np.arange(len(curves)) * each, curves[:, cell], **({"linewidth": 1.1, "color": colour} | look))


def _histogram(axes: Any, values: Any, bins: Any = 24) -> None:
    axes.hist(values, bins=bins, orientation="horizontal", color=BARS, edgecolor="white", linewidth=0.4)


def frame(axes: Any, title: str, label: str, legend: int = 0) -> None:
    """Title, label and zero line; a legend of so many columns goes between title and frame, where it hides nothing."""
    tidy(axes)
    axes.set_title(title, fontsize=10, loc="left", color=INK, pad=20 if legend else 6)
    axes.axhline(0, color=FAINT, linewidth=0.8)
    axes.set_xlabel(label, fontsize=9)
    if "weight" not in label:
        axes.xaxis.get_major_locator().set_params(integer=True)
    if legend:
        axes.legend(
            loc="lower left", bbox_to_anchor=(-0.01, 1.0), ncols=legend, fontsize=8, frameon=False, borderaxespad=0.1,
            columnspacing=1.4,
        )  # fmt: skip
