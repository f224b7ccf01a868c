"""A device whose step does not depend on its weight."""

from ohmgrad.devices.base import PulsedDevice
from ohmgrad.words import clip, where

__all__ = ["ConstantStepDevice"]


class ConstantStepDevice(PulsedDevice):
    r"""Constant steps between hard bounds.

    .. math:: w \leftarrow \mathrm{clip}\big(w \pm \Delta w^\pm_{ij} (1 + \sigma \xi),\ b^-_{ij},\ b^+_{ij}\big)

    (Gokmen and Vlasov 2016.)
    """

    @staticmethod
    def law(w, up, noise, dwmin_up, dwmin_down, min_bound, max_bound, dw_min_std):  # type: ignore[no-untyped-def]
        """One pulse."""
        step = where(up, dwmin_up, -dwmin_down)
        return clip(w + step * (1.0 + dw_min_std * noise), min_bound, max_bound)
