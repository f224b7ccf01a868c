"""Tables of a page: those of the terminal, cell by cell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table


@dataclass(frozen=True)
class Column:
    """The head of a column."""

    name: str
    number: bool
    """It holds numbers, which stand on the right."""


@dataclass(frozen=True)
class PageTable:
    """Rows of texts; ``style`` of a row is that of the terminal: ``green`` for the best, ``dim`` for the paper."""

    title: str
    columns: Sequence[Column]
    rows: Sequence[tuple[str, Sequence[str]]]


def from_terminal(table: Table, without: Sequence[str] = ()) -> PageTable:
    """A table that was made for the terminal, so that both say the same; ``without`` are columns left out."""
    kept = [column for column in table.columns if _plain(column.header) not in without]
    columns = [Column(_plain(column.header).replace("_\n", "_"), column.justify == "right") for column in kept]
    cells = [[_plain(cell) for cell in column.cells] for column in kept]
    styles = [str(row.style or "") for row in table.rows]
    return PageTable(_plain(table.title), columns, list(zip(styles, zip(*cells, strict=True), strict=True)))


def _plain(cell: Any) -> str:
    from rich.text import Text

    return Text.from_markup(cell).plain if isinstance(cell, str) else str(cell or "")
