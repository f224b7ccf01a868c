"""Draw how the pulsed update scales: ``python benchmarks/scaling.py``, into docs/images/scaling.svg.

Time for each cell and sample, of plain SGD on soft bounds with noise, against cells, samples, pulses and threads;
beside it the limit of the processor (:mod:`limits`).
"""

from __future__ import annotations

import math
import os
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import NamedTuple

import torch

sys.path.append(str(Path(__file__).parent))

PICTURE = Path(__file__).parents[1] / "docs/images/scaling.svg"
SIZES = (64, 128, 256, 512, 1024, 2048)
SAMPLES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
DENSITIES = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)


class Load(NamedTuple):
    """An update that is measured."""

    size: int = 512
    samples: int = 64
    density: float = 0.3
    threads: int = 2


def nanoseconds(load: Load) -> float:
    """The median of several updates, for each cell and sample."""
    from bench_update import GRANULARITY, config
    from ohmgrad.tile import AnalogTile

    torch.manual_seed(0)
    torch.set_num_threads(load.threads)
    tile = AnalogTile(load.size, load.size, config("soft_bounds"))
    tile.set_learning_rate(load.density * GRANULARITY)
    x, d = (torch.randn(load.samples, load.size).sign() for _ in range(2))
    cells = load.size**2 * load.samples
    tile.update(x, d)
    taken = []
    for _ in range(max(5, min(200, int(3e8 / (cells * max(load.density, 0.3)))))):
        start = time.perf_counter()
        tile.update(x, d)
        taken.append(time.perf_counter() - start)
    return median(taken) / cells * 1e9


def main() -> None:
    """Measure and draw."""
    import matplotlib.pyplot as plt
    from matplotlib.ticker import LogLocator, NullFormatter
    from rich.progress import track

    from limits import limits

    threads = tuple(range(1, (os.cpu_count() or 1) + 1))
    most = threads[-1]
    panels = {
        "lines of a square array": [(n, Load(size=n, threads=most)) for n in SIZES],
        "samples of a batch": [(n, Load(samples=n, threads=most)) for n in SAMPLES],
        "pulses for each cell and sample": [(n, Load(density=n, threads=most)) for n in DENSITIES],
        "threads": [(n, Load(threads=n)) for n in threads],
    }
    every = [(name, at, load) for name, points in panels.items() for at, load in points]
    limit = limits()
    found = [(name, at, nanoseconds(load), limit.nanoseconds(load.density, math.ceil(load.density), load.threads))
             for name, at, load in track(every, "Measuring updates")]  # fmt: skip
    figure, axes = plt.subplots(1, 4, figsize=(13, 3.4), layout="constrained", sharey=False)
    for axis, name in zip(axes, panels, strict=True):
        at, measured, least = zip(*(row[1:] for row in found if row[0] == name), strict=True)
        axis.plot(at, measured, "o-", color="#1f5fa8", label="update")
        axis.plot(at, least, "--", color="#b3541e", label="limit of the processor")
        axis.set(xlabel=name, xscale="linear" if name == "threads" else "log", yscale="log")
        if name == "threads":
            axis.set_xticks(at)
        axis.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axis.yaxis.set_major_formatter("{x:g}")
        axis.yaxis.set_minor_formatter(NullFormatter())
        axis.grid(alpha=0.3, which="both")
        for x, y, z in zip(at, measured, least, strict=True):
            print(f"{name:32} {x:>6}  {y:8.3f} ns  limit {z:6.3f} ns  {y / z:5.2f} times")
    axes[0].set_ylabel("ns for each cell and sample")
    axes[0].legend(frameon=False)
    figure.suptitle(f"512 x 512 cells, 64 samples, 0.3 pulses, {most} threads, where nothing else is said", fontsize=10)
    PICTURE.parent.mkdir(exist_ok=True)
    figure.savefig(PICTURE)
    figure.savefig(PICTURE.with_suffix(".png"), dpi=80)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:  # machine code that is loaded from disk cannot be read
        os.environ["XDG_CACHE_HOME"] = folder
        main()
