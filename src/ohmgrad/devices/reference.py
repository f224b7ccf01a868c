"""Devices that are read against a reference conductance of their own."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

import torch
from pydantic import Field
from torch import Tensor

from ohmgrad.devices.base import PulsedDevice, Sampler

REFERENCE = 24
"""Purpose number of the reference."""


class ReferenceDevice(PulsedDevice, ABC):
    r"""What devices with a reference share: the weight is :math:`v = G - G_{ref}`, with G within the bounds.

    There is one frame. Bounds hold for :math:`G = v + G_{ref}` in every operation, and reset and decay lead to
    :math:`v = 0` plus the reset bias.
    """

    reference_mean: float = 0.0
    """Mean of the reference (absolute)."""
    reference_std: float = Field(default=0.0, ge=0.0)
    """Standard deviation of the reference over cells (absolute)."""
    subtract_symmetry_point: bool = False
    """Add the symmetric point of each cell to its reference, so that the weight is 0 there."""

    def limits(self, cells: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """See :meth:`PulsedDevice.limits`: the bounds as seen from the reference."""
        return cells["min_bound"] - cells["reference"], cells["max_bound"] - cells["reference"]

    @abstractmethod
    def symmetry_points(self, cells: Mapping[str, Tensor]) -> Tensor:
        """Where the steps up and down are equal, as a conductance ``[out, in]``; bounds are on both sides of 0."""

    def with_reference(self, cells: dict[str, Tensor], draw: Sampler) -> dict[str, Tensor]:
        """Cells with their ``reference``."""
        reference = self.reference_mean + self.reference_std * draw.normal(REFERENCE)
        if self.subtract_symmetry_point:
            straddles = (cells["min_bound"] < 0.0) & (cells["max_bound"] > 0.0)
            reference = reference + torch.where(straddles, self.symmetry_points(cells), 0.0)
        return cells | {"reference": reference}
