"""Devices whose step is given at points of the range, such as measured ones."""

from __future__ import annotations

from pydantic import Field

from ohmgrad.devices.base import WriteNoiseDevice, require
from ohmgrad.words import clip, interpolate, where

__all__ = ["PiecewiseStepDevice"]


class PiecewiseStepDevice(WriteNoiseDevice):
    r"""Steps that are interpolated between equally spaced nodes from the lower to the upper bound of the cell.

    .. math:: w \leftarrow w \pm \Delta w^\pm f^\pm\!\Big(\frac{w - b^-}{b^+ - b^-}\Big) (1 + \sigma\xi)

    with :math:`f^\pm` linear between the nodes.
    """

    piecewise_up: list[float] = Field(default_factory=lambda: [1.0])
    """Up steps at the nodes, lower bound first, in units of the step of the cell."""
    piecewise_down: list[float] = Field(default_factory=lambda: [1.0])
    """Down steps at the nodes, lower bound first, in units of the step of the cell; as many."""

    @property
    def weight_granularity(self) -> float:
        """The up step at the middle node."""
        middle = self.piecewise_up[len(self.piecewise_up) // 2] if self.piecewise_up else 1.0
        return self.dw_min * middle

    def check(self) -> None:
        """See :meth:`PulsedDevice.check`."""
        up, down = len(self.piecewise_up), len(self.piecewise_down)
        require(
            up == down > 0,
            f"{type(self).__name__}: piecewise_up has {up} nodes and piecewise_down {down}. Give as many, at least 1.",
        )
        require(
            self.weight_granularity > 0.0,
            f"{type(self).__name__}.piecewise_up is {self.weight_granularity / self.dw_min:g} at its middle node, which"
            " the pulse generator counts with. Give a positive number there.",
        )
        super().check()

    @staticmethod
    def law(  # type: ignore[no-untyped-def]
        w, up, noise, dwmin_up, dwmin_down, min_bound, max_bound, piecewise_up, piecewise_down, dw_min_std
    ):
        """One pulse."""
        width = max_bound - min_bound
        place = where(width > 0.0, (w - min_bound) / where(width > 0.0, width, 1.0), 0.0)
        rise, fall = dwmin_up * interpolate(piecewise_up, place), dwmin_down * interpolate(piecewise_down, place)
        return clip(w + where(up, rise, -fall) * (1.0 + dw_min_std * noise), min_bound, max_bound)

    def mirrored(self) -> PiecewiseStepDevice:
        """See :meth:`PulsedDevice.mirrored`; the nodes are seen from the other side."""
        mirror: PiecewiseStepDevice = (
            super().mirrored().replaced(piecewise_up=self.piecewise_down[::-1], piecewise_down=self.piecewise_up[::-1])
        )
        return mirror
