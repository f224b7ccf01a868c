"""Arrays of cells made of several devices: a weighted sum of arrays."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ohmgrad.engine.array import CellArray
from ohmgrad.engine.base_array import Array, hidden_of
from ohmgrad.engine.draws import Draws


class CompositeArray(Array):
    r"""Several arrays whose weights are read together, :math:`W = \sum_k \gamma_k w_k`.

    :param arrays: the arrays :math:`w_k`; :param gammas: their weights :math:`\gamma_k`.
    :param granularity: step that the pulse generator counts with.
    """

    shown: Tensor

    def __init__(self, index: int, arrays: Sequence[Array], gammas: list[float], granularity: float) -> None:
        super().__init__(index, arrays[0].columns_are_slices)
        self.arrays = nn.ModuleList(arrays)
        self.gammas = gammas
        self.granularity = granularity
        self.register_buffer("shown", torch.zeros_like(self.parts()[0].visible()), persistent=False)

    def parts(self) -> list[Array]:
        """The arrays that it is made of."""
        return [array for array in self.arrays if isinstance(array, Array)]

    def cells(self) -> list[CellArray]:
        """See :meth:`Array.cells`."""
        return [cells for array in self.parts() for cells in array.cells()]

    def counts_on_host(self) -> bool:
        """See :meth:`Array.counts_on_host`."""
        return any(array.counts_on_host() for array in self.parts())

    @property
    def weight_granularity(self) -> float:
        """See :attr:`Array.weight_granularity`."""
        return self.granularity

    def visible(self) -> Tensor:
        """The sum; worked out anew at every call, in the same memory."""
        self.shown.zero_()
        for gamma, array in zip(self.gammas, self.parts(), strict=True):
            if gamma != 0.0:
                self.shown.add_(array.visible(), alpha=gamma)
        return self.shown

    def hidden(self) -> OrderedDict[str, Tensor]:
        """See :meth:`Array.hidden`; those of device k have the suffix ``_k``."""
        return hidden_of(self.parts())

    def decay(self, alpha: float, draws: Draws) -> None:
        """See :meth:`Array.decay`."""
        for array in self.parts():
            array.decay(alpha, draws)

    def diffuse(self, draws: Draws) -> None:
        """See :meth:`Array.diffuse`."""
        for array in self.parts():
            array.diffuse(draws)

    def drift(self, delta_t: float, draws: Draws) -> None:
        """See :meth:`Array.drift`."""
        for array in self.parts():
            array.drift(delta_t, draws)

    def clip(self, limit: float, draws: Draws) -> None:
        """See :meth:`Array.clip`; the limit holds for every device."""
        for array in self.parts():
            array.clip(limit, draws)

    def reset_columns(self, columns: Tensor, probability: float, draws: Draws) -> None:
        """See :meth:`Array.reset_columns`."""
        for array in self.parts():
            array.reset_columns(columns, probability, draws)
