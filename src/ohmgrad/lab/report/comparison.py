"""The page of a comparison."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ohmgrad.amounts import counted
from ohmgrad.lab.compare import Comparison
from ohmgrad.lab.console import comparison_table, untuned
from ohmgrad.lab.plots.curves import CLOSEST, TICKS, learning_curves
from ohmgrad.lab.plots.style import LINES
from ohmgrad.lab.recipes import RECIPES
from ohmgrad.lab.report.environment import environment
from ohmgrad.lab.report.figures import accuracy_figure, figure
from ohmgrad.lab.report.page import Page, as_text, write_page
from ohmgrad.lab.report.tables import from_terminal
from ohmgrad.lab.storage import read_json
from ohmgrad.lab.studies.study import Panel
from ohmgrad.lab.tune import recorded


def report_comparison(comparison: Comparison) -> Path:
    """Write the page of a comparison into its folder; gives the file."""
    records = {row.algorithm: comparison.records(row.algorithm) for row in comparison.rows()}
    runs, every = sum(map(len, records.values())), len(comparison.jobs)
    unlike = untuned(comparison)
    page = Page(
        title="Comparison of learning rules",
        subtitle=f"{comparison.title}, {counted(comparison.setting.seeds, 'seed')}",
        command=command_of(comparison),
        paragraphs=[] if runs == every else [f"Not finished: {runs} of {every} runs are in this page."],
        figures=_figures(records) if records else [],
        tables=[replace(from_terminal(comparison_table(comparison), without=("curve",)), title="")],
        notes=[
            "Curves are means over the seeds, bands go from the lowest to the highest seed. The axis of the accuracy "
            "is logarithmic in the share of wrong answers.",
            *([f"Note: {unlike}"] if unlike else []),
        ],
        details={
            "Hyperparameters": as_text(dict(comparison.knobs)),
            **{
                f"Configuration: {RECIPES[name].title}": as_text(some[0]["config"])
                for name, some in records.items()
                if "config" in some[0]
            },
        },
        environment=environment(read_json(comparison.folder / "setting.json")["versions"]),
    )
    return write_page(page, comparison.folder)


def command_of(comparison: Comparison) -> str:
    """The command that computes a comparison from the beginning."""
    words = ["ohmgrad", "compare", *comparison.setting.words()]
    best = recorded()["best"]
    for name, values in comparison.knobs.items():
        usual = dict(best[name])
        if comparison.setting.gamma is not None and "gamma" in usual:
            usual["gamma"] = comparison.setting.gamma
        if dict(values) != usual:
            words += ["--tuned", "tuned.json"]
            break
    return shlex.join([*words, "--out", str(comparison.folder)])


def _figures(records: Mapping[str, Sequence[dict[str, Any]]]) -> list[dict[str, Any]]:
    accuracy = Panel("Test accuracy", "epoch", "test accuracy (%)", learning_curves(records), markers=False)
    losses = learning_curves(records, "loss")
    loss = Panel("Loss on the test part", "epoch", "cross entropy (nats)", losses, log_y=True, markers=False)
    return [accuracy_figure(accuracy, LINES, TICKS, CLOSEST), figure(loss, LINES)]
