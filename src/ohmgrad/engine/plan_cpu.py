"""The trains of a batch compiled for the processor: lengths, probabilities and slots of every sample in one go."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ohmgrad.engine import addresses_cpu, lengths, peaks, plan
from ohmgrad.engine import trains as packing
from ohmgrad.engine.addresses_cpu import address, array_at, floats
from ohmgrad.engine.compiler import compile_function
from ohmgrad.engine.draws import Draws, Stream
from ohmgrad.engine.fingerprint import fingerprint, named
from ohmgrad.engine.kernel_cache import compile_kernel
from ohmgrad.engine.plan import Trains, bin_width, known_words, quantised, words_of
from ohmgrad.engine.random import cell_uniform
from ohmgrad.engine.samples import Samples
from ohmgrad.engine.tally import Tally
from ohmgrad.engine.threads import share
from ohmgrad.parameters.update import UpdateParameters

_NO_FLIPS = np.zeros((0, 0), np.bool_)


class CompiledTrains(Trains):
    """Trains as compiled code leaves them, in NumPy arrays, and takes them: tensors are made only if asked for."""

    def __init__(self, x: Any, d: Any, words_per_sample: int, batch: int, count: Tensor | None) -> None:
        self._arrays = x, d
        self.words_per_sample, self.batch, self.count = words_per_sample, batch, count

    @property
    def x(self) -> Tensor:  # type: ignore[override]
        """What the columns carry."""
        return torch.from_numpy(self._arrays[0])

    @property
    def d(self) -> Tensor:  # type: ignore[override]
        """What the rows carry."""
        return torch.from_numpy(self._arrays[1])

    def __len__(self) -> int:
        return len(self._arrays[0]) // self.words_per_sample

    def changed(self, x: Tensor, d: Tensor, more: int = 1) -> Trains:
        """See :meth:`Lines.changed`."""
        return Trains(x, d, more * self.words_per_sample, self.batch, self.count)

    def arrays(self) -> tuple[Any, Any]:
        """See :meth:`Lines.arrays`."""
        return self._arrays


def trains(
    samples: Samples,
    granularity: float,
    up: UpdateParameters,
    draws: Draws,
    array: int,
    first_sample: int,
    tally: Tally | None = None,
) -> Trains:
    """See :func:`ohmgrad.engine.plan.plan_lines`."""
    settings, longest = lengths.length_settings(granularity, up)
    x, d, rates = samples.x.contiguous(), samples.d.contiguous(), samples.rates.double().contiguous()
    words = known_words(longest, draws)
    if words == 0:
        words = words_of(lengths.pulse_lengths(x, d, rates, granularity, up, "cpu").bl)
    n, columns = x.shape
    rows = d.shape[1]
    of_x, of_d = np.empty((n * words, columns), np.int32), np.empty((n * words, rows), np.int32)
    slots = np.empty(n, np.int64)
    share(
        _compiled(),
        n,
        packing.NANOSECONDS * n * words * (rows + columns),
        of_x,
        of_d,
        slots,
        address(x),
        address(d),
        address(rates, torch.float64),
        _NO_FLIPS if samples.x_signs is None else samples.x_signs.contiguous().numpy(),
        _NO_FLIPS if samples.d_signs is None else samples.d_signs.contiguous().numpy(),
        settings,
        bin_width(up.res),
        up.sto_round,
        words,
        first_sample,
        array,
        draws.key,
    )
    if tally is not None:
        tally.note(slots)
    return CompiledTrains(of_x, of_d, words, samples.batch, samples.count)


@cache
def _compiled() -> Any:
    import numba

    length_of, pack_rows = lengths.sample_length(), packing.train_rows()
    in_bins, uniform_of = compile_function(quantised), compile_function(cell_uniform)
    streams = [stream.of(0) for stream in (Stream.TRAIN_X, Stream.TRAIN_D, Stream.ROUND_X, Stream.ROUND_D)]
    train_x, train_d, round_x, round_d = streams
    next_array = Stream.TRAIN_X.of(1) - train_x
    tag = fingerprint(lengths, peaks, packing, plan, streams, next_array)
    u32, single, double = np.uint32, np.float32, np.float64

    def side(chances, values, scales, flips, numbers, width, at_random, rounding, k0, k1):  # type: ignore[no-untyped-def]
        """The chances of the lines of one side in all samples."""
        for n in range(len(values)):
            for line in range(values.shape[1]):
                chances[n, line] = values[n, line] * scales[n]
            if width > single(0.0):
                for line in range(values.shape[1]):
                    uniform = (
                        uniform_of(rounding, u32(numbers[n]), u32(line), u32(0), k0, k1) if at_random else single(0.0)
                    )
                    chances[n, line] = in_bins(chances[n, line], width, uniform, at_random)
            if len(flips) > 0:
                for line in range(values.shape[1]):
                    chances[n, line] = -chances[n, line] if flips[n, line] else chances[n, line]

    chances_of = numba.njit(named(side, tag), error_model="numpy", nogil=True)

    def fill(  # type: ignore[no-untyped-def]
        begin, end, of_x, of_d, slots, x, d, rates, x_flips, d_flips, settings, bin_size, at_random, words, first,
        array, key,
    ):  # fmt: skip
        x, d = floats(x, end, of_x.shape[1]), floats(d, end, of_d.shape[1])
        rates = array_at(rates, (end,), double)
        width, count, longer = single(bin_size), end - begin, max(x.shape[1], d.shape[1])
        k0, k1, words_of = u32(key[0]), u32(key[1]), slice(begin * words, end * words)
        bl, a, b = slots[begin:end], np.empty(count, np.float32), np.empty(count, np.float32)
        numbers, memory = np.empty(count, np.int64), np.empty(count * longer, np.float32)
        for n in range(count):
            bl[n], a[n], b[n] = length_of(x[begin + n], d[begin + n], rates[begin + n], settings)
            numbers[n] = first + begin + n
        for out, values, scales, flips, train, rounding in (
            (of_x, x, b, x_flips, train_x, round_x),
            (of_d, d, a, d_flips, train_d, round_d),
        ):
            chances = memory[: count * values.shape[1]].reshape((count, values.shape[1]))
            stream = u32(rounding + next_array * array)
            chances_of(chances, values[begin:end], scales, flips[begin:end], numbers, width, at_random, stream, k0, k1)
            pack_rows(out[words_of], chances, bl, numbers, words, u32(train + next_array * array), k0, k1)

    return compile_kernel(fill, __name__, tag, addresses_cpu)
