"""Devices that papers give by response functions, in their own normalisation."""

from __future__ import annotations

from pydantic import Field

from ohmgrad.devices.base import WriteNoiseDevice
from ohmgrad.words import clip, exp, maximum, power, where

__all__ = [
    "ExponentialResponseDevice",
    "FadingResponseDevice",
    "LinearResponseDevice",
    "PowerResponseDevice",
]


class ResponseDevice(WriteNoiseDevice):
    r"""A device given by its response functions :math:`q_\pm(w)` and bounds :math:`\pm\tau`.

    .. math:: w \leftarrow w \pm \Delta w_{min} \big(q_\pm(w) + \sigma_c \xi\big)

    As in the papers, cells are alike and pulses without noise unless asked for. ``w_max`` and ``w_min`` follow from
    ``tau``; with ``w_max_dtod`` or ``w_min_dtod`` every cell has its own :math:`\tau^\pm`.
    """

    tau: float = Field(default=1.0, gt=0.0)
    r"""Where the response vanishes, :math:`\tau` (absolute)."""
    dw_min_dtod: float = 0.0
    dw_min_std: float = Field(default=0.0, ge=0.0)
    r"""Noise of the step from pulse to pulse, :math:`\sigma_c`, in units of ``dw_min``."""
    up_down_dtod: float = 0.0
    w_max_dtod: float = 0.0
    w_min_dtod: float = 0.0

    def derived(self) -> dict[str, float]:
        r"""The bounds :math:`\pm\tau`."""
        return {"w_max": self.tau, "w_min": -self.tau}


def _fill(w, up, min_bound, max_bound):  # type: ignore[no-untyped-def]
    r"""How far the weight is on its way, :math:`\pm w/\tau`."""
    bound = where(up, max_bound, min_bound)
    return where(bound == 0.0, 1.0, w / where(bound == 0.0, 1.0, bound))


def _moved(w, up, q, noise, dwmin_up, dwmin_down, min_bound, max_bound, dw_min_std):  # type: ignore[no-untyped-def]
    return clip(w + where(up, dwmin_up, -dwmin_down) * (q + dw_min_std * noise), min_bound, max_bound)


class LinearResponseDevice(ResponseDevice):
    r"""The generic linear response, :math:`q_\pm = (1 \pm c)(1 \mp w/\tau)`.

    Its symmetric point is :math:`c\tau`. (``up_down=c`` of :class:`SoftBoundsDevice` is another device, whose symmetric
    point is :math:`c\tau/(2 - c)`.)

    Z. Wu et al., NeurIPS 2025.
    """

    offset: float = Field(default=0.0, gt=-1.0, lt=1.0)
    """Asymmetry c of the steps at 0."""

    @staticmethod
    def law(w, up, noise, dwmin_up, dwmin_down, min_bound, max_bound, dw_min_std, offset):  # type: ignore[no-untyped-def]
        """One pulse."""
        q = where(up, 1.0 + offset, 1.0 - offset) * (1.0 - _fill(w, up, min_bound, max_bound))
        return _moved(w, up, q, noise, dwmin_up, dwmin_down, min_bound, max_bound, dw_min_std)

    def mirrored(self) -> LinearResponseDevice:
        """See :meth:`PulsedDevice.mirrored`."""
        mirror: LinearResponseDevice = super().mirrored().replaced(offset=-self.offset)
        return mirror


class PowerResponseDevice(ResponseDevice):
    r"""The power response, :math:`q_\pm = (1 \mp w/\tau)^{\gamma_{res}}`.

    Z. Wu et al., NeurIPS 2025.
    """

    gamma_res: float = Field(default=1.0, ge=0.0)
    r"""Exponent :math:`\gamma_{res}`."""

    @staticmethod
    def law(w, up, noise, dwmin_up, dwmin_down, min_bound, max_bound, dw_min_std, gamma_res):  # type: ignore[no-untyped-def]
        """One pulse."""
        q = power(maximum(1.0 - _fill(w, up, min_bound, max_bound), 0.0), gamma_res)
        return _moved(w, up, q, noise, dwmin_up, dwmin_down, min_bound, max_bound, dw_min_std)


class ExponentialResponseDevice(ResponseDevice):
    r"""The exponential response.

    .. math:: q_\pm = (e^{\gamma_{res}(1 \mp w/\tau)} - 1) / (e^{\gamma_{res}} - 1)

    Z. Wu et al., NeurIPS 2025.
    """

    gamma_res: float = Field(default=1.0, ge=1e-3, le=80.0)
    r"""Steepness :math:`\gamma_{res}`."""

    @staticmethod
    def law(w, up, noise, dwmin_up, dwmin_down, min_bound, max_bound, dw_min_std, gamma_res):  # type: ignore[no-untyped-def]
        """One pulse."""
        end = exp(-gamma_res)  # numerator and denominator times this: no exponential of a large number
        q = (exp(-gamma_res * _fill(w, up, min_bound, max_bound)) - end) / (1.0 - end)
        return _moved(w, up, q, noise, dwmin_up, dwmin_down, min_bound, max_bound, dw_min_std)


class FadingResponseDevice(ResponseDevice):
    r"""A response that fades exponentially in its own direction, :math:`q_\pm = e^{\mp\beta w/\tau}`.

    The steps do not vanish at the bounds, which are hard; up and down steps differ by :math:`e^{2\beta}` there.

    D. Querlioz et al., IEEE Trans. Nanotechnol. 12, 288 (2013), normalised to :math:`q_\pm(0) = 1`.
    """

    beta: float = Field(default=1.0, ge=0.0)
    r"""How fast the response fades, :math:`\beta`."""

    @staticmethod
    def law(w, up, noise, dwmin_up, dwmin_down, min_bound, max_bound, dw_min_std, beta):  # type: ignore[no-untyped-def]
        """One pulse."""
        q = exp(-beta * _fill(w, up, min_bound, max_bound))
        return _moved(w, up, q, noise, dwmin_up, dwmin_down, min_bound, max_bound, dw_min_std)
