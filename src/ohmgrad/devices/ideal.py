"""Devices without any limits: the exact floating-point update."""

from pydantic import Field

from ohmgrad.parameters.base import Config
from ohmgrad.parameters.drift import SimpleDriftParameter

__all__ = ["FloatingPointDevice", "IdealDevice"]


class ExactDevice(Config):
    """What the devices share whose weights follow the gradient exactly."""

    diffusion: float = Field(default=0.0, ge=0.0)
    """Standard deviation of the random walk of one optimizer step (absolute)."""
    lifetime: float = Field(default=0.0, ge=0.0)
    """Time constant of the decay in optimizer steps; 0: none; up to 1: complete loss in one step."""
    drift: SimpleDriftParameter = Field(default_factory=SimpleDriftParameter)
    """Drift with time, by ``tile.drift_weights`` only."""


class FloatingPointDevice(ExactDevice):
    """Digital weights, for :class:`~ohmgrad.configs.FloatingPointRPUConfig`."""


class IdealDevice(ExactDevice):
    """Weights that follow the gradient exactly, without bounds, pulses or cell parameters.

    The update is ``W <- W - lr * sum_n d_n x_n^T`` whatever the update parameters say.
    """

    reset_std: float = Field(default=0.01, ge=0.0)
    """Noise of the weight after a reset (absolute)."""
    construction_seed: int = 0
    """Without effect: an ideal device has no variation."""
