"""Devices whose fields a fit varies: which they are, where they begin, and how a device is made of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ohmgrad.analysis.steps import SampledCells, mean_parameters, normal_quantiles
from ohmgrad.configs import (
    ConstantStepDevice,
    ExponentialResponseDevice,
    ExpStepDevice,
    FadingResponseDevice,
    LinearResponseDevice,
    LinearStepDevice,
    PiecewiseStepDevice,
    PowerResponseDevice,
    PowStepDevice,
    PowStepReferenceDevice,
    PulsedDevice,
    SoftBoundsDevice,
    SoftBoundsPmaxDevice,
    SoftBoundsReferenceDevice,
)
from ohmgrad.errors import ConfigError

_BOUNDED = ("dw_min", "up_down", "w_max", "w_min")
VARIED: dict[type[PulsedDevice], tuple[str, ...]] = {
    ConstantStepDevice: ("dw_min", "up_down"),
    LinearStepDevice: ("dw_min", "up_down", "gamma_up", "gamma_down"),
    SoftBoundsPmaxDevice: ("alpha", "range_min", "range_max"),
    SoftBoundsDevice: _BOUNDED,
    SoftBoundsReferenceDevice: _BOUNDED,
    ExpStepDevice: ("dw_min", "up_down", "A_up", "A_down", "gamma_up", "gamma_down"),
    PowStepDevice: (*_BOUNDED, "pow_gamma"),
    PowStepReferenceDevice: (*_BOUNDED, "pow_gamma"),
    PiecewiseStepDevice: ("piecewise_up", "piecewise_down"),
    LinearResponseDevice: ("dw_min", "offset", "tau"),
    PowerResponseDevice: ("dw_min", "up_down", "gamma_res", "tau"),
    ExponentialResponseDevice: ("dw_min", "up_down", "gamma_res", "tau"),
    FadingResponseDevice: ("dw_min", "up_down", "beta"),
}
"""The fields of each family that measurements determine, if they reach both bounds where those are among them."""

_BEGINNINGS: dict[type[PulsedDevice], dict[str, Any]] = {
    LinearStepDevice: {"allow_increasing": True},  # so that a gamma has no edge at 0
    ExpStepDevice: {"A_up": 0.3, "A_down": 0.3, "gamma_up": 1.0, "gamma_down": 1.0, "a": 1.0, "b": 0.0},
    PiecewiseStepDevice: {"piecewise_up": [1.0] * 5, "piecewise_down": [1.0] * 5},
}
"""Where fields begin, other than at the defaults of the class."""

_LIMITS = {"up_down": (-0.99, 0.99), "A_up": (0.0, 0.999), "A_down": (0.0, 0.999)}
"""Narrower limits than those of the fields: beyond them, steps change their sign."""

_MARGIN = 0.05
"""How far beyond what was measured bounds begin that are to be found, as a share of the range."""

_NOISES = 15
"""Numbers that stand for the noise of a pulse."""
_ALONE = 2000
"""Numbers that torch leaves to one thread in every operation: several would wait more than they work."""


class Candidates:
    """The devices that differ from one in some fields.

    :param start: where they begin; :param vary: the fields; of a list, every entry varies.
    :raises ConfigError: if one of them is no number, or follows from others.
    """

    def __init__(self, start: PulsedDevice, vary: Sequence[str]) -> None:
        self.start, self.fields = start, tuple(vary)
        kind, can = type(start).__name__, _can_vary(start)
        for field in self.fields:
            if field not in can:
                raise ConfigError(f"fit_measurements: {field!r} of {kind} cannot vary. Give some of: {', '.join(can)}.")
        self.names = [name for field in self.fields for name in names_of(start, field)]

    def beginnings(self) -> dict[str, tuple[float, float, float]]:
        """Value, least and greatest value of each parameter by name."""
        found = {}
        for field in self.fields:
            value = getattr(self.start, field)
            low, high = _LIMITS.get(field) or _limits(type(self.start), field)
            for name, item in zip(names_of(self.start, field), value if _is_list(value) else [value], strict=True):
                found[name] = (float(item), low, high)
        return found

    def reach(self, weights: Tensor, error: float) -> dict[str, tuple[float, float]]:
        """Limits that weights put on bounds, from which no cell gets out; error: by how much they may be misread."""
        if getattr(self.start, "reference_mean", 0.0) != 0.0:  # bounds are those of the conductance
            return {}
        low, high = float(weights.min()) + error, float(weights.max()) - error
        return {"w_max": (high, math.inf), "w_min": (-math.inf, low), "tau": (max(high, -low), math.inf)}

    def device(self, values: Mapping[str, float], **more: Any) -> PulsedDevice:
        """The device of some values of the parameters.

        :raises ConfigError: if there is none.
        """
        fields: dict[str, Any] = {}
        for field in self.fields:
            found = [float(values[name]) for name in names_of(self.start, field)]
            fields[field] = found if _is_list(getattr(self.start, field)) else found[0]
        made: PulsedDevice = self.start.replaced(**fields, **more)
        return made

    def cell(self, values: Mapping[str, float], **more: Any) -> SampledCells:
        """A cell of mean parameters of that device."""
        device = self.device(values, **more)
        return SampledCells(device, mean_parameters(device))


def names_of(device: PulsedDevice, field: str) -> list[str]:
    """The parameters of a fit that a field is."""
    value = getattr(device, field)
    return [f"{field}_{k}" for k in range(len(value))] if _is_list(value) else [field]


def default_vary(kind: type[PulsedDevice]) -> tuple[str, ...]:
    """The fields of a device that a fit varies unless it is told.

    :raises ConfigError: if nobody knows.
    """
    known = next((VARIED[base] for base in kind.__mro__ if base in VARIED), None)
    if known is None:
        raise ConfigError(f"fit_measurements: which fields of {kind.__name__} vary? Give vary=['dw_min', ...].")
    return known


def beginning(
    kind: type[PulsedDevice], vary: Sequence[str], weights: Tensor, steps: Tensor, longest: int
) -> PulsedDevice:
    """The device of a class at which a fit begins, without variation between cells.

    :param weights: measured before each pulse; :param steps: what each pulse changed.
    :param longest: pulses of the longest train in one direction.
    """
    low, high = float(weights.min()), float(weights.max())
    middle = (weights - (low + high) / 2.0).abs() <= (high - low) / 4.0
    step = float(steps[middle].abs().mean() if middle.any() else steps.abs().mean())
    default = kind()
    wider = _MARGIN * (high - low) if {"w_max", "w_min", "tau"} & set(vary) else 0.0
    guesses: dict[str, Any] = {
        "dw_min": step,
        "w_max": max(high + wider, _MARGIN),
        "w_min": min(low - wider, -_MARGIN),
        "tau": max(-low, high) + wider,
        "range_min": low,
        "range_max": high,
        "p_max": max(longest, 1),
        "alpha": 1.0 / max(longest, 1),
    }
    own = next((_BEGINNINGS[base] for base in kind.__mro__ if base in _BEGINNINGS), {})
    alike = {name: 0.0 for name in kind.model_fields if name.endswith("_dtod")}
    may = kind.model_fields.keys() - default.derived().keys()
    given = {name: value for name, value in (guesses | alike | own).items() if name in may}
    began: PulsedDevice = default.replaced(**given)
    return began


def _can_vary(device: PulsedDevice) -> list[str]:
    """The fields that are numbers, or lists of them, and of their own."""
    derived, never = device.derived(), ("dw_min_std", "write_noise_std")
    names = [name for name in type(device).model_fields if name not in derived and name not in never]
    numbers = [name for name in names if type(getattr(device, name)) is float and not name.endswith("_dtod")]
    return numbers + [name for name in names if _is_list(getattr(device, name))]


def _is_list(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, float) for item in value)


def _limits(kind: type[PulsedDevice], field: str) -> tuple[float, float]:
    """What a field says about its least and greatest value."""
    low, high = -math.inf, math.inf
    for limit in kind.model_fields[field].metadata:
        low = max(low, getattr(limit, "ge", -math.inf), getattr(limit, "gt", -math.inf))
        high = min(high, getattr(limit, "le", math.inf), getattr(limit, "lt", math.inf))
    return (low + 1e-12 if math.isfinite(low) else low), (high - 1e-12 if math.isfinite(high) else high)


def expected_steps(cell: SampledCells, weights: Tensor, up: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance, each ``[n]``, of the step of pulses over their noise, which bounds may cut off."""
    noise = normal_quantiles(_NOISES)[:, None].expand(-1, len(weights))
    parts = noise.split(max(1, _ALONE // len(weights)))
    steps = torch.cat([cell.step(weights.expand_as(part), up.expand_as(part), part) for part in parts])
    return steps.mean(0), steps.var(0, correction=0)


def trajectory(cell: SampledCells, first: float, up: Tensor) -> Tensor:
    """The weights of a cell without noise, ``[pulses + 1]``."""
    weight = torch.full((1,), first, dtype=torch.float64)
    weights = [weight]
    for rises in up.tolist():
        weight = weight + cell.step(weight, rises)
        weights.append(weight)
    return torch.cat(weights)
