"""Append the medians of a benchmark run to results.csv: ``python benchmarks/record.py RUN.json``."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

FIELDS = (
    "date", "machine", "cores", "threads", "python", "torch", "numba", "commit", "subject", "size", "batch", "density",
    "median_us", "ns_per_cell_sample", "floor_us",
)  # fmt: skip


def rows(run: dict[str, Any]) -> list[dict[str, object]]:
    """One row for each benchmark of a run."""
    machine = run["machine_info"]
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True)
    common = {
        "date": run["datetime"][:10],
        "machine": machine["cpu"].get("brand_raw", machine["processor"]),
        "cores": machine["cpu"].get("count", ""),
        "python": machine["python_version"],
        "torch": version("torch"),
        "numba": version("numba"),
        "commit": commit.stdout.strip(),
    }
    table = []
    for bench in run["benchmarks"]:
        info, median = bench["extra_info"], bench["stats"]["median"]
        median /= info.pop("updates", 1)  # of a round
        cells = info["size"] ** 2 * info["batch"]
        figures = {"median_us": f"{median * 1e6:.1f}", "ns_per_cell_sample": f"{median / cells * 1e9:.4g}"}
        table.append({**common, **info, **figures})
    return table


def main() -> None:
    """Append to the table beside this file, writing its head if it is new."""
    results = Path(__file__).with_name("results.csv")
    is_new = not results.exists()
    with results.open("a", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, FIELDS)
        if is_new:
            table.writeheader()
        table.writerows(rows(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))))


if __name__ == "__main__":
    main()
