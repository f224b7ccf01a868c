"""The picture of a published result: what was measured, and the numbers of the paper beside it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ohmgrad.analysis.plots.response import COLOURS
from ohmgrad.analysis.plots.style import new_figure, save, tidy
from ohmgrad.lab.plots.style import LINES
from ohmgrad.lab.studies.study import Line, Panel

WIDTH, HEIGHT, COLUMNS = 4.6, 3.4, 2
"""Size of a panel in inches, and how many stand side by side: more could not be read on a page."""


def look_of(panels: Sequence[Panel]) -> dict[str, tuple[str, str]]:
    """Colour and dash of every series: those of learning rules where it is one."""
    names = list(dict.fromkeys(line.series for panel in panels for line in panel.lines))
    others, taken = [name for name in names if name not in LINES], {LINES[name][0] for name in names if name in LINES}
    free = [colour for colour in COLOURS if colour not in taken] or COLOURS
    dashes = ("--", ":", "-") if taken else ("-", "--", ":")  # what covers the line of a rule lets it be seen
    cycle = {name: (free[k % len(free)], dashes[k // len(free) % 3]) for k, name in enumerate(others)}
    return {name: LINES.get(name) or cycle[name] for name in names}


def draw_panels(panels: Sequence[Panel], title: str, subtitle: str, path: Path) -> None:
    """Draw panels side by side.

    Dots are measured means, bands go from the lowest to the highest seed, circles are the numbers of the paper.
    """
    from matplotlib.ticker import MaxNLocator, NullLocator

    columns = min(len(panels), COLUMNS)
    rows = math.ceil(len(panels) / columns)
    width, height = max(columns * WIDTH, 7.5), rows * HEIGHT + 1.0
    figure, look = new_figure(width, height, title, subtitle), look_of(panels)
    handles: dict[str, Any] = {}
    scales: dict[tuple[str, bool, bool], Any] = {}  # one for all places, and one for all curves, of a quantity
    for number, panel in enumerate(panels):
        column, row = number % columns, number // columns
        axes = figure.add_axes(
            (
                (column * width / columns + 0.75) / width,
                ((rows - 1 - row) * HEIGHT + 0.95) / height,
                (width / columns - 1.0) / width,
                (HEIGHT - 0.95) / height,
            ),
            sharey=scales.get((panel.y_label, panel.log_y, panel.markers)),
        )
        scales.setdefault((panel.y_label, panel.log_y, panel.markers), axes)
        for line in panel.lines:
            handles.setdefault(line.title, _draw(axes, line, *look[line.series], panel))
        axes.set_xscale("log" if panel.log_x else "linear")
        axes.set_yscale("log" if panel.log_y else "linear")
        if panel.log_x and panel.markers and panel.joined:  # few places: name each of them
            places = sorted({x for line in panel.lines for x in line.x})
            axes.set_xticks(places, [f"{x:g}" for x in places])
            axes.xaxis.set_minor_locator(NullLocator())
        if not panel.log_x:
            axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
        tidy(axes, panel.title)
        axes.tick_params(which="minor", labelsize=7, colors="#444444")
        axes.set_xlabel(panel.x_label, fontsize=9)
        axes.set_ylabel(panel.y_label, fontsize=9)
    if any(value is not None for panel in panels for line in panel.lines for value in line.published):
        handles["the paper"] = figure.axes[0].plot([], [], "o", color="#555555", markerfacecolor="none")[0]
    figure.legend(
        handles.values(), handles.keys(), loc="lower left", bbox_to_anchor=(0.2 / width, 0.0), fontsize=8.5,
        frameon=False, ncols=max(2, int(width / 1.7)),
    )  # fmt: skip
    save(figure, path)


def _draw(axes: Any, line: Line, colour: str, dash: str, panel: Panel) -> Any:
    if len(line.low):
        axes.fill_between(line.x, line.low, line.high, color=colour, alpha=0.15, linewidth=0)
    marker = {"marker": ".", "markersize": 7} if panel.markers else {}
    dash = dash if panel.joined else "none"
    (drawn,) = axes.plot(line.x, line.y, color=colour, linestyle=dash, linewidth=1.5, **marker)
    known = [(x, value) for x, value in zip(line.x, line.published, strict=False) if value is not None]
    if known:
        axes.plot(*zip(*known, strict=True), "o", color=colour, markerfacecolor="none", markersize=7, alpha=0.8)
    return drawn
