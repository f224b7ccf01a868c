"""What a GPU does in an analog product: the kernels of :mod:`ohmgrad.engine.mvm_gpu`, in Triton's language.

A program works on a block of rows, which are vectors, and columns, which are lines or outputs. One Philox block serves
four neighbouring columns.
"""

# mypy: disable-error-code="no-untyped-def, name-defined"
from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import triton.language as tl

from ohmgrad.engine import random
from ohmgrad.engine.compiler_gpu import constant, helper, kernel, translate
from ohmgrad.engine.converters import before_bound, exceeds, on_line
from ohmgrad.engine.crossbar import current, distance
from ohmgrad.engine.management import factors
from ohmgrad.engine.noise import Use
from ohmgrad.engine.words_gpu import divide, largest, maximum, minimum, within
from ohmgrad.parameters.enums import AnalogMVType, WeightNoiseType
from ohmgrad.parameters.io import IOParameters

SECOND = 3 << 8
"""How far the second set of random numbers is from the first, see :class:`Use`."""
INPUT_ROUNDING, INPUT_NOISE, WEIGHT_NOISE, OUTPUT_NOISE, OUTPUT_ROUNDING = (use << 8 for use in Use)
VARYING = ("doubled", "part", "stream", "key0", "key1")
"""Arguments whose values are not compiled in."""


class Modes(NamedTuple):
    """Settings that are compiled in."""

    inp_by_chance: bool
    """Stochastic rounding of inputs."""
    out_by_chance: bool
    separate: bool
    """Negative inputs have a product of their own."""
    digital_sum: bool
    """... and a conversion of their own."""
    both: bool
    """Both bounds count for bound management."""
    per_weight: bool
    """The noise of a weight depends on it."""

    @staticmethod
    def of(io: IOParameters) -> Modes:
        """Those of some settings."""
        return Modes(
            io.inp_sto_round,
            io.out_sto_round,
            io.mv_type is not AnalogMVType.ONE_PASS,
            io.mv_type is AnalogMVType.POS_NEG_SEPARATE_DIGITAL_SUM,
            io.bm_test_negative_bound,
            io.w_noise_type is WeightNoiseType.PCM_READ,
        )


class Kernels(NamedTuple):
    """Those of some settings."""

    lines: Any
    """The input lines, from the vectors and their scales."""
    outputs: Any
    """The outputs, from the sums that matrix products gave."""
    again: Any
    """A later round, for the vectors that are marked."""
    reads: Any
    """Reads of slices."""


@cache
def kernels(modes: Modes, interpreted: bool) -> Kernels:
    """The kernels of some settings."""
    bound = {name: constant(value, interpreted) for name, value in modes._asdict().items()}
    bound |= {"normals": translate(random.normals, interpreted), "uniforms": translate(random.uniforms, interpreted)}
    for each in (
        *(_side_by_side, _normal, _uniform, _line, _of_array, _of_converter, _finish),
        *(_drawn, _stored_sums, _more, _of_one, _show, _mark),
    ):
        bound[each.__name__] = helper(each, interpreted, bound)
    return Kernels(*(kernel(each, interpreted, bound, VARYING) for each in (_lines, _outputs, _again, _reads)))


# --- what is compiled ------------------------------------------------------------------------------------------------


def _side_by_side(a, b, c, d, rows: tl.constexpr, columns: tl.constexpr):
    """The four numbers of every Philox block, which belong to neighbouring columns."""
    return tl.reshape(tl.join(tl.join(a, c), tl.join(b, d)), (rows, columns))


def _normal(stream, at, rows: tl.constexpr, columns: tl.constexpr):
    number, block, part, k0, k1 = at
    a, b, c, d = normals(stream.to(tl.uint32), block, number, part, k0, k1)
    return _side_by_side(a, b, c, d, rows, columns)


def _uniform(stream, at, rows: tl.constexpr, columns: tl.constexpr):
    number, block, part, k0, k1 = at
    a, b, c, d = uniforms(stream.to(tl.uint32), block, number, part, k0, k1)
    return _side_by_side(a, b, c, d, rows, columns)


def _line(v, c, stream, at, rows: tl.constexpr, columns: tl.constexpr):
    """What lines carry for scaled inputs."""
    chance, noise = None, None
    if inp_by_chance:
        if c.inp_per_unit is not None:
            chance = _uniform(stream + INPUT_ROUNDING, at, rows, columns)
    if c.inp_noise is not None:
        noise = _normal(stream + INPUT_NOISE, at, rows, columns)
    return on_line(v, c.inp_per_unit, chance, c.inp_bound, c.inp_noise, noise, c.inp_negative)


def _of_array(found, shift, offset, c, stream, at, rows: tl.constexpr, columns: tl.constexpr):
    """The currents that follow from the sums."""
    noise = None
    if c.w_noise is not None:
        noise = _normal(stream + (WEIGHT_NOISE + shift), at, rows, columns)
    product, carried, distant, energy, total = found
    return current(product, carried, distant, energy, total, offset, noise, c)


def _of_converter(y, shift, drawn, c, stream, at, rows: tl.constexpr, columns: tl.constexpr):
    """What the converter gives for currents; whether it is beyond a bound that counts, and beyond any."""
    noise, chance, beyond, beyond_any = None, None, None, None
    if c.out_noise is not None:
        noise = _normal(stream + (OUTPUT_NOISE + shift), at, rows, columns)
    if out_by_chance:
        if c.out_per_unit is not None:
            chance = _uniform(stream + (OUTPUT_ROUNDING + shift), at, rows, columns)
    _offset, curve, factor, sigma = drawn
    y = before_bound(y, curve, factor, c.out_negative, sigma, noise, c.out_per_unit, chance)
    if c.out_bound is not None:
        beyond = exceeds(y, c.out_bound, both)
        beyond_any = exceeds(y, c.out_bound, True)
        y = within(y, c.out_bound)
    return y, beyond, beyond_any


def _finish(first, second, drawn, c, stream, at, rows: tl.constexpr, columns: tl.constexpr):
    """From the sums of positive inputs, or all, and those of negative ones to what the converters give."""
    y = _of_array(first, 0, drawn[0], c, stream, at, rows, columns)
    if separate:
        negative = _of_array(second, SECOND, drawn[0], c, stream, at, rows, columns)
        if digital_sum:
            negative, other, other_any = _of_converter(negative, SECOND, drawn, c, stream, at, rows, columns)
        else:
            y += negative
    y, beyond, beyond_any = _of_converter(y, 0, drawn, c, stream, at, rows, columns)
    if digital_sum:
        y += negative
        if c.out_bound is not None:
            beyond = beyond | other
            beyond_any = beyond_any | other_any
    return y, beyond, beyond_any


def _drawn(circuits, c, column, inside):
    """What was drawn for some outputs."""
    offset, curve, factor, sigma = None, None, None, c.out_noise
    if circuits.offset is not None:
        offset = tl.load(circuits.offset + column, mask=inside, other=0.0)
    if circuits.curve is not None:
        curve = tl.load(circuits.curve + column, mask=inside, other=0.0)
    if circuits.factor is not None:
        factor = tl.load(circuits.factor)
    if circuits.sigma is not None:
        sigma = tl.load(circuits.sigma + column, mask=inside, other=0.0)
    return offset, curve, factor, sigma


def _stored_sums(found, c, row, column, n, n_outputs):
    """The sums that matrix products gave."""
    known = row < n
    at, inside = row.to(tl.int64) * n_outputs + column, known & (column < n_outputs)
    carried, distant, energy, total = None, None, None, None
    if c.ir_drop is not None:
        carried = tl.load(found.carried + at, mask=inside, other=0.0)
        distant = tl.load(found.distant + at, mask=inside, other=0.0)
    if c.w_noise is not None:
        if per_weight:
            energy = tl.load(found.energy + at, mask=inside, other=0.0)
        else:
            energy = tl.load(found.energy + row, mask=known, other=0.0)
    if c.w_min is not None:
        total = tl.load(found.total + row, mask=known, other=0.0)
    return tl.load(found.product + at, mask=inside, other=0.0), carried, distant, energy, total


def _more(found, u, w, far, c):
    """Sums over some more lines, which carry ``u`` and meet ``w``."""
    product, carried, distant, energy, total = found
    product = tl.dot(u, w, product, input_precision="ieee")
    if c.ir_drop is not None:
        carried = tl.dot(tl.abs(u), tl.abs(w), carried, input_precision="ieee")
        distant = tl.dot(u * far, w, distant, input_precision="ieee")
    if c.w_noise is not None:
        if per_weight:
            energy = tl.dot(u * u, tl.abs(w), energy, input_precision="ieee")
        else:
            energy += tl.reduce(u * u, 1, tl.standard._sum_combine, keep_dims=True)
    if c.w_min is not None:
        total += tl.reduce(u, 1, tl.standard._sum_combine, keep_dims=True)
    return product, carried, distant, energy, total


def _of_one(u, w, far, c):
    """The sums over a single line."""
    carried, distant, energy, total = None, None, None, None
    if c.ir_drop is not None:
        carried = tl.abs(u) * tl.abs(w)
        distant = (u * far) * w
    if c.w_noise is not None:
        energy = u * u
        if per_weight:
            energy = energy * tl.abs(w)
    if c.w_min is not None:
        total = u
    return u * w, carried, distant, energy, total


def _show(y, value, gain, clipped, beyond_any, at, inside):
    """Write results, and which the converter clips."""
    tl.store(y + at, value * gain, mask=inside)
    if clipped is not None:
        if beyond_any is not None:
            tl.store(clipped + at, beyond_any, mask=inside)


def _mark(again, beyond, inside, gain, row, known):
    """Mark vectors, of which an output is beyond a bound, for the next round; all who mark one write the same."""
    some = tl.reduce((beyond & inside).to(tl.int32), 1, tl.standard._elementwise_max, keep_dims=True)
    tl.store(again + row, some, mask=known & (some > 0) & (gain != 0.0))


def _lines(
    out, again, x, scale, numbers, c, n, lines, tests, step, stream, key0, key1,
    rows: tl.constexpr, columns: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0) * rows + tl.arange(0, rows)[:, None]
    column = tl.program_id(1) * columns + tl.arange(0, columns)[None, :]
    block = tl.program_id(1) * (columns // 4) + tl.arange(0, columns // 4)[None, :]
    known = row < n
    at, inside = row.to(tl.int64) * lines + column, known & (column < lines)
    number = tl.load(numbers + row, mask=known, other=0).to(tl.uint32)
    k0, k1 = key0.to(tl.uint32, bitcast=True), key1.to(tl.uint32, bitcast=True)
    s, _ = factors(tl.load(scale + row, mask=known, other=1.0), 1.0, 1.0)
    v = divide(tl.load(x + at, mask=inside, other=0.0), s)
    place = (number, block.to(tl.uint32), tl.full((), 0, tl.uint32), k0, k1)
    tl.store(out + at, _line(v, c, stream, place, rows, columns), mask=inside)
    if tl.program_id(1) == 0:
        for k in range(0, tests):
            tl.store(again + tl.cast(k, tl.int64) * step + row, tl.full((rows, 1), 0, tl.int32), mask=known)


def _outputs(
    y, clipped, again, scale, numbers, first, second, circuits, c, n, n_outputs, out_scale, silent, stream, key0, key1,
    tested: tl.constexpr, rows: tl.constexpr, columns: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0) * rows + tl.arange(0, rows)[:, None]
    column = tl.program_id(1) * columns + tl.arange(0, columns)[None, :]
    block = tl.program_id(1) * (columns // 4) + tl.arange(0, columns // 4)[None, :]
    known = row < n
    at, inside = row.to(tl.int64) * n_outputs + column, known & (column < n_outputs)
    number = tl.load(numbers + row, mask=known, other=0).to(tl.uint32)
    k0, k1 = key0.to(tl.uint32, bitcast=True), key1.to(tl.uint32, bitcast=True)
    _, gain = factors(tl.load(scale + row, mask=known, other=1.0), out_scale, silent)
    first = _stored_sums(first, c, row, column, n, n_outputs)
    if separate:
        second = _stored_sums(second, c, row, column, n, n_outputs)
    drawn = _drawn(circuits, c, column, column < n_outputs)
    place = (number, block.to(tl.uint32), tl.full((), 0, tl.uint32), k0, k1)
    value, beyond, beyond_any = _finish(first, second, drawn, c, stream, place, rows, columns)
    _show(y, value, gain, clipped, beyond_any, at, inside)
    if tested:
        _mark(again, beyond, inside, gain, row, known)


def _again(
    y, clipped, again, more, x, scale, numbers, weight, negative, circuits, c, n, lines, n_outputs, out_scale, silent,
    weight_row, weight_column, negative_row, negative_column, doubled, part, stream, key0, key1,
    rows: tl.constexpr, columns: tl.constexpr, depth: tl.constexpr,
):  # fmt: skip
    vector = tl.program_id(0) * rows + tl.arange(0, rows)
    if largest(tl.load(again + vector, mask=vector < n, other=0)) > 0:
        row = vector[:, None]
        chosen = tl.load(again + row, mask=row < n, other=0) > 0
        column = tl.program_id(1) * columns + tl.arange(0, columns)[None, :]
        block = tl.program_id(1) * (columns // 4) + tl.arange(0, columns // 4)[None, :]
        number = tl.load(numbers + row, mask=chosen, other=0).to(tl.uint32)
        k0, k1 = key0.to(tl.uint32, bitcast=True), key1.to(tl.uint32, bitcast=True)
        last = part.to(tl.uint32)
        s, gain = factors(tl.load(scale + row, mask=chosen, other=1.0), out_scale, silent)
        s, gain = s * doubled, gain * doubled
        zero, none = tl.full((rows, columns), 0.0, tl.float32), tl.full((rows, 1), 0.0, tl.float32)
        first = (zero, zero, zero, none, none)
        if per_weight:
            first = (zero, zero, zero, zero, none)
        second = first
        for begin in range(0, lines, depth):
            line = begin + tl.arange(0, depth)
            inside = line[None, :] < lines
            v = tl.load(x + row.to(tl.int64) * lines + line[None, :], mask=chosen & inside, other=0.0)
            blocks = begin // 4 + tl.arange(0, depth // 4)[None, :]
            place = (number, blocks.to(tl.uint32), last, k0, k1)
            u = tl.where(inside, _line(divide(v, s), c, stream, place, rows, depth), 0.0)
            far = u
            if c.ir_drop is not None:
                far = distance(line[None, :].to(tl.float32), c.lines)
            inside = (line[:, None] < lines) & (column < n_outputs)
            at = line[:, None].to(tl.int64) * weight_column + column.to(tl.int64) * weight_row
            w = tl.load(weight + at, mask=inside, other=0.0)
            if separate:
                first = _more(first, maximum(u, 0.0), w, far, c)
                at = line[:, None].to(tl.int64) * negative_column + column.to(tl.int64) * negative_row
                w = tl.load(negative + at, mask=inside, other=0.0)
                second = _more(second, minimum(u, 0.0), w, far, c)
            else:
                first = _more(first, u, w, far, c)
        drawn = _drawn(circuits, c, column, column < n_outputs)
        place = (number, block.to(tl.uint32), last, k0, k1)
        value, beyond, beyond_any = _finish(first, second, drawn, c, stream, place, rows, columns)
        inside = chosen & (column < n_outputs)
        _show(y, value, gain, clipped, beyond_any, row.to(tl.int64) * n_outputs + column, inside)
        _mark(more, beyond, inside, gain, row, chosen)


def _reads(
    y, stored, slices, numbers, circuits, c, n, n_outputs, stored_row, stored_column, slice_step, out_scale, stream,
    key0, key1, rows: tl.constexpr, columns: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0) * rows + tl.arange(0, rows)[:, None]
    column = tl.program_id(1) * columns + tl.arange(0, columns)[None, :]
    block = tl.program_id(1) * (columns // 4) + tl.arange(0, columns // 4)[None, :]
    known = row < n
    inside = known & (column < n_outputs)
    number = tl.load(numbers + row, mask=known, other=0).to(tl.uint32)
    k0, k1 = key0.to(tl.uint32, bitcast=True), key1.to(tl.uint32, bitcast=True)
    zero = tl.full((), 0, tl.uint32)
    chance = None
    if inp_by_chance:
        if c.inp_per_unit is not None:
            chance, _, _, _ = uniforms((stream + INPUT_ROUNDING).to(tl.uint32), zero, number, zero, k0, k1)
    one = tl.full((rows, 1), 1.0, tl.float32)
    u = on_line(one, c.inp_per_unit, chance, c.inp_bound, None, None, c.inp_negative)
    far = u
    if c.ir_drop is not None:
        far = distance(tl.load(slices + row.to(tl.int64) * slice_step, mask=known, other=0).to(tl.float32), c.lines)
    at = row.to(tl.int64) * stored_row + column.to(tl.int64) * stored_column
    w = tl.load(stored + at, mask=inside, other=0.0)
    first = _of_one(u, w, far, c)
    second = first
    if separate:
        first, second = _of_one(maximum(u, 0.0), w, far, c), _of_one(minimum(u, 0.0), w, far, c)
    drawn = _drawn(circuits, c, column, column < n_outputs)
    place = (number, block.to(tl.uint32), zero, k0, k1)
    value, _, _ = _finish(first, second, drawn, c, stream, place, rows, columns)
    _show(y, value, out_scale, None, None, row.to(tl.int64) * n_outputs + column, inside)
