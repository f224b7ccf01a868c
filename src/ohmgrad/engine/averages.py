"""Running averages of one number per vector: a recursion over a batch, so that a batch may be cut anywhere."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor

from ohmgrad.engine.implementation import Implementation
from ohmgrad.engine.kernel_cache import compile_kernel


def running_average(
    values: Tensor, start: Tensor, weight: float, counts_zeros: bool, implementation: Implementation
) -> Tensor:
    """The average after each vector, ``[n]``: ``(1 - weight) * average + weight * value``, rounded in every step.

    The first value that counts is the average itself.

    :param values: float32 or float64 ``[n]``, not negative; :param start: the average before, a scalar of the same
        type; not above 0 (below 0, if zeros count): there is none yet.
    :param counts_zeros: whether a value of 0 counts; else it leaves the average as it is.
    """
    if implementation == "cpu":
        averages = torch.empty_like(values)
        scalars = (values.numpy().dtype.type(each) for each in (float(start), 1.0 - weight, weight))
        _compiled()(averages.numpy(), values.contiguous().numpy(), *scalars, counts_zeros)
        return averages
    average, after = start, []
    for value in values.unbind():
        mixed = (1.0 - weight) * average + weight * value
        if counts_zeros:
            average = torch.where(average < 0.0, value, mixed)
        else:
            average = torch.where(average <= 0.0, value, torch.where(value > 0.0, mixed, average))
        after.append(average)
    return torch.stack(after)


@cache
def _compiled() -> Any:
    def fill(averages, values, average, keep, take, counts_zeros):  # type: ignore[no-untyped-def]
        for n in range(len(values)):
            value = values[n]
            if average < 0.0 or (average == 0.0 and not counts_zeros):
                average = value
            elif value > 0.0 or counts_zeros:
                average = keep * average + take * value
            averages[n] = average

    return compile_kernel(fill, __name__)
