"""Devices whose step is a power of the distance to the bound."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from pydantic import Field
from torch import Tensor

from ohmgrad.devices.base import PulsedDevice, Sampler, WriteNoiseDevice
from ohmgrad.devices.reference import ReferenceDevice
from ohmgrad.words import clip, maximum, power, where

__all__ = ["PowStepDevice", "PowStepReferenceDevice"]


def _pulse(g, up, noise, dwmin_up, dwmin_down, min_bound, max_bound, gamma_up, gamma_down, dw_min_std):  # type: ignore[no-untyped-def]
    width = max_bound - min_bound
    room = maximum(where(up, max_bound - g, g - min_bound) / where(width > 0.0, width, 1.0), 0.0)
    step = where(up, dwmin_up, -dwmin_down) * power(room, where(up, gamma_up, gamma_down))
    moved = clip(g + step * (1.0 + dw_min_std * noise), min_bound, max_bound)
    return where(width > 0.0, moved, g)


class PowerDevice(PulsedDevice):
    """What PowStep and PowStepReference share: exponents and their sampling."""

    pow_gamma: float = Field(default=1.0, ge=0.0)
    r"""Mean exponent :math:`\gamma`."""
    pow_gamma_dtod: float = 0.1
    """Variation of the exponent."""
    pow_up_down: float = 0.0
    """Asymmetry of the mean exponent: a positive value lowers that of the down step, a negative one that of the up
    step, by this share."""
    pow_up_down_dtod: float = 0.0
    """Standard deviation of the asymmetry from cell to cell (relative); raises one exponent and lowers the other."""

    @property
    def weight_granularity(self) -> float:
        """The step in the middle of the range."""
        return float(self.dw_min * 0.5**self.pow_gamma)

    def sample(self, draw: Sampler) -> dict[str, Tensor]:
        """Cells with ``gamma_up`` and ``gamma_down``."""
        common = 1.0 + self.pow_gamma_dtod * draw.normal(16)
        asymmetry = self.pow_up_down_dtod * draw.normal(17)
        up = self.pow_gamma * (common + min(self.pow_up_down, 0.0) + asymmetry)
        down = self.pow_gamma * (common - max(self.pow_up_down, 0.0) - asymmetry)
        if self.enforce_consistency:
            up, down = up.abs(), down.abs()
        return super().sample(draw) | {"gamma_up": up, "gamma_down": down}


class PowStepDevice(PowerDevice, WriteNoiseDevice):
    r"""Steps that are a power of the distance to the bound.

    .. math:: w \leftarrow w + \Delta w^+ \Big(\frac{b^+ - w}{b^+ - b^-}\Big)^{\gamma^+} (1 + \sigma\xi), \qquad
              w \leftarrow w - \Delta w^- \Big(\frac{w - b^-}{b^+ - b^-}\Big)^{\gamma^-} (1 + \sigma\xi)

    :math:`\Delta w^\pm` is the step at the opposite bound; in the middle it is :math:`2^{-\gamma}` times that. (The
    power response of the papers on residual learning is 1 there: see
    :class:`~ohmgrad.devices.response.PowerResponseDevice`.)
    """

    @staticmethod
    def law(  # type: ignore[no-untyped-def]
        w, up, noise, dwmin_up, dwmin_down, min_bound, max_bound, gamma_up, gamma_down, dw_min_std
    ):
        """One pulse."""
        return _pulse(w, up, noise, dwmin_up, dwmin_down, min_bound, max_bound, gamma_up, gamma_down, dw_min_std)


class PowStepReferenceDevice(PowerDevice, ReferenceDevice):
    r"""The steps of :class:`PowStepDevice`, read against a reference: :math:`w = G - G_{ref}`."""

    n_estimation_steps: int = -1
    """How the symmetric point is found: by this many pairs of pulses from 0 on; 0 or less: exactly."""

    @staticmethod
    def law(  # type: ignore[no-untyped-def]
        w, up, noise, dwmin_up, dwmin_down, min_bound, max_bound, gamma_up, gamma_down, reference, dw_min_std
    ):
        """One pulse."""
        g = w + reference
        moved = _pulse(g, up, noise, dwmin_up, dwmin_down, min_bound, max_bound, gamma_up, gamma_down, dw_min_std)
        return moved - reference

    def sample(self, draw: Sampler) -> dict[str, Tensor]:
        """Cells with ``gamma_up``, ``gamma_down`` and ``reference``."""
        return self.with_reference(super().sample(draw), draw)

    def symmetry_points(self, cells: Mapping[str, Tensor]) -> Tensor:
        """See :meth:`ReferenceDevice.symmetry_points`."""
        lower, upper = cells["min_bound"].double(), cells["max_bound"].double()
        up, down, width = cells["dwmin_up"].double(), cells["dwmin_down"].double(), upper - lower

        def pair(g: Tensor) -> Tensor:
            """What an up pulse and a down pulse from the same point change together."""
            rise = up * ((upper - g) / width).clamp(min=0.0) ** cells["gamma_up"].double()
            return rise - down * ((g - lower) / width).clamp(min=0.0) ** cells["gamma_down"].double()

        point = torch.zeros_like(width)
        for _ in range(self.n_estimation_steps):
            point = point + pair(point)
        if self.n_estimation_steps <= 0:  # pairs lead upwards below the point and downwards above it: halve
            below, above = lower, upper
            for _ in range(60):
                middle = (below + above) / 2.0
                rises = pair(middle) > 0.0
                below, above = torch.where(rises, middle, below), torch.where(rises, above, middle)
            point = (below + above) / 2.0
        return point.float()
