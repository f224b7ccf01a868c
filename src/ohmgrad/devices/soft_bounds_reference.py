"""Soft bounds, read against a reference."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from ohmgrad.devices.base import Sampler, WriteNoiseDevice
from ohmgrad.devices.reference import ReferenceDevice
from ohmgrad.words import clip, where

__all__ = ["SoftBoundsReferenceDevice"]


def _response(g, up, dwmin_up, dwmin_down, min_bound, max_bound):  # type: ignore[no-untyped-def]
    """The step without noise, and the step at 0."""
    filled_up, filled_down = where(max_bound > 0.0, g / max_bound, 0.0), where(min_bound < 0.0, g / min_bound, 0.0)
    whole = where(up, dwmin_up, -dwmin_down)
    return whole * (1.0 - where(up, filled_up, filled_down)), whole


def _multiplicative_law(  # type: ignore[no-untyped-def]
    w, up, noise, dwmin_up, dwmin_down, min_bound, max_bound, reference, dw_min_std
):
    g = w + reference
    step, _ = _response(g, up, dwmin_up, dwmin_down, min_bound, max_bound)
    return clip(g + step * (1.0 + dw_min_std * noise), min_bound, max_bound) - reference


def _additive_law(  # type: ignore[no-untyped-def]
    w, up, noise, dwmin_up, dwmin_down, min_bound, max_bound, reference, dw_min_std
):
    g = w + reference
    step, whole = _response(g, up, dwmin_up, dwmin_down, min_bound, max_bound)
    return clip(g + step + whole * dw_min_std * noise, min_bound, max_bound) - reference


class SoftBoundsReferenceDevice(ReferenceDevice, WriteNoiseDevice):
    r"""Soft bounds of a conductance :math:`G = w + G_{ref}`, of which a reference is subtracted.

    .. math:: G \leftarrow G + \Delta w^+ (1 - G / b^+ + \sigma\xi), \qquad
              G \leftarrow G - \Delta w^- (1 - G / b^- + \sigma\xi)

    With ``mult_noise`` the noise multiplies the step, :math:`\Delta w^\pm (1 - G / b^\pm)(1 + \sigma\xi)`. The
    symmetric point is :math:`G_\diamond = (\Delta w^+ - \Delta w^-) / (\Delta w^+/b^+ - \Delta w^-/b^-)`.
    """

    mult_noise: bool = False
    """Whether the pulse noise multiplies the whole step, or adds to it."""
    slope_up_dtod: float = 0.0
    """Variation of the slope of the up step; the step at 0 stays, so the upper bound moves."""
    slope_down_dtod: float = 0.0
    """Variation of the slope of the down step; the step at 0 stays, so the lower bound moves."""

    @property
    def law(self) -> Callable[..., Any]:  # type: ignore[override]
        """One pulse."""
        return _multiplicative_law if self.mult_noise else _additive_law

    def sample(self, draw: Sampler) -> dict[str, Tensor]:
        """Cells with ``reference``."""
        cells = super().sample(draw)
        lower, upper = cells["min_bound"], cells["max_bound"]
        straddles = (lower < 0.0) & (upper > 0.0)
        steeper_down = (1.0 + self.slope_down_dtod * draw.normal(16)).abs()
        steeper_up = (1.0 + self.slope_up_dtod * draw.normal(17)).abs()
        cells["min_bound"] = torch.where(straddles, lower / steeper_down, lower)
        cells["max_bound"] = torch.where(straddles, upper / steeper_up, upper)
        return self.with_reference(cells, draw)

    def symmetry_points(self, cells: Mapping[str, Tensor]) -> Tensor:
        """See :meth:`ReferenceDevice.symmetry_points`."""
        up, down = cells["dwmin_up"], cells["dwmin_down"]
        slope = up / cells["max_bound"] - down / cells["min_bound"]
        return torch.where(slope == 0.0, 0.0, (up - down) / torch.where(slope == 0.0, 1.0, slope))
