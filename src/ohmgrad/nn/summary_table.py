"""The summary of a model as a table: one of rich, or plain text without it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from io import StringIO
from itertools import zip_longest
from typing import TYPE_CHECKING, NamedTuple

from ohmgrad.amounts import amount

if TYPE_CHECKING:
    from rich.table import Table

    from ohmgrad.nn.summary import LayerSummary, Summary


class Column(NamedTuple):
    """One column; cells may have several lines."""

    title: str
    is_number: bool
    cells: list[str]
    total: str
    width: int = 0
    """How narrow it may become, where there is no room; 0: it is never narrowed."""


def columns_of(summary: Summary) -> list[Column]:
    """The columns of the table; each says two things of a layer, one above the other."""
    rows = summary.rows
    digital = f"{amount(summary.digital_parameters)} digital\nparameters"
    amounts = f"{amount(summary.cells)}\n{amount(summary.memory, 'B')}"
    columns = [
        Column(
            "layer\nclass",
            False,
            [f"{row.name or '(the model)'}\n{row.kind}" for row in rows],
            counted(len(rows), "layer"),
            12,
        ),
        Column(
            "weight\ntiles",
            False,
            [f"{by(row.shape)}\n{tiles_of_a_size(row.tiles)}" for row in rows],
            f"\n{counted(summary.tiles, 'tile')}",
        ),
        Column("rule or\ndevice", False, [_device(row) for row in rows], digital, 16),
        Column("cells\nmemory", True, [f"{amount(row.cells)}\n{amount(row.memory, 'B')}" for row in rows], amounts),
        Column(
            "used\narrays",
            True,
            [f"{percent(row.utilisation)}\n{row.arrays}" for row in rows],
            percent(summary.utilisation),
        ),
    ]
    if summary.products is not None:
        columns.append(
            Column("output\nproducts", True, [_output(row) for row in rows], f"\n{amount(summary.products)}")
        )
    return columns


def rich_table(columns: Sequence[Column]) -> Table:
    """The table of rich, which must be installed."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), show_footer=True, show_edge=False)
    for column in columns:
        table.add_column(
            column.title,
            justify="right" if column.is_number else "left",
            overflow="fold",
            footer=column.total,
            no_wrap=column.width == 0,
            min_width=column.width or None,
        )
    for cells in zip(*(column.cells for column in columns), strict=True):
        parts = (cell.partition("\n") for cell in cells)
        table.add_row(*(Text.assemble(first, end, (rest, "dim")) for first, end, rest in parts))
    return table


def as_text(columns: Sequence[Column]) -> str:
    """The table as text: as rich prints it in this terminal; plain, where rich is not installed."""
    try:
        from rich.console import Console
    except ModuleNotFoundError:
        return plain_text(columns)
    text = StringIO()
    Console(file=text, color_system=None).print(rich_table(columns))
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines())


def plain_text(columns: Sequence[Column]) -> str:
    """The columns side by side."""
    blocks = [[column.title, *column.cells, column.total] for column in columns]
    widths = [max(len(line) for cell in block for line in cell.split("\n")) for block in blocks]
    rule = "  ".join("-" * width for width in widths)
    lines: list[str] = []
    for number, cells in enumerate(zip(*blocks, strict=True)):
        if number in (1, len(blocks[0]) - 1):
            lines.append(rule)
        for parts in zip_longest(*(cell.split("\n") for cell in cells), fillvalue=""):
            placed = zip(parts, widths, columns, strict=True)
            lines.append(
                "  ".join(f"{part:{'>' if column.is_number else '<'}{w}}" for part, w, column in placed).rstrip()
            )
    return "\n".join(lines)


def counted(number: int, what: str) -> str:
    """Such as ``"2 tiles"``."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def by(sizes: Sequence[int]) -> str:
    """Such as ``"4x9"``."""
    return "x".join(map(str, sizes))


def tiles_of_a_size(tiles: Sequence[tuple[int, int]]) -> str:
    """Tiles of equal sizes together."""
    return "\n".join(f"{counted(number, 'tile')} {by(size)}" for size, number in Counter(tiles).items())


def _device(row: LayerSummary) -> str:
    """The classes without what the names of all of them end in."""
    return re.sub(r"(PresetDevice|Device|Compound|UnitCell|Cell)\b", "", row.device).replace("(", "\n(", 1)


def percent(share: float | None) -> str:
    """A share, as people read it."""
    return "-" if share is None else f"{100 * share:.0f} %" if share >= 0.01 else "< 1 %"


def _output(row: LayerSummary) -> str:
    return "-" if row.output_shape is None else f"{by(row.output_shape)}\n{amount(row.products or 0)}"
