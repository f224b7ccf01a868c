"""One digital factor for each tile that makes up for what its cells have lost on average."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from ohmgrad.parameters.base import Config


class GlobalDriftCompensation(Config):
    r"""The outputs of a tile are multiplied by :math:`m(0) / m(t)`, with m the mean size of what reference inputs give.

    The inputs are the first rows of a Hadamard matrix of ones and minus ones: every line is driven in all of them, so
    the outputs stand out from the noise of the converters, through which they are read like any other.

    V. Joshi et al., Nat. Commun. 11 (2020).
    """

    vectors: Annotated[int, Field(ge=1)] = 128
    """How many reference inputs, if the tile has as many inputs."""

    def inputs(self, lines: int, where: torch.device) -> Tensor:
        """The reference inputs for so many lines, ``[n, lines]``."""
        line = torch.arange(lines, device=where)
        row = line[: self.vectors, None]
        common = row & line
        for shift in (32, 16, 8, 4, 2, 1):
            common = common ^ common >> shift  # its last bit: whether the number of bits in common is odd
        return 1.0 - 2.0 * (common & 1).float()

    def measure(self, outputs: Tensor) -> Tensor:
        """What is compared, m, of the outputs that the reference inputs give."""
        return outputs.abs().mean()

    def factor(self, first: Tensor, now: Tensor) -> Tensor:
        """By what outputs are multiplied; 1 if nothing is left that could be."""
        return torch.where(now > 0.0, first / now, 1.0)
