"""The random numbers of one analog product, addressed by use, vector and round."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

import torch
from torch import Tensor

from ohmgrad.engine.draws import Draws
from ohmgrad.engine.host import move_on


class Use(IntEnum):
    """What a random number within one product is for.

    The last three have a second set, three further on, for the negative inputs where these have a product of their
    own. Together they fill the eight parts of a stream that a product may take.
    """

    INPUT_ROUNDING = 0
    INPUT_NOISE = 1
    WEIGHT_NOISE = 2
    OUTPUT_NOISE = 3
    OUTPUT_ROUNDING = 4


Numbers = Tensor | range
"""The numbers of some vectors since the tile was made, int64 ``[n]``; a range: they follow each other."""


def next_numbers(counter: Tensor, count: int, draws: Draws) -> Numbers:
    """The next numbers that a counter (int64 scalar) gives out."""
    if draws.implementation != "cpu":
        numbers = counter + torch.arange(count, device=counter.device)
        counter += count
        return numbers
    first = int(move_on(counter, count, draws.asks))
    return range(first, first + count)


class Source(NamedTuple):
    """The random numbers of one round over some vectors; those of a range are only for the processor."""

    draws: Draws
    stream: int
    numbers: Numbers
    part: int = 0
    shift: int = 0

    def normal(self, use: Use, width: int) -> Tensor:
        """Standard normal float32 ``[n, width]``."""
        return self.draws.normal(self.stream + (use + self.shift << 8), self.listed(), width, self.part)

    def uniform(self, use: Use, width: int) -> Tensor:
        """Uniform float32 in (0, 1] ``[n, width]``."""
        return self.draws.uniform(self.stream + (use + self.shift << 8), self.listed(), width, self.part)

    def again(self, chosen: Tensor) -> Source:
        """The next round, over the vectors that ``chosen`` (bool) marks."""
        return self._replace(numbers=self.listed()[chosen], part=self.part + 1)

    def listed(self) -> Tensor:
        """The numbers of the vectors as a tensor."""
        if isinstance(self.numbers, Tensor):
            return self.numbers
        return torch.arange(self.numbers.start, self.numbers.stop, device="cpu")

    def second(self) -> Source:
        """The second set, for weight noise and outputs."""
        return self._replace(shift=3)
