"""The least time that the pulsed update can take on this processor: ``python benchmarks/limits.py``.

Counted in the machine code of this machine: the instructions of the inner loops, for soft bounds with noise. A word of
a batch, or a pack of several samples if trains are short, has to meet every cell, whether it gives pulses or not; four
pulses of a cell take one step: random words, normal numbers and the law. Divided by how many vector instructions a core
can do in a second, which is measured, that is a floor: no lane idle, no memory waited for, nothing sorted or copied.
"""

from __future__ import annotations

import math
import os
import re
import tempfile
import time
from statistics import median
from typing import Any, NamedTuple

import numpy as np

from ohmgrad.configs import SoftBoundsDevice
from ohmgrad.engine import random
from ohmgrad.engine.compiler import compile_function
from ohmgrad.engine.feed_cpu import GROUP, make_meet_packs, make_meet_words
from ohmgrad.engine.queue_cpu import make_push, new_block
from ohmgrad.engine.trains import SLOTS

LANES = 512
CHAINS = 16
WIDTHS = {"zmm": 16, "ymm": 8, "xmm": 4}
"""Numbers in a register, by its name."""


class Limits(NamedTuple):
    """Instructions for each cell, and what a core can do: vector instructions in a second and numbers in a vector."""

    word: float
    """For one word of a batch."""
    pack: float
    """For one pack of several samples, of which one pulse at most meets the cell."""
    draw: float
    """Noise of one pulse."""
    law: float
    """The law for one pulse."""
    rate: float
    lanes: int

    def nanoseconds(self, density: float, slots: int, threads: int) -> float:
        """Of one cell and sample.

        :param density: its pulses; :param slots: those of its train, at most one word.
        """
        meet = min(self.word, self.pack / max(1, SLOTS // slots))
        return (meet + density * (self.draw + self.law)) / self.rate / threads * 1e9


def loops(assembly: str) -> list[list[str]]:
    """The instructions of the loops that contain no jump but their own."""
    body: list[str] = []
    label, bodies = "", []
    for line in map(str.strip, assembly.splitlines()):
        if re.fullmatch(r"\.?L\w+:", line):
            label, body = line[:-1], []
        elif line and not line.startswith((".", "#", "/")):
            body.append(line)
            jump = re.match(r"(?:j|b)[\w.]*\s+(\.?L\w+)$", line)
            if jump:
                if jump[1] == label:
                    bodies.append(body)
                label, body = "", []
    return bodies


def counted(function: Any, outputs: int) -> tuple[float, int]:
    """Instructions for each lane of the longest loop of vector instructions, and the width of its vectors.

    :param outputs: numbers that it stores for a lane; a loop that stores more works on several vectors at once.
    """
    (assembly,) = function.inspect_asm().values()
    found = []
    for body in loops(assembly):
        text = "\n".join(body)
        lanes, register = next(((n, name) for name, n in WIDTHS.items() if name in text), (0, ""))
        stores = len(re.findall(rf"^vmov\w+\s+%{register}\d+, -?\w*\((?!%rsp\))", text, re.MULTILINE))
        if lanes and stores >= outputs:
            found.append((lanes, len(body) * outputs / stores))
    lanes = max(width for width, _ in found)
    return max(length for width, length in found if width == lanes) / lanes, lanes


def rate() -> float:
    """Vector instructions that a core does in a second: multiplications and additions, not waiting for each other."""
    import numba

    @numba.njit(error_model="numpy")
    def work(n, a, b):  # type: ignore[no-untyped-def]
        for _ in range(n):
            for i in range(len(a)):
                x = a[i]
                for _ in range(CHAINS):
                    x = x * b + b
                a[i] = x

    a, b, rounds = np.ones(256, np.float32), np.float32(0.5), 20_000
    work(1, a, b)
    _, lanes = counted(work, 1)
    seconds = []
    for _ in range(9):
        start = time.thread_time()
        work(rounds, a, b)
        seconds.append(time.thread_time() - start)
    return rounds * len(a) / lanes * 2 * CHAINS / median(seconds)


def limits() -> Limits:
    """Those of this machine."""
    import numba

    u32 = np.uint32
    philox, normals = compile_function(random.philox), compile_function(random.normal_pair)
    law_of = compile_function(SoftBoundsDevice().law, whole_numbers=True)
    from ohmgrad.engine.words_cpu import where

    @numba.njit(error_model="numpy")
    def words(a, b, c, d, row, column, first, k0, k1):  # type: ignore[no-untyped-def]
        for lane in range(len(row)):
            a[lane], b[lane], c[lane], d[lane] = philox(u32(5), row[lane], column[lane], first[lane], k0, k1)

    @numba.njit(error_model="numpy")
    def noise(sine, cosine, a, b):  # type: ignore[no-untyped-def]
        for lane in range(len(a)):
            sine[lane], cosine[lane] = normals(a[lane], b[lane])

    @numba.njit(error_model="numpy")
    def pulse(w, bits, live, noise, up, down, least, greatest, slope_up, slope_down):  # type: ignore[no-untyped-def]
        for lane in range(len(w)):
            cell = up[lane], down[lane], least[lane], greatest[lane], slope_up[lane], slope_down[lane]
            after = law_of(w[lane], u32(bits[lane] & u32(1)) != u32(0), noise[lane], *cell, np.float32(0.3))
            w[lane] = where(u32(live[lane] & u32(1)) != u32(0), after, w[lane])

    def integers(n: int) -> list[Any]:
        return [np.zeros(LANES, np.uint32) for _ in range(n)]

    def numbers(n: int) -> list[Any]:
        return [np.ones(LANES, np.float32) for _ in range(n)]

    words(*integers(7), u32(1), u32(2))
    noise(*numbers(2), *integers(2))
    pulse(*numbers(1), *integers(2), *numbers(7))
    block, of_words, push, (of_packs, steps) = (
        new_block()(6, LANES),
        make_meet_words(False),
        make_push(),
        make_meet_packs(),
    )
    train = np.zeros((4, LANES), np.int32)
    of_words(block, 0, LANES, train, 0, (0, 1, 2, 3), (np.int32(1),) * GROUP, np.int32(0))
    push(block, 0, LANES, 4, 0, 3)
    of_packs(block.rest, train[0], u32(1))
    steps[0](block.rest, block.bits, block.many, train[0], u32(1), False)
    kernels = ((of_words, 2), (push, 3), (of_packs, 1), (steps[0], 3), (words, 4), (noise, 2), (pulse, 1))
    (meet, lanes), (queue, _), (find, _), (take, _), (four, _), (pair, _), (law, _) = (
        counted(*each) for each in kernels
    )
    return Limits((meet + queue) / GROUP, find + take, four / 4 + pair / 2, law, rate(), lanes)


def main() -> None:
    """Print them."""
    found = limits()
    print(
        f"instructions for a cell, in vectors of {found.lanes}: {found.word * found.lanes:.1f} for a word of a batch,"
        f" {found.pack * found.lanes:.1f} for a pack,"
    )
    print(f"{found.draw * found.lanes:.1f} for the noise of a pulse, {found.law * found.lanes:.1f} for its law")
    print(f"{found.rate / 1e9:.2f} billion vector instructions a second on one core")
    for density in (0.05, 0.3, 1.0, 5.0):
        for slots in (math.ceil(density), SLOTS):
            times = ", ".join(f"{found.nanoseconds(density, slots, threads):.3f} on {threads}" for threads in (1, 2))
            print(f"{density:4} pulses in {slots:2} slots: at least {times} cores, ns for each cell and sample")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:  # machine code that is loaded from disk cannot be read
        os.environ["XDG_CACHE_HOME"] = folder
        main()
