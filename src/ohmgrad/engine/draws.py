"""Matrices of addressed random numbers, for everything but the pulses themselves."""

from __future__ import annotations

import sys
from enum import IntEnum
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ohmgrad.engine import random
from ohmgrad.engine.compiler import compile_function
from ohmgrad.engine.fingerprint import fingerprint, named
from ohmgrad.engine.host import Count
from ohmgrad.engine.implementation import Implementation
from ohmgrad.engine.kernel_cache import compile_kernel


class Stream(IntEnum):
    """What a random number is for; the first word of its counter (arrays of a tile are told apart by ``of``)."""

    CELLS = 0
    """Cell-to-cell variation."""
    TRAIN_X = 1
    TRAIN_D = 2
    ROUND_X = 3
    ROUND_D = 4
    """Stochastic rounding of pulse probabilities."""
    PULSE = 5
    """Cycle noise of one pulse, numbered by the cell's own pulse number."""
    WRITE = 6
    """Write noise of a cell after a pulse, numbered by the cell's own pulse number."""
    REWRITE = 7
    """Write noise of all cells after an operation on the array, numbered by the operation."""
    DIFFUSE = 8
    RESET = 9
    RESET_COIN = 10
    SELECT = 11
    """Random choice of a slice."""
    CHOP_IN = 12
    CHOP_OUT = 13
    FORWARD = 14
    BACKWARD = 15
    READ = 16
    """Converters and noise of the products of a transfer."""
    POLICY = 17
    """Which device of a vector cell receives a sample."""
    REFRESH = 18
    """Converters and noise of the reads of a refresh."""
    DRIFT_EXPONENT = 19
    DRIFT_WEIGHT = 20
    """Noise of drift."""
    PERIPHERY = 30
    """What is fixed in the converters and lines around an array when it is made."""
    MIXED_ROUND_X = 31
    MIXED_ROUND_D = 32
    """Stochastic rounding of what a digital outer product is made of."""
    MIXED_ROW = 33
    """Random choice of the first row that a digital matrix is transferred to."""
    PROGRAM = 40
    PROGRAM_DRIFT = 41
    PROGRAM_READ = 42
    """What happens to the cells of a trained model: errors of programming, exponents of drift, noise of reads."""
    COMPENSATION = 43
    """Converters and noise of the reads that measure drift."""
    MODIFIER = 50
    MODIFIER_ROUND = 51
    MODIFIER_DROP = 52
    """How weights are disturbed in a training for a chip, numbered by the step of the optimizer."""
    LOW_RANK = 70
    """Where an array of low rank begins anew, numbered by the transfer."""

    def of(self, array: int, part: int = 0) -> int:
        """The stream of one array of the tile, and of one of several uses within it."""
        return int(self) | part << 8 | array << 16


class Draws:
    """Random numbers of one tile.

    An entry ``(r, j)`` of a matrix is addressed by ``(stream, j, numbers[r], part)`` under the tile's seed: it does not
    depend on which other entries are asked for. All implementations give the same numbers.

    :param seed: 64-bit key.
    :param implementation: what computes them.
    """

    def __init__(self, seed: int, implementation: Implementation) -> None:
        self.key = (seed & 0xFFFFFFFF, seed >> 32 & 0xFFFFFFFF)
        self.implementation = implementation

    @property
    def signed_key(self) -> int:
        """The key as a tensor of int64 holds it; the seed of the same numbers."""
        low, high = self.key
        return low | (high - (high >> 31 << 32)) << 32

    @property
    def asks(self) -> bool:
        """Whether the program may ask for the value of a tensor: it is free in its own memory, but waits for a GPU."""
        return self.implementation != "gpu"

    def reseeded(self, seed: int) -> Draws:
        """Those of another seed; these themselves if it is 0."""
        return Draws(seed, self.implementation) if seed else self

    def normal(self, stream: int, numbers: Tensor, width: int, part: Count = 0) -> Tensor:
        """Standard normal float32 ``[len(numbers), width]``; ``numbers`` is an int64 tensor."""
        return self._draw(stream, numbers, width, part, normal=True)

    def uniform(self, stream: int, numbers: Tensor, width: int, part: Count = 0) -> Tensor:
        """Uniform float32 in (0, 1] ``[len(numbers), width]``; ``numbers`` is an int64 tensor."""
        return self._draw(stream, numbers, width, part, normal=False)

    def below(self, limit: int, stream: int, numbers: Tensor) -> Tensor:
        """A whole number from 0 to ``limit - 1`` for each of ``numbers``, int64 ``[len(numbers)]``."""
        chance = self.uniform(stream, numbers, 1)[:, 0].double()
        return (chance * limit).long().clamp(max=limit - 1)

    def _draw(self, stream: int, numbers: Tensor, width: int, part: Count, normal: bool) -> Tensor:
        blocks = (width + 3) // 4
        if self.implementation == "cpu":
            out = np.empty((len(numbers), 4 * blocks), np.float32)
            _fill()(out, stream, numbers.numpy(), int(part), *self.key, normal)
            return torch.from_numpy(np.ascontiguousarray(out[:, :width]))
        if self.implementation == "gpu":
            from ohmgrad.engine.draws_gpu import draw

            return draw(self.key, stream, numbers, width, part, normal)
        rows, columns = numbers[:, None] & 0xFFFFFFFF, torch.arange(blocks, device=numbers.device)[None, :]
        key = [torch.tensor(word, device=numbers.device) for word in self.key]
        counter = (torch.full_like(columns, stream), columns, rows, torch.zeros_like(columns) + part & 0xFFFFFFFF)
        if normal:
            lanes = random.normals(*counter, *key)
        else:
            lanes = tuple(random.uniform(word) for word in random.philox(*counter, *key))
        return torch.stack(lanes, 2).reshape(len(numbers), 4 * blocks)[:, :width].contiguous()


@cache
def _fill() -> Any:
    """The compiled form of :meth:`Draws._draw`."""
    normal_row, uniform_row, word = row_of(True), row_of(False), np.uint32

    def fill(out, stream, numbers, part, key0, key1, normal):  # type: ignore[no-untyped-def]
        k0, k1, first, last = word(key0), word(key1), word(stream), word(part)
        for r in range(out.shape[0]):
            if normal:
                normal_row(out[r], first, word(numbers[r]), last, k0, k1)
            else:
                uniform_row(out[r], first, word(numbers[r]), last, k0, k1)

    return compile_kernel(fill, __name__)


@cache
def row_of(normal: bool) -> Any:
    """What fills one row of :meth:`Draws._draw`, whole Philox blocks, compiled."""
    import numba
    import numpy as np

    lanes = compile_function(random.normals if normal else random.uniforms)
    word = np.uint32

    def fill_row(row, stream, number, part, k0, k1):  # type: ignore[no-untyped-def]
        for block in range(len(row) // 4):
            a, b, c, d = lanes(stream, word(block), number, part, k0, k1)
            row[4 * block], row[4 * block + 1], row[4 * block + 2], row[4 * block + 3] = a, b, c, d

    tag = fingerprint(sys.modules[__name__], random.normals, random.uniforms, normal)
    return numba.njit(named(fill_row, tag), error_model="numpy", nogil=True)
