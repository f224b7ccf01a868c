"""The rounds of an analog product on a GPU, compiled by Triton; nothing here waits for the device.

The first round takes a launch for the input lines, torch's matrix products, and a launch for the outputs, which also
marks the vectors that bound management is to try again. How many rounds there may be is known beforehand, so all are
launched; a program of a later round looks at the marks of its vectors first, and most often that is all it does.
Otherwise it makes lines, product and outputs of its block of the result by itself. There, a sum over the lines is added
up in their order, block by block; in the first round its order is the matrix library's.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from ohmgrad.engine.converters import output_circuits
from ohmgrad.engine.crossbar import Array, offsets, sums
from ohmgrad.engine.draws_gpu import signed
from ohmgrad.engine.management import starts_worst_case, worst_case_scale
from ohmgrad.engine.mvm_kernels_gpu import Modes, kernels
from ohmgrad.engine.noise import Source

LINES, OUTPUTS, READS = (4, 256), (4, 128), (4, 128)
"""Rows and columns of one program of each launch."""
AGAIN = (16, 32, 16)
"""Rows, columns and lines of one step of a program of a later round; with all sums it needs most of the registers."""


class Circuits(NamedTuple):
    """What was drawn for the outputs; None: not needed."""

    offset: Tensor | None
    curve: Tensor | None
    factor: Tensor | None
    sigma: Tensor | None


def rounds(
    array: Array,
    x: Tensor,
    scale: Tensor,
    silent: float,
    source: Source,
    tries: int,
    clipped: Tensor | None,
    lines_block: tuple[int, int] = LINES,
    outputs_block: tuple[int, int] = OUTPUTS,
    again_block: tuple[int, int, int] = AGAIN,
) -> Tensor:
    """All rounds of a product, ``[n, out]``.

    :param scale: ``[n, 1]``, of noise management; :param silent: what multiplies outputs where it is not positive.
    :param tries: how often bound management may repeat; :param clipped: see :func:`ohmgrad.engine.mvm.mvm`.
    """
    io, c, numbers, x = array.io, array.constants, source.numbers, x.contiguous()
    modes, circuits = Modes.of(io), _circuits(array)
    found = kernels(modes, x.device.type == "cpu")
    (n, lines), outputs = x.shape, array.crossbar.weights.shape[0]
    address = (source.stream, *map(signed, source.draws.key))
    u, y = (torch.empty(n, width, dtype=torch.float32, device=x.device) for width in (lines, outputs))
    # The last round marks too, for nobody. Rows are padded: the compiler makes use of how they are aligned.
    again = torch.empty(tries + 1, -(-n // 4) * 4, dtype=torch.int32, device=x.device)

    rows, columns = lines_block
    launch = found.lines[-(-n // rows), -(-lines // columns)]
    launch(u, again, x, scale, numbers, c, n, lines, *again.shape, *address, rows=rows, columns=columns)

    first = second = sums(array.crossbar, u.clamp(min=0.0) if modes.separate else u, io, c)
    if modes.separate:
        second = sums(array.negative, u.clamp(max=0.0), io, c)
    rows, columns = outputs_block
    launch = found.outputs[-(-n // rows), -(-outputs // columns)]
    sizes, block = (n, outputs, io.out_scale), {"tested": tries > 0, "rows": rows, "columns": columns}
    launch(y, clipped, again, scale, numbers, first, second, circuits, c, *sizes, silent, *address, **block)

    worst_case = tries > 0 and starts_worst_case(io)
    if worst_case:
        scale, silent = worst_case_scale(x, io), io.out_scale
    rows, columns, depth = again_block
    launch = found.again[-(-n // rows), -(-outputs // columns)]
    weight, negative = array.crossbar.weights, array.negative.weights
    strides = (*weight.stride(), *negative.stride())
    for k in range(tries):
        data = (y, clipped, again[k], again[k + 1], x, scale, numbers, weight, negative, circuits, c, n, lines)
        settings = (*sizes[1:], silent, *strides, 2.0 ** (k + 1 - worst_case), k + 1, *address)
        launch(*data, *settings, rows=rows, columns=columns, depth=depth, num_warps=8, num_stages=2)
    return y


def read(array: Array, source: Source, block: tuple[int, int] = READS) -> Tensor:
    """The products of one-hot vectors, ``[n, out]``; see :func:`ohmgrad.engine.mvm.read_slices`."""
    crossbar, io = array.crossbar, array.io
    assert crossbar.slices is not None
    stored, (n, outputs) = crossbar.weights, crossbar.weights.shape
    y = torch.empty(n, outputs, dtype=torch.float32, device=stored.device)
    rows, columns = block
    launch = kernels(Modes.of(io), stored.device.type == "cpu").reads[-(-n // rows), -(-outputs // columns)]
    data = (y, stored, crossbar.slices, source.numbers, _circuits(array), array.constants)
    sizes = (n, outputs, *stored.stride(), crossbar.slices.stride(0), io.out_scale)
    address = (source.stream, *map(signed, source.draws.key))
    launch(*data, *sizes, *address, rows=rows, columns=columns)
    return y


def _circuits(array: Array) -> Circuits:
    return Circuits(offsets(array.io, array.periphery), *output_circuits(array.io, array.periphery))
