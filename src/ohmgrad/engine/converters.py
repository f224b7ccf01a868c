"""The ends of the lines: the input converter, and the output circuits with their converter.

The formulas of one element are written in the vocabulary of :mod:`ohmgrad.words`: here they run on torch tensors, and
the same source is compiled for the GPU. What is off in the settings is None; the first argument, and random numbers,
may be overwritten, which saves torch much memory.
"""

# mypy: disable-error-code="no-untyped-def"
from __future__ import annotations

from torch import Tensor

from ohmgrad.engine.constants import Constants
from ohmgrad.engine.noise import Source, Use
from ohmgrad.engine.periphery import Periphery, drawn, is_saturating
from ohmgrad.parameters.io import IOParameters
from ohmgrad.words import absolute, round_even, scale_negative, within


def on_line(v, chance, noise, c):
    """What a line carries for a scaled input; ``chance`` is uniform, ``noise`` standard normal."""
    if c.inp_per_unit is not None:
        v = _quantised(v, c.inp_per_unit, chance)
    if c.inp_bound is not None:
        v = within(v, c.inp_bound)
    if c.inp_noise is not None:
        noise *= c.inp_noise
        v += noise
    if c.inp_negative is not None:
        v = scale_negative(v, c.inp_negative)
    return v


def before_bound(y, curve, factor, sigma, noise, chance, c):
    """What the output converter makes of a current but for its bound: saturation, noise and steps.

    :param curve: the nonlinearity of the output; :param factor: what makes up for it; :param sigma: its noise.
    """
    if curve is not None:
        y /= absolute(y * curve) + 1.0
    if factor is not None:
        y *= factor
    if c.out_negative is not None:
        y = scale_negative(y, c.out_negative)
    if c.out_noise is not None:
        noise *= sigma
        y += noise
    if c.out_per_unit is not None:
        y = _quantised(y, c.out_per_unit, chance)
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
        chance -= 0.5
        v += chance
    v = round_even(v)
    v /= per_unit
    return v


def to_lines(v: Tensor, io: IOParameters, c: Constants, source: Source) -> Tensor:
    """The input converter (DAC): ``[n, in]`` scaled inputs to what the lines carry."""
    chance = noise = None
    if io.inp_sto_round and c.inp_per_unit is not None:
        chance = source.uniform(Use.INPUT_ROUNDING, v.shape[1])
    if c.inp_noise is not None:
        noise = source.normal(Use.INPUT_NOISE, v.shape[1])
    return on_line(v, chance, noise, c)


def to_digital(
    y: Tensor,
    io: IOParameters,
    c: Constants,
    periphery: Periphery | None,
    source: Source,
    test: bool,
    clipped: Tensor | None,
) -> tuple[Tensor, Tensor | None]:
    """Saturation, noise and the output converter (ADC) of ``[n, out]`` currents.

    :param test: whether to test the bounds.
    :param clipped: bool ``[n, out]``, where outputs are marked that are clipped; None: they need not be.
    :returns: the outputs, and which vectors have any beyond a bound that counts, ``[n]`` bool (None without a test).
    """
    chance = noise = beyond = None
    if c.out_noise is not None:
        noise = source.normal(Use.OUTPUT_NOISE, y.shape[1])
    if io.out_sto_round and c.out_per_unit is not None:
        chance = source.uniform(Use.OUTPUT_ROUNDING, y.shape[1])
    curve, factor, sigma = output_circuits(io, periphery)
    y = before_bound(y, curve, factor, c.out_noise if sigma is None else sigma, noise, chance, c)
    if c.out_bound is None:
        return y, beyond
    if test:
        beyond = exceeds(y, c.out_bound, io.bm_test_negative_bound).any(1)
    if clipped is not None:
        clipped |= exceeds(y, c.out_bound, True)
    return within(y, c.out_bound), beyond


def output_circuits(
    io: IOParameters, periphery: Periphery | None
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """What was drawn for the output circuits: nonlinearities, the factor that makes up for them, strengths of noise."""
    return (
        drawn(periphery)["out_nonlinearity"] if io.out_nonlinearity > 0.0 else None,
        drawn(periphery)["out_nonlinearity_factor"] if io.slope_calibration > 0.0 and is_saturating(io) else None,
        drawn(periphery)["out_noise_values"] if io.out_noise > 0.0 and io.out_noise_std > 0.0 else None,
    )
