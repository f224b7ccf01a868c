"""The three implementations of every kernel, and which one a tile uses."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from typing import Literal

import torch

from ohmgrad.errors import ConfigError

Implementation = Literal["reference", "cpu", "gpu"]
"""``"reference"``: torch operations; ``"cpu"``: compiled by Numba; ``"gpu"``: compiled by Triton (tensors in the
processor's memory: run by Triton's interpreter)."""


def choose(asked: Literal["auto", "reference", "cpu", "gpu"], where: torch.device) -> Implementation:
    """The implementation for a tile whose tensors are on a device.

    :raises ConfigError: if the implementation asked for cannot work there.
    """
    on_processor = where.type == "cpu"
    if asked == "auto":
        if on_processor:
            return "cpu"
        return "gpu" if _has_triton() else "reference"
    if asked == "cpu" and not on_processor:
        raise ConfigError(f'runtime.implementation = "cpu", but the tile is on {where}. Use "auto", or move it back.')
    if asked == "gpu" and not _has_triton():
        raise ConfigError(
            'runtime.implementation = "gpu" needs Triton. Install it (pip install triton), or use "auto".'
        )
    return asked


@cache
def _has_triton() -> bool:
    return find_spec("triton") is not None
