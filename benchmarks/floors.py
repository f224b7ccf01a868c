"""The least time that the pulsed update can take on a GPU: ``python benchmarks/floors.py``. It needs no GPU.

Two floors. *Operations*: the instructions of the two inner loops of the replay, counted in the machine code that Triton
makes, at one instruction for each scheduler and clock. *Bytes*: what is read and written of every cell, once for each
batch, at the bandwidth of the memory. What the plan of a batch takes is left out; it does not grow with the cells.
"""

from __future__ import annotations

import argparse
import math
import re
import subprocess
import sys
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import NamedTuple

import torch
import triton
from rich.console import Console
from rich.table import Table

sys.path.append(str(Path(__file__).parents[1] / "tests"))

from machine_code import built, launches_of
from ohmgrad.configs import SoftBoundsDevice
from ohmgrad.engine.array import CellArray
from ohmgrad.engine.draws import Draws
from ohmgrad.engine.plan import Trains
from ohmgrad.engine.replay import Events
from ohmgrad.engine.site import Site

CELLS = 64
"""Cells of one warp."""
BYTES = 4 * (2 + 2 + 2 + 6)
"""Of a cell and batch: weight and two counters, read and written, and six parameters."""


class Machine(NamedTuple):
    """A GPU: schedulers (each starts one instruction for a warp and clock), clock in Hz, memory in bytes a second."""

    schedulers: int
    clock: float
    bandwidth: float


H100 = Machine(132 * 4, 1.755e9, 3.35e12)
"""NVIDIA H100 SXM, by its data sheet, at the boost clock."""


class Loops(NamedTuple):
    """Instructions of a warp."""

    append: int
    """For one word of a batch."""
    drain: int
    """For four pulses of every cell."""


def loops(capability: int = 90) -> Loops:
    """Count the instructions of the inner loops, for soft bounds with noise."""
    array = CellArray(SoftBoundsDevice(), Site(512, 512, Draws(1, "cpu"))).to("meta")
    lines = torch.zeros(64, 512, dtype=torch.int32, device="meta")
    (launch,) = launches_of(lambda: array.replay(Trains(lines, lines, 1, 64), Events.none(), Draws(1, "gpu")))
    disassembler = Path(triton.__file__).parent / "backends/nvidia/bin/nvdisasm"
    with NamedTemporaryFile(suffix=".cubin") as file:
        file.write(built(launch, capability).asm["cubin"])
        file.flush()
        text = subprocess.run([disassembler, "-c", file.name], capture_output=True, text=True, check=True).stdout
    lines_of_code = text.splitlines()
    labels = {line.strip(":"): n for n, line in enumerate(lines_of_code) if line.startswith(".L_")}
    bodies = []
    for n, line in enumerate(lines_of_code):
        target = re.search(r"BRA.*`\((\.L_\w+)\)", line)
        if target and labels.get(target[1], n) < n:  # a jump back: a loop
            bodies.append([each for each in lines_of_code[labels[target[1]] : n + 1] if "/*" in each])
    drain = min((body for body in bodies if any("MUFU.RSQ" in each for each in body)), key=len)
    append = min((body for body in bodies if sum("POPC" in each for each in body) >= CELLS // 32), key=len)
    return Loops(len(append), len(drain))


def picoseconds(counted: Loops, machine: Machine, batch: int, density: float) -> tuple[float, float]:
    """Both floors for one cell and sample: operations and bytes."""
    blocks = math.ceil(batch * density) / 4 if batch * density >= 1 else batch * density
    instructions = (counted.append * batch + counted.drain * blocks) / CELLS / batch
    return instructions / (machine.schedulers * machine.clock) * 1e12, BYTES / batch / machine.bandwidth * 1e12


def main() -> None:
    """Print both floors."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, value in H100._asdict().items():
        parser.add_argument(f"--{name}", type=type(value), default=value)
    machine = Machine(**vars(parser.parse_args()))
    counted = loops()
    table = Table("batch", "pulses", "operations", "bytes", title="ps for each cell and sample, at least")
    for batch in (1, 10, 64, 512):
        for density in (0.05, 0.3, 1.0, 5.0):
            floors = picoseconds(counted, machine, batch, density)
            table.add_row(str(batch), str(density), *(f"{floor:.2f}" for floor in floors))
    Console().print(table)
    print(f"{counted.append} instructions for a word and {counted.drain} for four pulses, of {CELLS} cells each")


if __name__ == "__main__":
    main()
