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
        asked = "gpu" if _has_triton() else "reference"
    if asked == "cpu" and not on_processor:
        raise ConfigError(f'runtime.implementation = "cpu", but the tile is on {where}. Use "auto", or move it back.')
    if asked == "gpu" and not _has_triton():
        raise ConfigError(
            'runtime.implementation = "gpu" needs Triton. Install it (pip install triton), or use "auto".'
        )
    if asked == "gpu" and where.type not in ("cpu", "meta"):
        _start_triton()
    return asked


@cache
def _has_triton() -> bool:
    return find_spec("triton") is not None


@cache
def _start_triton() -> None:
    """Let Triton get ready, before anything is changed that waits for its kernels.

    :raises ConfigError: if it cannot.
    """
    from triton.runtime import driver

    try:
        driver.active.get_current_target()
    except Exception as error:  # of whatever kind: it builds a launcher with the compiler that it finds
        raise ConfigError(
            f"Triton cannot start on this machine: {error}. It needs a C compiler and the headers of Python (gcc and"
            ' python3-dev); or set runtime.implementation = "reference".'
        ) from error
