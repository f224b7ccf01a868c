"""Devices whose step saturates exponentially towards the bounds."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ohmgrad.devices.base import WriteNoiseDevice
from ohmgrad.words import absolute, clip, exp, maximum, where

__all__ = ["ExpStepDevice"]


def _step(  # type: ignore[no-untyped-def]
    w, up, dwmin_up, dwmin_down, min_bound, max_bound, A_up, A_down, gamma_up, gamma_down, a, b
):
    """The step without noise."""
    width = max_bound - min_bound
    z = 2.0 * w * a / where(width > 0.0, width, 1.0) + b
    y = maximum(1.0 - where(up, A_up, A_down) * exp(where(up, gamma_up * z, -gamma_down * z)), 0.0)
    return where(width > 0.0, y * where(up, dwmin_up, -dwmin_down), 0.0)


def _simple_law(  # type: ignore[no-untyped-def]
    w, up, noise, dwmin_up, dwmin_down, min_bound, max_bound, A_up, A_down, gamma_up, gamma_down, a, b, dw_min_std
):
    step = _step(w, up, dwmin_up, dwmin_down, min_bound, max_bound, A_up, A_down, gamma_up, gamma_down, a, b)
    return clip(w + step * (1.0 + dw_min_std * noise), min_bound, max_bound)


def _complex_law(  # type: ignore[no-untyped-def]
    w, up, noise, dwmin_up, dwmin_down, min_bound, max_bound, A_up, A_down, gamma_up, gamma_down, a, b, dw_min_std,
    dw_min_std_add, dw_min_std_slope,
):  # fmt: skip
    step = _step(w, up, dwmin_up, dwmin_down, min_bound, max_bound, A_up, A_down, gamma_up, gamma_down, a, b)
    spread = dw_min_std * (absolute(step) + dw_min_std_add + dw_min_std_slope * absolute(w))
    spread = where(max_bound > min_bound, spread, 0.0)
    return clip(w + step + spread * noise, min_bound, max_bound)


class ExpStepDevice(WriteNoiseDevice):
    r"""Steps that saturate exponentially.

    .. math:: w \leftarrow w \pm \Delta w^\pm y^\pm (1 + \sigma\xi), \qquad
              y^\pm = \max\!\big(1 - A^\pm e^{\pm\gamma^\pm z},\ 0\big), \qquad
              z = \frac{2 a w}{b^+ - b^-} + b

    With ``dw_min_std_add`` or ``dw_min_std_slope``, the noise is
    :math:`\sigma (|\Delta w^\pm y^\pm| + \sigma_{add} + \sigma_{slope} |w|)\, \xi` instead. The defaults fit a ReRAM.
    """

    A_up: float = 0.00081
    """Strength of the saturation of the up step."""
    A_down: float = 0.36833
    """Strength of the saturation of the down step."""
    gamma_up: float = 12.44625
    """Steepness of the saturation of the up step."""
    gamma_down: float = 12.78785
    """Steepness of the saturation of the down step."""
    a: float = 0.244
    """Factor between weight and exponent."""
    b: float = 0.2425
    """Exponent at weight 0."""
    dw_min_std_add: float = 0.0
    """Part of the noise that does not depend on the step (weight units)."""
    dw_min_std_slope: float = 0.0
    """Part of the noise that grows with the magnitude of the weight."""

    @property
    def law(self) -> Callable[..., Any]:  # type: ignore[override]
        """One pulse."""
        is_complex = self.dw_min_std_add != 0.0 or self.dw_min_std_slope != 0.0
        return _complex_law if is_complex else _simple_law

    @property
    def weight_granularity(self) -> float:
        """Mean of the up and the down step at weight 0."""
        up = (1.0 + min(self.up_down, 0.0)) * max(1.0 - self.A_up * math.exp(self.gamma_up * self.b), 0.0)
        down = (1.0 - max(self.up_down, 0.0)) * max(1.0 - self.A_down * math.exp(-self.gamma_down * self.b), 0.0)
        return self.dw_min * (up + down) / 2.0 or self.dw_min

    def mirrored(self) -> ExpStepDevice:
        """See :meth:`PulsedDevice.mirrored`."""
        mirror: ExpStepDevice = super().mirrored().replaced(b=-self.b)
        return mirror
