"""The train lengths of a batch, worked out by Triton: one program for every sample."""

from __future__ import annotations

from functools import cache

import torch
import triton.language as tl
from torch import Tensor

from ohmgrad.engine.compiler_gpu import Kernel, kernel, translate
from ohmgrad.engine.lengths import train_length
from ohmgrad.engine.words_gpu import largest


def pulse_lengths(
    x: Tensor, d: Tensor, rate: Tensor, settings: tuple[float, float, float, bool, bool, bool]
) -> tuple[Tensor, Tensor, Tensor]:
    """See :func:`ohmgrad.engine.lengths.pulse_lengths`; ``settings`` are ``train_length``'s other arguments."""
    n = len(x)
    bl = torch.empty(n, dtype=torch.int64, device=x.device)
    a, b = (torch.empty(n, dtype=torch.float32, device=x.device) for _ in range(2))
    if n:
        names = ("granularity", "longest", "grad_scale", "managed", "bl_managed", "lengthens")
        arguments = (bl, a, b, x.contiguous(), d.contiguous(), rate, x.shape[1], d.shape[1])
        lengths_kernel(x.device.type == "cpu")[(n,)](*arguments, **dict(zip(names, settings, strict=True)))
    return bl, a, b


@cache
def lengths_kernel(interpreted: bool) -> Kernel:
    """The kernel."""
    bound = {"length": translate(train_length, interpreted), "peak": translate(_peak, interpreted)}
    return kernel(_lengths, interpreted, bound)


def _peak(row, count):
    """The largest magnitude of a row."""
    peaks = tl.full((1024,), 0.0, tl.float32)
    for begin in range(0, count, 1024):
        line = begin + tl.arange(0, 1024)
        peaks = tl.maximum(peaks, tl.abs(tl.load(row + line, mask=line < count, other=0.0)))
    return largest(peaks).to(tl.float64)


def _lengths(
    bl, a, b, x, d, rate, inputs, outputs, granularity: tl.constexpr, longest: tl.constexpr, grad_scale: tl.constexpr,
    managed: tl.constexpr, bl_managed: tl.constexpr, lengthens: tl.constexpr,
):  # fmt: skip
    n = tl.program_id(0)
    top_x, top_d = peak(x + n.to(tl.int64) * inputs, inputs), peak(d + n.to(tl.int64) * outputs, outputs)
    slots, scale_d, scale_x = length(
        top_x, top_d, tl.load(rate + n), tl.full((), granularity, tl.float64), tl.full((), longest, tl.float64),
        tl.full((), grad_scale, tl.float64), managed, bl_managed, lengthens,
    )  # fmt: skip
    tl.store(bl + n, slots.to(tl.int64))
    tl.store(a + n, scale_d.to(tl.float32))
    tl.store(b + n, scale_x.to(tl.float32))
