"""Running averages compiled by Triton: one program follows all values of a batch, so that nothing waits for them."""

from __future__ import annotations

from functools import cache

import torch
import triton.language as tl
from torch import Tensor

from ohmgrad.engine.averages import next_average
from ohmgrad.engine.compiler_gpu import Kernel, kernel, translate


def running_average(values: Tensor, start: Tensor, keep: float, take: float, counts_zeros: bool) -> Tensor:
    """See :func:`ohmgrad.engine.averages.running_average`."""
    averages = torch.empty_like(values)
    # From memory, since a number given to a kernel would be of single precision, or compiled in.
    weights = [torch.full((), each, dtype=values.dtype, device=values.device) for each in (keep, take)]
    launch = average_kernel(values.device.type == "cpu")[(1,)]
    launch(averages, values.contiguous(), start, *weights, len(values), counts_zeros=counts_zeros, num_warps=1)
    return averages


@cache
def average_kernel(interpreted: bool) -> Kernel:
    """The kernel."""
    return kernel(_follow, interpreted, {"following": translate(next_average, interpreted)}, ("count",))


def _follow(averages, values, start, keep, take, count, counts_zeros: tl.constexpr):
    average, kept, taken = tl.load(start), tl.load(keep), tl.load(take)
    for n in range(0, count):
        average = following(average, tl.load(values + n), kept, taken, counts_zeros)
        tl.store(averages + n, average)
