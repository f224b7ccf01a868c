"""What every pulsed cell shares: parameters, the sampling of cells, and the contract of a law."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Protocol

import torch
from pydantic import Field, model_validator
from torch import Tensor

from ohmgrad.errors import ConfigError
from ohmgrad.parameters.base import Config
from ohmgrad.parameters.drift import DriftParameter

BIAS_REACH = 100.0
"""How much wider the bounds of a perfect bias are."""


class Sampler(Protocol):
    """Gives the random numbers of cell-to-cell variation, one matrix ``[out, in]`` for each purpose number."""

    has_bias: bool
    """Whether the last column is that of an analog bias."""

    def normal(self, purpose: int) -> Tensor:
        """Standard normal numbers."""

    def uniform(self, purpose: int) -> Tensor:
        """Uniform numbers in (0, 1]."""


class PulsedDevice(Config):
    r"""Parameters common to every pulsed resistive device.

    All weights, bounds and steps are in normalised weight units. ``*_dtod`` and ``*_std`` are relative to the mean
    they vary, unless stated otherwise. A device defines one function, its *law*::

        law(w, up, noise, <names>) -> w

    the weight of one cell after one pulse: ``w`` the weight before it, ``up`` whether the pulse raises the weight,
    ``noise`` a standard normal number, and any ``<names>`` of the cell parameters (:meth:`sample`) or of the fields of
    the configuration. It is written with arithmetic, comparisons and :mod:`ohmgrad.words`, and enforces the bounds
    itself.
    """

    law: ClassVar[Callable[..., Any]]
    """The step of one cell for one pulse."""

    construction_seed: int = Field(default=0, ge=0)
    """Seed of the cell-to-cell variation; 0: follows the seed of the tile."""
    corrupt_devices_prob: float = Field(default=0.0, ge=0.0, le=1.0)
    """Probability that a cell is stuck."""
    corrupt_devices_range: float = 0.1
    """Half-width of the interval a stuck weight lies in (absolute)."""
    diffusion: float = Field(default=0.0, ge=0.0)
    """Standard deviation of the random walk of one optimizer step (absolute)."""
    diffusion_dtod: float = 0.0
    """Variation of ``diffusion``."""
    drift: DriftParameter = Field(default_factory=DriftParameter)
    """Drift with time, by ``tile.drift_weights`` only."""
    dw_min: float = Field(default=0.001, gt=0.0, allow_inf_nan=False)
    r"""Mean step of one pulse, :math:`\Delta w_{min}`."""
    dw_min_dtod: float = 0.3
    """Variation of the step from cell to cell."""
    dw_min_dtod_log_normal: bool = False
    """Draw the gain of the step from a log-normal distribution."""
    dw_min_std: float = Field(default=0.3, ge=0.0)
    r"""Noise of the step from pulse to pulse, :math:`\sigma`."""
    enforce_consistency: bool = True
    """Repair the signs of sampled steps and bounds."""
    lifetime: float = Field(default=0.0, ge=0.0)
    """Time constant of the decay in optimizer steps; 0: none; up to 1: complete loss in one step."""
    lifetime_dtod: float = 0.0
    """Variation of ``lifetime``."""
    reset: float = 0.0
    """Mean of the weight that reset and decay lead to (absolute)."""
    reset_dtod: float = Field(default=0.0, ge=0.0)
    """Standard deviation of that weight from cell to cell (absolute)."""
    reset_std: float = Field(default=0.01, ge=0.0)
    """Noise of the weight after a reset (absolute)."""
    perfect_bias: bool = False
    """Give the cells of an analog bias column equal steps and bounds a hundred times as wide."""
    up_down: float = 0.0
    """Asymmetry of the mean step: a positive value shrinks the down step, a negative one the up step, by this share
    of ``dw_min``."""
    up_down_dtod: float = 0.01
    """Standard deviation of the asymmetry from cell to cell, in units of ``dw_min``; raises one step and lowers the
    other."""
    w_max: float = Field(default=0.6, ge=0.0)
    """Mean upper bound of the weight."""
    w_max_dtod: float = 0.3
    """Variation of the upper bound."""
    w_min: float = Field(default=-0.6, le=0.0)
    """Mean lower bound of the weight."""
    w_min_dtod: float = 0.3
    """Variation of the lower bound."""
    count_pulses: bool = True
    """Without effect: pulses are always counted (the field serves existing configurations)."""

    @model_validator(mode="after")
    def _derive(self) -> PulsedDevice:
        for name, value in self.derived().items():
            if name in self.model_fields_set:
                raise ValueError(f"{name} follows from the other fields and is {value:g}; do not give it")
            self.__dict__[name] = value
        return self

    @property
    def weight_granularity(self) -> float:
        """Step that the pulse generator counts with (from mean parameters, never from sampled cells)."""
        return self.dw_min

    @property
    def num_states(self) -> float:
        """Number of mean steps between the mean bounds."""
        return (self.w_max - self.w_min) / self.weight_granularity

    @property
    def write_noise(self) -> float:
        """Standard deviation of the write noise in weight units; 0 if the device has none."""
        return 0.0

    @property
    def is_noisy(self) -> bool:
        """Whether the law uses its noise."""
        return self.dw_min_std > 0.0

    def check(self) -> None:
        """Raise :class:`~ohmgrad.errors.ConfigError` if the fields do not fit together."""
        require(
            0.0 < self.weight_granularity < math.inf,
            f"{type(self).__name__}: pulses would be counted in steps of {self.weight_granularity:g}, the mean step"
            " near weight 0. Give fields that make it positive and finite.",
        )

    def sample(self, draw: Sampler) -> dict[str, Tensor]:
        """Draw the parameters of every cell.

        :returns: name to ``[out, in]`` tensor, in the order in which hidden parameters are listed. A device with
            parameters of its own extends this dictionary, with purpose numbers of 16 and above.
        """
        upper = self.w_max * (1.0 + self.w_max_dtod * draw.normal(0))
        lower = self.w_min * (1.0 + self.w_min_dtod * draw.normal(1))
        gain = self.dw_min_dtod * draw.normal(2)
        gain = torch.exp(gain) if self.dw_min_dtod_log_normal else 1.0 + gain
        asymmetry = self.up_down_dtod * draw.normal(3)
        up = self.dw_min * (gain + min(self.up_down, 0.0) + asymmetry)
        down = self.dw_min * (gain - max(self.up_down, 0.0) - asymmetry)
        if self.enforce_consistency:
            up, down = up.abs(), down.abs()
            lower, upper = -torch.minimum(lower, upper).abs(), torch.maximum(lower, upper).abs()
        else:
            crossed, middle = lower > upper, (lower + upper) / 2
            lower, upper = torch.where(crossed, middle, lower), torch.where(crossed, middle, upper)
        if self.corrupt_devices_prob > 0.0:
            stuck = draw.uniform(4) <= self.corrupt_devices_prob
            reach = abs(self.corrupt_devices_range)
            low, high = torch.minimum(lower, upper).clamp(min=-reach), torch.maximum(lower, upper).clamp(max=reach)
            value = low + (high - low) * draw.uniform(5)
            lower, upper = torch.where(stuck, value, lower), torch.where(stuck, value, upper)
            up, down = torch.where(stuck, 0.0, up), torch.where(stuck, 0.0, down)
        if self.perfect_bias and draw.has_bias:
            up[:, -1] = down[:, -1] = self.dw_min
            lower[:, -1], upper[:, -1] = BIAS_REACH * self.w_min, BIAS_REACH * self.w_max
        diffusion = (self.diffusion * (1.0 + self.diffusion_dtod * draw.normal(6))).abs()
        reset = self.reset + self.reset_dtod * draw.normal(7)
        if self.lifetime > 0.0:
            lifetime = self.lifetime * (1.0 + self.lifetime_dtod * draw.normal(8))
            decay = torch.where(lifetime > 1.0, 1.0 - 1.0 / lifetime, 0.0)
        else:
            decay = torch.ones_like(upper)
        drift = torch.zeros_like(upper)
        if self.drift.nu > 0.0:
            drift = self.drift.nu * (1.0 + self.drift.nu_dtod * draw.normal(9))
        return {
            "max_bound": upper,
            "min_bound": lower,
            "dwmin_up": up,
            "dwmin_down": down,
            "decay_scales": decay,
            "diffusion_rates": diffusion,
            "reset_bias": reset,
            "drift_nu": drift,
        }

    def limits(self, cells: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """The least and the greatest weight that every cell can hold, in the frame in which weights are seen."""
        return cells["min_bound"], cells["max_bound"]

    def mirrored(self) -> PulsedDevice:
        """The device that does down what this one does up, :math:`w` seen as :math:`-w`.

        Fields whose names end in ``_up`` and ``_down`` change places, bounds change places and sign, ``reset``,
        ``reference_mean`` and what ends in ``up_down`` change sign. A device whose law needs more extends this.
        """
        given = _mirrored_values(self)
        return self.replaced(**{name: given[name] for name in given.keys() - self.derived().keys()})

    def mirrored_cells(self, cells: dict[str, Tensor]) -> dict[str, Tensor]:
        """Parameters of cells of :meth:`mirrored`, each the mirror image of one of these."""
        return cells | _mirrored_values(cells)


_EXCHANGED = {"max_bound": "min_bound", "w_max": "w_min"}
_SWAPPED = {"w_max_dtod": "w_min_dtod"}
_NEGATED = ("reset", "reset_bias", "reference", "reference_mean")


def _mirrored_values(values: Any) -> dict[str, Any]:
    """Those of some named values that are others in the mirror image."""
    named = dict(values)
    mirrored = {name: -named[name] for name in named if name in _NEGATED or name.endswith("up_down")}
    for name, other in _EXCHANGED.items():
        if name in named:
            mirrored |= {name: -named[other], other: -named[name]}
    pairs = dict(_SWAPPED)
    pairs |= {name: name.removesuffix("_up") + "_down" for name in named if name.endswith("_up")}
    pairs |= {name: name.removesuffix("_up_dtod") + "_down_dtod" for name in named if name.endswith("_up_dtod")}
    for name, other in pairs.items():
        if name in named and other in named:
            mirrored |= {name: named[other], other: named[name]}
    return mirrored


class WriteNoiseDevice(PulsedDevice):
    """A pulsed device whose apparent weight is its hidden (persistent) weight plus write noise."""

    write_noise_std: float = Field(default=0.0, ge=0.0)
    """Standard deviation of the write noise in units of ``dw_min``; above 0 the cell has a persistent weight."""
    apply_write_noise_on_set: bool = True
    """Whether setting weights draws write noise too."""

    @property
    def write_noise(self) -> float:
        """Standard deviation of the write noise in weight units."""
        return self.write_noise_std * self.dw_min


def require(condition: bool, message: str) -> None:
    """Raise :class:`~ohmgrad.errors.ConfigError` with ``message`` unless ``condition`` holds."""
    if not condition:
        raise ConfigError(message)
