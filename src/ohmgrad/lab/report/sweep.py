"""The page of a search for hyperparameters."""

from __future__ import annotations

import shlex
from pathlib import Path

from ohmgrad.lab.plots.panels import look_of
from ohmgrad.lab.report.environment import environment
from ohmgrad.lab.report.figures import figure
from ohmgrad.lab.report.page import Page, as_text, write_page
from ohmgrad.lab.report.tables import from_terminal
from ohmgrad.lab.storage import read_json
from ohmgrad.lab.sweep.console import best_table, ending_text, importance_table
from ohmgrad.lab.sweep.panels import sweep_panels
from ohmgrad.lab.sweep.search import Sweep
from ohmgrad.lab.tune import plain_space


def report_sweep(sweep: Sweep) -> Path:
    """Write the page of a search into its folder; gives the file."""
    panels = sweep_panels(sweep)
    look = look_of(panels)
    tables = [table for table in (best_table(sweep), importance_table(sweep)) if table is not None]
    tested = sorted((sweep.folder / "runs").glob(f"trial{sweep.best.number}-test-*.json"))
    page = Page(
        title=f"Hyperparameters of {sweep.recipe.title}",
        subtitle=sweep.subtitle,
        command=shlex.join(command_of(sweep)),
        verdict=ending_text(sweep),
        figures=[figure(panel, look) for panel in panels],
        tables=[from_terminal(table) for table in tables],
        notes=["Proposals are scored on a part of the training samples; the test part was used for the winner alone."],
        details={
            "The winner in Python": "\n".join(sweep.python()),
            "What was searched": as_text(plain_space(sweep.space)),
            "All proposals": as_text([vars(trial) for trial in sweep.trials]),
            **({"Configuration of the winner": as_text(read_json(tested[0])["config"])} if tested else {}),
        },
        environment=environment(sweep.versions()),
    )
    return write_page(page, sweep.folder)


def command_of(sweep: Sweep) -> list[str]:
    """The command that computes a search from the beginning."""
    words = ["ohmgrad", "sweep", sweep.algorithm, *sweep.setting.words(without=("algorithms",))]
    for text in sweep.vary:
        words += ["--vary", text]
    return [*words, "--trials", str(sweep.wanted), "--seed", str(sweep.seed), "--out", str(sweep.folder)]
