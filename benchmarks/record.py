"""The history of the figures, results.csv; ``python benchmarks/record.py RUN.json`` appends a run of `make bench`."""

from __future__ import annotations

import csv
import json
import platform
import subprocess
import sys
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

FIELDS = (
    "date", "machine", "cores", "threads", "python", "torch", "numba", "commit", "subject", "size", "batch", "density",
    "median_us", "ns_per_cell_sample", "floor_us",
    "library", "kind", "spread_us", "bytes_per_cell", "measured_density", "agrees",
)  # fmt: skip
"""The columns. Of a comparison (``make bench-peers``) there is a row for either library: ``kind`` is what they did,
``spread_us`` half of the distance between the quartiles, ``measured_density`` that of the pulses, ``agrees`` whether
both gave the same."""
RESULTS = Path(__file__).with_name("results.csv")


def rows(run: dict[str, Any]) -> list[dict[str, object]]:
    """One row for each benchmark of a run."""
    machine = run["machine_info"]
    common = {
        "date": run["datetime"][:10],
        "machine": machine["cpu"].get("brand_raw", machine["processor"]),
        "cores": machine["cpu"].get("count", ""),
        "python": machine["python_version"],
        **installed(),
    }
    table = []
    for bench in run["benchmarks"]:
        info, median = bench["extra_info"], bench["stats"]["median"]
        median /= info.pop("updates", 1)  # of a round
        cells = info["size"] ** 2 * info["batch"]
        table.append({**common, **info, **times(median, cells)})
    return table


def installed() -> dict[str, str]:
    """The versions that decide, and the commit (empty outside a repository)."""
    try:
        command = ["git", "-C", str(RESULTS.parent), "rev-parse", "--short", "HEAD"]
        commit = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        commit = ""
    return {"torch": version("torch"), "numba": version("numba"), "commit": commit}


def times(seconds: float, cells: int) -> dict[str, str]:
    """The columns of a time; ``cells`` is their number times that of the samples, 0 if that means nothing."""
    found = {"median_us": f"{seconds * 1e6:.1f}"}
    if cells:
        found["ns_per_cell_sample"] = f"{seconds / cells * 1e9:.4g}"
    return found


def processor() -> str:
    """What the processor calls itself."""
    listed = Path("/proc/cpuinfo")
    for line in listed.read_text(encoding="utf-8").splitlines() if listed.exists() else ():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def append(table: Iterable[Mapping[str, object]], results: Path = RESULTS) -> None:
    """Append rows to a table, writing its head if it is new; what a row lacks stays empty.

    :raises ValueError: if the columns of the table are others.
    """
    is_new = not results.exists()
    if not is_new:
        with results.open(newline="", encoding="utf-8") as file:
            head = tuple(next(csv.reader(file), ()))
        if head != FIELDS:
            raise ValueError(f"{results} has the columns {', '.join(head)}; rows have {', '.join(FIELDS)}.")
    with results.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
        if is_new:
            writer.writeheader()
        writer.writerows(table)


def read(results: Path = RESULTS) -> list[dict[str, str]]:
    """All rows of a table."""
    with results.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


if __name__ == "__main__":
    append(rows(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))))
