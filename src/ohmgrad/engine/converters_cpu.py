"""The ends of the lines compiled for the processor: what torch would do in a dozen passes, in one."""

# mypy: disable-error-code="no-untyped-def"
from __future__ import annotations

from functools import cache, lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ohmgrad.engine import addresses_cpu, converters, draws, management, peaks
from ohmgrad.engine.addresses_cpu import address, at, floats, room, row_at, truths, whole_numbers
from ohmgrad.engine.compiler import INLINED, compile_function
from ohmgrad.engine.constants import Constants
from ohmgrad.engine.fingerprint import fingerprint, named
from ohmgrad.engine.kernel_cache import compile_kernel
from ohmgrad.engine.noise import Source, Use
from ohmgrad.engine.threads import share
from ohmgrad.parameters.io import IOParameters

INPUT_ROUNDING, INPUT_NOISE, OUTPUT_NOISE, OUTPUT_ROUNDING = (
    use << 8 for use in (Use.INPUT_ROUNDING, Use.INPUT_NOISE, Use.OUTPUT_NOISE, Use.OUTPUT_ROUNDING)
)
NANOSECONDS, RANDOM = 1.0, 3.0
"""About what one element takes, and what every random number for it adds."""


def largest_scales(x: Tensor, limit: float | None, out_scale: float, silent: float) -> tuple[Tensor, Tensor]:
    """See :func:`ohmgrad.engine.management.factors`, for the largest magnitude of every vector up to a limit."""
    x = x.contiguous()
    n, width = x.shape
    scale, gain = torch.empty(2, n, 1).unbind()
    limit = None if limit is None else np.float32(limit)
    places = scale.data_ptr(), gain.data_ptr(), x.data_ptr()
    _scales()(*places, n, width, limit, np.float32(out_scale), np.float32(silent))
    return scale, gain


def to_lines(x: Tensor, scale: Tensor | None, io: IOParameters, c: Constants, source: Source) -> Tensor:
    """See :func:`ohmgrad.engine.converters.to_lines`."""
    x = x.contiguous()
    n, width = x.shape
    numbers, found = source.numbers.contiguous(), _single(c)
    by_chance = True if io.inp_sto_round and c.inp_per_unit is not None else None
    u = torch.empty(n, width, dtype=torch.float32)
    share(
        _lines(),
        n,
        n * width * (NANOSECONDS + RANDOM * (c.inp_noise is not None) + RANDOM * (by_chance is not None)),
        *(u.data_ptr(), x.data_ptr(), n, width, address(scale), numbers.data_ptr()),
        *(source.stream, source.part, *source.draws.key),
        *(found.inp_per_unit, by_chance, found.inp_bound, found.inp_noise, found.inp_negative),
    )
    return u


def to_digital(
    y: Tensor,
    gain: Tensor | None,
    io: IOParameters,
    c: Constants,
    circuits: tuple[Tensor | None, Tensor | None, Tensor | None],
    source: Source,
    test: bool,
    clipped: Tensor | None,
) -> tuple[Tensor, Tensor | None]:
    """See :func:`ohmgrad.engine.converters.to_digital`; ``circuits`` of :func:`output_circuits`."""
    y = y.contiguous()
    n, width = y.shape
    numbers, found, (curve, factor, sigma) = source.numbers.contiguous(), _single(c), circuits
    by_chance = True if io.out_sto_round and c.out_per_unit is not None else None
    beyond = torch.empty(n, dtype=torch.bool) if test and c.out_bound is not None else None
    share(
        _outputs(),
        n,
        n * width * (NANOSECONDS + RANDOM * (c.out_noise is not None) + RANDOM * (by_chance is not None)),
        *(y.data_ptr(), n, width, address(gain), address(beyond), address(clipped), numbers.data_ptr()),
        *(source.stream + (source.shift << 8), source.part, *source.draws.key),
        *(address(curve), address(factor), address(sigma), found.out_negative, found.out_noise),
        *(found.out_per_unit, by_chance, found.out_bound, io.bm_test_negative_bound),
    )
    return y, beyond


@lru_cache(maxsize=1024)
def _single(c: Constants) -> Constants:
    """The numbers in single precision."""
    return Constants(*(None if value is None else np.float32(value) for value in c))  # type: ignore[arg-type]


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
def _scales() -> Any:
    peak, factors = peaks.row_peak(), compile_function(management.factors)

    def scales(scale, gain, x, n, width, limit, out_scale, silent):
        s, g, v = floats(scale, n, 1), floats(gain, n, 1), floats(x, n, width)
        for r in range(n):
            largest = peak(v[r])
            if limit is not None:
                largest = min(largest, limit)
            s[r, 0], g[r, 0] = factors(largest, out_scale, silent)

    return _kernel(scales)


@cache
def _lines() -> Any:
    on_line, normal_row, uniform_row = compile_function(converters.on_line), _fill_row(True), _fill_row(False)
    u32 = np.uint32

    def lines(
        begin, end, out, x, n, width, scale, numbers, stream, part, key0, key1,
        per_unit, by_chance, bound, strength, negative,
    ):  # fmt: skip
        u, v, s, numbered = floats(out, n, width), floats(x, n, width), floats(scale, n, 1), whole_numbers(numbers, n)
        noise, chance = room(width, strength), room(width, by_chance)
        last, k0, k1 = u32(part), u32(key0), u32(key1)
        for r in range(begin, end):
            number = u32(numbered[r])
            uniform_row(chance, u32(stream + INPUT_ROUNDING), number, last, k0, k1)
            normal_row(noise, u32(stream + INPUT_NOISE), number, last, k0, k1)
            for j in range(width):
                value = v[r, j]
                if scale is not None:
                    value /= s[r, 0]
                u[r, j] = on_line(value, per_unit, at(chance, j), bound, strength, at(noise, j), negative)

    return _kernel(lines)


@cache
def _outputs() -> Any:
    from ohmgrad.engine.words_cpu import within

    before_bound, exceeds = compile_function(converters.before_bound), compile_function(converters.exceeds)
    normal_row, uniform_row, u32 = _fill_row(True), _fill_row(False), np.uint32

    def outputs(
        begin, end, out, n, width, gain, beyond, clipped, numbers, stream, part, key0, key1,
        curve, factor, sigma, negative, strength, per_unit, by_chance, bound, both,
    ):  # fmt: skip
        y, gains, numbered = floats(out, n, width), floats(gain, n, 1), whole_numbers(numbers, n)
        tested, marks = truths(beyond, n, 1), truths(clipped, n, width)
        curves, factors, sigmas = row_at(curve, width), row_at(factor, 1), row_at(sigma, width)
        noise, chance = room(width, strength), room(width, by_chance)
        last, k0, k1 = u32(part), u32(key0), u32(key1)
        for r in range(begin, end):
            number = u32(numbered[r])
            normal_row(noise, u32(stream + OUTPUT_NOISE), number, last, k0, k1)
            uniform_row(chance, u32(stream + OUTPUT_ROUNDING), number, last, k0, k1)
            some = False
            for j in range(width):
                s = strength if sigma is None else sigmas[j]
                value = before_bound(
                    y[r, j], at(curves, j), at(factors, 0), negative, s, at(noise, j), per_unit, at(chance, j)
                )
                if bound is not None:
                    if beyond is not None:
                        some |= exceeds(value, bound, both)
                    if clipped is not None:
                        marks[r, j] |= exceeds(value, bound, True)
                    value = within(value, bound)
                if gain is not None:
                    value *= gains[r, 0]
                y[r, j] = value
            if beyond is not None:
                tested[r, 0] = some

    return _kernel(outputs)
