"""Makes the pictures of the documentation: ``python -m pictures FOLDER [NAME ...]``."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from pictures import arrays, cells, sweeps
from pictures.rules import CASES, draw_rule

PICTURES: dict[str, Callable[[Path], None]] = {
    **{f"understand/{name}": draw for name, draw in (cells.PICTURES | arrays.PICTURES | sweeps.PICTURES).items()},
    **{f"rules/{name}": partial(draw_rule, name) for name in CASES},
}
"""What draws each picture; its folder stands before the stroke."""


def main(images: Path, names: list[str]) -> None:
    """Draw the named pictures, or all."""
    for name in names or PICTURES:
        PICTURES[name](images / Path(name).parent)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
