"""Floating-point updates of an array, sample by sample: what the pulse types without pulses do."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ohmgrad.engine.replay import Events
from ohmgrad.engine.samples import Plan, Samples

if TYPE_CHECKING:
    from ohmgrad.engine.array import CellArray
    from ohmgrad.engine.draws import Draws


@dataclass
class ExactUpdates(Plan):
    r"""The changes :math:`-\lambda_n d_n x_n^T` themselves.

    ``x`` ``[n, in]`` and ``d`` ``[n, out]`` carry their signs. ``bounded``: cells are kept within their bounds.
    ``raising``: only the changes of that direction, and all of them raise; None: all as they are.
    """

    x: Tensor
    d: Tensor
    rates: Tensor
    batch: int
    bounded: bool
    raising: bool | None = None

    @staticmethod
    def of(samples: Samples, bounded: bool) -> ExactUpdates:
        """The exact updates of some samples."""
        signed_x = samples.x if samples.x_signs is None else torch.where(samples.x_signs, -samples.x, samples.x)
        signed_d = samples.d if samples.d_signs is None else torch.where(samples.d_signs, -samples.d, samples.d)
        return ExactUpdates(signed_x, signed_d, samples.rates, samples.batch, bounded)

    def __len__(self) -> int:
        return self.x.shape[0]

    def part(self, begin: int, end: int) -> ExactUpdates:
        """See :meth:`Plan.part`."""
        return replace(self, x=self.x[begin:end], d=self.d[begin:end], rates=self.rates[begin:end])

    def only(self, chosen: Tensor) -> ExactUpdates:
        """See :meth:`Plan.only`."""
        return replace(self, rates=torch.where(chosen, self.rates, 0.0))

    def one_sided(self, raising: bool) -> ExactUpdates:
        """See :meth:`Plan.one_sided`."""
        if self.raising is None:
            return replace(self, raising=raising)
        nothing = torch.zeros_like(self.rates)  # everything here raises already
        return self if raising else replace(self, rates=nothing)

    def change(self, n: int) -> Tensor:
        """What sample n changes, ``[out, in]``."""
        change = torch.outer(self.d[n], self.x[n]).mul_(-float(self.rates[n]))
        if self.raising is None:
            return change
        return (change if self.raising else -change).clamp_(min=0.0)


def replay_exactly(array: CellArray, plan: ExactUpdates, events: Events, draws: Draws) -> Tensor:
    """Apply exact updates; like :func:`ohmgrad.engine.replay.replay`, but a sample takes the place of a word."""
    read = plan.x.new_empty(len(events.slices), array.by_slice(array.weight).shape[1])
    order = sorted(range(len(events.slices)), key=lambda e: (int(events.words[e]), e))
    position = 0
    for n in range(len(plan) + 1):
        while position < len(order) and events.words[order[position]] == n:
            e = order[position]
            s = int(events.slices[e])
            read[e] = array.by_slice(array.weight)[s]
            if events.resets[e]:
                assert events.values is not None
                array.by_slice(array.state)[s] = events.values[e]
                array.by_slice(array.pulses)[s] += 1
                array.redraw(draws)
            position += 1
        if n < len(plan) and plan.rates[n] > 0.0:
            array.state.add_(plan.change(n))
            if plan.bounded:
                array.bound()
            array.redraw(draws)
    return read
