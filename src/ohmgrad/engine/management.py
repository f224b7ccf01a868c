"""Noise and bound management: by what the input of a product is divided, and how often it is tried again."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ohmgrad.engine.averages import running_average
from ohmgrad.engine.constants import step
from ohmgrad.engine.implementation import Implementation
from ohmgrad.engine.periphery import is_ideal
from ohmgrad.errors import ConfigError, TileError
from ohmgrad.parameters.enums import AnalogMVType, BoundManagementType, NoiseManagementType, WeightNoiseType
from ohmgrad.parameters.io import IOParameters
from ohmgrad.words import where

AVERAGE_DECAY = 1e-3
"""How much of the running average of AVERAGE_ABS_MAX one vector replaces."""
ASSUMED_WEIGHT = 0.6
"""The weight that ABS_MAX_NP_SUM assumes on every line when it estimates the largest output."""
GREATEST_FACTOR = 2**31 - 1
"""The greatest ``max_bm_factor``: far above it, a float32 input is reduced to nothing."""


def check_io(io: IOParameters, name: str) -> None:
    """Reject settings that do not fit together.

    :param name: what ``io`` is called in the error, such as ``"forward"``.
    :raises ConfigError: with noise management, ``inp_bound`` is not 1; ``w_noise`` or ``w_read_asymmetry_dtod`` is
        given where it acts on nothing; a strength is infinite; ``max_bm_factor`` is above ``GREATEST_FACTOR``.
    """
    if is_ideal(io):
        return
    managed = io.noise_management is not NoiseManagementType.NONE
    if managed and io.inp_bound != 1.0:
        raise ConfigError(
            f"{name}.inp_bound = {io.inp_bound}: noise management {io.noise_management.name} scales inputs to 1. "
            "Set inp_bound to 1 or noise_management to NoiseManagementType.NONE."
        )
    if io.w_noise > 0.0 and io.w_noise_type is WeightNoiseType.NONE:
        raise ConfigError(
            f"{name}.w_noise = {io.w_noise} has no effect while {name}.w_noise_type is NONE. "
            "Set w_noise_type to WeightNoiseType.ADDITIVE_CONSTANT or PCM_READ, or w_noise to 0."
        )
    if io.w_read_asymmetry_dtod > 0.0 and io.mv_type is AnalogMVType.ONE_PASS:
        raise ConfigError(
            f"{name}.w_read_asymmetry_dtod = {io.w_read_asymmetry_dtod} has no effect while {name}.mv_type is "
            "ONE_PASS. Set mv_type to AnalogMVType.POS_NEG_SEPARATE or POS_NEG_SEPARATE_DIGITAL_SUM, or it to 0."
        )
    if io.max_bm_factor > GREATEST_FACTOR:
        raise ConfigError(f"{name}.max_bm_factor = {io.max_bm_factor}: give {GREATEST_FACTOR} or less.")
    finite = ["inp_noise", "inp_asymmetry", "out_noise", "out_noise_std", "out_scale", "out_asymmetry", "w_noise"]
    finite += ["ir_drop", "ir_drop_g_ratio", "out_nonlinearity", "out_nonlinearity_std", "slope_calibration"]
    finite += ["v_offset_std", "v_offset_w_min", "r_series", "w_read_asymmetry_dtod"]
    if io.noise_management is NoiseManagementType.CONSTANT:
        finite.append("nm_thres")
    for field in finite:
        if not math.isfinite(getattr(io, field)):
            raise ConfigError(f"{name}.{field} = {getattr(io, field)}: give a finite number.")


def new_average() -> Tensor:
    """The running value of AVERAGE_ABS_MAX before the first vector: ``[1]`` float32, negative."""
    return torch.full((1,), -1.0, dtype=torch.float32)


def noise_scale(x: Tensor, io: IOParameters, average: Tensor | None, implementation: Implementation) -> Tensor:
    r"""The noise-management scale :math:`\alpha` of every vector, ``[n, 1]``."""
    kind, limit = io.noise_management, io.nm_thres
    if kind is NoiseManagementType.NONE:
        return x.new_ones(len(x), 1)
    if kind is NoiseManagementType.CONSTANT:
        return x.new_full((len(x), 1), limit if limit > 0.0 else 1.0)
    if kind is NoiseManagementType.AVERAGE_ABS_MAX:
        if average is None:
            raise TileError("Noise management AVERAGE_ABS_MAX needs the tile's running average. Give mvm one.")
        averages = running_average(_largest(x)[:, 0], average[0], AVERAGE_DECAY, True, implementation)
        average.copy_(averages[-1:])
        return averages[:, None]
    if kind is NoiseManagementType.ABS_MAX_NP_SUM:
        return worst_case_scale(x, io)
    return _limited(x.amax(1, keepdim=True) if kind is NoiseManagementType.MAX else _largest(x), io)


def worst_case_scale(x: Tensor, io: IOParameters) -> Tensor:
    """The scale at which the sum of all inputs of one sign just does not clip, within the input's resolution."""
    largest = _limited(_largest(x), io)
    bound = io.out_bound if 0.0 < io.out_bound < math.inf else 1.0
    total = torch.maximum(x.clamp(min=0.0).sum(1, keepdim=True), (-x).clamp_(min=0.0).sum(1, keepdim=True))
    needed = total * (ASSUMED_WEIGHT / bound)
    size = step(io.inp_res, io.inp_bound)
    if size > 0.0:
        needed = torch.minimum(needed, largest * (io.max_bm_res / size))
    return torch.maximum(largest, needed)


def factors(scale, out_scale, silent):  # type: ignore[no-untyped-def]
    """What divides an input and what multiplies its output, for one element of a noise-management scale.

    :param out_scale: the digital factor; :param silent: what multiplies the output where the scale is not positive.
    """
    live = scale > 0.0
    return where(live, scale, 1.0), where(live, scale * out_scale, silent)


def repeats(io: IOParameters) -> int:
    """How often bound management may repeat: it stops once the reduction exceeds one of its limits."""
    if io.bound_management is BoundManagementType.NONE or not 0.0 < io.out_bound < math.inf:
        return 0
    size = step(io.inp_res, io.inp_bound)
    limit = min(float(io.max_bm_factor), io.max_bm_res / size if size > 0.0 else math.inf)
    count = 0
    while 2**count <= limit:
        count += 1
    # The round with the scale of the worst case does not count as a reduction.
    return count + 1 if count > 0 and starts_worst_case(io) else count


def starts_worst_case(io: IOParameters) -> bool:
    """Whether the first repetition takes the scale of the worst case (and does not have it already)."""
    return (
        io.bound_management is BoundManagementType.ITERATIVE_WORST_CASE
        and io.noise_management is not NoiseManagementType.ABS_MAX_NP_SUM
    )


def _largest(x: Tensor) -> Tensor:
    """The largest magnitude of every vector, ``[n, 1]``."""
    if x.device.type == "cpu":  # where the norm of torch is slow
        return x.abs().amax(1, keepdim=True)
    return torch.linalg.vector_norm(x, math.inf, 1, keepdim=True)


def _limited(largest: Tensor, io: IOParameters) -> Tensor:
    """Not above ``nm_thres``, in place; without noise management there is no limit."""
    limited = io.nm_thres > 0.0 and io.noise_management is not NoiseManagementType.NONE
    return largest.clamp_(max=io.nm_thres) if limited else largest
