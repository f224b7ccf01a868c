"""Devices fitted to measured pulses."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ohmgrad.analysis.candidates import Candidates, beginning, default_vary, expected_steps, trajectory
from ohmgrad.analysis.device_fit import CellFit, DeviceFit, Normalisation
from ohmgrad.analysis.measurements import Measurements
from ohmgrad.analysis.spread import spread_of
from ohmgrad.configs import PulsedDevice, SoftBoundsDevice
from ohmgrad.errors import ConfigError

_PASSES = 5
"""Fits of steps, each with the noise that the one before found."""
_DIFFERENCE = 3e-4
"""Relative difference of a parameter by which slopes are taken."""
_UNDETERMINED = 1e14
"""Condition of the curvature from which on parameters are not determined."""
_AT_LIMIT = 1e-3
"""Relative distance from a limit within which a parameter has come to it."""
_BOUNDS = ("w_max", "w_min", "tau", "range_min", "range_max")
_STEPS = ("dw_min", "alpha")
_SOME = 0.1
"""Noise of steps that is tried where none is known yet."""
_FAINTEST = 1e-3
"""The least variance of a step, as a share of the mean: points without any noise must not outweigh all others."""


def fit_measurements(
    measured: Measurements | str | Path,
    device: type[PulsedDevice] | PulsedDevice = SoftBoundsDevice,
    vary: Sequence[str] | None = None,
    method: str = "steps",
    g_min: float | None = None,
    g_max: float | None = None,
    scale: float | None = None,
    offset: float = 0.0,
) -> DeviceFit:
    r"""Find the fields of a device from pulses and the conductances that were read after them.

    Weights are :math:`w = (g - g_0) / s`. Unless told, the least and the greatest conductance are the weights -1 and 1.

    ``method="steps"`` compares each measured step with the one that the law gives from the weight measured before it.
    What noise does to one pulse then stays with that pulse, so it is right where the noise is that of the steps, which
    accumulates in the cell; reading must be precise beside a step. The steps are weighted by their noise, as the law
    has it (``dw_min_std``) and as errors of reading show: each makes one step too large and the next too small.

    ``method="trajectory"`` compares the whole curve with one that the law gives without noise from a first weight that
    is fitted too. That is right where errors of reading dominate and steps are precise. It is slower.

    Of several cells each is fitted alone. The fields are those of the mean cell; what differs between cells more than
    errors of the fits explain becomes ``dw_min_dtod``, ``up_down_dtod``, and so on. Of one cell nothing is known about
    that: they are 0.

    :param measured: a file, see :meth:`Measurements.read`; or :meth:`Measurements.of` arrays.
    :param device: a class, which begins where the data say; or a device to begin with, whose other fields are kept.
    :param vary: the fields to find; by default those of its family. Other devices need it.
    :param g_min: conductance of the weight -1; :param g_max: of the weight 1.
    :param scale: instead: conductance of a weight of 1, s, above that of the weight 0, ``offset``.
    :raises ConfigError: if data or fields are not right, or the data do not determine the fields.
    """
    measured = measured if isinstance(measured, Measurements) else Measurements.read(measured)
    if method not in ("steps", "trajectory"):
        raise ConfigError(f"fit_measurements: method = {method!r}. Give 'steps' or 'trajectory'.")
    normalisation = _normalisation(measured, g_min, g_max, scale, offset)
    cells = {name: _Cell(normalisation.weights(trace.values), trace.up) for name, trace in measured.traces.items()}
    kind = device if isinstance(device, type) else type(device)
    if not issubclass(kind, PulsedDevice) or not hasattr(kind, "law"):
        raise ConfigError(f"fit_measurements: {kind.__name__} is no device with a law. Give SoftBoundsDevice or such.")
    vary = default_vary(kind) if vary is None else tuple(vary)
    if not vary:
        raise ConfigError("fit_measurements: vary is empty. Name the fields to find.")
    if isinstance(device, PulsedDevice):
        start = device
    else:
        before, changes = (
            torch.cat([getattr(cell, name) for cell in cells.values()]) for name in ("before", "changes")
        )
        start = beginning(kind, vary, before, changes, max(cell.longest() for cell in cells.values()))
    candidates = Candidates(start, vary)
    fits = {name: _fit(candidates, cell, name, method) for name, cell in cells.items()}
    found, spread = spread_of(candidates, list(fits.values()))
    noise = _common_noise(list(fits.values()))
    more: dict[str, Any] = {name: value for name, (value, _) in spread.items()}
    if len(fits) == 1 and isinstance(device, type):
        more |= {name: 0.0 for name in kind.model_fields if name.endswith("_dtod")}
    more["dw_min_std"] = noise[0]
    values = {name: value for name, (value, _) in found.values.items()}
    if "write_noise_std" in kind.model_fields:
        step = candidates.device(values).dw_min
        more["write_noise_std"] = _read_noise(list(fits.values())) / step
    return DeviceFit(
        device=candidates.device(values, **more),
        values=values,
        errors={name: error for name, (_, error) in found.values.items()},
        correlations=found.correlations,
        spread=spread,
        dw_min_std=noise,
        read_noise=_read_noise(list(fits.values())),
        method=method,
        normalisation=normalisation,
        cells=fits,
        candidates=candidates,
    )


def _read_noise(fits: Sequence[CellFit]) -> float:
    """Standard deviation of the errors of reading, over all cells."""
    return math.sqrt(sum(fit.read_variance for fit in fits) / len(fits))


def _normalisation(
    measured: Measurements, g_min: float | None, g_max: float | None, scale: float | None, offset: float
) -> Normalisation:
    for name, value in (("g_min", g_min), ("g_max", g_max), ("scale", scale), ("offset", offset)):
        if value is not None and not math.isfinite(value):
            raise ConfigError(f"fit_measurements: {name} = {value}. Give a finite conductance.")
    if scale is not None:
        if g_min is not None or g_max is not None:
            raise ConfigError("fit_measurements: scale and g_min or g_max. Give one or the other.")
        if scale <= 0.0:
            raise ConfigError(f"fit_measurements: scale = {scale}. Give the conductance of a weight of 1, above 0.")
        return Normalisation(offset, scale, measured.unit)
    if offset != 0.0:
        raise ConfigError(f"fit_measurements: offset = {offset} without a scale. Give both.")
    values = torch.cat([trace.values for trace in measured.traces.values()])
    low, high = float(values.min()) if g_min is None else g_min, float(values.max()) if g_max is None else g_max
    if not low < high:
        raise ConfigError(f"fit_measurements: g_min = {low:g} and g_max = {high:g}. Give g_max above g_min.")
    return Normalisation((low + high) / 2.0, (high - low) / 2.0, measured.unit)


@dataclass
class _Cell:
    """The weights of one cell."""

    weights: Tensor
    up: Tensor

    @property
    def before(self) -> Tensor:
        """The weight before each pulse."""
        return self.weights[:-1]

    @property
    def changes(self) -> Tensor:
        """What each pulse changed."""
        return self.weights.diff()

    def longest(self) -> int:
        """Pulses of the longest train in one direction."""
        _, counts = torch.unique_consecutive(self.up, return_counts=True)
        return int(counts.max())


def _fit(candidates: Candidates, cell: _Cell, name: str, method: str) -> CellFit:
    """Fit one cell."""
    result, weights, sigma, reads = None, torch.ones_like(cell.changes), 0.0, 0.0
    for _ in range(_PASSES):

        def steps(values: dict[str, float], weights: Tensor = weights, sigma: float = sigma) -> Tensor:
            return _residuals(candidates, values, sigma, cell) * weights

        result = _minimised(candidates, steps, result, name, candidates.reach(cell.weights, 3.0 * math.sqrt(reads)))
        noise = _noise_of(candidates, result.params.valuesdict(), sigma, cell)
        if noise.mean == 0.0:  # there is nothing to weigh
            break
        weights, sigma = noise.variances.rsqrt() * math.sqrt(noise.mean), noise.dw_min_std
        reads = noise.read_variance
    assert result is not None
    if method == "trajectory":

        def curve(values: dict[str, float]) -> Tensor:
            return cell.weights - trajectory(candidates.cell(values), values["first_weight"], cell.up)

        result = _minimised(candidates, curve, result, name, {}, first=float(cell.weights[0]))
        noise = _noise_of(candidates, result.params.valuesdict(), sigma, cell)
        noise.read_variance = float(result.residual.var(ddof=len(result.var_names)))
    values = result.params.valuesdict()
    first = values.pop("first_weight", float(cell.weights[0]))
    order = [result.var_names.index(each) for each in candidates.names]
    covariance = np.asarray(result.covar)[np.ix_(order, order)]
    _refuse_open(candidates, values, np.sqrt(np.diag(covariance)), cell, name)
    return CellFit(
        name=name,
        weights=cell.weights,
        up=cell.up,
        values={each: float(values[each]) for each in candidates.names},
        covariance=covariance,
        first=first,
        residuals=_residuals(candidates, values, noise.dw_min_std, cell),
        step_noise=noise.steps,
        dw_min_std=noise.dw_min_std,
        dw_min_std_error=noise.error,
        read_variance=noise.read_variance,
        result=result,
    )


def _minimised(
    candidates: Candidates,
    residual: Callable[[dict[str, float]], Tensor],
    before: Any,
    name: str,
    reach: dict[str, tuple[float, float]],
    first: float | None = None,
) -> Any:
    """The least squares of a residual, from where another fit ended.

    :param reach: narrower limits of some parameters; :param first: where the first weight begins, if it is one.
    """
    import lmfit

    parameters = lmfit.Parameters()
    for each, (value, low, high) in candidates.beginnings().items():
        value = value if before is None else before.params[each].value
        low, high = max(low, reach.get(each, (low, high))[0]), min(high, reach.get(each, (low, high))[1])
        parameters.add(each, value=min(max(value, low), high), min=low, max=high)
    if first is not None:
        parameters.add("first_weight", value=first)
    count = len(residual(parameters.valuesdict()))
    if count <= len(parameters):
        raise ConfigError(
            f"fit_measurements: {count} pulses for {len(parameters)} fields. Measure more, or vary fewer."
        )

    def of(given: Any) -> Any:
        try:
            return residual(given.valuesdict()).numpy()
        except ConfigError:  # fields that contradict each other
            return np.full(count, 1e3)

    # Numbers in laws may be single precision: differences must be larger than their roundings.
    result = lmfit.minimize(of, parameters, method="leastsq", epsfcn=_DIFFERENCE**2)
    if not result.errorbars or any(_is_at_limit(each) for each in result.params.values()):
        _add_errors(result, of, name)
    return result


def _undetermined(name: str, fields: Sequence[str]) -> ConfigError:
    return ConfigError(
        f"fit_measurements: the pulses of cell {name} do not determine {', '.join(fields)}. Give a vary without, or"
        " pulses in both directions that lead to both bounds."
    )


def _refuse_open(candidates: Candidates, values: dict[str, float], errors: Any, cell: _Cell, name: str) -> None:
    """Raise if a standard error is above the scale of its field, or a field ran against a limit other than 0.

    The scale of a step is its value. Others may well be 0: the scale of a bound is at least the range that was
    measured, that of all others at least 1.
    """
    span, found = float(cell.weights.max() - cell.weights.min()), []
    for (each, (_, low, high)), error in zip(candidates.beginnings().items(), errors, strict=True):
        value = values[each]
        scale = max(abs(value), 0.0 if each in _STEPS else span if each in _BOUNDS else 1.0)
        if not error <= scale:
            found.append(f"{each} = {value:.4g} ± {error:.2g}")
        elif any(limit != 0.0 and abs(value - limit) < _AT_LIMIT * abs(limit) for limit in (low, high)):
            found.append(f"{each} = {value:.4g}, its limit")
    if found:
        raise _undetermined(name, found)


def _is_at_limit(parameter: Any) -> bool:
    """Whether the value has come to a limit, where lmfit's substitution has no slope."""
    near = _AT_LIMIT * abs(parameter.value)
    return bool(parameter.value - parameter.min < near or parameter.max - parameter.value < near)


def _add_errors(result: Any, residual: Callable[[Any], Any], name: str) -> None:
    """Standard errors from the slopes of the residuals themselves, away from limits."""
    at, columns = residual(result.params), []
    for each in result.var_names:
        parameter, moved = result.params[each], result.params.copy()
        little = _DIFFERENCE * max(abs(parameter.value), 1e-3)
        little = little if parameter.value + little <= parameter.max else -little
        moved[each].set(value=parameter.value + little)
        columns.append((residual(moved) - at) / little)
    slopes = np.stack(columns, 1)
    curvature, idle = slopes.T @ slopes, [not column.any() for column in columns]
    if any(idle) or np.linalg.cond(curvature) > _UNDETERMINED:
        some = [each for each, nothing in zip(result.var_names, idle, strict=True) if nothing] or result.var_names
        raise _undetermined(name, some)
    result.covar = np.linalg.inv(curvature) * (result.redchi or 0.0)
    result.errorbars = True
    errors = np.sqrt(np.diag(result.covar))
    for k, each in enumerate(result.var_names):
        result.params[each].stderr = float(errors[k])
        others = [j for j in range(len(errors)) if j != k and errors[j] and errors[k]]
        result.params[each].correl = {
            result.var_names[j]: float(result.covar[k, j] / (errors[k] * errors[j])) for j in others
        }


@dataclass
class _Noise:
    """What scatter is left of the steps of a cell."""

    dw_min_std: float
    error: float
    read_variance: float
    steps: Tensor
    """Standard deviation of each step, by its own noise."""
    variances: Tensor
    """Of each measured step, by all noise."""
    mean: float
    """Of the variances."""


def _residuals(candidates: Candidates, values: dict[str, float], sigma: float, cell: _Cell) -> Tensor:
    """Measured steps minus those that the law expects, ``[pulses]``, with noise as far as bounds let it be."""
    mean, _ = expected_steps(candidates.cell(values, dw_min_std=sigma), cell.before, cell.up)
    return cell.changes - mean


def _noise_of(candidates: Candidates, values: dict[str, float], sigma: float, cell: _Cell) -> _Noise:
    """Tell noise of steps and errors of reading apart; sigma: what is known of the first so far.

    An error r of reading makes one step larger by r and the next smaller: the product of neighbouring residuals is
    :math:`-r^2` in the mean, and r adds :math:`2 r^2` to their squares. What remains is the noise of the steps.
    """
    residuals, tried = _residuals(candidates, values, sigma, cell), sigma or _SOME
    _, shape = expected_steps(candidates.cell(values, dw_min_std=tried), cell.before, cell.up)
    n = len(residuals)
    squares = residuals.square() * n / max(n - len(candidates.names), 1)
    mean, product = float(squares.mean()), float((residuals[1:] * residuals[:-1]).mean())
    reads = min(-product, mean / 2.0) if -product > 3.0 * mean / math.sqrt(n) else 0.0  # else it is chance
    own, expected = max(mean - 2.0 * reads, 0.0), float(shape.mean())
    found = tried * math.sqrt(own / expected) if expected > 0.0 else 0.0
    error = found * float(squares.std()) / math.sqrt(n) / (2.0 * own) if own > 0.0 else 0.0
    variances = shape * (found / tried) ** 2
    return _Noise(found, error, reads, variances.sqrt(), variances + 2.0 * reads + _FAINTEST * mean, mean)


def _common_noise(fits: Sequence[CellFit]) -> tuple[float, float]:
    """``dw_min_std`` of all cells, with its standard error."""
    value = math.sqrt(sum(fit.dw_min_std**2 for fit in fits) / len(fits))
    if value == 0.0:
        return 0.0, 0.0
    squares = sum((fit.dw_min_std * fit.dw_min_std_error) ** 2 for fit in fits)
    return value, math.sqrt(squares) / (len(fits) * value)
