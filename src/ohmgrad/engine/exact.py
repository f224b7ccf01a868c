"""Floating-point updates of an array, sample by sample: what the pulse types without pulses do."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ohmgrad.engine.mean_field import analog_updates
from ohmgrad.engine.replay import Events
from ohmgrad.engine.samples import Plan, Samples

if TYPE_CHECKING:
    from ohmgrad.engine.array import CellArray
    from ohmgrad.engine.draws import Draws


@dataclass
class ExactUpdates(Plan):
    r"""The changes :math:`-\lambda_n d_n x_n^T` themselves.

    ``x`` ``[n, in]`` and ``d`` ``[n, out]`` carry their signs. ``bounded``: cells are kept within their bounds.
    ``raising``: only the changes of that direction, and all of them raise; None: all as they are. ``granularity``: that
    of the pulses whose limit the updates are, see :func:`~ohmgrad.engine.mean_field.analog_updates`; 0: cells follow
    the changes exactly.
    """

    x: Tensor
    d: Tensor
    rates: Tensor
    batch: int
    bounded: bool
    count: Tensor | None = None
    raising: bool | None = None
    granularity: float = 0.0

    @staticmethod
    def of(samples: Samples, bounded: bool, granularity: float = 0.0) -> ExactUpdates:
        """The exact updates of some samples."""
        signed_x = samples.x if samples.x_signs is None else torch.where(samples.x_signs, -samples.x, samples.x)
        signed_d = samples.d if samples.d_signs is None else torch.where(samples.d_signs, -samples.d, samples.d)
        shared = samples.rates, samples.batch, bounded, samples.count
        return ExactUpdates(signed_x, signed_d, *shared, granularity=granularity)

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
        change = torch.outer(self.d[n], self.x[n]).mul_(-self.rates[n].float())
        if self.raising is None:
            return change
        return (change if self.raising else -change).clamp_(min=0.0)


def replay_exactly(array: CellArray, plan: ExactUpdates, events: Events, draws: Draws) -> Tensor:
    """Apply exact updates; like :func:`ohmgrad.engine.replay.replay`, but a sample takes the place of a word.

    Where asking the device would wait, every sample and, if there are resets, every event at every sample is gone
    through, and what does not happen is masked: always as many operations, though many.
    """
    read = plan.x.new_empty(len(events), array.by_slice(array.weight).shape[1])
    moves = analog_updates(array, plan.granularity) if plan.granularity > 0.0 and len(plan) else None
    for n in range(len(plan) + 1):
        if len(events):
            read = _read_at(n, read, array, events, draws)
        if n < len(plan):
            happens = plan.rates[n] > 0.0
            if not draws.asks or happens:
                change = plan.change(n)  # with a rate of 0 there is none
                if moves is None:
                    array.state.add_(change)
                else:
                    array.state.copy_(array.state + moves(change))
                if plan.bounded:
                    array.bound()
                array.redraw(draws, happens)
    return read


def _read_at(n: int, read: Tensor, array: CellArray, events: Events, draws: Draws) -> Tensor:
    """The events after n samples, in turn; ``read`` with what they give."""
    now = events.words == n
    weight, state = array.by_slice(array.weight), array.by_slice(array.state)
    if events.values is None:
        return torch.where(now[:, None], weight[events.slices], read)
    for e in torch.nonzero(now)[:, 0].tolist() if draws.asks else range(len(events)):
        s, happens = events.slices[e : e + 1], now[e : e + 1]
        read[e : e + 1] = torch.where(happens, weight[s], read[e : e + 1])
        is_reset = (happens & events.resets[e : e + 1])[0]
        state[s] = torch.where(is_reset, events.values[e], state[s])
        array.by_slice(array.pulses)[s] += is_reset
        array.redraw(draws, is_reset)
    return read
