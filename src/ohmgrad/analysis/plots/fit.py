"""The picture of a device that was fitted to measurements."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ohmgrad.analysis.candidates import trajectory
from ohmgrad.analysis.device_fit import DeviceFit
from ohmgrad.analysis.plots.response import COLOURS, DOWN, UNIT, UP, frame
from ohmgrad.analysis.plots.style import FAINT, INK, new_figure, save, tidy
from ohmgrad.errors import ConfigError

SHOWN = 3
"""Cells whose curves are drawn."""
WEIGHTS = 81
LINES = 14
"""Lines of the table."""


def draw_fit(fit: DeviceFit, path: Path) -> None:
    """Draw curves (top left), steps over the weight (top right), residuals and the table of values (below)."""
    kind, cells = type(fit.device).__name__, len(fit.cells)
    subtitle = f"{cells} cell{'s' if cells > 1 else ''}; {fit.normalisation}; method: {fit.method}"
    figure = new_figure(11, 8.2, f"{kind}, fitted to measurements", subtitle)
    curves, steps = (figure.add_axes((x, 0.535, width, 0.32)) for x, width in ((0.065, 0.5), (0.64, 0.335)))
    residuals, table = (figure.add_axes((x, 0.065, width, 0.32)) for x, width in ((0.065, 0.5), (0.64, 0.335)))
    _draw_curves(curves, fit)
    _draw_steps(steps, fit)
    _draw_residuals(residuals, fit)
    _draw_table(table, fit)
    save(figure, path)


def uncertainty(curve: Callable[[dict[str, float]], Tensor], values: dict[str, float], covariance: Any) -> Any:
    """Standard error of each point of a curve, from the covariance of the parameters."""
    errors, at, slopes = np.sqrt(np.diag(covariance)), curve(values), []
    for (name, value), error in zip(values.items(), errors, strict=True):
        for little in (0.1 * error or 1e-9, -0.1 * error):  # where the first is no device, the other may be one
            try:
                slopes.append(((curve(values | {name: value + little}) - at) / little).numpy())
                break
            except ConfigError:
                continue
        else:
            slopes.append(np.zeros(len(at)))
    jacobian = np.stack(slopes, 1)
    return np.sqrt(np.einsum("ni,ij,nj->n", jacobian, covariance, jacobian).clip(min=0.0))


def _draw_curves(axes: Any, fit: DeviceFit) -> None:
    for number, cell in enumerate(list(fit.cells.values())[:SHOWN]):
        colour, count = COLOURS[number], np.arange(len(cell.weights))

        def curve(values: dict[str, float], first: float = cell.first, up: Tensor = cell.up) -> Tensor:
            return trajectory(fit.candidates.cell(values), first, up)

        middle, error = curve(cell.values).numpy(), uncertainty(curve, cell.values, cell.covariance)
        law = fit.candidates.cell(cell.values)
        low, high = (  # no cell leaves its bounds, whatever its parameters are uncertain by
            (middle + side * error).clip(float(law.lower), float(law.upper)) for side in (-2, 2)
        )
        axes.plot(count, cell.weights.numpy(), linestyle="", marker=".", markersize=3, color=colour, alpha=0.4)
        axes.fill_between(count, low, high, color=colour, alpha=0.25, linewidth=0)
        axes.plot(count, middle, color=colour, linewidth=1.4)
    axes.plot([], [], linestyle="", marker=".", color=FAINT, label="measured")
    axes.plot([], [], color=FAINT, linewidth=1.4, label="law without noise, from the first weight")
    axes.fill_between([], [], [], color=FAINT, alpha=0.3, label="2 standard errors")
    some = f", {SHOWN} of {len(fit.cells)} cells" if len(fit.cells) > SHOWN else ""
    frame(axes, f"Curves{some}", "pulses", legend=3)
    axes.set_ylabel(UNIT, fontsize=9)
    axes.margins(x=0.01)


def _draw_steps(axes: Any, fit: DeviceFit) -> None:
    cells = list(fit.cells.values())
    before, changes, up = (
        torch.cat(parts).numpy()
        for parts in zip(*((cell.weights[:-1], cell.weights.diff(), cell.up) for cell in cells), strict=True)
    )
    mean = fit.candidates.cell(fit.values, dw_min_std=fit.dw_min_std[0])
    low, high = max(float(before.min()), float(mean.lower)), min(float(before.max()), float(mean.upper))
    inside = 0.02 * (high - low)  # errors of the bounds would show as kinks there
    weights = torch.linspace(low + inside, high - inside, WEIGHTS, dtype=torch.float64)
    names = list(fit.values)
    errors = np.array([fit.errors[name] for name in names])
    correlations = np.eye(len(names))
    for (a, b), value in fit.correlations.items():
        i, j = names.index(a), names.index(b)
        correlations[i, j] = correlations[j, i] = value
    covariance = correlations * np.outer(errors, errors)
    for name, rises, colour in (("up", True, UP), ("down", False, DOWN)):

        def curve(values: dict[str, float], rises: bool = rises) -> Tensor:
            return fit.candidates.cell(values).step(weights, rises)

        little = torch.full_like(weights, 1e-3)
        noise = ((mean.step(weights, rises, little) - mean.step(weights, rises, -little)).abs() / 2e-3).numpy()
        middle, error = curve(fit.values).numpy(), uncertainty(curve, fit.values, covariance)
        axes.plot(before[up == rises], changes[up == rises], ".", color=colour, markersize=2.5, alpha=0.3)
        axes.fill_between(weights, middle - noise, middle + noise, color=colour, alpha=0.15, linewidth=0)
        axes.fill_between(weights, middle - 2 * error, middle + 2 * error, color=colour, alpha=0.35, linewidth=0)
        axes.plot(weights, middle, color=colour, linewidth=1.6, label=name)
    axes.fill_between([], [], [], color=FAINT, alpha=0.5, label="2 standard errors")
    axes.fill_between([], [], [], color=FAINT, alpha=0.2, label="noise")
    frame(axes, "Steps, and those of the mean cell" if len(cells) > 1 else "Steps", UNIT, legend=4)
    axes.set_ylabel("step", fontsize=9)
    axes.margins(x=0.01)


def _draw_residuals(axes: Any, fit: DeviceFit) -> None:
    for number, cell in enumerate(list(fit.cells.values())[:SHOWN]):
        expected = (cell.step_noise.square() + 2.0 * cell.read_variance).sqrt()
        known = expected > 1e-3 * float(expected.max() or 1.0)  # at a bound, pulses without noise do nothing
        count = torch.arange(1, len(cell.up) + 1)
        at, values = count[known].numpy(), (cell.residuals[known] / expected[known]).numpy()
        axes.plot(at, values, linestyle="", marker=".", markersize=3, color=COLOURS[number], alpha=0.6)
    for height in (-2, 2):
        axes.axhline(height, color=FAINT, linewidth=0.8, linestyle=":")
    frame(axes, "Residuals of the steps; beyond the dotted lines lies 1 of 20 if noise is normal", "pulses")
    axes.set_ylabel("in standard deviations of the noise", fontsize=9)
    axes.margins(x=0.01)


def _draw_table(axes: Any, fit: DeviceFit) -> None:
    tidy(axes)
    axes.set_axis_off()
    rows = [(name, value, fit.errors[name]) for name, value in fit.values.items()]
    rows.append(("dw_min_std", *fit.dw_min_std))
    rows += [(name, *pair) for name, pair in fit.spread.items()]
    rows.append(("errors of reading", fit.read_noise, np.nan))
    left_out = len(rows) - LINES
    axes.set_title("Values with standard errors", fontsize=10, loc="left", color=INK)
    for number, (name, value, error) in enumerate(rows[:LINES]):
        height = 0.95 - number / (LINES + 1)
        look = {"transform": axes.transAxes, "fontsize": 9, "color": INK, "va": "center"}
        axes.text(0.0, height, name, **look)
        axes.text(0.62, height, f"{value:.4g}", ha="right", **look)
        if np.isfinite(error):
            axes.text(0.66, height, f"± {error:.2g}", **look)
    if left_out > 0:
        axes.text(0.0, 0.0, f"and {left_out} more", transform=axes.transAxes, fontsize=9, color=FAINT)
