"""What a search shows in a terminal: its best proposals, and what mattered."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ohmgrad.amounts import counted
from ohmgrad.lab.sweep.search import Sweep
from ohmgrad.lab.tables import new_table
from ohmgrad.lab.tune import Trial

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

SHOWN = 5
"""Proposals in the table."""


def best_table(sweep: Sweep) -> Table:
    """The best proposals: first those with most seeds."""
    table = new_table(f"Best of {len(sweep.trials)} proposals for {sweep.recipe.title}")
    table.add_column("trial", justify="right")
    table.add_column("validation\naccuracy", justify="right")
    table.add_column("seeds", justify="right")
    for name in sweep.space:
        table.add_column(_in_two(name), justify="right", no_wrap=True)
    best = sweep.best
    for trial in sorted(sweep.trials, key=_rank)[:SHOWN]:
        knobs = (f"{trial.knobs[name]:.3g}" for name in sweep.space)
        style = "green" if trial.number == best.number else ""
        table.add_row(str(trial.number), f"{100 * trial.mean:.1f} %", str(len(trial.scores)), *knobs, style=style)
    return table


def importance_table(sweep: Sweep) -> Table | None:
    """The share of every hyperparameter in the variance of the scores; None if it is unknown."""
    if not (shares := sweep.importances()):
        return None
    table = new_table("What mattered")
    table.add_column("hyperparameter")
    table.add_column("share of the variance", justify="right")
    for name, share in shares.items():
        table.add_row(name, f"{100 * share:.0f} %")
    return table


def ending_text(sweep: Sweep) -> str:
    """How the winner does on the test part, in a line."""
    if (ending := sweep.ending()) is None:
        return "The winner was not tested yet."
    spread = "" if ending.spread is None else f" ± {100 * ending.spread:.1f}"
    seeds = counted(len(ending.accuracies), "seed")
    return f"test accuracy of the winner: {100 * ending.mean:.1f}{spread} % ({seeds})"


def show_sweep(sweep: Sweep, console: Console) -> None:
    """Print the outcome of a search."""
    console.print(best_table(sweep))
    if (importances := importance_table(sweep)) is not None:
        console.print(importances)
    console.print(ending_text(sweep), style="bold", highlight=False)
    console.print("\nThe winner in Python, for layers of your own:", style="dim")
    for line in sweep.python():
        console.out(line, highlight=False)
    console.print()


def _in_two(name: str) -> str:
    """The name of a field in two lines, broken where a word ends; a short one in one."""
    breaks = [place + 1 for place, letter in enumerate(name) if letter == "_"]
    if len(name) < 10 or not breaks:
        return name
    middle = min(breaks, key=lambda place: abs(2 * place - len(name)))
    return f"{name[:middle]}\n{name[middle:]}"


def _rank(trial: Trial) -> tuple[int, float, int]:
    return -len(trial.scores), -trial.mean, trial.number
