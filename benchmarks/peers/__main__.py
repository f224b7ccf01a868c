"""ohmgrad beside aihwkit: ``make bench-peers``, or in an environment that holds both ``python -m peers --help``."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from rich.console import Console

from peers.cases import OURS, Case, cases
from peers.measure import Result, links, measured
from peers.picture import PICTURE, draw
from peers.rows import rows
from peers.table import line, progress, show
from record import RESULTS, append, read

INTERRUPTED = 130


def main() -> int:
    """Measure what is asked for, show, record and draw it; 1 if the libraries differ, or something failed."""
    asked, console = parsed(), Console(highlight=False, width=None if sys.stdout.isatty() else 120)
    if asked.draw:
        draw(read(asked.rows), asked.picture)
        console.print(f"Drawn: {asked.picture}")
        return 0
    chosen = cases(asked.full, asked.only)
    if not chosen:
        console.print(f"No case has {asked.only!r} in its name.")
        return 2
    results: list[Result] = []
    threads, interrupted = _measure(chosen, results, asked.seconds, console)
    if not results:
        return INTERRUPTED
    show(results, console)
    append(rows(results, threads), asked.rows)
    if len(chosen) == len(results) and not asked.only:  # a picture of a part would replace that of the whole
        draw(read(asked.rows), asked.picture)
        console.print(f"Drawn: {asked.picture}")
    console.print(f"{len(results)} of {len(chosen)} cases measured; rows appended to {asked.rows}")
    return INTERRUPTED if interrupted else int(any(result.problems for result in results))


def parsed() -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser("peers", description=__doc__)
    parser.add_argument("--full", action="store_true", help="the whole grid of sizes, batches and densities (hours)")
    parser.add_argument("--only", default="", metavar="TEXT", help="cases that have this in their name")
    parser.add_argument("--seconds", type=float, default=3.0, help="to measure each case, besides its checks")
    parser.add_argument("--rows", type=Path, default=RESULTS, help="the table that rows are appended to")
    parser.add_argument("--picture", type=Path, default=PICTURE, help="what is drawn")
    parser.add_argument("--draw", action="store_true", help="only draw the last run of the table")
    return parser.parse_args()


def _measure(chosen: list[Case], results: list[Result], seconds: float, console: Console) -> tuple[int, bool]:
    """Fill the results; the number of threads, and whether Ctrl-C ended it."""
    with links() as both, progress(console) as bar:
        task = bar.add_task("", total=sum(case.effort for case in chosen))
        try:
            for case in chosen:
                bar.update(task, description=case.name)
                results.append(measured(case, both, seconds))
                bar.update(task, advance=case.effort)
                console.print(line(results[-1]), soft_wrap=True)
        except KeyboardInterrupt:
            console.print("Interrupted: what was measured is kept.")
            return both[OURS].threads, True
        return both[OURS].threads or os.cpu_count() or 1, False


if __name__ == "__main__":
    sys.exit(main())
