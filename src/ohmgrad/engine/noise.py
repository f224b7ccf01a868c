"""The random numbers of one analog product, addressed by use, vector and round."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

from torch import Tensor

from ohmgrad.engine.draws import Draws


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


class Source(NamedTuple):
    """The random numbers of one round over some vectors."""

    draws: Draws
    stream: int
    numbers: Tensor
    part: int = 0
    shift: int = 0

    def normal(self, use: Use, width: int) -> Tensor:
        """Standard normal float32 ``[n, width]``."""
        return self.draws.normal(self.stream + (use + self.shift << 8), self.numbers, width, self.part)

    def uniform(self, use: Use, width: int) -> Tensor:
        """Uniform float32 in (0, 1] ``[n, width]``."""
        return self.draws.uniform(self.stream + (use + self.shift << 8), self.numbers, width, self.part)

    def again(self, chosen: Tensor) -> Source:
        """The next round, over the vectors that ``chosen`` (bool) marks."""
        return self._replace(numbers=self.numbers[chosen], part=self.part + 1)

    def second(self) -> Source:
        """The second set, for weight noise and outputs."""
        return self._replace(shift=3)
