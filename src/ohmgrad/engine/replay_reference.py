"""The definition of replay, in plain torch operations: one pulse of every cell at a time."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from ohmgrad.engine import random
from ohmgrad.engine.draws import Draws
from ohmgrad.engine.replay import Cells, Events
from ohmgrad.engine.trains import SLOTS

_SLOT_BITS = 0x7FFFFFFF


def _popcount(words: Tensor) -> Tensor:
    """Number of ones in the lower 31 bits."""
    return sum(((words >> slot) & 1 for slot in range(31)), torch.zeros_like(words))


def _normals(cells: Cells, stream: int, numbers: Tensor, draws: Draws) -> tuple[Tensor, ...]:
    """Four standard normal numbers of every cell for a block number each."""
    slices, lanes = cells.state.shape
    where = cells.state.device
    s, lane = torch.arange(slices, device=where)[:, None], torch.arange(lanes, device=where)[None, :]
    row, column = (lane, s) if cells.columns_are_slices else (s, lane)
    key = [torch.tensor(word, device=where) for word in draws.key]
    return random.normals(torch.full_like(row, stream), row, column, numbers, *key)


def _pulse(cells: Cells, up: Tensor, active: Tensor, draws: Draws) -> None:
    """One pulse for every active cell, with the noise of the cell's own pulse number."""
    noise = torch.zeros_like(cells.state)
    if cells.noisy:
        number = cells.pulses.long() & 0xFFFFFFFF
        four = torch.stack(_normals(cells, cells.pulse_stream, number >> 2, draws))
        noise = four.gather(0, (number & 3)[None])[0]
    constants = [cells.state.new_tensor(value) if isinstance(value, tuple) else value for value in cells.law.constants]
    after = cells.law.function(cells.state, up, noise, *cells.law.arguments(cells.parameters, constants))
    cells.state.copy_(torch.where(active, after, cells.state))
    cells.pulses.add_(active)
    cells.raised.add_(active & up)


def _rewrite(cells: Cells, touched: Tensor, draws: Draws) -> None:
    """New write noise on the apparent weight of the cells that were touched."""
    if cells.apparent is not None:
        number = cells.pulses.long() & 0xFFFFFFFF
        noise = _normals(cells, cells.write_stream, number, draws)[0]
        cells.apparent.copy_(torch.where(touched, cells.state + cells.write_noise * noise, cells.apparent))


def _received(first: Tensor, second: Tensor, skip: int | None) -> tuple[Tensor, Tensor]:
    """How many pulses every cell gets in a word, and whether they raise it."""
    if skip is None:
        first, second = first.long(), second.long()
        return _popcount(first & second & _SLOT_BITS), (first ^ second) < 0
    product = first * second
    return (product.abs().round().long() - skip).clamp(0, SLOTS), product < 0.0


def replay(cells: Cells, slices: Tensor, lanes: Tensor, skips: Tensor | None, events: Events, draws: Draws) -> Tensor:
    """See :func:`ohmgrad.engine.replay.replay`."""
    parameters = cells.parameters if cells.sampling is None else cells.sampling.materialised()
    cells = replace(cells, parameters=tuple(value.float() for value in parameters))
    read = cells.state.new_full((len(events), cells.state.shape[1]), torch.nan)
    words = events.words.tolist()
    order = sorted(range(len(words)), key=words.__getitem__)
    position = 0
    for word in range(lanes.shape[0] + 1):
        while position < len(order) and words[order[position]] == word:
            _event(cells, events, order[position], read, draws)
            position += 1
        if word == lanes.shape[0]:
            break
        count, up = _received(slices[:, word, None], lanes[None, word], None if skips is None else int(skips[word]))
        for pulse in range(int(count.max())):
            _pulse(cells, up, pulse < count, draws)
        _rewrite(cells, count > 0, draws)
    return read


def _event(cells: Cells, events: Events, event: int, read: Tensor, draws: Draws) -> None:
    s = int(events.slices[event])
    visible = cells.state if cells.apparent is None else cells.apparent
    read[event] = visible[s]
    if events.resets[event]:
        assert events.values is not None
        cells.state[s] = events.values[event]
        cells.pulses[s] += 1  # a reset is a programming event: it wears the cell and renews its noise
        touched = torch.zeros_like(cells.state, dtype=torch.bool)
        touched[s] = True
        _rewrite(cells, touched, draws)
