"""The settings of an analog product as numbers, in the form in which its formulas take them."""

from __future__ import annotations

import math
from typing import NamedTuple

from ohmgrad.engine.periphery import has_offset
from ohmgrad.parameters.enums import WeightNoiseType
from ohmgrad.parameters.io import IOParameters


class Constants(NamedTuple):
    """The numbers that the formulas of one element take; None: what it belongs to is off."""

    inp_per_unit: float | None
    """Steps of the input converter per unit."""
    inp_bound: float | None
    inp_noise: float | None
    inp_negative: float | None
    """The factor of negative inputs."""
    lines: float | None
    """The number of input lines, for the drop along a wire."""
    wire: float | None
    """What makes of the current in a wire its resistance times it."""
    ir_drop: float | None
    w_min: float | None
    """The weight of the reference conductance, where outputs load the array."""
    r_series: float | None
    w_noise: float | None
    out_negative: float | None
    """The factor of negative outputs."""
    out_noise: float | None
    out_per_unit: float | None
    """Steps of the output converter per unit."""
    out_bound: float | None

    @staticmethod
    def of(io: IOParameters, lines: int) -> Constants:
        """Those of some settings and a number of input lines."""
        drops, noisy = io.ir_drop > 0.0, io.w_noise_type is not WeightNoiseType.NONE
        return Constants(
            inp_per_unit=_per_unit(step(io.inp_res, io.inp_bound)),
            inp_bound=_positive(io.inp_bound),
            inp_noise=_positive(io.inp_noise),
            inp_negative=_factor(1.0 - io.inp_asymmetry),
            lines=float(lines) if drops else None,
            wire=lines / io.ir_drop_g_ratio if drops else None,
            ir_drop=_positive(io.ir_drop),
            w_min=io.v_offset_w_min if has_offset(io) else None,
            r_series=_positive(io.r_series),
            w_noise=_positive(io.w_noise) if noisy else None,
            out_negative=_factor(1.0 - max(io.out_asymmetry, 0.0)),
            out_noise=_positive(io.out_noise),
            out_per_unit=_per_unit(step(io.out_res, io.out_bound)),
            out_bound=_positive(io.out_bound),
        )


def step(resolution: float, bound: float) -> float:
    """The step of a converter in its own units; 0: none (no resolution is set, or the range has no end)."""
    if resolution <= 0.0 or not 0.0 < bound < math.inf:
        return 0.0
    return (1.0 / resolution if resolution > 1.0 else resolution) * 2.0 * bound


def _per_unit(size: float) -> float | None:
    # Steps per unit, not the step: it is often a whole number, and then the last code meets the bound exactly.
    return 1.0 / size if size > 0.0 else None


def _positive(value: float) -> float | None:
    """None: there is none, or it has no end."""
    return value if 0.0 < value < math.inf else None


def _factor(value: float) -> float | None:
    return value if value != 1.0 else None
