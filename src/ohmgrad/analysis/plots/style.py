"""What all pictures share: colours, lettering and how they are saved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ohmgrad.files import replacing

INK = "#222222"
FAINT = "#8a8a8a"
GRID = "#e4e4e4"


def new_figure(width: float, height: float, title: str, subtitle: str) -> Any:
    """An empty figure, sizes in inches, with a title and a line of explanation."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), facecolor="white")
    figure.text(0.3 / width, 1 - 0.26 / height, title, fontsize=13, fontweight="bold", color=INK, va="center")
    figure.text(0.3 / width, 1 - 0.54 / height, subtitle, fontsize=9, color="#555555", va="center")
    return figure


def tidy(axes: Any, title: str = "") -> None:
    """A quiet frame: no box, a light grid behind the data."""
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(FAINT)
    axes.tick_params(colors="#444444", labelsize=8.5)
    axes.grid(True, color=GRID, linewidth=0.7)
    axes.set_axisbelow(True)
    if title:
        axes.set_title(title, fontsize=10, loc="left", color=INK)


def save(figure: Any, path: Path) -> None:
    """Write a figure as PNG, whole or not at all."""
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=150, format="png")
