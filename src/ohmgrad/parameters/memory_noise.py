"""What happens to a conductance when it is programmed, while it waits, and when it is read."""

from __future__ import annotations

import math
from typing import Annotated

from pydantic import Field
from torch import Tensor

from ohmgrad.parameters.base import Config

Scale = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]


class NoiseModel(Config):
    r"""The errors of a memory, as formulas: this one has none. Derive from it and say what is otherwise.

    Conductances are in microsiemens, of any shape; ``noise`` is a standard normal number for each of them, which the
    caller draws, so that a formula is only a formula. A conductance below 0 becomes 0, whatever a formula gives.
    """

    g_max: Positive = 25.0
    r"""The largest conductance, of the largest weight, :math:`g_{max}` (microsiemens)."""

    def program(self, g_target: Tensor, noise: Tensor) -> Tensor:
        """What the cells hold after they were programmed to ``g_target``."""
        return g_target

    def exponent(self, g_target: Tensor, noise: Tensor) -> Tensor:
        r"""The number :math:`\nu` of each cell that says how it drifts, drawn once, when it is programmed."""
        return g_target.new_zeros(g_target.shape)

    def drift(self, g_programmed: Tensor, nu: Tensor, seconds: float) -> Tensor:
        """What the cells hold some time after programming."""
        return g_programmed

    def read(self, g_drifted: Tensor, g_target: Tensor, seconds: float, noise: Tensor) -> Tensor:
        """As what the cells appear to the products at that time."""
        return g_drifted


class PCMLikeNoiseModel(NoiseModel):
    r"""Phase-change memory, by what was measured on a million cells.

    With :math:`g = g_T / g_{max}` the target relative to the largest conductance, :math:`\xi` standard normal numbers
    and :math:`\tau` the time since programming:

    1. Programming: :math:`g_P = g_T + \sigma_P \xi` with
       :math:`\sigma_P = \max(-1.1731\, g^2 + 1.9650\, g + 0.2635,\ 0)` microsiemens for a :math:`g_{max}` of 25, and in
       proportion to it.
    2. Drift: :math:`g_D(\tau) = g_P\, (\tau / t_c)^{-\nu}` with :math:`\nu = \max(\mu_\nu + \sigma_\nu \xi,\ 0)`,
       :math:`\mu_\nu = \min(\max(-0.0155 \ln g + 0.0244,\ 0.049),\ 0.1)`,
       :math:`\sigma_\nu = \min(\max(-0.0125 \ln g - 0.0059,\ 0.008),\ 0.045)`. The structural relaxation of the glass.
    3. Reading: :math:`g_R(\tau) = g_D + \sigma_R \xi` with
       :math:`\sigma_R = g_D\, Q \sqrt{\ln\frac{\tau + t_r}{2 t_r}}`, :math:`Q = \min(0.0088 / g^{0.65},\ 0.2)`: noise
       of the kind 1/f, summed from the duration of a read to all the time since programming.

    What was programmed was first read after :math:`t_c`. That read is at 0 seconds here: at the time t it is
    :math:`\tau = t + t_c`, so the law of drift has the value 1 at t = 0 and none before.

    S. R. Nandakumar et al., ICECS (2019) and Front. Neurosci. 14 (2020); V. Joshi et al., Nat. Commun. 11 (2020).
    """

    prog_noise_scale: Scale = 1.0
    r"""Factor on :math:`\sigma_P`; 0: conductances are programmed exactly."""
    drift_scale: Scale = 1.0
    r"""Factor on :math:`\nu`; 0: nothing drifts."""
    read_noise_scale: Scale = 1.0
    r"""Factor on :math:`\sigma_R`; 0: reads are exact."""
    t_0: Positive = 20.0
    """Time from programming to the first read, :math:`t_c` (seconds; Joshi et al. 2020)."""
    t_read: Positive = 250e-9
    """Duration of a read, :math:`t_r` (seconds; Nandakumar et al. 2019)."""

    def program(self, g_target: Tensor, noise: Tensor) -> Tensor:
        """Law 1."""
        g = g_target / self.g_max
        sigma = (-1.1731 * g**2 + 1.9650 * g + 0.2635).clamp(min=0.0) * (self.g_max / 25.0)
        return g_target + self.prog_noise_scale * sigma * noise

    def exponent(self, g_target: Tensor, noise: Tensor) -> Tensor:
        r""":math:`\nu` of law 2."""
        ln_g = (g_target / self.g_max).log()  # minus infinity of an empty cell, which the bounds make finite
        mean = (-0.0155 * ln_g + 0.0244).clamp(0.049, 0.1)
        std = (-0.0125 * ln_g - 0.0059).clamp(0.008, 0.045)
        return self.drift_scale * (mean + std * noise).clamp(min=0.0)

    def drift(self, g_programmed: Tensor, nu: Tensor, seconds: float) -> Tensor:
        """Law 2."""
        return g_programmed * ((seconds + self.t_0) / self.t_0) ** -nu

    def read(self, g_drifted: Tensor, g_target: Tensor, seconds: float, noise: Tensor) -> Tensor:
        """Law 3."""
        tau, t_r = seconds + self.t_0, self.t_read
        strength = (0.0088 / (g_target / self.g_max) ** 0.65).clamp(max=0.2)
        octaves = max(math.log((tau + t_r) / (2.0 * t_r)), 0.0)  # nothing to sum before a read has ended
        return g_drifted + self.read_noise_scale * g_drifted * strength * math.sqrt(octaves) * noise
