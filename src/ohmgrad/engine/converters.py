"""The ends of the lines: the input converter, and the output circuits with their converter.

The formulas of one element are written in the vocabulary of :mod:`ohmgrad.words`: here they run on torch tensors, and
the same source is compiled for the processor (:mod:`ohmgrad.engine.converters_cpu`) and the GPU. What is off in the
settings is None; the first argument may be overwritten, which saves torch much memory.
"""

# mypy: disable-error-code="no-untyped-def"
from __future__ import annotations

from functools import cache
from typing import Any

from torch import Tensor

from ohmgrad.engine.crossbar import Array
from ohmgrad.engine.noise import Source, Use
from ohmgrad.engine.periphery import Periphery, drawn, is_saturating
from ohmgrad.parameters.io import IOParameters
from ohmgrad.words import absolute, round_even, scale_negative, within


def on_line(v, per_unit, chance, bound, strength, noise, negative):
    """What a line carries for a scaled input; ``chance`` is uniform, ``noise`` standard normal."""
    if per_unit is not None:
        v = _quantised(v, per_unit, chance)
    if bound is not None:
        v = within(v, bound)
    if noise is not None:
        v += noise * strength
    if negative is not None:
        v = scale_negative(v, negative)
    return v


def before_bound(y, curve, factor, negative, sigma, noise, per_unit, chance):
    """What the output converter makes of a current but for its bound: saturation, noise and steps.

    :param curve: the nonlinearity of the output; :param factor: what makes up for it; :param sigma: its noise.
    """
    if curve is not None:
        y /= absolute(y * curve) + 1.0
    if factor is not None:
        y *= factor
    if negative is not None:
        y = scale_negative(y, negative)
    if noise is not None:
        y += noise * sigma
    if per_unit is not None:
        y = _quantised(y, per_unit, chance)
    return y


def exceeds(y, bound, both):
    """Whether an output is above the bound or, if ``both`` count, below the negative one."""
    if both:
        y = absolute(y)
    return y > bound


def _quantised(v, per_unit, chance):
    """Rounded to whole steps: halves to even, or up or down by chance."""
    v *= per_unit
    if chance is not None:
        v += chance - 0.5
    v = round_even(v)
    v /= per_unit
    return v


@cache
def compiled() -> Any:
    """The module of what is compiled for the processor."""
    from ohmgrad.engine import converters_cpu

    return converters_cpu


def to_lines(x: Tensor, ends: Tensor, array: Array, source: Source) -> Tensor:
    """The input converter (DAC): ``[n, in]`` inputs to what the lines carry.

    :param ends: ``[2, n, 1]``: what divides the inputs of every vector, and what multiplies its outputs.
    """
    if source.draws.implementation == "cpu":
        return compiled().to_lines(x, ends, array, source)
    c, chance, noise = array.constants, None, None
    v = x / ends[0]
    if array.io.inp_sto_round and c.inp_per_unit is not None:
        chance = source.uniform(Use.INPUT_ROUNDING, v.shape[1])
    if c.inp_noise is not None:
        noise = source.normal(Use.INPUT_NOISE, v.shape[1])
    return on_line(v, c.inp_per_unit, chance, c.inp_bound, c.inp_noise, noise, c.inp_negative)


def to_digital(
    y: Tensor, ends: Tensor | None, array: Array, source: Source, test: bool, clipped: Tensor | None
) -> tuple[Tensor, Tensor | None]:
    """Saturation, noise and the output converter (ADC) of ``[n, out]`` currents, which are overwritten.

    :param ends: see :func:`to_lines`; None: nothing multiplies the outputs.
    :param test: whether to test the bounds.
    :param clipped: bool ``[n, out]``, where outputs are marked that are clipped; None: they need not be.
    :returns: the outputs, and which vectors have any beyond a bound that counts, ``[n]`` bool (None: none
        has, or there was no test).
    """
    if source.draws.implementation == "cpu":
        return compiled().to_digital(y, ends, array, source, test, clipped)
    io, c, chance, noise, beyond = array.io, array.constants, None, None, None
    if c.out_noise is not None:
        noise = source.normal(Use.OUTPUT_NOISE, y.shape[1])
    if io.out_sto_round and c.out_per_unit is not None:
        chance = source.uniform(Use.OUTPUT_ROUNDING, y.shape[1])
    curve, factor, sigma = output_circuits(io, array.periphery)
    y = before_bound(
        y, curve, factor, c.out_negative, c.out_noise if sigma is None else sigma, noise, c.out_per_unit, chance
    )
    if c.out_bound is not None:
        if test:
            beyond = exceeds(y, c.out_bound, io.bm_test_negative_bound).any(1)
        if clipped is not None:
            clipped |= exceeds(y, c.out_bound, True)
        y = within(y, c.out_bound)
    if ends is not None:
        y *= ends[1]
    return y, beyond


def output_circuits(
    io: IOParameters, periphery: Periphery | None
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """What was drawn for the output circuits: nonlinearities, the factor that makes up for them, strengths of noise."""
    return (
        drawn(periphery)["out_nonlinearity"] if io.out_nonlinearity > 0.0 else None,
        drawn(periphery)["out_nonlinearity_factor"] if io.slope_calibration > 0.0 and is_saturating(io) else None,
        drawn(periphery)["out_noise_values"] if io.out_noise > 0.0 and io.out_noise_std > 0.0 else None,
    )
