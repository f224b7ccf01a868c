"""Results as rows of results.csv, and back: what pictures are drawn from."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from importlib.metadata import PackageNotFoundError, version

from peers.cases import Case
from peers.figures import Spread
from peers.measure import Result
from record import installed, processor, times


def rows(results: Iterable[Result], threads: int) -> list[dict[str, object]]:
    """Two rows for each result, one if only one library gave a figure; what failed has none."""
    common = {
        "date": date.today().isoformat(),
        "machine": processor(),
        "cores": os.cpu_count(),
        "threads": threads,
        "python": platform.python_version(),
        **installed(),
    }
    table: list[dict[str, object]] = []
    for result in results:
        for name, value in result.values.items():
            row = common | _load(result.case) | {"library": _named(name)}
            row["measured_density"] = f"{result.density[name]:.4g}" if result.density.get(name) else ""
            row["agrees"] = "no" if result.problems else "yes" if result.case.is_checked else ""
            if result.case.kind == "memory":
                row["bytes_per_cell"] = f"{value.median:.1f}"
            else:
                row |= times(value.median, result.case.size**2 * result.case.batch)
                row["spread_us"] = f"{value.half * 1e6:.1f}"
            table.append(row)
    return table


def last_run(table: Sequence[Mapping[str, str]]) -> list[Mapping[str, str]]:
    """The rows of the last comparison in a table: those of its date, commit and machine.

    :raises ValueError: if there is none.
    """
    compared = [row for row in table if row.get("library")]
    if not compared:
        raise ValueError("There is no comparison among the rows. Measure one: make bench-peers.")
    same = ("date", "commit", "machine")
    return [row for row in compared if all(row[name] == compared[-1][name] for name in same)]


def results_of(run: Sequence[Mapping[str, str]]) -> list[Result]:
    """The results in the rows of a run; the last, if a case was measured again."""
    found: dict[Case, Result] = {}
    for row in run:
        case = _case(row)
        result = found.setdefault(case, Result(case))
        result.problems = ["differs"] if row["agrees"] == "no" else []
        result.values[row["library"].split()[0]] = _value(row)
    return list(found.values())


def _load(case: Case) -> dict[str, object]:
    return {
        "kind": case.kind,
        "subject": case.subject,
        "size": case.size or "",
        "batch": case.batch or "",
        "density": case.density or "",
    }


def _case(row: Mapping[str, str]) -> Case:
    return Case(
        row["kind"], row["subject"], int(row["size"] or 0), int(row["batch"] or 0), float(row["density"] or 0.0)
    )


def _value(row: Mapping[str, str]) -> Spread:
    if row["bytes_per_cell"]:
        return Spread(*[float(row["bytes_per_cell"])] * 3)
    median, half = (float(row[name]) * 1e-6 for name in ("median_us", "spread_us"))
    return Spread(median, median - half, median + half)


def _named(name: str) -> str:
    """A library with its version."""
    try:
        return f"{name} {version(name)}"
    except PackageNotFoundError:  # it runs from a folder
        return name
