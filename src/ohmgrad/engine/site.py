"""Where arrays are built: the crossbar that they share."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import count

from ohmgrad.engine.draws import Draws
from ohmgrad.parameters.runtime import RuntimeParameter


@dataclass(frozen=True)
class Site:
    """A crossbar of ``out_size`` rows and ``in_size`` columns, for arrays on top of each other.

    ``draws``: random numbers; ``has_bias``: whether the last column is that of an analog bias;
    ``columns_are_slices``: whether transfers read columns (True) or rows, which the memory layout follows;
    ``indices``: gives every array its own number, which separates the random streams; ``runtime``: how it is computed.
    """

    out_size: int
    in_size: int
    draws: Draws
    has_bias: bool = False
    columns_are_slices: bool = True
    indices: Iterator[int] = field(default_factory=count)
    runtime: RuntimeParameter = field(default_factory=RuntimeParameter)

    @property
    def shape(self) -> tuple[int, int]:
        """Shape of every matrix of an array, ``[out, in]``."""
        return self.out_size, self.in_size

    def sliced(self, columns: bool) -> Site:
        """The same site for arrays of which columns (or rows) are read."""
        return replace(self, columns_are_slices=columns)

    def seeded(self, construction_seed: int) -> Site:
        """The same site with cells of another seed; 0: with those of the tile."""
        return replace(self, draws=self.draws.reseeded(construction_seed))
