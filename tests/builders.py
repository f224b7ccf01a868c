"""Small configurations that many tests use."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

from ohmgrad.configs import IOParameters, PulsedDevice, RPUConfig, SoftBoundsDevice
from ohmgrad.testing.common import COMPOUNDS, by_rule

CUT_ANYWHERE = ("sgd", *COMPOUNDS, "mrl")
"""Rules to which it makes no difference where a batch ends."""
RULES = (*CUT_ANYWHERE, "mp", "lrtt")
"""Every learning rule."""


def steady(kind: type[PulsedDevice], **fields: Any) -> Any:
    """A device whose cells are all alike and whose pulses are all alike, unless asked for."""
    varied = {name: 0.0 for name in kind.model_fields if name.endswith("_dtod")}
    return kind(**{**varied, "dw_min_std": 0.0, **fields})


def rule(name: str, device: PulsedDevice | None = None, implementation: str = "auto", **fields: Any) -> RPUConfig:
    """A configuration that trains by a rule, on coarse soft bounds unless another device is given.

    Transfers happen after every second vector (after every batch in rules that count batches), so that in a few steps
    every part of a rule has acted. ``fields`` are those of the compound.
    """
    config = by_rule(name, SoftBoundsDevice(dw_min=0.02) if device is None else device, **fields)
    config.runtime.implementation = implementation
    return config


def place_of(implementation: str) -> str:
    """Where an implementation computes: kernels of the GPU are interpreted where there is none."""
    return "cuda" if implementation == "gpu" and torch.cuda.is_available() else "cpu"


def perfect(config: RPUConfig) -> RPUConfig:
    """The same configuration with exact products."""
    config.forward = IOParameters(is_perfect=True)
    config.backward = IOParameters(is_perfect=True)
    return config


def printed_by_new_process(module: str, folder: Path) -> tuple[list[str], str]:
    """What ``resume_all(folder)`` of a test module prints in a process of its own: lines, and errors."""
    command = f"import sys, pathlib, {module} as t; t.resume_all(pathlib.Path(sys.argv[1]))"
    path = os.pathsep.join([str(Path(__file__).parent), *filter(None, sys.path)])
    process = subprocess.run(
        [sys.executable, "-c", command, str(folder)],
        env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return process.stdout.splitlines(), process.stderr
