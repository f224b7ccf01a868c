r"""The analog matrix-vector product: converters, noise and their management around an array.

For each vector :math:`x`, with the noise-management scale :math:`\alpha` and the reduction :math:`\rho` of bound
management, :math:`u = \mathrm{DAC}(x / \alpha\rho)` drives the lines of the array,
:math:`y = \mathrm{ADC}(P(W, u))` is what its outputs give, and :math:`s\,\alpha\rho\,y` is the result,
with :math:`s` the digital ``out_scale``; :math:`P` is the product with the imperfections of the array. Every vector
has its own :math:`\alpha`, :math:`\rho` and noise, the latter addressed by the number of the vector and the round of
bound management: how vectors are batched changes nothing but, in its last bits, the sum that the matrix library makes.
(Gokmen and Vlasov 2016; noise and bound management: Gokmen, Onen and Haensch 2017.)
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ohmgrad.engine.converters import to_digital, to_lines
from ohmgrad.engine.crossbar import Crossbar, currents
from ohmgrad.engine.draws import Draws
from ohmgrad.engine.management import noise_scale, repeats, starts_worst_case, worst_case_scale
from ohmgrad.engine.noise import Source
from ohmgrad.engine.periphery import Periphery, is_ideal
from ohmgrad.errors import TileError
from ohmgrad.parameters.enums import AnalogMVType, BoundManagementType, NoiseManagementType
from ohmgrad.parameters.io import IOParameters


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
    periphery: Periphery | None = None,
    clipped: Tensor | None = None,
) -> Tensor:
    """The analog product of every vector with the weights: ``[n, out]`` float32.

    A vector whose noise-management scale is not positive (a zero vector, for most kinds) gives exact zeros, unless
    the direction is forward and there is input noise.

    :param weight: ``[out, in]`` float32; of any strides, so the backward product takes ``weight.t()``.
    :param x: ``[n, in]`` float32.
    :param stream: the base stream of this product, such as ``Stream.FORWARD.of(array)``; the lowest three bits of
        its part are taken by the uses within the product.
    :param numbers: ``[n]`` int64, the number of each vector since the tile was made.
    :param average: the running value of AVERAGE_ABS_MAX, from :func:`~ohmgrad.engine.management.new_average`; updated
        in place, once per vector in order.
    :param forward: the forward direction; only it has bound management.
    :param periphery: what is fixed in the circuits of this direction, if ``io`` needs any of it.
    :param clipped: bool ``[n, out]``, all False, where those outputs are marked that the converter clips in the end.
    :raises TileError: AVERAGE_ABS_MAX is used without ``average``, or a drawn value is missing.
    """
    if is_ideal(io) or len(x) == 0:
        return (x @ weight.t()).mul_(io.out_scale)
    scale = noise_scale(x, io, average, draws.implementation)
    live = scale > 0.0
    gain = scale * io.out_scale
    if forward and io.inp_noise > 0.0:
        gain.masked_fill_(~live, io.out_scale)
    else:
        gain.masked_fill_(~live, 0.0)
    scale = scale.masked_fill(~live, 1.0)
    circuit = _Circuit.of(Crossbar(weight, weight.shape[1]), io, periphery)
    tries = repeats(io) if forward else 0
    return _rounds(circuit, x, scale, gain, Source(draws, stream, numbers), tries, starts_worst_case(io), clipped)


@torch.no_grad()
def read_slices(
    stored: Tensor,
    slices: Tensor,
    lines: int,
    io: IOParameters,
    draws: Draws,
    stream: int,
    numbers: Tensor,
    periphery: Periphery | None = None,
) -> Tensor:
    """The products of one-hot vectors with noise and bound management off: ``[n, lanes]`` float32.

    The same numbers as :func:`mvm` with ``unmanaged(io)`` and the one-hot vectors, without the lines that carry
    nothing. (Only stochastic rounding of the 1 takes another random number.)

    :param stored: ``[n, lanes]`` float32, the weights that each read meets.
    :param slices: ``[n]`` int64, which slice each read is of; :param lines: how many slices there are.
    :param numbers: ``[n]`` int64, the number of each read since the tile was made.
    :param periphery: see :func:`mvm`.
    :raises TileError: there is input noise, which acts on every line: use :func:`mvm`.
    """
    if is_ideal(io) or len(stored) == 0:
        return stored * io.out_scale
    if io.inp_noise > 0.0:
        raise TileError(f"inp_noise = {io.inp_noise} drives every line: read with mvm and one-hot vectors instead.")
    source = Source(draws, stream, numbers)
    u = to_lines(stored.new_ones(len(stored), 1), io, source)
    y, _ = _Circuit.of(Crossbar(stored, lines, slices[:, None]), io, periphery).outputs(u, source, False, None)
    return y.mul_(io.out_scale)


@dataclass
class _Circuit:
    """An array between its converters."""

    crossbar: Crossbar
    negative: Crossbar
    """The array as negative inputs read it."""
    io: IOParameters
    periphery: Periphery | None

    @staticmethod
    def of(crossbar: Crossbar, io: IOParameters, periphery: Periphery | None) -> _Circuit:
        uneven = io.w_read_asymmetry_dtod > 0.0 and io.mv_type is not AnalogMVType.ONE_PASS
        return _Circuit(crossbar, crossbar.for_negative(periphery) if uneven else crossbar, io, periphery)

    def outputs(self, u: Tensor, source: Source, test: bool, clipped: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """What the output converters give for lines that carry ``u``; see :func:`to_digital`."""
        io, periphery = self.io, self.periphery
        if io.mv_type is AnalogMVType.ONE_PASS:
            return to_digital(currents(self.crossbar, u, io, periphery, source), io, periphery, source, test, clipped)
        plus = currents(self.crossbar, u.clamp(min=0.0), io, periphery, source)
        minus = currents(self.negative, u.clamp(max=0.0), io, periphery, source.second())
        if io.mv_type is AnalogMVType.POS_NEG_SEPARATE:
            return to_digital(plus.add_(minus), io, periphery, source, test, clipped)
        plus, beyond = to_digital(plus, io, periphery, source, test, clipped)
        minus, other = to_digital(minus, io, periphery, source.second(), test, clipped)
        return plus.add_(minus), beyond if other is None or beyond is None else beyond | other


def _rounds(
    circuit: _Circuit,
    x: Tensor,
    scale: Tensor,
    gain: Tensor,
    source: Source,
    tries: int,
    worst_case: bool,
    clipped: Tensor | None,
) -> Tensor:
    """One round over all vectors and, while ``tries`` last, another with less input for those that clip.

    ``scale`` and ``gain`` are ``[n, 1]``: what divides the input and what multiplies the output. ``worst_case``: the
    next round begins anew with the scale of the worst case, instead of half the input.
    """
    io = circuit.io
    y, beyond = circuit.outputs(to_lines(x / scale, io, source), source, tries > 0, clipped)
    y.mul_(gain)
    if beyond is not None:
        again = beyond & (gain != 0.0).squeeze(1)
        if again.any():
            rest = x[again]
            if worst_case:
                scale = worst_case_scale(rest, io)
                scale.masked_fill_(scale <= 0.0, 1.0)
                gain = scale * io.out_scale
            else:
                scale, gain = scale[again] * 2.0, gain[again] * 2.0
            last = None if clipped is None else torch.zeros_like(clipped[again])
            y[again] = _rounds(circuit, rest, scale, gain, source.again(again), tries - 1, False, last)
            if clipped is not None and last is not None:
                clipped[again] = last
    return y
