"""What only a fresh process can show: ``python -m peers.fresh NAME KIND SUBJECT SIZE`` prints one number.

``import``: seconds to import what a script needs, with torch imported already. ``first``: seconds to make a tile and
update it once. ``memory``: the most bytes that the process ever took, with one tile that was updated once.
"""

from __future__ import annotations

import os
import resource
import sys
import time
from pathlib import Path

import torch


def main() -> None:
    """Measure, and print."""
    name, kind, subject, size = *sys.argv[1:4], int(sys.argv[4])
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever a library prints goes elsewhere
    begin = time.perf_counter()
    from peers.cases import OURS
    from peers.configuration import GRANULARITY, config
    from peers.library import library

    used = library(name)
    imported = time.perf_counter()
    if kind != "import":
        subject, _, implicit = subject.partition(" ")
        rpu_config = config(used.configs, subject)
        if implicit and name == OURS:
            rpu_config.runtime.implicit_cells = True
        tile = used.tile(size, size, rpu_config)
        tile.set_learning_rate(0.5 * GRANULARITY)
        tile.update(torch.randn(1, size), torch.randn(1, size))
    figures = {"import": imported - begin, "first": time.perf_counter() - imported, "memory": most_memory()}
    print(figures[kind], file=answers)


def most_memory() -> float:
    """The most bytes of memory that this process had at any time."""
    status = Path("/proc/self/status")
    if status.exists():  # what getrusage says is inherited from the parent there
        line = next(line for line in status.read_text(encoding="utf-8").splitlines() if line.startswith("VmHWM"))
        return 1024.0 * float(line.split()[1])
    unit = 1 if sys.platform == "darwin" else 1024
    return float(unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


if __name__ == "__main__":
    main()
