"""The trains of a batch compiled for the processor: lengths, probabilities and slots of every sample in one go."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import torch

from ohmgrad.engine import lengths, peaks, plan
from ohmgrad.engine import trains as packing
from ohmgrad.engine.compiler import compile_function
from ohmgrad.engine.draws import Draws, Stream
from ohmgrad.engine.fingerprint import fingerprint, named
from ohmgrad.engine.kernel_cache import compile_kernel
from ohmgrad.engine.plan import Trains, bin_width, known_words, quantised, words_of
from ohmgrad.engine.random import cell_uniform
from ohmgrad.engine.samples import Samples
from ohmgrad.engine.threads import share
from ohmgrad.parameters.update import UpdateParameters

_NO_FLIPS = np.zeros((0, 0), np.bool_)


def trains(
    samples: Samples,
    granularity: float,
    up: UpdateParameters,
    draws: Draws,
    array: int,
    first_sample: int,
    columns_are_slices: bool,
) -> Trains:
    """See :func:`ohmgrad.engine.plan.plan_lines`; the words of a line of a slice lie together, as the replay wants."""
    settings, longest = lengths.length_settings(granularity, up)
    x, d = samples.x.contiguous(), samples.d.contiguous()
    words = known_words(longest, draws)
    if words == 0:
        words = words_of(lengths.pulse_lengths(x, d, samples.rates, granularity, up, "cpu").bl)
    n, columns = x.shape
    rows = d.shape[1]
    of_x = np.empty((columns, n * words) if columns_are_slices else (n * words, columns), np.int32)
    of_d = np.empty((n * words, rows) if columns_are_slices else (rows, n * words), np.int32)
    share(
        _compiled(),
        n,
        packing.NANOSECONDS * n * words * (rows + columns),
        of_x,
        of_d,
        x.numpy(),
        d.numpy(),
        samples.rates.contiguous().numpy(),
        _NO_FLIPS if samples.x_signs is None else samples.x_signs.contiguous().numpy(),
        _NO_FLIPS if samples.d_signs is None else samples.d_signs.contiguous().numpy(),
        settings,
        bin_width(up.res),
        up.sto_round,
        words,
        first_sample,
        array,
        draws.key,
        columns_are_slices,
    )
    by_word = (of_x.T, of_d) if columns_are_slices else (of_x, of_d.T)
    return Trains(torch.from_numpy(by_word[0]), torch.from_numpy(by_word[1]), words, samples.batch, samples.count)


@cache
def _compiled() -> Any:
    import numba

    length_of, train_of, space_of = lengths.sample_length(), packing.train_row(), packing.workspace()
    in_bins, uniform_of = compile_function(quantised), compile_function(cell_uniform)
    slots_of_word, blocks = packing.SLOTS, packing.BLOCKS
    streams = [stream.of(0) for stream in (Stream.TRAIN_X, Stream.TRAIN_D, Stream.ROUND_X, Stream.ROUND_D)]
    train_x, train_d, round_x, round_d = streams
    next_array = Stream.TRAIN_X.of(1) - train_x
    tag = fingerprint(lengths, peaks, packing, plan, streams, next_array)
    u32, single = np.uint32, np.float32

    def side(out, by_line, values, scale, flips, bl, n, number, words, width, at_random, streams, key, memory):  # type: ignore[no-untyped-def]
        """The trains of the lines of one side in one sample."""
        space, chances, train = memory[0], memory[1][: len(values)], memory[2][: len(values)]
        pulses, rounding = streams
        k0, k1 = u32(key[0]), u32(key[1])
        for line in range(len(values)):
            chances[line] = values[line] * scale
        if width > single(0.0):
            for line in range(len(values)):
                uniform = (
                    uniform_of(u32(rounding), u32(number), u32(line), u32(0), k0, k1) if at_random else single(0.0)
                )
                chances[line] = in_bins(chances[line], width, uniform, at_random)
        if len(flips) > 0:
            for line in range(len(values)):
                chances[line] = -chances[line] if flips[n, line] else chances[line]
        for word in range(words):
            slots = min(max(bl - slots_of_word * word, 0), slots_of_word)
            row = train if by_line else out[n * words + word]
            train_of(row, chances, slots, number, word * blocks, pulses, k0, k1, space)
            if by_line:
                for line in range(len(values)):
                    out[line, n * words + word] = train[line]

    fill_side = numba.njit(named(side, tag), error_model="numpy", nogil=True)

    def fill(  # type: ignore[no-untyped-def]
        begin, end, of_x, of_d, x, d, rates, x_flips, d_flips, settings, bin_size, at_random, words, first, array, key,
        columns_are_slices,
    ):  # fmt: skip
        width, longer = single(bin_size), max(x.shape[1], d.shape[1])
        memory = space_of(), np.empty(longer, np.float32), np.empty(longer, np.int32)
        streams_x = u32(train_x + next_array * array), u32(round_x + next_array * array)
        streams_d = u32(train_d + next_array * array), u32(round_d + next_array * array)
        for n in range(begin, end):
            bl, a, b = length_of(x[n], d[n], rates[n], settings)
            common = bl, n, first + n, words, width, at_random
            fill_side(of_x, columns_are_slices, x[n], b, x_flips, *common, streams_x, key, memory)
            fill_side(of_d, not columns_are_slices, d[n], a, d_flips, *common, streams_d, key, memory)

    return compile_kernel(fill, __name__, tag)
