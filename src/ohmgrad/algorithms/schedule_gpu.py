"""When which slice is read, in torch operations: nothing is asked of the device, and what may not happen is marked."""

from __future__ import annotations

import torch
from torch import Tensor

from ohmgrad.algorithms.schedule import Reads, Turns, no_reads, numbers_from, transfer_times
from ohmgrad.engine.draws import Draws, Stream
from ohmgrad.engine.host import Count, last_of


def next_reads(turns: Turns, start: Count, batch: int, period: int, clock: torch.device, draws: Draws) -> Reads:
    """See :func:`ohmgrad.algorithms.schedule.next_reads`."""
    k, n, size = turns.k, turns.at_once, turns.slices
    times = transfer_times(start, batch, period, clock) - start
    room, pointer = len(times), turns.pointers[k]
    if room == 0:
        return no_reads(pointer.device)
    count, happens = None, None  # all do
    if isinstance(start, Tensor) and batch % period:
        happens = times <= batch
        count = happens.sum()
    turn = torch.arange(room, device=pointer.device)
    if turns.at_random:
        begin = draws.below(size, Stream.SELECT.of(k), turns.transfers[k] + turn)
    else:
        begin = pointer + n * turn
    passed = room if count is None else count
    pointer.copy_((last_of(begin, passed, pointer - n) + n) % size)
    turns.transfers[k].add_(passed)
    if not turns.reads_them:
        return no_reads(pointer.device)
    numbers = numbers_from(turns.reads[k], n * room, pointer.device)
    turns.reads[k].add_(n * passed)
    if n > 1:
        begin = (begin[:, None] + torch.arange(n, device=pointer.device)).flatten()
        times = times.repeat_interleave(n)
        if count is not None and happens is not None:
            count, happens = n * count, happens.repeat_interleave(n)
    return Reads(times, begin % size, numbers, turns.run, count, happens, draws.implementation)
