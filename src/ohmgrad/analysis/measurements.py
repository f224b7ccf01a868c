"""Measured pulses and conductances, from arrays or from a file."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ohmgrad.errors import ConfigError

_DIRECTIONS = {"up": 1.0, "down": -1.0, "": 0.0}
_CONDUCTANCE = re.compile(r"conductance\s*(?:[\[(](?P<unit>.+)[\])]|_(?P<suffix>\w+))?", re.IGNORECASE)
_FEWEST = 4
"""Pulses of a cell, at least."""


@dataclass(frozen=True)
class Trace:
    """What was measured of one cell."""

    values: Tensor
    """Conductances, float64 ``[pulses + 1]``: before the first pulse, and after each."""
    up: Tensor
    """Whether each pulse was up, bool ``[pulses]``."""


@dataclass(frozen=True)
class Measurements:
    """Pulses and conductances of one cell or several."""

    traces: dict[str, Trace]
    """By name of the cell."""
    unit: str = ""
    """Of the conductances."""

    @staticmethod
    def of(conductance: Any, direction: Any, unit: str = "") -> Measurements:
        """Those of arrays.

        :param conductance: read after each pulse, ``[n]``, or ``[n, cells]`` of several.
        :param direction: of the pulses, ``[n]`` or ``[n, cells]``: above 0 up, below 0 down. The first row is what was
            read before anything: its direction counts for nothing.
        :raises ConfigError: if shapes differ, something is no finite number, or there are too few.
        """
        values, signs = _numbers("conductance", conductance), _numbers("direction", direction)
        if len(signs) != len(values) or signs.shape[1] not in (1, values.shape[1]):
            raise ConfigError(
                f"Measurements: directions {list(np.shape(direction))} for conductances {list(np.shape(conductance))}."
                " Give one for each pulse, or for each pulse of each cell."
            )
        signs = np.broadcast_to(signs, values.shape)
        if not (np.isfinite(values).all() and np.isfinite(signs).all()):
            raise ConfigError("Measurements: a number is not finite. Leave out what was not measured.")
        return Measurements(
            {str(k): _trace(values[:, k], signs[:, k], f"cell {k}") for k in range(values.shape[1])}, unit
        )

    @staticmethod
    def read(path: str | Path) -> Measurements:
        """Those of a file: a row for each pulse, with a header.

        - ``conductance``, read after the pulse; a unit may follow, as in ``conductance_uS`` or ``conductance (uS)``.
        - ``direction``: 1 or ``up``, -1 or ``down``; or ``voltage``, whose sign says the same.
        - ``cell``, if there are several: a name or a number.
        - ``pulse``, if the rows are not in order: a number by which those of a cell are sorted.

        The first row of a cell is what was read before anything; its direction may be 0 or empty. Columns are separated
        by commas, semicolons or tabs; lines that start with # are left out, and so are other columns.

        :raises ConfigError: if it cannot be read, or something else is in it; the error names the line.
        """
        path = Path(path)
        try:
            lines = path.read_text(encoding="utf-8-sig").splitlines()
        except UnicodeDecodeError:
            raise ConfigError(f"{path} is not a text file. Give a CSV file with a header.") from None
        except OSError as error:
            raise ConfigError(f"{path} cannot be read: {error.strerror}. Give a CSV file with a header.") from None
        numbered = [(k, line) for k, line in enumerate(lines, 1) if line.strip() and not line.startswith("#")]
        if not numbered:
            raise ConfigError(f"{path} is empty. Give a CSV file with a header and a row for each pulse.")
        first, header = numbered[0]
        separator = next((mark for mark in "\t;" if mark in header), ",")
        rows = [(k, next(csv.reader([line], delimiter=separator))) for k, line in numbered]
        names = [name.strip() for name in rows[0][1]]
        return _gathered(path, _Columns(path, first, names), rows[1:])


class _Columns:
    """Where the columns of a file are."""

    def __init__(self, path: Path, line: int, names: Sequence[str]) -> None:
        given, names = names, [name.lower() for name in names]
        found = [(k, match) for k, name in enumerate(given) if (match := _CONDUCTANCE.fullmatch(name))]
        signs = [name for name in names if name in ("direction", "voltage")]
        counts = {"conductance": len(found), "direction or voltage": len(signs)}
        optional = {name: max(1, names.count(name)) for name in ("cell", "pulse")}
        for what, count in (counts | optional).items():
            if count != 1:
                some = "no column" if count == 0 else f"{count} columns"
                raise ConfigError(f"{path}, line {line}: {some} {what} among {', '.join(names)}. Name one of them so.")
        self.path, self.count = path, len(names)
        self.conductance, match = found[0]
        self.unit = match["unit"] or match["suffix"] or ""
        self.sign, self.sign_name = names.index(signs[0]), signs[0]
        self.cell, self.pulse = (names.index(name) if name in names else None for name in ("cell", "pulse"))

    def number(self, line: int, fields: list[str], place: int, what: str) -> float:
        """A number in a line."""
        try:
            value = float(fields[place])
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise ConfigError(f"{self.path}, line {line}: {what} {fields[place].strip()!r}. Give a finite number.")
        return value

    def direction(self, line: int, fields: list[str]) -> float:
        """The direction of the pulse of a line."""
        text = fields[self.sign].strip().lower()
        if text in _DIRECTIONS:
            return _DIRECTIONS[text]
        try:
            value = self.number(line, fields, self.sign, self.sign_name)
        except ConfigError:
            allowed = "up, down, 1 or -1" if self.sign_name == "direction" else "a number, positive for up"
            message = f"{self.path}, line {line}: {self.sign_name} {fields[self.sign].strip()!r}. Give {allowed}."
            raise ConfigError(message) from None
        return value


def _numbers(what: str, given: Any) -> Any:
    """What was given as float64 ``[n, cells]``, of one cell or several."""
    try:
        values = np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError):
        raise ConfigError(f"Measurements: {what} = {given!r:.60}. Give numbers, [n] or [n, cells].") from None
    if values.ndim not in (1, 2) or values.size == 0:
        raise ConfigError(f"Measurements: {what} of shape {list(values.shape)}. Give numbers, [n] or [n, cells].")
    return values.reshape(len(values), -1)


def _gathered(path: Path, columns: _Columns, rows: Iterable[tuple[int, list[str]]]) -> Measurements:
    """The rows of a file, by cell and in order."""
    cells: dict[str, list[tuple[float, int, float, float]]] = {}
    for line, fields in rows:
        if len(fields) != columns.count:
            raise ConfigError(f"{path}, line {line}: {len(fields)} columns instead of {columns.count}. Mend the line.")
        cell = "0" if columns.cell is None else fields[columns.cell].strip()
        order = 0.0 if columns.pulse is None else columns.number(line, fields, columns.pulse, "pulse")
        value = columns.number(line, fields, columns.conductance, "conductance")
        cells.setdefault(cell, []).append((order, line, value, columns.direction(line, fields)))
    traces = {}
    for cell, found in cells.items():
        found.sort()  # by pulse number, then by line
        for before, after in pairwise(found):
            if after[3] == 0.0:
                raise ConfigError(f"{path}, line {after[1]}: a pulse without direction. Give up or down.")
            if columns.pulse is not None and before[0] == after[0]:
                raise ConfigError(f"{path}, line {after[1]}: pulse {after[0]:g} of cell {cell} for the second time.")
        traces[cell] = _trace([row[2] for row in found], [row[3] for row in found], f"{path}: cell {cell}")
    if not traces:
        raise ConfigError(f"{path} has a header and no rows. Give a row for each pulse.")
    return Measurements(traces, columns.unit)


def _trace(values: Any, signs: Any, what: str) -> Trace:
    pulses = len(values) - 1
    if pulses < _FEWEST:
        raise ConfigError(f"{what} has {max(pulses, 0)} pulses. Give at least {_FEWEST}.")
    if not all(signs[1:]):
        raise ConfigError(f"{what}: a pulse has no direction. Give a number above or below 0.")
    conductances = torch.tensor(np.array(values), dtype=torch.float64)
    if conductances.min() == conductances.max():
        raise ConfigError(f"{what} has the conductance {values[0]:g} throughout. Leave the cell out.")
    return Trace(conductances, torch.tensor(np.array(signs[1:])) > 0.0)
