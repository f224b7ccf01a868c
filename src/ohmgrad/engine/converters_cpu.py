"""The ends of the lines compiled for the processor: what torch would do in a dozen passes, in one."""

# mypy: disable-error-code="no-untyped-def"
from __future__ import annotations

import math
from functools import cache, lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ohmgrad.engine import addresses_cpu, converters, draws, management, peaks
from ohmgrad.engine.addresses_cpu import address, at, floats, number_at, room, row_at, truths
from ohmgrad.engine.compiler import INLINED, compile_function
from ohmgrad.engine.constants import Constants
from ohmgrad.engine.crossbar import Array
from ohmgrad.engine.fingerprint import fingerprint, named
from ohmgrad.engine.kernel_cache import compile_kernel
from ohmgrad.engine.matmul import multiply
from ohmgrad.engine.noise import Numbers, Source, Use
from ohmgrad.engine.periphery import Periphery
from ohmgrad.engine.settings import Settings
from ohmgrad.engine.threads import share
from ohmgrad.parameters.io import IOParameters

INPUT_ROUNDING, INPUT_NOISE, OUTPUT_NOISE, OUTPUT_ROUNDING = (
    use << 8 for use in (Use.INPUT_ROUNDING, Use.INPUT_NOISE, Use.OUTPUT_NOISE, Use.OUTPUT_ROUNDING)
)
NANOSECONDS, RANDOM = 0.5, 1.0
"""About what one element takes, and what every random number for it adds."""


def usual_product(
    weight: Tensor,
    x: Tensor,
    io: IOParameters,
    settings: Settings,
    periphery: Periphery | None,
    source: Source,
    silent: float,
    test: bool,
    clipped: Tensor | None,
) -> tuple[Tensor, Tensor | None, Any]:
    """A product that :attr:`Settings.is_usual`: the outputs, see :func:`to_digital`, and what :func:`to_lines` takes.

    :returns: outputs, which vectors have any beyond a bound, and ``ends``, here a NumPy array.
    """
    ends = np.empty((2, x.shape[0], 1), np.float32)
    y = multiply(_to_lines(x, ends, settings, source, _limit(io), io.out_scale, silent), weight)
    return y, _to_digital(y, None, None, ends, io, settings, periphery, source, test, clipped), ends


def managed_lines(x: Tensor, array: Array, source: Source, silent: float) -> tuple[Tensor, Tensor]:
    """Noise management by the largest input, and the input converter: ``u`` and ``ends``, see :func:`to_lines`."""
    ends, io = np.empty((2, x.shape[0], 1), np.float32), array.io
    return _to_lines(x, ends, array.settings, source, _limit(io), io.out_scale, silent), torch.from_numpy(ends)


def _limit(io: IOParameters) -> float:
    """The greatest scale of noise management."""
    return io.nm_thres if io.nm_thres > 0.0 else math.inf


def to_lines(x: Tensor, ends: Tensor, array: Array, source: Source) -> Tensor:
    """See :func:`ohmgrad.engine.converters.to_lines`."""
    return _to_lines(x, ends.contiguous().numpy(), array.settings, source, 0.0, 0.0, 0.0)


def _to_lines(
    x: Tensor, ends: Any, settings: Settings, source: Source, limit: float, out_scale: float, silent: float
) -> Tensor:
    """``ends`` are filled if a ``limit`` is given, the greatest scale."""
    draws, stream, numbers, part, _ = source
    x, numbers = x.contiguous(), _dense(numbers)
    n, width = x.shape
    u = x.new_empty(n, width)
    share(
        _lines(),
        n,
        n * width * (NANOSECONDS + RANDOM * settings.input_draws),
        *(u.data_ptr(), x.data_ptr(), n, width, ends, limit, out_scale, silent, *_place(numbers)),
        *(stream, part, *draws.key, *settings.input_converter),
    )
    return u


@lru_cache(maxsize=1024)
def carried(c: Constants) -> float:
    """What a line carries for an input of 1, if nothing is left to chance."""
    one = torch.ones(1, dtype=torch.float32, device="cpu")
    return float(converters.on_line(one, c.inp_per_unit, None, c.inp_bound, None, None, c.inp_negative))


def to_digital(
    y: Tensor, ends: Tensor | None, array: Array, source: Source, test: bool, clipped: Tensor | None
) -> tuple[Tensor, Tensor | None]:
    """See :func:`ohmgrad.engine.converters.to_digital`."""
    y, known = y.contiguous(), None if ends is None else ends.contiguous().numpy()
    return y, _to_digital(y, None, None, known, array.io, array.settings, array.periphery, source, test, clipped)


def read(stored: Tensor, array: Array, source: Source) -> Tensor:
    """What the output circuits make of one line in each vector that carries a 1, and meets the weights ``stored``."""
    stored = stored.contiguous()
    y = torch.empty_like(stored)
    gain = carried(array.constants)
    _to_digital(y, stored, gain, None, array.io, array.settings, array.periphery, source, False, None)
    return y


def _to_digital(
    y: Tensor,
    given: Tensor | None,
    gain: float | None,
    ends: Any,
    io: IOParameters,
    settings: Settings,
    periphery: Periphery | None,
    source: Source,
    test: bool,
    clipped: Tensor | None,
) -> Tensor | None:
    """Outputs ``y`` of the currents ``given``, times a gain; None: of those that are there."""
    draws, stream, numbers, part, shift = source
    numbers, (n, width) = _dense(numbers), y.shape
    circuits = map(address, converters.output_circuits(io, periphery)) if settings.has_circuits else _NONE
    beyond = np.empty(n, np.bool_) if test and settings.constants.out_bound is not None else None
    count = share(
        _outputs(),
        n,
        n * width * (NANOSECONDS + RANDOM * settings.output_draws),
        *(y.data_ptr(), address(given), gain, n, width, ends, beyond, address(clipped, torch.bool), *_place(numbers)),
        *(stream + (shift << 8), part, *draws.key, *circuits, *settings.output_converter),
    )
    return torch.from_numpy(beyond) if count else None


_NONE = None, None, None
"""Outputs without circuits of their own."""


def _dense(numbers: Numbers) -> Numbers:
    """Numbers whose place in memory can be told, as long as they are held."""
    return numbers if isinstance(numbers, range) else numbers.contiguous()


def _place(numbers: Numbers) -> tuple[int, int]:
    """Where numbers are in memory (0: nowhere), and the first of those that follow each other."""
    return (0, numbers.start) if isinstance(numbers, range) else (numbers.data_ptr(), 0)


# --- what is compiled ------------------------------------------------------------------------------------------------


def _optional(function: Any) -> Any:
    """A helper that does without what is None."""
    import numba

    return numba.njit(named(function, fingerprint(function, __name__)), **INLINED)


@cache
def _fill_row(normal: bool) -> Any:
    """Fills a row with random numbers, if there is one."""
    fill = draws.row_of(normal)

    def fill_row(row, stream, number, part, k0, k1):
        if row is not None:
            fill(row, stream, number, part, k0, k1)

    return _optional(fill_row)


def _kernel(function: Any) -> Any:
    return compile_kernel(function, __name__, addresses_cpu, converters, draws, management, peaks)


@cache
def _lines() -> Any:
    on_line, factors, peak = (
        compile_function(converters.on_line),
        compile_function(management.factors),
        peaks.row_peak(),
    )
    normal_row, uniform_row, u32, f32 = _fill_row(True), _fill_row(False), np.uint32, np.float32

    def lines(
        begin, end, out, x, n, width, ends, limit, out_scale, silent, numbers, first, stream, part, key0, key1,
        per_unit, by_chance, bound, strength, negative,
    ):  # fmt: skip
        u, v = floats(out, n, width), floats(x, n, width)
        noise, chance = room(width, strength), room(width, by_chance)
        last, k0, k1 = u32(part), u32(key0), u32(key1)
        for r in range(begin, end):
            if limit > 0.0:
                ends[0, r, 0], ends[1, r, 0] = factors(min(peak(v[r]), f32(limit)), f32(out_scale), f32(silent))
            number, scale = number_at(numbers, first, r), ends[0, r, 0]
            uniform_row(chance, u32(stream + INPUT_ROUNDING), number, last, k0, k1)
            normal_row(noise, u32(stream + INPUT_NOISE), number, last, k0, k1)
            for j in range(width):
                u[r, j] = on_line(v[r, j] / scale, per_unit, at(chance, j), bound, strength, at(noise, j), negative)

    return _kernel(lines)


@cache
def _outputs() -> Any:
    from ohmgrad.engine.words_cpu import within

    before_bound, exceeds = compile_function(converters.before_bound), compile_function(converters.exceeds)
    normal_row, uniform_row, u32, f32 = _fill_row(True), _fill_row(False), np.uint32, np.float32

    def outputs(
        begin, end, out, given, gain, n, width, ends, beyond, clipped, numbers, first, stream, part, key0, key1,
        curve, factor, sigma, negative, strength, per_unit, by_chance, bound, both,
    ):  # fmt: skip
        y, currents = floats(out, n, width), floats(given, n, width)
        marks = truths(clipped, n, width)
        curves, factors, sigmas = row_at(curve, width), row_at(factor, 1), row_at(sigma, width)
        noise, chance = room(width, strength), room(width, by_chance)
        last, k0, k1 = u32(part), u32(key0), u32(key1)
        count = 0
        for r in range(begin, end):
            number = number_at(numbers, first, r)
            normal_row(noise, u32(stream + OUTPUT_NOISE), number, last, k0, k1)
            uniform_row(chance, u32(stream + OUTPUT_ROUNDING), number, last, k0, k1)
            some = False
            for j in range(width):
                s = strength if sigma is None else sigmas[j]
                value = y[r, j] if given is None else currents[r, j] * f32(gain)
                value = before_bound(
                    value, at(curves, j), at(factors, 0), negative, s, at(noise, j), per_unit, at(chance, j)
                )
                if bound is not None:
                    if beyond is not None:
                        some |= exceeds(value, bound, both)
                    if clipped is not None:
                        marks[r, j] |= exceeds(value, bound, True)
                    value = within(value, bound)
                if ends is not None:
                    value *= ends[1, r, 0]
                y[r, j] = value
            if beyond is not None:
                beyond[r] = some
                count += some
        return count

    return _kernel(outputs)
