r"""The analog matrix-vector product: converters, noise and their management around an ideal product.

For each vector :math:`x`, with the noise-management scale :math:`\alpha` and the reduction :math:`\rho` of bound
management, :math:`u = \mathrm{DAC}(x / \alpha\rho)` drives the lines of the array,
:math:`y = \mathrm{ADC}(W u + \text{noise})` is what its outputs give, and :math:`s\,\alpha\rho\,y` is the result,
with :math:`s` the digital ``out_scale``. Every vector has its own :math:`\alpha`, :math:`\rho` and noise, the latter
addressed by the number of the vector and the round of bound management: how vectors are batched changes nothing but,
in its last bits, the sum that the matrix library makes.
(Gokmen and Vlasov 2016; noise and bound management: Gokmen, Onen and Haensch 2017.)
"""

from __future__ import annotations

import math
from enum import IntEnum
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ohmgrad.engine.draws import Draws
from ohmgrad.errors import ConfigError, TileError
from ohmgrad.parameters.enums import AnalogMVType, BoundManagementType, NoiseManagementType, WeightNoiseType
from ohmgrad.parameters.io import IOParameters

AVERAGE_DECAY = 1e-3
"""How much of the running average of AVERAGE_ABS_MAX one vector replaces."""
ASSUMED_WEIGHT = 0.6
"""The weight that ABS_MAX_NP_SUM assumes on every line when it estimates the largest output."""
GREATEST_FACTOR = 2**31 - 1
"""The greatest ``max_bm_factor``: far above it, a float32 input is reduced to nothing."""


class _Use(IntEnum):
    """What a random number within one product is for."""

    INPUT_ROUNDING = 0
    INPUT_NOISE = 1
    WEIGHT_NOISE = 2
    OUTPUT_NOISE = 3
    OUTPUT_ROUNDING = 4


class _Source(NamedTuple):
    """The random numbers of one round over some vectors."""

    draws: Draws
    stream: int
    numbers: Tensor
    part: int = 0

    def normal(self, use: _Use, width: int) -> Tensor:
        return self.draws.normal(self.stream + (use << 8), self.numbers, width, self.part)

    def uniform(self, use: _Use, width: int) -> Tensor:
        return self.draws.uniform(self.stream + (use << 8), self.numbers, width, self.part)

    def again(self, chosen: Tensor) -> _Source:
        """The next round, over the vectors that ``chosen`` (bool) marks."""
        return self._replace(numbers=self.numbers[chosen], part=self.part + 1)


def check_io(io: IOParameters, name: str) -> None:
    """Reject settings that do not fit together.

    :param name: what ``io`` is called in the error, such as ``"forward"``.
    :raises ConfigError: with noise management, ``inp_bound`` is not 1; ``w_noise`` is given without a kind; a
        strength is infinite; ``max_bm_factor`` is above ``GREATEST_FACTOR``.
    """
    if _is_ideal(io):
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
            "Set w_noise_type to WeightNoiseType.ADDITIVE_CONSTANT or w_noise to 0."
        )
    if io.max_bm_factor > GREATEST_FACTOR:
        raise ConfigError(f"{name}.max_bm_factor = {io.max_bm_factor}: give {GREATEST_FACTOR} or less.")
    finite = ["inp_noise", "inp_asymmetry", "out_noise", "out_scale", "out_asymmetry", "w_noise"]
    if io.noise_management is NoiseManagementType.CONSTANT:
        finite.append("nm_thres")
    for field in finite:
        if not math.isfinite(getattr(io, field)):
            raise ConfigError(f"{name}.{field} = {getattr(io, field)}: give a finite number.")


def new_average() -> Tensor:
    """The running value of AVERAGE_ABS_MAX before the first vector: ``[1]`` float32, negative."""
    return torch.full((1,), -1.0, dtype=torch.float32)


def unmanaged(io: IOParameters) -> IOParameters:
    """A copy with noise and bound management off, as the reads of a transfer use it."""
    return io.replaced(noise_management=NoiseManagementType.NONE, bound_management=BoundManagementType.NONE)


@torch.no_grad()
def mvm(
    weight: Tensor,
    x: Tensor,
    io: IOParameters,
    draws: Draws,
    stream: int,
    numbers: Tensor,
    average: Tensor | None = None,
    forward: bool = True,
) -> Tensor:
    """The analog product of every vector with the weights: ``[n, out]`` float32.

    A vector whose noise-management scale is not positive (a zero vector, for most kinds) gives exact zeros, unless
    the direction is forward and there is input noise.

    :param weight: ``[out, in]`` float32; of any strides, so the backward product takes ``weight.t()``.
    :param x: ``[n, in]`` float32.
    :param stream: the base stream of this product, such as ``Stream.FORWARD.of(array)``; the lowest three bits of
        its part are taken by the uses within the product.
    :param numbers: ``[n]`` int64, the number of each vector since the tile was made.
    :param average: the running value of AVERAGE_ABS_MAX, from :func:`new_average`; updated in place, once per
        vector in order.
    :param forward: the forward direction; only it has bound management.
    :raises TileError: AVERAGE_ABS_MAX is used without ``average``.
    """
    if _is_ideal(io) or len(x) == 0:
        return (x @ weight.t()).mul_(io.out_scale)
    scale = _noise_scale(x, io, average)
    live = scale > 0.0
    gain = scale * io.out_scale
    if forward and io.inp_noise > 0.0:
        gain.masked_fill_(~live, io.out_scale)
    else:
        gain.masked_fill_(~live, 0.0)
    scale = scale.masked_fill(~live, 1.0)
    repeats = _repeats(io) if forward else 0
    return _rounds(weight, x, scale, gain, io, _Source(draws, stream, numbers), repeats)


@torch.no_grad()
def read_slices(slices: Tensor, io: IOParameters, draws: Draws, stream: int, numbers: Tensor) -> Tensor:
    """The products of one-hot vectors with noise and bound management off: ``[n, lanes]`` float32.

    The same numbers as :func:`mvm` with ``unmanaged(io)`` and the one-hot vectors, without the lines that carry
    nothing. (Only stochastic rounding of the 1 takes another random number.)

    :param slices: ``[n, lanes]`` float32, the weights that each read meets.
    :param numbers: ``[n]`` int64, the number of each read since the tile was made.
    :raises TileError: there is input noise, which acts on every line: use :func:`mvm`.
    """
    if _is_ideal(io) or len(slices) == 0:
        return slices * io.out_scale
    if io.inp_noise > 0.0:
        raise TileError(f"inp_noise = {io.inp_noise} drives every line: read with mvm and one-hot vectors instead.")
    source = _Source(draws, stream, numbers)
    u = _to_analog(slices.new_ones(len(slices), 1), io, source)
    return _clip(_to_digital(slices * u, u, io, source), io.out_bound).mul_(io.out_scale)


def _rounds(
    weight: Tensor, x: Tensor, scale: Tensor, gain: Tensor, io: IOParameters, source: _Source, repeats: int
) -> Tensor:
    """One round over all vectors and, while ``repeats`` last, another with half the input for those that clip.

    ``scale`` and ``gain`` are ``[n, 1]``: what divides the input and what multiplies the output.
    """
    u = _to_analog(x / scale, io, source)
    y = _to_digital(u @ weight.t(), u, io, source)
    again = None
    if repeats > 0:
        again = _exceeds(y, io) & (gain != 0.0).squeeze(1)
        again = again if again.any() else None
    y = _clip(y, io.out_bound).mul_(gain)
    if again is not None:
        y[again] = _rounds(
            weight, x[again], scale[again] * 2.0, gain[again] * 2.0, io, source.again(again), repeats - 1
        )
    return y


def _is_ideal(io: IOParameters) -> bool:
    return io.is_perfect or io.mv_type is AnalogMVType.IDEAL


def _noise_scale(x: Tensor, io: IOParameters, average: Tensor | None) -> Tensor:
    r"""The noise-management scale :math:`\alpha` of every vector, ``[n, 1]``."""
    kind, limit = io.noise_management, io.nm_thres
    if kind is NoiseManagementType.NONE:
        return x.new_ones(len(x), 1)
    if kind is NoiseManagementType.CONSTANT:
        return x.new_full((len(x), 1), limit if limit > 0.0 else 1.0)
    signed = kind is NoiseManagementType.MAX
    largest = (x if signed else x.abs()).amax(1, keepdim=True)
    if kind is NoiseManagementType.AVERAGE_ABS_MAX:
        return _running_average(largest, average)
    if limit > 0.0:
        largest.clamp_(max=limit)
    if kind is NoiseManagementType.ABS_MAX_NP_SUM:
        return torch.maximum(largest, _worst_case_scale(x, largest, io))
    return largest


def _running_average(largest: Tensor, average: Tensor | None) -> Tensor:
    """The running average after each vector; a loop, rounded at each vector, so a batch may be cut anywhere."""
    if average is None:
        raise TileError("Noise management AVERAGE_ABS_MAX needs the tile's running average. Give mvm one.")
    keep, take = np.float32(1.0 - AVERAGE_DECAY), np.float32(AVERAGE_DECAY)
    values = largest.flatten().cpu().numpy()
    value = np.float32(average.item())
    for n, new in enumerate(values):
        value = keep * value + take * new if value >= 0.0 else new
        values[n] = value
    average.fill_(float(value))
    return torch.from_numpy(values).to(largest.device)[:, None]


def _worst_case_scale(x: Tensor, largest: Tensor, io: IOParameters) -> Tensor:
    """The scale at which the sum of all inputs of one sign just does not clip, within the input's resolution."""
    bound = io.out_bound if 0.0 < io.out_bound < math.inf else 1.0
    total = torch.maximum(x.clamp(min=0.0).sum(1, keepdim=True), (-x).clamp_(min=0.0).sum(1, keepdim=True))
    needed = total * (ASSUMED_WEIGHT / bound)
    step = _step(io.inp_res, io.inp_bound)
    return torch.minimum(needed, largest * (io.max_bm_res / step)) if step > 0.0 else needed


def _repeats(io: IOParameters) -> int:
    """How often bound management may repeat: it stops once the reduction exceeds one of its limits."""
    if io.bound_management is BoundManagementType.NONE or not 0.0 < io.out_bound < math.inf:
        return 0
    step = _step(io.inp_res, io.inp_bound)
    limit = min(float(io.max_bm_factor), io.max_bm_res / step if step > 0.0 else math.inf)
    count = 0
    while 2**count <= limit:
        count += 1
    return count


def _to_analog(v: Tensor, io: IOParameters, source: _Source) -> Tensor:
    """The input converter (DAC), in place: ``[n, in]`` scaled inputs to what the lines carry."""
    step, width = _step(io.inp_res, io.inp_bound), v.shape[1]
    if step > 0.0:
        v = _quantise(v, step, source.uniform(_Use.INPUT_ROUNDING, width) if io.inp_sto_round else None)
    v = _clip(v, io.inp_bound)
    if io.inp_noise > 0.0:
        v.add_(source.normal(_Use.INPUT_NOISE, width), alpha=io.inp_noise)
    return _scale_negative(v, 1.0 - io.inp_asymmetry)


def _to_digital(y: Tensor, u: Tensor, io: IOParameters, source: _Source) -> Tensor:
    """Noise and the output converter (ADC) without its clipping, in place: ``[n, out]`` products of the lines ``u``."""
    step, width = _step(io.out_res, io.out_bound), y.shape[1]
    if io.w_noise > 0.0 and io.w_noise_type is WeightNoiseType.ADDITIVE_CONSTANT:
        norm = u.square().sum(1, keepdim=True).sqrt_()
        y.add_(source.normal(_Use.WEIGHT_NOISE, width).mul_(norm), alpha=io.w_noise)
    y = _scale_negative(y, 1.0 - max(io.out_asymmetry, 0.0))
    if io.out_noise > 0.0:
        y.add_(source.normal(_Use.OUTPUT_NOISE, width), alpha=io.out_noise)
    if step > 0.0:
        y = _quantise(y, step, source.uniform(_Use.OUTPUT_ROUNDING, width) if io.out_sto_round else None)
    return y


def _step(resolution: float, bound: float) -> float:
    """The step of a converter in its own units; 0: none (no resolution is set, or the range has no end)."""
    if resolution <= 0.0 or not 0.0 < bound < math.inf:
        return 0.0
    return (1.0 / resolution if resolution > 1.0 else resolution) * 2.0 * bound


def _quantise(v: Tensor, step: float, uniform: Tensor | None) -> Tensor:
    """Round to whole steps (halves to even, or up or down by chance), in place."""
    # Steps per unit, not the step: it is often a whole number, and then the last code meets the bound exactly.
    per_unit = 1.0 / step
    v.mul_(per_unit)
    if uniform is not None:
        v.add_(uniform.sub_(0.5))
    return v.round_().div_(per_unit)


def _clip(v: Tensor, bound: float) -> Tensor:
    return v.clamp_(-bound, bound) if bound > 0.0 else v


def _exceeds(y: Tensor, io: IOParameters) -> Tensor:
    """Whether any output of a vector is beyond a bound that counts, ``[n]`` bool."""
    return (y.abs() if io.bm_test_negative_bound else y).amax(1) > io.out_bound


def _scale_negative(v: Tensor, factor: float) -> Tensor:
    return torch.nn.functional.leaky_relu_(v, factor) if factor != 1.0 else v
