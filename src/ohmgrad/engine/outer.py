"""Adds outer products to a digital matrix, one after the other.

In turn, and without a fused operation, so that neither batches nor threads nor processors change the last bit of the
sum: a last bit decides about a pulse.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor

from ohmgrad.engine.implementation import Implementation
from ohmgrad.engine.kernel_cache import compile_kernel
from ohmgrad.engine.threads import share


def add_outer_products(total: Tensor, d: Tensor, x: Tensor, implementation: Implementation) -> None:
    """Add :math:`d_n x_n^T` for every n in turn, in place.

    :param total: float32 ``[out, in]``, rows contiguous; :param d: ``[n, out]``; :param x: ``[n, in]``.
    """
    if implementation == "gpu":
        from ohmgrad.engine.outer_gpu import add_outer_products as on_gpu

        on_gpu(total, d, x)
    elif implementation == "cpu":
        arrays = [tensor.contiguous().numpy() for tensor in (d.t(), x)]
        share(_compiled(), len(total), 0.1 * total.numel() * len(x), total.numpy(), *arrays)
    else:
        product = torch.empty_like(total)
        for n in range(len(x)):
            total.add_(torch.mul(d[n, :, None], x[n], out=product))


@cache
def _compiled() -> Any:
    def add(begin, end, total, d, x):  # type: ignore[no-untyped-def]
        for i in range(begin, end):
            row = total[i]
            for n in range(len(x)):
                line, factor = x[n], d[i, n]
                for j in range(len(row)):
                    row[j] += factor * line[j]

    return compile_kernel(add, __name__)
