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
    launch = average_kernel(values.device.type == "cpu")[(1,)]
    launch(
        averages, values.contiguous(), start, len(values), keep=keep, take=take, counts_zeros=counts_zeros, num_warps=1
    )
    return averages


@cache
def average_kernel(interpreted: bool) -> Kernel:
    """The kernel."""
    return kernel(_follow, interpreted, {"following": translate(next_average, interpreted)}, ("count",))


def _follow(averages, values, start, count, keep: tl.constexpr, take: tl.constexpr, counts_zeros: tl.constexpr):
    average = tl.load(start)
    for n in range(0, count):
        value = tl.load(values + n)
        # In the precision of the values: a number of the text would be one of single precision.
        average = following(
            average, value, tl.full((), keep, value.dtype), tl.full((), take, value.dtype), counts_zeros
        )
        tl.store(averages + n, average)
