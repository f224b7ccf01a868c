"""A picture of how the cells of a device answer to pulses."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ohmgrad.lab.plots.style import FAINT, INK, new_figure, save, tidy
from ohmgrad.lab.response import Response

COLOURS = ("#0072b2", "#d1421c", "#1a9870", "#8e4fa8", "#e08e00")
"""One for each cell that is shown."""


def draw_response(response: Response, subtitle: str, path: Path) -> None:
    """Draw trains of up and of down pulses (left), pulses in turns (middle), and where these lead all cells (right)."""
    figure = new_figure(11, 4.3, "Response of the cells to pulses", subtitle)
    left, middle, right = (
        figure.add_axes((x, 0.135, width, 0.645)) for x, width in ((0.06, 0.45), (0.555, 0.26), (0.845, 0.125))
    )
    trains, pairs = response.trains.numpy(), response.pairs.numpy()
    for cell, colour in enumerate(COLOURS):
        left.plot(np.arange(len(trains)) * response.each, trains[:, cell], color=colour, linewidth=1.1)
        middle.plot(np.arange(len(pairs)) * response.each, pairs[:, cell], color=colour, linewidth=1.1)
    for start in (response.phase, 3 * response.phase):
        left.axvspan(start, start + response.phase, color="#f3f3f3", zorder=0, linewidth=0)
    right.hist(pairs[-1], bins=24, orientation="horizontal", color="#7aa6c9", edgecolor="white", linewidth=0.4)
    shown = len(COLOURS)
    limit = 1.05 * float(max(np.abs(trains[:, :shown]).max(), np.abs(pairs[:, :shown]).max()))
    titles = (
        "up, down, up, down",
        "up and down in turns",
        f"the end, {pairs.shape[1]} cells",
    )
    for axes, title, label in zip(
        (left, middle, right), titles, ("pulses sent", "pairs of pulses sent", "cells"), strict=True
    ):
        tidy(axes)
        axes.set_ylim(-limit, limit)
        axes.axhline(0, color=FAINT, linewidth=0.8)
        axes.set_title(title, fontsize=10, loc="left", color=INK)
        axes.set_xlabel(label, fontsize=9)
    left.set_ylabel("weight (normalised units)", fontsize=9)
    right.set_yticklabels([])
    left.margins(x=0)
    middle.margins(x=0)
    save(figure, path)
