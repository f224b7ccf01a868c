"""What an array gives for what its lines carry: the product, disturbed by wires, offsets and noisy weights."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from ohmgrad.engine.noise import Source, Use
from ohmgrad.engine.periphery import Periphery, drawn, has_offset
from ohmgrad.parameters.enums import WeightNoiseType
from ohmgrad.parameters.io import IOParameters


class Crossbar(NamedTuple):
    """The weights that the lines meet: all of them, or only what one-hot vectors meet.

    ``lines`` is the number of input lines. Without ``slices``, ``weights`` is ``[out, in]`` and lines carry
    ``[n, in]``. With ``slices`` ``[n, 1]``, the line that each vector drives, ``weights`` is ``[n, out]``, what that
    line meets, and lines carry ``[n, 1]``. The sums below are the same in both, but for what is 0.
    """

    weights: Tensor
    lines: int
    slices: Tensor | None = None

    def through(self, v: Tensor, magnitudes: bool = False) -> Tensor:
        """The sum over the lines of the weights (or of their magnitudes) times ``v``, ``[n, out]``."""
        weights = self.weights.abs() if magnitudes else self.weights
        return v @ weights.t() if self.slices is None else v * weights

    def distance(self) -> Tensor:
        r"""How much of the wire's drop meets line j, :math:`1 - (1 - j/n)^2`."""
        j = torch.arange(self.lines, device=self.weights.device) if self.slices is None else self.slices
        return 1.0 - (1.0 - j / self.lines) ** 2

    def for_negative(self, periphery: Periphery | None) -> Crossbar:
        """The weights as negative inputs read them."""
        if self.slices is not None:  # a one-hot vector has no negative inputs
            return self
        return self._replace(weights=self.weights * drawn(periphery).asymmetry)


def currents(crossbar: Crossbar, u: Tensor, io: IOParameters, periphery: Periphery | None, source: Source) -> Tensor:
    """What reaches the outputs, ``[n, out]``: the product and, where they are on, the imperfections of the array."""
    y = crossbar.through(u)
    if io.ir_drop > 0.0:
        y.sub_(_ir_drop(crossbar, u, io))
    if has_offset(io):
        y = _offset(y, u, io, periphery)
    if io.w_noise > 0.0 and io.w_noise_type is not WeightNoiseType.NONE:
        if io.w_noise_type is WeightNoiseType.PCM_READ:
            strength = crossbar.through(u.square(), magnitudes=True).sqrt_()
        else:
            strength = u.square().sum(1, keepdim=True).sqrt_()
        y.add_(source.normal(Use.WEIGHT_NOISE, y.shape[1]).mul_(strength), alpha=io.w_noise)
    return y


def _ir_drop(crossbar: Crossbar, u: Tensor, io: IOParameters) -> Tensor:
    r"""The part of every output that is lost along its wire, :math:`c(a_i) \sum_j W_{ij} u_j (1 - (1 - j/n)^2)`.

    The drop follows from the current in the whole wire, :math:`a_i = (n / g) \sum_j |W_{ij} u_j|` with g the ratio of
    conductances, by the fit :math:`c(a) = 0.05 a^3 - 0.2 a^2 + 0.5 a`.
    """
    a = crossbar.through(u.abs(), magnitudes=True).mul_(crossbar.lines / io.ir_drop_g_ratio)
    share = a.mul(0.05).sub_(0.2).mul_(a).add_(0.5).mul_(a)
    return share.mul_(crossbar.through(u * crossbar.distance())).mul_(io.ir_drop)


def _offset(y: Tensor, u: Tensor, io: IOParameters, periphery: Periphery | None) -> Tensor:
    r"""Outputs whose voltage is off by o and sinks with their current; so is that of the reference conductance.

    With :math:`g = -w_{min} \sum_j u_j`, y becomes
    :math:`(1 - o)(y + g) / (1 + R|y + g|) - (1 + o)\, g / (1 + R|g|)`.
    """
    offset = drawn(periphery)["v_offset"] if io.v_offset_std > 0.0 else 0.0
    reference = u.sum(1, keepdim=True).mul_(-io.v_offset_w_min)
    if io.r_series == 0.0:  # the same, without the rounding of adding g and taking it away
        return y - offset * (y + 2.0 * reference)
    total = y + reference
    total.div_(total.abs().mul_(io.r_series).add_(1.0))
    reference = reference / (reference.abs() * io.r_series + 1.0)
    return (1.0 - offset) * total - (1.0 + offset) * reference
