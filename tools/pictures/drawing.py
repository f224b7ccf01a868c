"""How the letters of a rule look in every picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor

from ohmgrad.analysis.plots import style
from ohmgrad.analysis.plots.response import frame
from ohmgrad.analysis.plots.style import INK, new_figure
from ohmgrad.files import replacing

LOOKS: dict[str, dict[str, Any]] = {
    "A": {"color": "#0072b2", "linewidth": 0.8, "alpha": 0.7},
    "C": {"color": "#1a9870", "linewidth": 1.4},
    "H": {"color": "#e08e00", "linewidth": 0.9},
    "P": {"color": "#8e4fa8", "linewidth": 1.3},
    "Q": {"color": "#8e4fa8", "linewidth": 1.3},
    "χ": {"color": "#e08e00", "linewidth": 0.9},
    "middle": {"color": "#e08e00", "linewidth": 1.1},
    "W": {"color": INK, "linewidth": 1.4},
}
"""Colour and line of each letter."""
TARGET = {"color": "#d1421c", "linewidth": 1.2, "linestyle": "--"}
NOTE = {"fontsize": 8.5, "color": "#555555"}


def figure_of(title: str, subtitle: str, panels: int = 2, height: float = 3.4) -> tuple[Any, list[Any]]:
    """A figure with panels side by side."""
    figure = new_figure(9.5, height, title, subtitle)
    left, gap = 0.065, 0.06
    width = (0.985 - left - gap * (panels - 1)) / panels
    bottom, room = 0.48 / height, 1.55 / height
    axes = [figure.add_axes((left + k * (width + gap), bottom, width, 1 - room)) for k in range(panels)]
    return figure, axes


def line(axes: Any, letter: str, values: Tensor, label: str = "", **look: Any) -> None:
    """The course of one letter."""
    axes.plot(values.numpy(), **(LOOKS[letter] | {"label": label or letter} | look))


def target(axes: Any, value: float, label: str = "target") -> None:
    """Where the weight shall come to."""
    axes.axhline(value, label=label, **TARGET)


def finish(axes: Any, title: str, label: str = "samples", columns: int = 5, limit: float = 1.05) -> None:
    """Frame and legend of a panel with weights."""
    frame(axes, title, label, legend=columns)
    axes.set_ylim(-limit, limit)
    axes.margins(x=0.01)


def save(figure: Any, folder: Path, name: str) -> None:
    """Write a picture as PNG of few colours, which is far smaller."""
    from PIL import Image

    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.png"
    style.save(figure, path)
    with Image.open(path) as image:
        small = image.convert("RGB").quantize(128, dither=Image.Dither.NONE)
    with replacing(path) as temporary:
        small.save(temporary, format="png", optimize=True)
