"""Full single precision for the product of an array, whatever else is asked of torch's matrix products."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import linear


def multiply(v: Tensor, weights: Tensor) -> Tensor:
    r"""The matrix product :math:`v W^T` of float32, even where torch may take TF32 or bfloat16 in its place.

    ``torch.set_float32_matmul_precision("high")``, a wish for faster training, would otherwise change what the circuits
    do, silently and differently on each device. The setting is put back as it was.
    """
    library, name, full = _setting("cuda" if v.is_cuda else "cpu")
    before = getattr(library, name, full)
    if before in (full, "none"):  # as most often
        return linear(v, weights)
    setattr(library, name, full)
    try:
        return linear(v, weights)
    finally:
        setattr(library, name, before)


@cache
def _setting(kind: str) -> tuple[Any, str, Any]:
    """Where a library of matrix products is told its precision, and what the full one is called."""
    # Versions of torch before 2.9 have other names, and not that of the processor.
    library: Any = torch.backends.cuda.matmul if kind == "cuda" else getattr(torch.backends.mkldnn, "matmul", None)
    return (library, "fp32_precision", "ieee") if hasattr(library, "fp32_precision") else (library, "allow_tf32", False)
