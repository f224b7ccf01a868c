"""What the lab shows in a terminal: progress of every run with the time left, and tables of the outcome."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from ohmgrad.amounts import amount
from ohmgrad.lab import pool
from ohmgrad.lab.compare import Comparison, Row
from ohmgrad.lab.recipes import RECIPES
from ohmgrad.lab.tables import new_table
from ohmgrad.lab.tune import TUNED_FOR, Search, Trial

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

SPARKS = "▁▂▃▄▅▆▇█"
STARTING = "starting (compiles once)"
"""Before any run has made a step: if something must be compiled, it is now, and it is kept on disk."""
TITLE = 36
"""Characters for the name of a run, at least."""


def follow(
    jobs: pool.Jobs[pool.SomeJob],
    workers: int,
    keep: Callable[[pool.SomeJob, dict[str, Any]], None],
    console: Console,
    title: str,
    lines: bool,
    kept: int = 0,
) -> None:
    """Run jobs and show how they go; ``keep`` is called with every record as soon as it is there.

    :param kept: runs that were finished earlier; they are counted, not run.
    :param lines: print a line for every finished run. Where there is no terminal to draw bars in, this is always done.
    """
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TextColumn("{task.fields[note]}"),
        TimeRemainingColumn(),
        TextColumn("left"),
    )
    if not jobs:
        return
    if isinstance(jobs, pool.Source):  # those to come have names like the others
        steps, wide = len(jobs) * jobs.length, TITLE
    else:
        steps, wide = sum(job.length for job in jobs), max(TITLE, *(len(job.title) for job in jobs))
    with Progress(*columns, console=console, speed_estimate_period=600, transient=True) as progress:
        every = progress.add_task(f"[bold]{title}", total=steps, note=_runs(kept, kept + len(jobs)))
        bars: dict[int, Any] = {}
        done: dict[int, int] = {}
        finished = 0
        for event in pool.run(jobs, workers):
            job, before = jobs[event.index], done.get(event.index, 0)
            if event.news is None:
                bars[event.index] = progress.add_task(
                    job.title, total=job.length, note="starting" if done else STARTING
                )
            elif isinstance(event.news, dict):
                keep(job, event.news)
                finished += 1
                progress.update(every, advance=job.length - before, note=_runs(kept + finished, kept + len(jobs)))
                progress.remove_task(bars[event.index])
                if lines or not console.is_terminal:
                    if finished == 1:
                        console.print(f"{title:<{wide}} {job.heading}", style="dim", soft_wrap=True)
                    console.print(f"{job.title:<{wide}} {job.outcome(event.news)}", highlight=False, soft_wrap=True)
            else:
                done[event.index] = event.news.done
                progress.update(bars[event.index], completed=event.news.done, note=event.news.note)
                progress.update(every, advance=event.news.done - before)


def comparison_table(comparison: Comparison) -> Table:
    """The table of a comparison; it fits 80 characters."""
    rows = list(comparison.rows())
    best = max((row.accuracy for row in rows if row.algorithm != "fp"), default=None)
    table = new_table(comparison.title)
    table.add_column("algorithm")
    table.add_column("curve")
    for name in ("test\naccuracy", "pulses\nto A", "pulses\nto C", "ns", "nJ", "kB"):
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(
            row.title,
            _sparkline(comparison, row.algorithm),
            _accuracy(row),
            _amount(row.pulses_a),
            _amount(row.pulses_c),
            "-" if row.latency is None else f"{row.latency:.0f}",
            "-" if row.energy is None else f"{row.energy:.2g}",
            "-" if row.storage is None else f"{row.storage / 1000:.2g}",
            style="green" if row.accuracy == best else "",
        )
    return table


def show_comparison(comparison: Comparison, console: Console) -> None:
    """Print the table of a comparison, and what it means."""
    console.print(comparison_table(comparison))
    console.print(
        "Mean and standard deviation over the seeds. Pulses of analog SGD and mixed precision, which have one array, "
        "are counted under C; floating point has none. Time of the updates (ns), energy (nJ) and digital storage (kB) "
        "are those of a chip for a sample, by formulas of the papers.",
        style="dim",
        highlight=False,
    )
    if unlike := untuned(comparison):
        console.print(f"Note: {unlike}", style="yellow", highlight=False)


def show_search(search: Search, console: Console) -> None:
    """Print the winners of a search."""
    table = new_table("Best hyperparameters")
    for name in ("algorithm", "validation accuracy", "hyperparameters"):
        table.add_column(name, justify="right" if name == "validation accuracy" else "left")
    for name in search.setting.algorithms:
        best: Trial = search.best(name)
        if best.scores:
            knobs = ", ".join(f"{key} {value:g}" for key, value in best.knobs.items())
            table.add_row(RECIPES[name].title, f"{100 * best.mean:.1f} %", knobs)
    console.print(table)


def untuned(comparison: Comparison) -> str | None:
    """What differs from the setting that the hyperparameters were tuned for, in a sentence; None if nothing does."""
    now = comparison.setting.plain()
    unlike = [
        f"{name.replace('_', ' ')} {comparison.tuned_for[name]}"
        for name in TUNED_FOR
        if comparison.tuned_for[name] != now[name]
    ]
    if not unlike:
        return None
    return f"the hyperparameters were tuned for {', '.join(unlike)}; `ohmgrad tune` finds those of this setting."


def _runs(finished: int, all_runs: int) -> str:
    return f"{finished} of {all_runs} runs"


def _accuracy(row: Row) -> str:
    spread = "" if row.spread is None else f" ± {100 * row.spread:3.1f}"
    lost = f" ({row.diverged} diverged)" if row.diverged else ""
    return f"{100 * row.accuracy:.1f}{spread} %{lost}"


def _amount(count: float | None) -> str:
    return "-" if count is None else amount(count)


def _sparkline(comparison: Comparison, algorithm: str) -> str:
    """The mean learning curve in eight characters at most, from 0 to 100 %."""
    runs: Iterable[list[float]] = (
        [epoch["accuracy"] for epoch in record["epochs"]] for record in comparison.records(algorithm)
    )
    means = [sum(values) / len(values) for values in zip(*runs, strict=False)]
    picked = [means[round(i * (len(means) - 1) / 7)] for i in range(8)] if len(means) > 8 else means
    return "".join(SPARKS[min(len(SPARKS) - 1, int(value * len(SPARKS)))] for value in picked)
