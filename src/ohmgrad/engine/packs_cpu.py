"""Packs the trains of several samples into one word, where they are short.

Trains of five slots, as update management makes them at usual learning rates, would leave five sixths of every word
empty, and each word is met by every cell. The slots of six samples lie side by side in a *pack* as well as those of
one, up to as many as a word has; their signs lie in a second word, at the places of the slots that they belong to.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np

from ohmgrad.engine.kernel_cache import compile_kernel
from ohmgrad.engine.trains import SLOTS

WORTHWHILE = 7
"""Samples in a pack below which words stay as they are: each of their pulses is looked for, those of a word counted."""


class Packs(NamedTuple):
    """The lines of a batch as they meet.

    ``slices`` ``[packs, slices]`` and ``lanes`` ``[packs, lanes]``: slots, or if nothing is packed the words as they
    were given; ``slice_signs`` and ``lane_signs``: the same of the signs. Pack p holds the words ``firsts[p]`` to
    ``firsts[p + 1] - 1``; ``below`` marks, for every word, the slots of its pack that belong to words before it.
    ``fires``: how likely a lane fires in a slot, on average. All words are int32, fires is float64.
    """

    slices: Any
    lanes: Any
    slice_signs: Any
    lane_signs: Any
    firsts: Any
    below: Any
    fires: float
    is_packed: bool


def pack(slices: Any, lanes: Any) -> Packs:
    """The packs of trains.

    :param slices: words of the slices ``[words, slices]``, int32; :param lanes: those of the lanes ``[words, lanes]``.
    """
    words = len(lanes)
    firsts, below = np.empty(words + 1, np.int64), np.empty(words, np.uint32)
    room = [np.empty_like(side) for side in (slices, lanes) for _ in range(2)] if words >= WORTHWHILE else [_NONE] * 4
    count, fires = _compiled()(slices, lanes, *room, firsts, below)
    if count == 0:
        return Packs(slices, lanes, _NONE, _NONE, firsts, below, fires, False)
    slice_slots, slice_signs, lane_slots, lane_signs = (side[:count] for side in room)
    return Packs(slice_slots, lane_slots, slice_signs, lane_signs, firsts[: count + 1], below, fires, True)


_NONE = np.zeros((0, 0), np.int32)


def unpacked(slices: Any, lanes: Any) -> Packs:
    """Factors of counts, of which nothing can be packed."""
    words = len(lanes)
    return Packs(slices, lanes, _NONE, _NONE, np.arange(words + 1), np.zeros(words, np.uint32), np.inf, False)


@cache
def _compiled() -> Any:
    import numba

    from ohmgrad.engine.words_cpu import popcount, where

    i32, u32, most, all_slots, worthwhile = np.int32, np.uint32, SLOTS, np.uint32((1 << SLOTS) - 1), WORTHWHILE

    @numba.njit(error_model="numpy", nogil=True)
    def ones(count):  # type: ignore[no-untyped-def]
        return u32((np.uint64(1) << np.uint64(count)) - np.uint64(1))

    def side(words, slots, signs, width, shift):  # type: ignore[no-untyped-def]
        """Put the words of one sample beside those that are there."""
        mask = u32(ones(width) << u32(shift))
        for line in range(len(words)):
            moved = u32(u32(u32(words[line]) << u32(shift)) & mask)
            slots[line] = i32(u32(u32(slots[line]) | moved))
            signs[line] = i32(u32(u32(signs[line]) | where(words[line] < i32(0), mask, u32(0))))

    add = numba.njit(error_model="numpy", nogil=True)(side)

    def fill(slices, lanes, slice_slots, slice_signs, lane_slots, lane_signs, firsts, below):  # type: ignore[no-untyped-def]
        """The number of packs, 0 if it is not worth it, and how likely a lane fires."""
        words, count, used, pulses, slots = len(lanes), 0, 0, 0, 0
        widths = np.empty(words, np.int64)
        for word in range(words):
            of_slices, of_lanes, number = u32(0), u32(0), u32(0)
            for line in range(slices.shape[1]):
                of_slices = u32(of_slices | u32(slices[word, line]))
            for line in range(lanes.shape[1]):
                of_lanes = u32(of_lanes | u32(lanes[word, line]))
                number = u32(number + popcount(u32(u32(lanes[word, line]) & all_slots)))
            met, width = u32(of_slices & of_lanes & all_slots), 0
            while met > u32(0):
                met, width = u32(met >> u32(1)), width + 1
            if used + width > most or word == 0:
                firsts[count] = word
                count, used = count + 1, 0
            below[word], widths[word] = ones(used), width
            used, pulses, slots = used + width, pulses + int(number), slots + width
        firsts[count] = words
        fires = pulses / max(1, slots * lanes.shape[1])
        if words < worthwhile * count:
            return 0, fires
        for pack in range(count):
            slice_slots[pack], slice_signs[pack], lane_slots[pack], lane_signs[pack] = 0, 0, 0, 0
            for word in range(firsts[pack], firsts[pack + 1]):
                shift = int(popcount(below[word]))
                if widths[word] > 0:
                    add(slices[word], slice_slots[pack], slice_signs[pack], widths[word], shift)
                    add(lanes[word], lane_slots[pack], lane_signs[pack], widths[word], shift)
        return count, fires

    return compile_kernel(fill, __name__)
