"""What an array gives for what its lines carry: the product, disturbed by wires, offsets and noisy weights."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from ohmgrad.engine.constants import Constants
from ohmgrad.engine.matmul import multiply
from ohmgrad.engine.noise import Source, Use
from ohmgrad.engine.periphery import Periphery, drawn
from ohmgrad.engine.settings import Settings
from ohmgrad.parameters.enums import WeightNoiseType
from ohmgrad.parameters.io import IOParameters
from ohmgrad.words import absolute, sqrt


class Crossbar(NamedTuple):
    """The weights that the lines meet: all of them, or only what one-hot vectors meet.

    ``lines`` is the number of input lines. Without ``slices``, ``weights`` is ``[out, in]`` and lines carry
    ``[n, in]``. With ``slices`` ``[n]``, the line that each vector drives, ``weights`` is ``[n, out]``, what that
    line meets, and lines carry ``[n, 1]``. The sums below are the same in both, but for what is 0.
    """

    weights: Tensor
    lines: int
    slices: Tensor | None = None

    def through(self, v: Tensor, magnitudes: bool = False) -> Tensor:
        """The sum over the lines of the weights (or of their magnitudes) times ``v``, ``[n, out]``."""
        weights = self.weights.abs() if magnitudes else self.weights
        if self.slices is not None:
            return v * weights
        return multiply(v, weights)

    def distance(self) -> Tensor:
        """How much of the wire's drop meets the lines."""
        j = torch.arange(self.lines, device=self.weights.device) if self.slices is None else self.slices[:, None]
        return distance(j, self.lines)

    def for_negative(self, periphery: Periphery | None) -> Crossbar:
        """The weights as negative inputs read them."""
        if self.slices is not None:  # a one-hot vector has no negative inputs
            return self
        return self._replace(weights=self.weights * drawn(periphery).asymmetry)


class Array(NamedTuple):
    """An array and the circuits around it."""

    crossbar: Crossbar
    negative: Crossbar
    """The array as negative inputs read it."""
    io: IOParameters
    settings: Settings
    periphery: Periphery | None

    @property
    def constants(self) -> Constants:
        """The settings as numbers."""
        return self.settings.constants

    @staticmethod
    def of(crossbar: Crossbar, io: IOParameters, periphery: Periphery | None) -> Array:
        """What an array is under some settings."""
        settings = Settings.of(io, crossbar.lines, periphery)
        negative = crossbar.for_negative(periphery) if settings.is_uneven else crossbar
        return Array(crossbar, negative, io, settings, periphery)


class Sums(NamedTuple):
    """The sums over the lines that a current is made of; None: not needed."""

    product: Any
    r""":math:`\sum_j W_{ij} u_j`"""
    carried: Any
    r""":math:`\sum_j |W_{ij} u_j|`"""
    distant: Any
    r""":math:`\sum_j W_{ij} u_j (1 - (1 - j/n)^2)`"""
    energy: Any
    r""":math:`\sum_j |W_{ij}| u_j^2`, or :math:`\sum_j u_j^2` for noise that does not depend on the weights"""
    total: Any
    r""":math:`\sum_j u_j`"""


def sums(crossbar: Crossbar, u: Tensor, io: IOParameters, c: Constants) -> Sums:
    """Those of an array, ``[n, out]`` or ``[n, 1]``, that :func:`current` needs."""
    carried = distant = energy = total = None
    if c.ir_drop is not None:
        carried = crossbar.through(u.abs(), magnitudes=True)
        distant = crossbar.through(u * crossbar.distance())
    if c.w_noise is not None:
        per_weight = io.w_noise_type is WeightNoiseType.PCM_READ
        energy = crossbar.through(u.square(), magnitudes=True) if per_weight else u.square().sum(1, keepdim=True)
    if c.w_min is not None:
        total = u.sum(1, keepdim=True)
    return Sums(crossbar.through(u), carried, distant, energy, total)


def currents(array: Array, crossbar: Crossbar, u: Tensor, source: Source) -> Tensor:
    """What reaches the outputs, ``[n, out]``: the product and, where they are on, the imperfections of the array.

    :param crossbar: the array as the inputs read it, which may be negative.
    """
    if array.settings.is_plain:
        return crossbar.through(u)
    io, c = array.io, array.constants
    found = sums(crossbar, u, io, c)
    noise = source.normal(Use.WEIGHT_NOISE, found.product.shape[1]) if c.w_noise is not None else None
    return current(*found, offsets(io, array.periphery), noise, c)


def offsets(io: IOParameters, periphery: Periphery | None) -> Tensor | None:
    """The voltage offsets that were drawn for the outputs."""
    return drawn(periphery)["v_offset"] if io.v_offset_std > 0.0 else None


def distance(j, lines):  # type: ignore[no-untyped-def]
    r"""How much of the wire's drop meets line j, :math:`1 - (1 - j/n)^2`."""
    rest = 1.0 - j / lines
    return 1.0 - rest * rest


def current(product, carried, distant, energy, total, offset, noise, c):  # type: ignore[no-untyped-def]
    r"""What reaches one output, of its :class:`Sums`; in the vocabulary of :mod:`ohmgrad.words`.

    The product and the noise may be overwritten.

    Along the wire :math:`c(a) \sum_j W_{ij} u_j (1 - (1 - j/n)^2)` is lost. The drop follows from the current in the
    whole wire, :math:`a = (n / g) \sum_j |W_{ij} u_j|` with g the ratio of conductances, by the fit
    :math:`c(a) = 0.05 a^3 - 0.2 a^2 + 0.5 a`.

    An output whose voltage is off by o, and sinks with its current, and the reference conductance that has the same
    output, with :math:`g = -w_{min} \sum_j u_j`, make of y
    :math:`(1 - o)(y + g) / (1 + R|y + g|) - (1 + o)\, g / (1 + R|g|)`.
    """
    y = product
    if c.ir_drop is not None:
        a = carried * c.wire
        y -= (((a * 0.05 - 0.2) * a + 0.5) * a) * distant * c.ir_drop
    if c.w_min is not None:
        reference = total * -c.w_min
        if c.r_series is None:  # the same, without the rounding of adding g and taking it away
            y = y - offset * (y + 2.0 * reference)
        else:
            y += reference
            y /= absolute(y) * c.r_series + 1.0
            reference /= absolute(reference) * c.r_series + 1.0
            if offset is None:
                y -= reference
            else:
                y = (1.0 - offset) * y - (1.0 + offset) * reference
    if c.w_noise is not None:
        noise *= sqrt(energy)
        noise *= c.w_noise
        y += noise
    return y
