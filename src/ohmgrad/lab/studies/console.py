"""What a reproduction shows in a terminal: the list of studies, its tables beside the paper, and its claims."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ohmgrad.amounts import counted
from ohmgrad.lab import studies
from ohmgrad.lab.studies.reproduction import Reproduction, verdict
from ohmgrad.lab.studies.study import Line, Panel, Study
from ohmgrad.lab.tables import new_table

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

SMALL_VERSION = "It says little about the paper: leave out --quick for the setting of the claims."


def show_studies(console: Console) -> None:
    """List what can be reproduced."""
    from rich.padding import Padding

    for study in studies.STUDIES.values():
        console.print(f"[bold]{study.name}[/bold]", highlight=False)
        time = counted(round(study.core_minutes), "minute")
        said = f"{study.title}\n[dim]{study.paper}; {time} on one core[/dim]"
        console.print(Padding(said, (0, 0, 0, 4)), highlight=False)
    console.print("`ohmgrad reproduce NAME` computes one, with --quick a small version within a minute.", style="dim")


def introduce(study: Study, console: Console) -> None:
    """Print what is about to be computed."""
    console.print(f"[bold]{study.title}[/bold]", highlight=False)
    console.print(study.paper, highlight=False)
    console.print(study.setting, style="dim", highlight=False)


def show_reproduction(reproduction: Reproduction, console: Console) -> None:
    """Print the tables of a reproduction and its claims."""
    from rich.table import Table

    study, results = reproduction.study, reproduction.results()
    for panel in study.panels(results):
        if panel.markers:
            console.print(panel_table(panel))
    claims = study.claims(results)
    said = Table.grid(padding=(0, 2, 0, 0))
    for claim in claims:
        mark = "[green]yes[/green]" if claim.holds else "[red]no[/red]"
        said.add_row(mark, f"{claim.text}:\n[dim]{claim.measured}[/dim]")
    console.print(said)
    console.print(f"[bold]{verdict(claims, reproduction.quick)}[/bold]", highlight=False)
    if reproduction.quick:
        console.print(SMALL_VERSION, style="dim")
    elif study.differences:
        console.print(study.differences, style="dim", highlight=False)


def panel_table(panel: Panel) -> Table:
    """Means of a panel, with the numbers of the paper below them."""
    places = sorted({x for line in panel.lines for x in line.x})
    table = new_table(f"{panel.y_label}, {panel.title}" if panel.title else panel.y_label)
    table.add_column(panel.x_label, no_wrap=False, max_width=28)
    for x in places:
        table.add_column(f"{x:g}", justify="right")
    beside = any(value is not None for line in panel.lines for value in line.published)
    for line in panel.lines:
        table.add_row(line.title, *(_cell(line, x) for x in places))
        if beside:
            table.add_row("  the paper", *(_cell(line, x, published=True) for x in places), style="dim")
    return table


def _cell(line: Line, x: float, published: bool = False) -> str:
    if x not in line.x:
        return ""
    k = list(line.x).index(x)
    value = (line.published[k] if k < len(line.published) else None) if published else line.y[k]
    return "" if value is None else f"{value:.3g}"
