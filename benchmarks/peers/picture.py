"""The picture of a comparison: how many times the reference takes what we take."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from peers.cases import GOALS, LENET, OURS, PERCEPTRON, SUBJECTS, THEIRS, WIDE, Case, goal_of, steps, updates
from peers.figures import verdict
from peers.measure import Result
from peers.rows import last_run, results_of

PICTURE = Path(__file__).parents[2] / "docs" / "images" / "peers.png"
INK, FAINT, GRID, FASTER, SLOWER = "#222222", "#777777", "#e4e4e4", "#1a9870", "#d1421c"
NAMES = {
    "constant_step": "constant step",
    "linear_step": "linear step",
    "soft_bounds": "soft bounds",
    "exp_step": "exponential step",
    "pow_step": "power step",
    "sgd": "analog SGD",
    "ttv1": "Tiki-taka v1",
    "ttv2": "Tiki-taka v2",
    "ttv3": "Tiki-taka v3",
    "ttv4": "Tiki-taka v4",
}
SPACE = 1.6
"""Between two groups, in bars."""


class Group(NamedTuple):
    """Some bars under a title."""

    title: str
    cases: Sequence[Case]


COLUMNS = (
    (
        Group("Update, 512 x 512, batch 64, 0.3 pulses a cell and sample", updates(SUBJECTS, 512, 64, 0.3)),
        Group("Update, 512 x 512, batch 64, 5 pulses a cell and sample", updates(SUBJECTS, 512, 64, 5.0)),
        Group("Update, 64 x 64, one sample, 0.3 pulses a cell", updates(SUBJECTS, 64, 1, 0.3)),
        Group("Memory for each cell, 2048 x 2048", next(g.cases for g in GOALS if g.cases[0].kind == "memory")),
    ),
    (
        Group(f"Training step, {WIDE}, batch 32", steps(WIDE, 32)),
        Group(f"Training step, {PERCEPTRON}, batch 64", steps(PERCEPTRON, 64)),
        Group(f"Training step, {PERCEPTRON}, batch 1", steps(PERCEPTRON, 1)),
        Group("Training step, LeNet, batch 8", steps(LENET, 8)),
        Group(
            "Products, 512 x 512, batch 64",
            [Case(kind, circuits, 512, 64) for kind in ("forward", "backward") for circuits in ("default", "ideal")],
        ),
    ),
)


def draw(table: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Draw the last comparison in a table of results."""
    from matplotlib.figure import Figure

    run = last_run(table)
    results = {result.case: result for result in results_of(run)}
    drawn = [results[case] for groups in COLUMNS for group in groups for case in group.cases if case in results]
    ratios = [result.ratio for result in drawn if result.ratio] or [1.0]
    limits = min(0.7, min(ratios) / 1.1), max(12.0, max(ratios) * 1.1)
    figure = Figure(figsize=(10, 8.6), facecolor="white")
    figure.suptitle(f"How many times {THEIRS} takes what {OURS} takes", x=0.02, y=0.98, ha="left", weight="bold")
    height = max(sum(len(group.cases) + SPACE for group in groups) for groups in COLUMNS)
    for left, groups in zip((0.14, 0.63), COLUMNS, strict=True):
        axes = figure.add_axes((left, 0.09, 0.31, 0.86))
        axes.set_ylim(height - SPACE + 0.7, -0.8)
        _column(axes, groups, results)
        _frame(axes, limits)
    figure.text(0.02, 0.012, _caption(run), fontsize=7.5, color=FAINT, va="bottom", linespacing=1.4)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=160)


def _column(axes: Any, groups: Sequence[Group], results: Mapping[Case, Result]) -> None:
    """Draw groups below each other."""
    y = 0.0
    for group in groups:
        place = axes.get_yaxis_transform()
        ground = {"facecolor": "white", "edgecolor": "none", "pad": 1.5}
        axes.text(-0.387, y, group.title, transform=place, bbox=ground, weight="bold", fontsize=8.5, va="center")
        for case in group.cases:
            y += 1
            _bar(axes, y, case, results.get(case))
        y += SPACE


def _bar(axes: Any, y: float, case: Case, result: Result | None) -> None:
    """One bar from 1 to the ratio, with a tick where the goal is."""
    words = case.subject.split()
    label = f"{case.kind}, {case.subject}" if case.kind in ("forward", "backward") else NAMES[words[-1]]
    label = "analog SGD" if case.kind == "memory" and label == "soft bounds" else label
    axes.text(-0.02, y, label, transform=axes.get_yaxis_transform(), fontsize=8.5, ha="right", va="center", color=INK)
    goal, end = goal_of(case), 1.0
    if result is not None and result.ratio is not None:
        end = result.ratio
        axes.barh(y, end - 1, left=1, height=0.72, color=FASTER if end >= 1 else SLOWER)
    if goal is not None and goal.ratio:
        axes.plot([goal.ratio] * 2, [y - 0.46, y + 0.46], color=INK, linewidth=1.6)
    said = "-" if result is None else verdict(result.ratio, result.problems)
    axes.text(1.12, y, said, transform=axes.get_yaxis_transform(), fontsize=8.5, ha="right", va="center", color=INK)


def _frame(axes: Any, limits: tuple[float, float]) -> None:
    axes.set_xscale("log")
    axes.set_xlim(*limits)
    between = (1, 2, 5) if limits[1] / limits[0] < 200 else (1,)
    ticks = [t * 10**power for power in range(-3, 4) for t in between if limits[0] <= t * 10**power <= limits[1]]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.set_yticks([])
    axes.axvline(1, color=FAINT, linewidth=1)
    axes.grid(True, axis="x", color=GRID, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=8.5, colors="#444444", length=0)
    for side in axes.spines.values():
        side.set_visible(False)


def _caption(run: Sequence[Mapping[str, Any]]) -> str:
    """What the bars are, and on which machine."""
    row = run[0]
    theirs = next((each["library"] for each in run if each["library"].startswith(THEIRS)), THEIRS)
    words = (
        f"Median time (or memory) of {theirs} over that of {OURS}, logarithmic; above 1 {OURS} takes less. Measured in "
        "turns, in one run; a ratio is drawn only where both gave the same results, within five standard errors. "
        f"Black marks are goals. {row['machine']}, {row['cores']} cores, Python {row['python']}, torch {row['torch']}; "
        f"commit {row['commit'] or 'unknown'}, {row['date']}."
    )
    return "\n".join(textwrap.wrap(words, 165))
