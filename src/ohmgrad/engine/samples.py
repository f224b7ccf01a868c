"""What reaches an array in a batch: samples, and the plan that is made of them before any weight is looked at."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from torch import Tensor

from ohmgrad.engine.host import Count


class Counted(ABC):
    """What happens in turn in a batch."""

    count: Tensor | None
    """How often, where only the device knows; None: as often as there is room for."""

    @abstractmethod
    def __len__(self) -> int:
        """How often at most."""

    def counted(self) -> Count:
        """How often."""
        return len(self) if self.count is None else self.count


@dataclass
class Samples(Counted):
    r"""Rank-1 updates :math:`-\lambda_n d_n x_n^T` in the order in which they reach an array.

    ``x`` float32 ``[n, in]``, ``d`` float32 ``[n, out]``, ``rates`` :math:`\lambda_n` float64 ``[n]``; ``x_signs`` bool
    ``[n, in]`` and ``d_signs`` ``[n, out]`` mark the lines whose sign is flipped (choppers). ``batch``: size of the
    batch that they are part of. Beyond ``count``, x, d and rates are 0, so that nothing happens.
    """

    x: Tensor
    d: Tensor
    rates: Tensor
    x_signs: Tensor | None
    d_signs: Tensor | None
    batch: int
    count: Tensor | None = None

    @staticmethod
    def of(x: Tensor, d: Tensor, rates: Tensor, count: Tensor | None = None) -> Samples:
        """A whole batch, without flips."""
        return Samples(x, d, rates, None, None, x.shape[0], count)

    def __len__(self) -> int:
        return self.x.shape[0]

    def flipped(self, x_signs: Tensor | None, d_signs: Tensor | None) -> Samples:
        """The same with flips."""
        return Samples(self.x, self.d, self.rates, x_signs, d_signs, self.batch, self.count)

    def part(self, begin: int, end: int) -> Samples:
        """The samples ``begin .. end - 1``."""
        x_signs, d_signs = (None if flips is None else flips[begin:end] for flips in (self.x_signs, self.d_signs))
        return Samples(self.x[begin:end], self.d[begin:end], self.rates[begin:end], x_signs, d_signs, self.batch)


class Plan(Counted):
    """Samples worked out as far as the weights have no say: trains of pulses, or exact updates."""

    batch: int
    """Size of the batch that the samples are part of."""

    @abstractmethod
    def part(self, begin: int, end: int) -> Plan:
        """The samples ``begin .. end - 1``."""

    @abstractmethod
    def only(self, chosen: Tensor) -> Plan:
        """As many samples, of which those that ``chosen`` (bool ``[n]``) does not mark do nothing."""

    @abstractmethod
    def one_sided(self, raising: bool) -> Plan:
        """Only what raises weights (or only what lowers them), all of it made to raise."""
