"""Soft bounds, given by a measured curve of the weight over the number of pulses."""

from __future__ import annotations

import math

from pydantic import Field

from ohmgrad.devices.base import require
from ohmgrad.devices.linear_step import SoftBoundsDevice

__all__ = ["SoftBoundsPmaxDevice"]


class SoftBoundsPmaxDevice(SoftBoundsDevice):
    r"""Soft bounds by the number of pulses :math:`p_{max}` from one end of a range to the other.

    From :math:`w_0` = ``range_min``, p up pulses lead to

    .. math:: w(p) = w_0 + B\, (1 - e^{-\alpha p}), \qquad
              B = \frac{w_1 - w_0}{1 - e^{-\alpha p_{max}}}

    so that :math:`p_{max}` pulses lead to :math:`w_1` = ``range_max``. Down pulses mirror it, from :math:`w_1` to
    :math:`w_0`. These are the soft bounds :math:`b^+ = w_0 + B`, :math:`b^- = w_1 - B` with steps
    :math:`\Delta w^\pm = (1 - e^{-\alpha}) |b^\pm|` at 0; ``w_max``, ``w_min``, ``dw_min`` and ``up_down`` follow from
    them and cannot be given.
    """

    p_max: int = Field(default=1000, ge=1)
    r"""Pulses from end to end, :math:`p_{max}`."""
    alpha: float = Field(default=0.0005, gt=0.0)
    r"""Curvature :math:`\alpha`: the share of the way to the bound that one pulse makes."""
    range_min: float = -1.0
    """Lower end of the range."""
    range_max: float = 1.0
    """Upper end of the range."""

    def derived(self) -> dict[str, float]:
        """Bounds, step and asymmetry."""
        reach = (self.range_max - self.range_min) / -math.expm1(-self.p_max * self.alpha)
        top, bottom = self.range_min + reach, self.range_max - reach
        up, down = -math.expm1(-self.alpha) * top, math.expm1(-self.alpha) * bottom
        if not bottom < 0.0 < top:
            raise ValueError(
                f"range_min = {self.range_min:g} and range_max = {self.range_max:g} lead to bounds {bottom:g} and"
                f" {top:g}: 0 must lie between them. Move the range, or give a smaller alpha or p_max"
            )
        asymmetry = 1.0 - down / up if down < up else up / down - 1.0
        return {"w_max": top, "w_min": bottom, "dw_min": max(up, down), "up_down": asymmetry}

    def mirrored(self) -> SoftBoundsPmaxDevice:
        """See :meth:`PulsedDevice.mirrored`."""
        mirror: SoftBoundsPmaxDevice = super().mirrored().replaced(range_min=-self.range_max, range_max=-self.range_min)
        return mirror

    def check(self) -> None:
        """See :meth:`PulsedDevice.check`."""
        super().check()
        require(
            not (self.reverse_up or self.reverse_down),
            f"{type(self).__name__}: reverse_up and reverse_down contradict the given curve. Use SoftBoundsDevice.",
        )
