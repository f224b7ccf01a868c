"""What time does to weights that are not touched: drift by a power law."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ohmgrad.parameters.drift import DriftParameter, SimpleDriftParameter


class Drifter(nn.Module):
    """The clock of an array's drift, and since when every weight has drifted from what.

    :param parameters: of the drift; :param like: the weights ``[out, in]``.
    """

    time: Tensor
    since: Tensor
    start: Tensor
    last: Tensor

    def __init__(self, parameters: SimpleDriftParameter, like: Tensor) -> None:
        super().__init__()
        self.parameters_of_drift = parameters
        self.register_buffer("time", torch.zeros((), dtype=torch.float64))
        self.register_buffer("since", torch.zeros_like(like, dtype=torch.float64))
        self.register_buffer("start", torch.zeros_like(like))
        self.register_buffer("last", torch.full_like(like, torch.inf))  # unlike any weight

    def drifted(self, weights: Tensor, nu: Tensor | float, delta_t: float, noise_of_nu: Tensor | None) -> Tensor:
        """The weights after another ``delta_t``, without noise of the weights and without bounds.

        :param weights: ``[out, in]``; :param nu: drift exponents; :param noise_of_nu: standard normal ``[out, in]``,
            None if the exponents are not noisy.
        """
        drift = self.parameters_of_drift
        self.time += delta_t / drift.t_0
        first = self.last.isinf()  # these have drifted since the tile was made
        anew = ~first & ((weights - self.last).abs() > drift.reset_tol)
        self.since.copy_(torch.where(anew, self.time, self.since))
        self.start.copy_(torch.where(anew | first, weights, self.start))
        offset = 0.0
        if isinstance(drift, DriftParameter):
            offset = drift.g_offset * drift.wg_ratio + drift.w_offset
            offset = 0.0 if abs(offset) < drift.reset_tol else offset
            if noise_of_nu is not None:
                nu = nu * (1.0 + drift.nu_std * noise_of_nu)
            if drift.nu_k != 0.0:
                conductance = (weights - drift.w_offset) / drift.wg_ratio + drift.g_offset
                depends = drift.nu_k * (conductance.clamp(min=1e-30).log() - drift.log_g0)
                nu = nu - torch.where(conductance > 0.0, depends, 0.0)  # without conductance, nothing depends on it
        passed = (self.time - self.since).clamp(min=1.0)
        exponent = -nu if isinstance(nu, Tensor) else torch.full((), -nu, device=weights.device)
        q = passed.pow(exponent).float()
        return torch.where(anew, weights, self.start * q + offset * (q - 1.0))

    def left(self, weights: Tensor) -> None:
        """Remember what a drift left behind, noise and bounds included."""
        self.last.copy_(weights)
