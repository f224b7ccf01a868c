"""Where recorded rows go as they come: a file of CSV, or the curves of TensorBoard."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol, TextIO

from ohmgrad.errors import ConfigError

Row = Mapping[str, Any]
"""A number for each column, with the step and the layer."""


class Writer(Protocol):
    """What TensorBoard's ``SummaryWriter`` does."""

    def add_scalar(self, tag: str, scalar_value: float, global_step: int) -> None:
        """Add a number to a curve."""

    def flush(self) -> None:
        """Write what was added."""


class _Csv:
    """A file to which every row is written when it comes, after those that it has."""

    def __init__(self, path: Path, columns: list[str]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file: TextIO = path.open("a+", encoding="utf-8", newline="")
        self._writer = csv.DictWriter(self._file, columns, restval="")
        self._file.seek(0)
        rows = self._file.readlines()
        if not rows:
            self._writer.writeheader()
        elif next(csv.reader(rows[:1])) != columns:
            self._file.close()
            raise ConfigError(
                f"Recorder: to = {str(path)!r} exists, and its columns are not those of this model. Give another name,"
                " or move the file away."
            )
        elif not rows[-1].endswith("\n"):  # a crash came while it was written: its last number may be cut
            self._file.truncate(len("".join(rows[:-1]).encode("utf-8")))
        self._file.flush()

    def write(self, row: Row) -> None:
        """Write a row, down to the file system."""
        self._writer.writerow({name: "" if _is_nan(value) else value for name, value in row.items()})
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class _Board:
    """Curves of TensorBoard, or of what behaves like it."""

    def __init__(self, writer: Writer, close: Callable[[], None]) -> None:
        self._writer, self.close = writer, close

    def write(self, row: Row) -> None:
        """Add a number to each curve."""
        for name, value in row.items():
            if name not in ("step", "layer") and not _is_nan(value):
                self._writer.add_scalar(f"{row['layer']}/{name}", float(value), row["step"])
        self._writer.flush()


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)


def sink_of(to: str | Path | Writer | None, columns: list[str]) -> _Csv | _Board | None:
    """What rows are written to; None: to nothing.

    :raises ConfigError: if TensorBoard is needed and missing, or a file has other columns.
    """
    if to is None:
        return None
    if not isinstance(to, (str, Path)):
        return _Board(to, to.flush)  # whoever opened it closes it
    if Path(to).suffix == ".csv":
        return _Csv(Path(to), columns)
    try:
        from torch.utils.tensorboard.writer import SummaryWriter
    except ImportError:
        raise ConfigError(
            f"Recorder: to = {str(to)!r} is a folder for TensorBoard, which is not installed. pip install tensorboard,"
            " or give a file that ends in .csv."
        ) from None
    writer = SummaryWriter(str(to))
    return _Board(writer, writer.close)
