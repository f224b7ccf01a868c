"""Kernels compiled for graphics processors on machines that have none."""

import re
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import triton
from triton.backends.compiler import GPUTarget
from triton.runtime import driver


class Machine:
    """A driver for a processor that is not there: enough of one to compile for it."""

    def __init__(self, capability):
        self.capability = capability

    def get_current_device(self):
        return self.capability  # one device of each kind, as what was compiled is kept by the number of the device

    def get_current_stream(self, _device):
        return 0

    def get_current_target(self):
        return GPUTarget("cuda", self.capability, 32)


class Compiled(NamedTuple):
    """What the assembler says of a kernel."""

    name: str
    registers: int
    spilled: int
    """Bytes."""
    text: str


class Both:
    """A kernel that is compiled as it would be launched, and run by the interpreter."""

    def __init__(self, interpreted, compiled, found):
        self.interpreted, self.compiled, self.found = interpreted, compiled, found

    def __getitem__(self, grid):
        def launch(*arguments, **options):
            self.found.append(self.compiled.warmup(*arguments, grid=grid, **options))
            return self.interpreted[grid](*arguments, **options)

        return launch


@contextmanager
def machine(capability):
    """Triton believes to be on a machine with such a processor."""
    before, driver._active = driver._active, Machine(capability)
    try:
        yield
    finally:
        driver._active = before


def assembled(kernel, capability, folder):
    """The same kernel, through the assembler."""
    source = Path(folder) / "kernel.ptx"
    source.write_text(kernel.asm["ptx"])
    architecture = f"sm_{capability}{'a' if capability >= 90 else ''}"
    assembler = Path(triton.__file__).parent / "backends/nvidia/bin/ptxas"
    command = [
        assembler,
        "-v",
        "--fmad=false",
        f"--gpu-name={architecture}",
        source,
        "-o",
        source.with_suffix(".cubin"),
    ]
    report = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    registers = int(re.search(r"Used (\d+) registers", report)[1])
    spilled = sum(map(int, re.findall(r"(\d+) bytes spill", report)))
    return Compiled(kernel.metadata.name, registers, spilled, kernel.asm["ptx"])
