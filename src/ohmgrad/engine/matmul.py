"""Full single precision for the product of an array, whatever else is asked of torch's matrix products."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


@contextmanager
def full_precision(kind: str) -> Iterator[None]:
    """Matrix products are those of float32, even where torch may take TF32 or bfloat16 in their place.

    ``torch.set_float32_matmul_precision("high")``, a wish for faster training, would otherwise change what the circuits
    do, silently and differently on each device. The setting is put back as it was.

    :param kind: of the device that computes them.
    """
    # Versions of torch before 2.9 have other names, and not that of the processor.
    library: Any = torch.backends.cuda.matmul if kind == "cuda" else getattr(torch.backends.mkldnn, "matmul", None)
    name, full = ("fp32_precision", "ieee") if hasattr(library, "fp32_precision") else ("allow_tf32", False)
    before = getattr(library, name, full)
    if before in (full, "none"):  # as most often
        yield
        return
    setattr(library, name, full)
    try:
        yield
    finally:
        setattr(library, name, before)
