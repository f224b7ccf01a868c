"""The largest magnitudes of numbers, and so whether all of them are finite.

On the processor these are compiled: after a parallel reduction torch's threads spin for milliseconds on the cores that
the kernels need next.
"""

from __future__ import annotations

import sys
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ohmgrad.engine.fingerprint import fingerprint, named
from ohmgrad.engine.implementation import Implementation
from ohmgrad.engine.kernel_cache import compile_kernel


def row_peaks(values: Tensor, implementation: Implementation) -> Tensor:
    """Largest magnitude of every row of float32 ``[n, lines]``, ``[n]``."""
    if implementation == "gpu" or values.device.type != "cpu":
        return values.abs().amax(1)
    found = torch.empty(len(values), dtype=torch.float32, device="cpu")
    _of_rows()(found.numpy(), values.contiguous().numpy())
    return found


def all_finite(values: Tensor) -> bool:
    """Whether all numbers are finite."""
    if values.dtype != torch.float32 or not values.is_cpu:
        return bool(torch.isfinite(values).all())
    values = values.contiguous()
    return bool(_is_finite()(values.data_ptr(), values.numel()))


def any_holds(marks: Tensor) -> bool:
    """Whether any of contiguous truth values holds."""
    return bool(_any()(marks.data_ptr(), marks.numel())) if marks.is_cpu else bool(marks.any())


@cache
def row_peak() -> Any:
    """The compiled form for one row, which is at least 0; NaN if there is one."""
    import numba

    from ohmgrad.engine.words_cpu import bits_of, float_of

    def of_row(row):  # type: ignore[no-untyped-def]
        largest = np.int32(0)  # the order of bits is that of magnitudes, and has vector instructions
        for value in row:
            largest = max(largest, np.int32(bits_of(value) & np.int32(0x7FFFFFFF)))
        return float_of(largest)

    return numba.njit(named(of_row, fingerprint(sys.modules[__name__])), error_model="numpy", nogil=True)


@cache
def _of_rows() -> Any:
    peak = row_peak()

    def fill(found, values):  # type: ignore[no-untyped-def]
        for n in range(len(values)):
            found[n] = peak(values[n])

    return compile_kernel(fill, __name__)


@cache
def _is_finite() -> Any:
    from ohmgrad.engine import addresses_cpu

    peak, row_at = row_peak(), addresses_cpu.row_at

    def is_finite(place, count):  # type: ignore[no-untyped-def]
        return peak(row_at(place, count)) < np.float32(np.inf)

    return compile_kernel(is_finite, __name__, addresses_cpu)


@cache
def _any() -> Any:
    from ohmgrad.engine import addresses_cpu

    truths = addresses_cpu.truths

    def any_of(place, count):  # type: ignore[no-untyped-def]
        found = False
        for mark in truths(place, 1, count)[0]:
            found |= mark
        return found

    return compile_kernel(any_of, __name__, addresses_cpu)
