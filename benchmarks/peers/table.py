"""What a run shows in the terminal: how far it is, a table of the figures, and every goal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from peers.cases import GOALS, NAMES, OURS, THEIRS, Goal, goal_of
from peers.figures import Spread, verdict
from peers.measure import Result

KINDS = {
    "update": "One update",
    "forward": "Product W x",
    "backward": "Product with the transpose",
    "train": "Training step",
    "memory": "Peak memory in bytes for each cell",
    "first": "First tile and update of a process",
    "first_empty": "The same, no kernels on disk",
    "import": "Import after torch",
}


def progress(console: Console) -> Progress:
    """A bar that names the case and the time left."""
    columns = (BarColumn(bar_width=24), TimeRemainingColumn(), TextColumn("left,"), TextColumn("{task.description}"))
    return Progress(*columns, console=console, speed_estimate_period=600, transient=True)


def line(result: Result) -> str:
    """A result in one line."""
    if result.problems:
        return f"{result.case.name}: {verdict(None, result.problems)}"
    ours, theirs = (amount(result, name) for name in NAMES)
    return f"{result.case.name}: {ours} against {theirs}, {result.ratio:.3g} times"


def show(results: Sequence[Result], console: Console) -> None:
    """Print the figures of cases that are alike together, what differs, and the goals."""
    alike: dict[str, list[Result]] = {}
    for result in sorted(results, key=lambda each: list(KINDS).index(each.case.kind)):
        alike.setdefault(_heading(result), []).append(result)
    for title, group in alike.items():
        console.print(_table(title, group))
    for result in results:
        for problem in result.problems:
            console.print(f"{result.case.name}: {problem}", style="red", highlight=False)
    console.print(_goals(results))


def reached(goal: Goal, results: Iterable[Result]) -> tuple[str, str, bool | None]:
    """The figure of a goal, that is of its worst case; which case that is; whether it is met (None: not measured)."""
    by_case = {result.case: result for result in results}
    found = [by_case[case] for case in goal.cases if case in by_case]
    if not found:
        return "", "", None
    if wrong := [result for result in found if result.ratio is None]:
        return verdict(None, wrong[0].problems), wrong[0].case.load, False
    complete = True if len(found) == len(goal.cases) else None
    if goal.seconds:
        worst = max(found, key=lambda result: result.values[OURS].median)
        is_met = worst.values[OURS].median <= goal.seconds
        return amount(worst, OURS), worst.case.load, is_met and complete
    worst = min(found, key=lambda result: result.ratio or 0.0)
    is_met = (worst.ratio or 0.0) >= goal.ratio
    return f"{worst.ratio:.3g}", worst.case.load, is_met and complete


def is_met(result: Result) -> bool | None:
    """Whether a case alone reaches its goal; None if it has none."""
    goal = goal_of(result.case)
    if goal is None:
        return None
    if result.ratio is None:
        return False
    return result.values[OURS].median <= goal.seconds if goal.seconds else result.ratio >= goal.ratio


def amount(result: Result, name: str) -> str:
    """The median of a library and its spread, with a unit."""
    if name not in result.values:
        return ""
    value: Spread = result.values[name]
    if result.case.kind == "memory":
        return f"{value.median:.1f} ± {value.half:.1f}"
    for unit, word in ((1.0, "s"), (1e-3, "ms"), (1e-6, "us")):
        if value.median >= unit or word == "us":
            return f"{value.median / unit:.3g} ± {value.half / unit:.2g} {word}"
    raise AssertionError


def _new_table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for number, name in enumerate(columns):
        table.add_column(name, justify="left" if number == 0 else "right", no_wrap=number > 0)
    return table


def _heading(result: Result) -> str:
    """What a group of cases has in common."""
    case = result.case
    network = case.subject.rpartition(" ")[0] if case.kind == "train" else ""
    return ", ".join(filter(None, (KINDS[case.kind], network, case.load.partition(", ")[2])))


def _table(title: str, results: list[Result]) -> Table:
    measured = any(density for result in results for density in result.density.values())
    table = _new_table(title, "", *["pulses"] * measured, *NAMES, "ratio", "goal", "met")
    for result in results:
        goal = goal_of(result.case)
        wanted = "" if goal is None else f"{goal.ratio:g}" if goal.ratio else f"{goal.seconds * 1e6:g} us"
        pulses = " / ".join(f"{result.density[name]:.3g}" for name in NAMES if result.density.get(name))
        table.add_row(
            result.case.subject.rpartition(" ")[2] if result.case.kind == "train" else result.case.subject,
            *[pulses] * measured,
            *(amount(result, name) for name in NAMES),
            verdict(result.ratio, result.problems),
            wanted,
            _word(is_met(result)),
            style="red" if result.problems else "",
        )
    return table


def _goals(results: Sequence[Result]) -> Table:
    table = _new_table(f"Goals, each by its worst case: {THEIRS} over {OURS}", "")
    for name in ("goal", "figure"):
        table.add_column(name, justify="right")
    table.add_column("met", no_wrap=True)
    table.add_column("worst case")
    for goal in GOALS:
        figure, case, met = reached(goal, results)
        wanted = f"{goal.ratio:g}" if goal.ratio else f"{goal.seconds * 1e6:g} us at most"
        word = "not measured" if not figure else _word(met) or "in part"
        table.add_row(goal.title, wanted, figure, word, case)
    return table


def _word(met: bool | None) -> str:
    return "" if met is None else "[green]met[/]" if met else "[red]not met[/]"
