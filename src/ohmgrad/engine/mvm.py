r"""The analog matrix-vector product: converters, noise and their management around an array.

For each vector :math:`x`, with the noise-management scale :math:`\alpha` and the reduction :math:`\rho` of bound
management, :math:`u = \mathrm{DAC}(x / \alpha\rho)` drives the lines of the array,
:math:`y = \mathrm{ADC}(P(W, u))` is what its outputs give, and :math:`s\,\alpha\rho\,y` is the result,
with :math:`s` the digital ``out_scale``; :math:`P` is the product with the imperfections of the array. Every vector
has its own :math:`\alpha`, :math:`\rho` and noise, the latter addressed by the number of the vector and the round of
bound management: how vectors are batched changes nothing but, in its last bits, the sum that the matrix library makes.
The product is that of float32, even where torch is asked for a faster and coarser one
(:mod:`ohmgrad.engine.precision`); only an ideal product, which is digital, is torch's like any other.
(Gokmen and Vlasov 2016; noise and bound management: Gokmen, Onen and Haensch 2017.)
"""

from __future__ import annotations

import torch
from torch import Tensor

from ohmgrad.engine.converters import compiled, to_digital, to_lines
from ohmgrad.engine.crossbar import Array, Crossbar, currents
from ohmgrad.engine.draws import Draws
from ohmgrad.engine.management import factors, noise_scale, worst_case_scale
from ohmgrad.engine.noise import Numbers, Source
from ohmgrad.engine.periphery import Periphery, is_ideal
from ohmgrad.errors import TileError
from ohmgrad.parameters.enums import AnalogMVType, BoundManagementType, NoiseManagementType
from ohmgrad.parameters.io import IOParameters


def unmanaged(io: IOParameters) -> IOParameters:
    """A copy with noise and bound management off, as the reads of a transfer use it."""
    return io.replaced(noise_management=NoiseManagementType.NONE, bound_management=BoundManagementType.NONE)


def mvm(
    weight: Tensor,
    x: Tensor,
    io: IOParameters,
    draws: Draws,
    stream: int,
    numbers: Numbers,
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
    :param numbers: ``[n]`` int64, the number of each vector since the tile was made; a range only on the processor.
    :param average: the running value of AVERAGE_ABS_MAX, from :func:`~ohmgrad.engine.management.new_average`; updated
        in place, once per vector in order.
    :param forward: the forward direction; only it has bound management.
    :param periphery: what is fixed in the circuits of this direction, if ``io`` needs any of it.
    :param clipped: bool ``[n, out]``, all False, where those outputs are marked that the converter clips in the end.
    :raises TileError: AVERAGE_ABS_MAX is used without ``average``, or a drawn value is missing.
    """
    if is_ideal(io) or x.shape[0] == 0:
        return ideal(weight, x, io)
    silent = io.out_scale if forward and io.inp_noise > 0.0 else 0.0
    array = Array.of(Crossbar(weight, weight.shape[1]), io, periphery)
    tries = array.settings.tries if forward else 0
    source = Source(draws, stream, numbers)
    if draws.implementation == "gpu":
        from ohmgrad.engine import mvm_gpu

        scale = noise_scale(x, io, average, draws.implementation)
        return mvm_gpu.rounds(array, x, scale, silent, source, tries, clipped)
    if draws.implementation == "cpu" and io.noise_management is NoiseManagementType.ABS_MAX:
        u, ends = compiled().managed_lines(x, array, source, silent)
    else:
        ends = torch.stack(factors(noise_scale(x, io, average, draws.implementation), io.out_scale, silent))
        u = to_lines(x, ends, array, source)
    return _rounds(array, x, u, ends, source, tries, array.settings.restarts, clipped)


def ideal(weight: Tensor, x: Tensor, io: IOParameters) -> Tensor:
    """The product and nothing else, but for the digital factor."""
    y = x @ weight.t()
    return y if io.out_scale == 1.0 else y.mul_(io.out_scale)


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
    if is_ideal(io) or stored.shape[0] == 0:
        return stored * io.out_scale
    if io.inp_noise > 0.0:
        raise TileError(f"inp_noise = {io.inp_noise} drives every line: read with mvm and one-hot vectors instead.")
    array, source = Array.of(Crossbar(stored, lines, slices), io, periphery), Source(draws, stream, numbers)
    if draws.implementation == "gpu":
        from ohmgrad.engine import mvm_gpu

        return mvm_gpu.read(array, source)
    if draws.implementation == "cpu" and _is_simple(array):
        y = compiled().read(stored, array, source)
    else:
        one = stored.new_ones(1, stored.shape[0], 1)
        u = to_lines(one[0], one.expand(2, -1, -1), array, source)
        y, _ = _outputs(array, u, None, source, False, None)
    return y if io.out_scale == 1.0 else y.mul_(io.out_scale)


def _is_simple(array: Array) -> bool:
    """Whether every read of a line gives its weights times the same number, before the output circuits."""
    io = array.io
    return array.settings.is_plain and io.mv_type is AnalogMVType.ONE_PASS and not io.inp_sto_round


def _outputs(
    array: Array, u: Tensor, ends: Tensor | None, source: Source, test: bool, clipped: Tensor | None
) -> tuple[Tensor, Tensor | None]:
    """What the output converters give for lines that carry ``u``; see :func:`to_digital`."""
    kind = array.io.mv_type
    if kind is AnalogMVType.ONE_PASS:
        y = currents(array, array.crossbar, u, source)
        return to_digital(y, ends, array, source, test, clipped)
    plus = currents(array, array.crossbar, u.clamp(min=0.0), source)
    minus = currents(array, array.negative, u.clamp(max=0.0), source.second())
    if kind is AnalogMVType.POS_NEG_SEPARATE:
        return to_digital(plus + minus, ends, array, source, test, clipped)
    plus, beyond = to_digital(plus, None, array, source, test, clipped)
    minus, other = to_digital(minus, None, array, source.second(), test, clipped)
    y = plus + minus
    if ends is not None:
        y *= ends[1]
    if beyond is None or other is None:
        return y, other if beyond is None else beyond
    return y, beyond | other


def _rounds(
    array: Array,
    x: Tensor,
    u: Tensor,
    ends: Tensor,
    source: Source,
    tries: int,
    worst_case: bool,
    clipped: Tensor | None,
) -> Tensor:
    """One round over all vectors and, while ``tries`` last, another with less input for those that clip.

    :param u: what the lines carry for ``x``; :param ends: see :func:`to_lines`.
    :param worst_case: the next round begins anew with the scale of the worst case, instead of half the input.
    """
    io = array.io
    y, beyond = _outputs(array, u, ends, source, tries > 0, clipped)
    if beyond is not None:
        again = beyond & (ends[1] != 0.0).squeeze(1)
        if again.any():
            rest = x[again]
            if worst_case:
                ends = torch.stack(factors(worst_case_scale(rest, io), io.out_scale, io.out_scale))
            else:
                ends = ends[:, again] * 2.0
            next_source, last = source.again(again), None if clipped is None else torch.zeros_like(clipped[again])
            u = to_lines(rest, ends, array, next_source)
            y[again] = _rounds(array, rest, u, ends, next_source, tries - 1, False, last)
            if clipped is not None and last is not None:
                clipped[again] = last
    return y
