"""What a fit of a device found."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from ohmgrad.analysis.candidates import Candidates
from ohmgrad.configs import PulsedDevice
from ohmgrad.presets.code import expression, imports

DIGITS = 6
"""Of the numbers in the line of Python."""


@dataclass(frozen=True)
class Normalisation:
    """How conductances become weights, :math:`w = (g - g_0) / s`."""

    offset: float
    """Conductance of the weight 0."""
    scale: float
    """By how much that of the weight 1 is larger."""
    unit: str = ""

    def weights(self, conductances: Tensor) -> Tensor:
        """Weights of conductances."""
        return (conductances - self.offset) / self.scale

    def __str__(self) -> str:
        unit = f" {self.unit}" if self.unit else ""
        if (self.offset, self.scale) == (0.0, 1.0):
            return "w = g"
        return f"w = (g - {self.offset:.5g}{unit}) / {self.scale:.5g}{unit}"


@dataclass(frozen=True)
class CellFit:
    """The fit of one cell."""

    name: str
    weights: Tensor
    """Measured, ``[pulses + 1]``."""
    up: Tensor
    """Directions of the pulses, ``[pulses]``."""
    values: dict[str, float]
    """Parameters by name."""
    covariance: Any
    """Of the parameters, in their order."""
    first: float
    """The weight at which the curve of the fit begins."""
    residuals: Tensor
    """Measured steps minus those of the law, ``[pulses]``."""
    step_noise: Tensor
    """Standard deviation of the noise of each step, ``[pulses]``."""
    dw_min_std: float
    dw_min_std_error: float
    read_variance: float
    """Of the errors of reading."""
    result: Any
    """What lmfit gave (``lmfit.minimizer.MinimizerResult``)."""


@dataclass(frozen=True)
class DeviceFit:
    """A device that was fitted to measurements."""

    device: PulsedDevice
    """It, ready for a configuration."""
    values: dict[str, float]
    """What was fitted, by name; of several cells, the mean cell. Entry k of a list has the suffix ``_k``."""
    errors: dict[str, float]
    """Standard errors of these."""
    correlations: dict[tuple[str, str], float]
    """Correlations of the errors of each pair."""
    spread: dict[str, tuple[float, float]]
    """Variation between several cells (``dw_min_dtod`` and so on), with standard errors; NaN from two cells."""
    dw_min_std: tuple[float, float]
    """Noise of the steps, with its standard error."""
    read_noise: float
    """Standard deviation of the errors of reading, in weights; ``write_noise_std`` of the device."""
    method: str
    normalisation: Normalisation
    cells: dict[str, CellFit]
    """By name of the cell: residuals, and everything that lmfit says."""
    candidates: Candidates

    @property
    def residuals(self) -> Tensor:
        """Measured steps minus those of the law, of all cells one after the other."""
        import torch

        return torch.cat([cell.residuals for cell in self.cells.values()])

    @property
    def report(self) -> str:
        """The report of lmfit on each cell."""
        import lmfit

        parts = [f"[[Cell {name}]]\n{lmfit.fit_report(cell.result)}" for name, cell in self.cells.items()]
        return "\n".join(parts)

    @property
    def code(self) -> str:
        """The Python expression that makes the device."""
        return expression(self.device, DIGITS)

    @property
    def line(self) -> str:
        """The same after its import."""
        return "; ".join([*imports([self.device]), f"device = {self.code}"])

    @property
    def advice(self) -> str:
        """What should be done otherwise; empty if nothing."""
        reads = sum(2.0 * cell.read_variance for cell in self.cells.values())
        steps = sum(float(cell.step_noise.square().mean()) for cell in self.cells.values())
        if self.method == "steps" and reads > steps:
            return "Errors of reading dominate, which makes slopes too steep: try the method 'trajectory'."
        if self.method == "trajectory":
            parts = [np.asarray(cell.result.residual) for cell in self.cells.values()]
            common = [float((part[1:] * part[:-1]).mean() / (part**2).mean()) for part in parts if part.any()]
            if common and np.mean(common) > 0.5:
                return (
                    "Neighbouring residuals are alike, so that standard errors are too small: noise of the steps"
                    " accumulates. Use the method 'steps'."
                )
        return ""

    def plain(self) -> dict[str, Any]:
        """Everything but the data as JSON values; None for what is not known."""
        return {
            "device": self.device.describe(),
            "python": self.line,
            "method": self.method,
            "normalisation": {
                "offset": self.normalisation.offset, "scale": self.normalisation.scale, "unit": self.normalisation.unit,
            },
            "fitted": {name: _pair(value, self.errors[name]) for name, value in self.values.items()},
            "correlations": {f"{a}, {b}": _known(value) for (a, b), value in self.correlations.items()},
            "between_cells": {name: _pair(*pair) for name, pair in self.spread.items()},
            "dw_min_std": _pair(*self.dw_min_std),
            "read_noise": self.read_noise,
            "cells": {name: dict(cell.values) for name, cell in self.cells.items()},
            "pulses": {name: len(cell.up) for name, cell in self.cells.items()},
            "advice": self.advice,
        }  # fmt: skip

    def plot(self, path: str | Path) -> Path:
        """Draw data, fit and residuals, with the uncertainty of both, as PNG; gives the path."""
        from ohmgrad.analysis.plots.fit import draw_fit

        draw_fit(self, Path(path))
        return Path(path)


def _known(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _pair(value: float, error: float) -> dict[str, float | None]:
    return {"value": _known(value), "standard_error": _known(error)}
