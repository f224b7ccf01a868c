"""Running averages of one number per vector: a recursion over a batch, so that a batch may be cut anywhere."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ohmgrad.engine.compiler import compile_function
from ohmgrad.engine.implementation import Implementation
from ohmgrad.engine.kernel_cache import compile_kernel
from ohmgrad.words import where


def running_average(
    values: Tensor, start: Tensor, weight: float, counts_zeros: bool, implementation: Implementation
) -> Tensor:
    """The average after each vector, ``[n]``: ``(1 - weight) * average + weight * value``, rounded in every step.

    The first value that counts is the average itself.

    :param values: float32 or float64 ``[n]``, not negative; :param start: the average before, a scalar of the same
        type; not above 0 (below 0, if zeros count): there is none yet.
    :param counts_zeros: whether a value of 0 counts; else it leaves the average as it is.
    """
    keep, take = 1.0 - weight, weight
    if implementation == "gpu":
        from ohmgrad.engine.averages_gpu import running_average as on_gpu

        return on_gpu(values, start, keep, take, counts_zeros)
    if implementation == "cpu":
        given = np.ascontiguousarray(values.numpy())
        averages, number = np.empty_like(given), given.dtype.type
        _compiled()(averages, given, number(float(start)), number(keep), number(take), counts_zeros)
        return torch.from_numpy(averages)
    average, after = start, []
    for value in values.unbind():
        average = next_average(average, value, keep, take, counts_zeros)
        after.append(average)
    return torch.stack(after)


def next_average(average, value, keep, take, counts_zeros):  # type: ignore[no-untyped-def]
    """The average after one more value."""
    is_first = (average < 0.0) | ((average == 0.0) & (not counts_zeros))
    counts = (value > 0.0) | counts_zeros
    return where(is_first, value, where(counts, keep * average + take * value, average))


@cache
def _compiled() -> Any:
    following = compile_function(next_average)

    def fill(averages, values, average, keep, take, counts_zeros):  # type: ignore[no-untyped-def]
        for n in range(len(values)):
            average = following(average, values[n], keep, take, counts_zeros)
            averages[n] = average

    return compile_kernel(fill, __name__)
