"""A device without any limits: the exact floating-point update."""

from pydantic import Field

from ohmgrad.parameters.base import Config


class IdealDevice(Config):
    """Weights that follow the gradient exactly, without bounds, pulses or cell parameters.

    The update is ``W <- W - lr * sum_n d_n x_n^T`` whatever the update parameters say.
    """

    diffusion: float = Field(default=0.0, ge=0.0)
    """Standard deviation of the random walk of one optimizer step (absolute)."""
    lifetime: float = Field(default=0.0, ge=0.0)
    """Time constant of the decay in optimizer steps; 0: none; up to 1: complete loss in one step."""
    reset_std: float = Field(default=0.01, ge=0.0)
    """Noise of the weight after a reset (absolute)."""
    construction_seed: int = 0
    """Without effect: an ideal device has no variation."""
