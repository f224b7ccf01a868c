"""The arrays of a trained layer side by side: fast A, slow C and the visible weight."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ohmgrad.analysis.plots.style import FAINT, INK, new_figure, save
from ohmgrad.lab.recipes import RECIPES

COLUMNS = {"A": "A, the fast array", "C": "C, the slow array", "W": "W, the visible weight"}
BETWEEN = {"mrl": "A, C: first and last of 4", "lrtt": "A: product of two arrays"}
"""What rules with more arrays than these show in their place."""
MEANT = "A as the rule reads it: the signs of choppers\nare undone, and a digital reference is subtracted."


def draw_arrays(records: Mapping[str, dict[str, Any]], subtitle: str, path: Path) -> None:
    """Draw every array of the first layer, one row for each algorithm, all on one scale symmetric about 0.

    :param records: one finished run by algorithm.
    """
    layers = {name: {key: np.array(value) for key, value in run["layer"].items()} for name, run in records.items()}
    analog = [matrix for name, layer in layers.items() if RECIPES[name].arrays for matrix in layer.values()]
    shown = analog or [matrix for layer in layers.values() for matrix in layer.values()]
    limit = float(np.quantile(np.abs(np.concatenate([matrix.ravel() for matrix in shown])), 0.995))
    outputs, inputs = next(iter(layers.values()))["W"].shape
    cell = 2.9
    tall = min(2.9, max(0.9, cell * outputs / inputs))
    width, top, bottom = 11.0, 0.95, 0.85
    height = top + bottom + len(layers) * (tall + 0.12)
    figure = new_figure(width, height, "Arrays of the first layer after training", subtitle)
    image = None
    for row, (name, layer) in enumerate(layers.items()):
        y = 1 - (top + (row + 1) * (tall + 0.12)) / height
        beside = {"x": 1.4 / width, "ha": "right"}
        figure.text(y=y + tall / 2 / height, s=RECIPES[name].title, fontsize=9.5, color=INK, va="center", **beside)
        if name in BETWEEN:
            under = y + (tall / 2 - 0.18) / height
            figure.text(y=under, s=BETWEEN[name], fontsize=7, color="#555555", va="center", **beside)
        for column, key in enumerate(COLUMNS):
            axes = figure.add_axes(((1.5 + column * (cell + 0.15)) / width, y, cell / width, tall / height))
            axes.set_xticks([])
            axes.set_yticks([])
            for spine in axes.spines.values():
                spine.set_color(FAINT)
                spine.set_linewidth(0.6)
            if key in layer:
                image = axes.imshow(
                    layer[key], cmap="RdBu_r", vmin=-limit, vmax=limit, aspect="auto", interpolation="nearest"
                )
            else:
                axes.set_frame_on(False)
                axes.text(0.5, 0.5, f"no {key}", ha="center", va="center", fontsize=8.5, color=FAINT)
            if row == 0:
                axes.set_title(COLUMNS[key], fontsize=10, color=INK)
            if row == len(layers) - 1 and column == 2:
                axes.set_xlabel(f"{inputs} inputs", fontsize=8.5, color="#444444")
                axes.yaxis.set_label_position("right")
                axes.set_ylabel(f"{outputs} outputs", fontsize=8.5, color="#444444")
    bar = figure.add_axes((1.5 / width, 0.5 / height, 4.2 / width, 0.12 / height))
    figure.colorbar(image, cax=bar, orientation="horizontal", extend="both")
    bar.tick_params(labelsize=8)
    figure.text(6.1 / width, 0.42 / height, MEANT, fontsize=8.5, color="#555555", va="center")
    bar.set_title("A, C and W: weights (normalised units)", fontsize=8.5, loc="left", color="#444444")
    save(figure, path)
