"""Tables of the lab in a terminal, all of one look."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table


def new_table(title: str, *columns: str) -> Table:
    """An empty table in the style of all; numbers stand on the right."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(title=title or None, title_justify="left", title_style="bold", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in columns:
        right = name in ("states", "noise", "value", "error")
        table.add_column(name, justify="right" if right else "left", overflow="fold")
    return table
