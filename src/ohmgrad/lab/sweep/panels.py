"""The score over each hyperparameter: what is drawn of a search."""

from __future__ import annotations

from ohmgrad.lab.recipes import LogRange, WholeRange
from ohmgrad.lab.studies.study import Line, Panel
from ohmgrad.lab.sweep.search import Sweep

SCORE = "validation accuracy (%)"


def sweep_panels(sweep: Sweep) -> list[Panel]:
    """One panel for each hyperparameter that was varied, the most important first."""
    shares, trials, best = sweep.importances(), sweep.trials, sweep.best
    seen = {trial.number for trial in trials if len(trial.scores) > 1} - {best.number}
    groups = {
        "proposals, one seed": [(trial, trial.scores["0"]) for trial in trials],
        "finalists, mean over the seeds": [(trial, trial.mean) for trial in trials if trial.number in seen],
        "the winner": [(best, best.mean)],
    }
    panels = []
    for name in sorted(sweep.space, key=lambda name: -shares.get(name, 0.0)):
        if len({trial.knobs[name] for trial in trials}) < 2:
            continue
        lines = [
            Line(title, title, [trial.knobs[name] for trial, _ in some], [100.0 * value for _, value in some])
            for title, some in groups.items()
            if some
        ]
        scale = sweep.space[name]
        log = isinstance(scale, LogRange) or (isinstance(scale, WholeRange) and scale.log)
        share = f", {100 * shares[name]:.0f} % of the variance" if name in shares else ""
        panels.append(Panel(f"{name}{share}", name, SCORE, lines, log_x=log, joined=False))
    return panels
