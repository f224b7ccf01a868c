"""Devices whose step is a linear function of the weight: LinearStep and soft bounds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ohmgrad.devices.base import Sampler, WriteNoiseDevice, require
from ohmgrad.words import clip, where

__all__ = ["LinearStepDevice", "SoftBoundsDevice"]


def _multiplicative_law(  # type: ignore[no-untyped-def]
    w, up, noise, dwmin_up, dwmin_down, slope_up, slope_down, min_bound, max_bound, dw_min_std
):
    step = where(up, slope_up * w + dwmin_up, -(slope_down * w + dwmin_down))
    return clip(w + step * (1.0 + dw_min_std * noise), min_bound, max_bound)


def _additive_law(  # type: ignore[no-untyped-def]
    w, up, noise, dwmin_up, dwmin_down, slope_up, slope_down, min_bound, max_bound, dw_min_std
):
    spread = dw_min_std * noise
    step = where(up, slope_up * w + dwmin_up * (1.0 + spread), -(slope_down * w + dwmin_down * (1.0 + spread)))
    return clip(w + step, min_bound, max_bound)


class LinearDevice(WriteNoiseDevice):
    """What LinearStep and soft bounds share: the law, and slopes towards a bound."""

    mult_noise: bool = True
    """Whether the pulse noise multiplies the whole step, or only its constant part."""
    reverse_up: bool = False
    """The up step grows towards the upper bound instead of shrinking."""
    reverse_down: bool = False
    """The down step grows towards the lower bound instead of shrinking."""
    reverse_offset: float = 0.01
    """Offset of the reference of a reversed slope (absolute)."""

    @property
    def law(self) -> Callable[..., Any]:  # type: ignore[override]
        """One pulse, with noise on the whole step or on its constant part only."""
        return _multiplicative_law if self.mult_noise else _additive_law

    def check(self) -> None:
        """Reversed slopes need multiplicative noise."""
        super().check()
        require(
            self.mult_noise or not (self.reverse_up or self.reverse_down),
            f"{type(self).__name__}: reverse_up and reverse_down need mult_noise=True, which is False.",
        )

    def mirrored_cells(self, cells: dict[str, Tensor]) -> dict[str, Tensor]:
        """See :meth:`PulsedDevice.mirrored_cells`; a slope changes its sign."""
        mirrored = super().mirrored_cells(cells)
        return mirrored | {name: -mirrored[name] for name in ("slope_up", "slope_down")}

    def _slopes(
        self, cells: dict[str, Tensor], gamma_up: Tensor | float, gamma_down: Tensor | float, mean_bounds: bool
    ) -> dict[str, Tensor]:
        """``slope = -gamma * step / reference``; the reference is the bound the step shrinks towards."""
        like = torch.ones_like(cells["max_bound"])
        top = self.w_max * like if mean_bounds else cells["max_bound"]
        bottom = self.w_min * like if mean_bounds else cells["min_bound"]
        reference_up = bottom - self.reverse_offset if self.reverse_up else top
        reference_down = top + self.reverse_offset if self.reverse_down else bottom

        def slope(gamma: Tensor | float, step: Tensor, reference: Tensor) -> Tensor:
            return torch.where(reference == 0.0, 0.0, -gamma * step / torch.where(reference == 0.0, 1.0, reference))

        return {
            "slope_up": slope(gamma_up, cells["dwmin_up"], reference_up),
            "slope_down": slope(gamma_down, cells["dwmin_down"], reference_down),
        }


class LinearStepDevice(LinearDevice):
    r"""Steps that change linearly with the weight.

    .. math:: w \leftarrow w + (s^+ w + \Delta w^+)(1 + \sigma\xi), \qquad
              w \leftarrow w - (s^- w + \Delta w^-)(1 + \sigma\xi), \qquad
              s^\pm = -\gamma^\pm \Delta w^\pm / b^\pm

    then clipped to the bounds of the cell.
    """

    gamma_up: float = 0.0
    r"""Relative reduction of the up step at the upper bound, :math:`\gamma^+`."""
    gamma_down: float = 0.0
    r"""Relative reduction of the down step at the lower bound, :math:`\gamma^-`."""
    gamma_up_dtod: float = 0.05
    """Standard deviation of ``gamma_up`` over cells (absolute)."""
    gamma_down_dtod: float = 0.05
    """Standard deviation of ``gamma_down`` over cells (absolute)."""
    allow_increasing: bool = False
    """Keep the sign of a sampled gamma; else its magnitude is used."""
    mean_bound_reference: bool = True
    """Refer the slopes to the mean bounds instead of the bounds of the cell."""

    def sample(self, draw: Sampler) -> dict[str, Tensor]:
        """Cells with ``slope_up`` and ``slope_down``."""
        cells = super().sample(draw)
        gamma_up = self.gamma_up + self.gamma_up_dtod * draw.normal(16)
        gamma_down = self.gamma_down + self.gamma_down_dtod * draw.normal(17)
        if not self.allow_increasing:
            gamma_up, gamma_down = gamma_up.abs(), gamma_down.abs()
        return cells | self._slopes(cells, gamma_up, gamma_down, self.mean_bound_reference)


class SoftBoundsDevice(LinearDevice):
    r"""Steps that vanish at the bounds of the cell.

    .. math:: w \leftarrow w + \Delta w^+ (1 - w / b^+)(1 + \sigma\xi), \qquad
              w \leftarrow w - \Delta w^- (1 - w / b^-)(1 + \sigma\xi)

    The symmetric point of a cell, where up and down step are equal, is
    :math:`w_\diamond = (\Delta w^+ - \Delta w^-) / (\Delta w^+/b^+ - \Delta w^-/b^-)`.
    """

    def sample(self, draw: Sampler) -> dict[str, Tensor]:
        """Cells with ``slope_up`` and ``slope_down``."""
        cells = super().sample(draw)
        return cells | self._slopes(cells, 1.0, 1.0, mean_bounds=False)
