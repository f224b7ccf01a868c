"""A transfer that remembers what it read: digital matrices of the shape of the weight."""

from __future__ import annotations

from abc import abstractmethod
from collections import OrderedDict
from collections.abc import Callable

import torch
from torch import Tensor

from ohmgrad.algorithms.transfer import Transfer, TransferCompound
from ohmgrad.engine.draws import Draws
from ohmgrad.engine.kept import Kept, places_of
from ohmgrad.engine.site import Site


class MatrixTransfer(Transfer):
    """The frame of rules with digital matrices ``[out, in]``, which begin with 0 and are hidden parameters."""

    def __init__(self, config: TransferCompound, site: Site) -> None:
        super().__init__(config, site)
        for name in self.buffer_names():
            self.register_buffer(name, torch.zeros_like(self.all_arrays()[0].visible()))
        self._rows: Kept[tuple[Tensor, ...]] = Kept()

    @abstractmethod
    def buffer_names(self) -> list[str]:
        """Names of the digital matrices ``[out, in]``, in the order of hidden parameters."""

    def rows_of(self, *names: str) -> tuple[Tensor, ...]:
        """Digital matrices as ``[slices, lanes]`` (views, on the processor kept)."""
        matrices = [self.known(name) for name in names]

        def views() -> tuple[Tensor, ...]:
            return tuple(map(self.all_arrays()[0].by_slice, matrices))

        return self._rows.of(places_of(matrices), views) if matrices[0].is_cpu else views()

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> MatrixTransfer:
        self._rows.forget()  # it holds the memory that the matrices may leave
        super()._apply(fn, recurse)
        return self

    def set_weights(self, weights: Tensor, draws: Draws) -> None:
        """As in TTv1; the digital matrices start from 0 too."""
        super().set_weights(weights, draws)
        for name in self.buffer_names():
            self.get_buffer(name).zero_()

    def hidden(self) -> OrderedDict[str, Tensor]:
        """See :meth:`Rule.hidden`; the digital matrices come last."""
        hidden = super().hidden()
        hidden.update((name, self.get_buffer(name)) for name in self.buffer_names())
        return hidden
