"""Learning curves of a comparison, and where every seed ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ohmgrad.analysis.plots.style import INK, new_figure, save, tidy
from ohmgrad.lab.plots.style import LINES
from ohmgrad.lab.recipes import RECIPES
from ohmgrad.lab.studies.study import Line

TICKS = (0.0, 0.2, 0.4, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.97, 0.98, 0.99)
IN_A_LINE = 7
"""Entries of the legend in a line."""
BANDS = 3
"""Algorithms whose band is drawn, the best ones: of all, they would cover each other."""
LABEL = "test accuracy (%), errors logarithmic"
APART = 0.055
"""Of the length of an axis lies between two ticks, at least."""
CLOSEST = 2e-3
"""Accuracies are drawn as if at least this share of the answers were wrong."""


def learning_curves(records: Mapping[str, Sequence[dict[str, Any]]], what: str = "accuracy") -> list[Line]:
    """The mean of every algorithm after each epoch, from the lowest to the highest seed.

    A curve is as long as the shortest of its runs, which may have diverged.

    :param records: records of the finished runs by algorithm; :param what: the number of an epoch that is followed.
    """
    lines = []
    for name, runs in records.items():
        length = min(len(run["epochs"]) for run in runs)
        values = np.array([[epoch[what] for epoch in run["epochs"][:length]] for run in runs])
        low, mean, high = (some.tolist() for some in (values.min(axis=0), values.mean(axis=0), values.max(axis=0)))
        lines.append(Line(name, RECIPES[name].title, list(range(length)), mean, low, high))
    return lines


def draw_curves(records: Mapping[str, Sequence[dict[str, Any]]], subtitle: str, path: Path) -> None:
    """Draw test accuracy over epochs (left: mean, of the best the band from the worst to the best seed) and at the end.

    The axis is logarithmic in the share of wrong answers, so that 90, 99 and 99.9 % are equally far apart, and it ends
    at the best seed.

    :param records: records of the finished runs by algorithm.
    """
    from matplotlib.ticker import MaxNLocator

    lines = -(-len(records) // IN_A_LINE)  # of the legend
    height = max(5.5, 2.0 + 0.46 * len(records)) + 0.24 * lines
    below, above = (0.8 + 0.24 * lines) / height, 1.0 / height
    figure = new_figure(11, height, "Learning curves", subtitle)
    left = figure.add_axes((0.065, below, 0.5, 1 - below - above))
    right = figure.add_axes((0.7, below, 0.275, 1 - below - above))
    curves, ends = learning_curves(records), {}
    banded = sorted(curves, key=lambda line: -line.y[-1])[:BANDS]
    for line in curves:
        colour, dash = LINES[line.series]
        if line in banded:
            left.fill_between(line.x, line.low, line.high, color=colour, alpha=0.12, linewidth=0)
        left.plot(line.x, line.y, color=colour, linestyle=dash, linewidth=1.8, label=line.title)
        ends[line.series] = np.array([run["epochs"][-1]["accuracy"] for run in records[line.series]])
    for row, (name, values) in enumerate(ends.items()):
        colour, _ = LINES[name]
        whole = {"color": colour, "clip_on": False}  # also at the end of the axis
        right.plot(values, np.full(len(values), row), "o", alpha=0.45, markersize=6, markeredgewidth=0, **whole)
        right.plot(values.mean(), row, "|", markersize=18, markeredgewidth=2.2, **whole)
        right.annotate(
            f"{100 * values.mean():.1f}",
            (values.mean(), row),
            (0, 11),
            textcoords="offset points",
            ha="center",
            fontsize=8,
            color=INK,
        )
    lowest, best = (float(some(np.concatenate(list(ends.values())))) for some in (np.min, np.max))
    start = min(run["epochs"][0]["accuracy"] for runs in records.values() for run in runs)
    highest = max(epoch["accuracy"] for runs in records.values() for run in runs for epoch in run["epochs"])
    _accuracy_axis(left.yaxis, left.set_yscale, left.set_ylim, min(start, lowest), highest)
    _accuracy_axis(right.xaxis, right.set_xscale, right.set_xlim, lowest - 0.3 * (1 - lowest), best)
    some = f" of the best {BANDS}" if len(curves) > BANDS else ""
    tidy(left, f"mean over seeds; band{some}: worst to best seed")
    tidy(right, "last epoch; dots: seeds, bar: mean")
    left.set_xlabel("epoch", fontsize=9)
    left.xaxis.set_major_locator(MaxNLocator(integer=True))
    left.set_ylabel(LABEL, fontsize=9)
    left.margins(x=0.01)
    figure.legend(loc="lower left", bbox_to_anchor=(0.055, 0.012), fontsize=8.5, frameon=False, ncols=IN_A_LINE)
    right.set_xlabel(LABEL, fontsize=9)
    right.set_yticks(range(len(ends)), [RECIPES[name].title for name in ends], fontsize=9)
    for label, name in zip(right.get_yticklabels(), ends, strict=True):
        label.set_color(LINES[name][0])
    right.set_ylim(len(ends) - 0.4, -0.7)
    right.grid(axis="y", visible=False)
    save(figure, path)


def _accuracy_axis(axis: Any, set_scale: Any, set_limits: Any, lowest: float, highest: float) -> None:
    def forward(accuracy: Any) -> Any:
        return -np.log(np.maximum(1 - np.asarray(accuracy), CLOSEST))

    def backward(height: Any) -> Any:
        return 1 - np.exp(-np.asarray(height))

    from matplotlib.ticker import NullLocator

    set_scale("function", functions=(forward, backward))
    lowest, most = max(0.0, lowest), min(highest, 1 - CLOSEST)
    known = {tick: f"{100 * tick:g}" for tick in TICKS if lowest <= tick <= most}
    known |= {most: "100"} if highest > most else {}
    shown: list[float] = []
    for tick in sorted(known, reverse=True):
        if not shown or forward(shown[-1]) - forward(tick) > APART * (forward(most) - forward(lowest)):
            shown.append(tick)
    axis.set_ticks(shown, [known[tick] for tick in shown])
    axis.set_minor_locator(NullLocator())
    set_limits(lowest, 1 - (1 - most) ** 1.02 * (1 - lowest) ** -0.02)  # room for half a dot
