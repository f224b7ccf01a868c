"""The ends of the lines: the input converter, and the output circuits with their converter."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ohmgrad.engine.noise import Source, Use
from ohmgrad.engine.periphery import Periphery, drawn, is_saturating
from ohmgrad.parameters.io import IOParameters


def to_lines(v: Tensor, io: IOParameters, source: Source) -> Tensor:
    """The input converter (DAC), in place: ``[n, in]`` scaled inputs to what the lines carry."""
    size, width = step(io.inp_res, io.inp_bound), v.shape[1]
    if size > 0.0:
        v = _quantise(v, size, source.uniform(Use.INPUT_ROUNDING, width) if io.inp_sto_round else None)
    v = clip(v, io.inp_bound)
    if io.inp_noise > 0.0:
        v.add_(source.normal(Use.INPUT_NOISE, width), alpha=io.inp_noise)
    return _scale_negative(v, 1.0 - io.inp_asymmetry)


def to_digital(
    y: Tensor, io: IOParameters, periphery: Periphery | None, source: Source, test: bool, clipped: Tensor | None
) -> tuple[Tensor, Tensor | None]:
    """Saturation, noise and the output converter (ADC), in place, of ``[n, out]`` currents.

    :param test: whether to test the bounds.
    :param clipped: bool ``[n, out]``, where outputs are marked that are clipped; None: they need not be.
    :returns: the outputs, and which vectors have any beyond a bound that counts, ``[n]`` bool (None without a test).
    """
    size, width = step(io.out_res, io.out_bound), y.shape[1]
    if is_saturating(io):
        y = _saturate(y, io, periphery)
    y = _scale_negative(y, 1.0 - max(io.out_asymmetry, 0.0))
    if io.out_noise > 0.0:
        noise = source.normal(Use.OUTPUT_NOISE, width)
        if io.out_noise_std > 0.0:
            y.add_(noise.mul_(drawn(periphery)["out_noise_values"]))
        else:
            y.add_(noise, alpha=io.out_noise)
    if size > 0.0:
        y = _quantise(y, size, source.uniform(Use.OUTPUT_ROUNDING, width) if io.out_sto_round else None)
    beyond = (y.abs() if io.bm_test_negative_bound else y).amax(1) > io.out_bound if test else None
    if clipped is not None and io.out_bound > 0.0:
        clipped |= y.abs() > io.out_bound
    return clip(y, io.out_bound), beyond


def step(resolution: float, bound: float) -> float:
    """The step of a converter in its own units; 0: none (no resolution is set, or the range has no end)."""
    if resolution <= 0.0 or not 0.0 < bound < math.inf:
        return 0.0
    return (1.0 / resolution if resolution > 1.0 else resolution) * 2.0 * bound


def clip(v: Tensor, bound: float) -> Tensor:
    """Within a bound, in place; 0 or less: there is none."""
    return v.clamp_(-bound, bound) if bound > 0.0 else v


def _saturate(y: Tensor, io: IOParameters, periphery: Periphery | None) -> Tensor:
    """The S-shaped curve of the outputs and its calibration, in place."""
    if io.out_nonlinearity > 0.0:
        y.div_((y * drawn(periphery)["out_nonlinearity"]).abs_().add_(1.0))
    if io.slope_calibration > 0.0:
        y.mul_(drawn(periphery)["out_nonlinearity_factor"])
    return y


def _quantise(v: Tensor, size: float, uniform: Tensor | None) -> Tensor:
    """Round to whole steps (halves to even, or up or down by chance), in place."""
    # Steps per unit, not the step: it is often a whole number, and then the last code meets the bound exactly.
    per_unit = 1.0 / size
    v.mul_(per_unit)
    if uniform is not None:
        v.add_(uniform.sub_(0.5))
    return v.round_().div_(per_unit)


def _scale_negative(v: Tensor, factor: float) -> Tensor:
    return torch.nn.functional.leaky_relu_(v, factor) if factor != 1.0 else v
