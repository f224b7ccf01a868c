"""The mean cell of several that were fitted, and how they differ."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ohmgrad.analysis.candidates import Candidates
from ohmgrad.analysis.device_fit import CellFit

_ABSOLUTE = ("gamma_up_dtod", "gamma_down_dtod")
"""Variations that are no share of a mean."""


@dataclass(frozen=True)
class Found:
    """Values and standard errors by name, and their correlations."""

    values: dict[str, tuple[float, float]]
    correlations: dict[tuple[str, str], float]


def spread_of(candidates: Candidates, fits: Sequence[CellFit]) -> tuple[Found, dict[str, tuple[float, float]]]:
    """The fields of the mean cell, and the variation between cells by the names of its fields, with standard errors.

    Those of several cells come from leaving out each cell in turn (jackknife).
    """
    names = candidates.names
    if len(fits) == 1:
        (fit,) = fits
        errors = np.sqrt(np.diag(fit.covariance))
        values = {name: (fit.values[name], float(error)) for name, error in zip(names, errors, strict=True)}
        return Found(values, _correlations(names, fit.covariance)), {}
    quantities = [_quantities(names, fit) for fit in fits]
    whole, several = _summary(candidates, quantities), len(fits)
    if several > 2:
        parts = [_summary(candidates, quantities[:k] + quantities[k + 1 :]) for k in range(several)]
        table = np.array([[part[name] for name in whole] for part in parts])
        deviations = table - table.mean(0)
        covariance = (several - 1) / several * deviations.T @ deviations
    else:  # what a single cell says about variation is 0: only the means have errors
        table = np.array([list(_summary(candidates, [each]).values())[: len(names)] for each in quantities])
        covariance = np.full((len(whole), len(whole)), np.nan)
        covariance[: len(names), : len(names)] = np.cov(table.T).reshape(len(names), -1) / several
    errors = np.sqrt(np.diag(covariance))
    every = {name: (value, float(error)) for (name, value), error in zip(whole.items(), errors, strict=True)}
    mean = {name: every[name] for name in names}
    found = Found(mean, _correlations(names, covariance[: len(names), : len(names)]))
    return found, {name: pair for name, pair in every.items() if name not in mean}


def _quantities(names: Sequence[str], fit: CellFit) -> tuple[Any, Any]:
    """What is averaged over cells, and its covariance.

    The parameters, but instead of ``dw_min`` and ``up_down`` the mean of both steps and half their difference.
    """
    values, jacobian = np.array([fit.values[name] for name in names]), np.eye(len(names))
    if {"dw_min", "up_down"} <= set(names):
        i, j = names.index("dw_min"), names.index("up_down")
        step, tilt = values[i], values[j]
        sign = 1.0 if tilt >= 0.0 else -1.0
        values[i], values[j] = step * (1.0 - abs(tilt) / 2.0), step * tilt / 2.0
        jacobian[i, [i, j]] = 1.0 - abs(tilt) / 2.0, -sign * step / 2.0
        jacobian[j, [i, j]] = tilt / 2.0, step / 2.0
    return values, jacobian @ fit.covariance @ jacobian.T


def _summary(candidates: Candidates, quantities: Sequence[tuple[Any, Any]]) -> dict[str, float]:
    """Fields of the mean cell by name, then variations."""
    names, fields = candidates.names, type(candidates.start).model_fields
    values = np.array([value for value, _ in quantities])
    mean = values.mean(0)
    by_fits = np.mean([np.diag(covariance) for _, covariance in quantities], axis=0)
    between = values.var(0, ddof=1) if len(values) > 1 else by_fits
    spread = dict(zip(names, np.sqrt(np.maximum(between - by_fits, 0.0)).tolist(), strict=True))
    found = dict(zip(names, mean.tolist(), strict=True))
    if {"dw_min", "up_down"} <= set(names):
        half = found["up_down"]
        found["dw_min"] += abs(half)  # the larger of both steps
        found["up_down"] = 2.0 * half / found["dw_min"]
        variations = {
            "dw_min_dtod": spread["dw_min"] / found["dw_min"],
            "up_down_dtod": spread["up_down"] / found["dw_min"],
        }
    else:
        variations = {}
    for name in names:
        other = f"{name}_dtod"
        if other in fields and other not in variations:
            share = 1.0 if other in _ABSOLUTE or found[name] == 0.0 else abs(found[name])
            variations[other] = spread[name] / share
    return found | {name: value for name, value in variations.items() if math.isfinite(value)}


def _correlations(names: Sequence[str], covariance: Any) -> dict[tuple[str, str], float]:
    """Of each pair of parameters."""
    errors = np.sqrt(np.diag(covariance))
    pairs = [(i, j) for i in range(len(names)) for j in range(i)]
    return {(names[j], names[i]): float(covariance[i, j] / (errors[i] * errors[j] or 1.0)) for i, j in pairs}
