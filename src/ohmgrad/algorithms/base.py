"""What every learning rule offers to a tile."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import OrderedDict

import torch
from torch import Tensor, nn

from ohmgrad.cells.base import UnitCell
from ohmgrad.engine.array import CellArray
from ohmgrad.engine.base_array import Array
from ohmgrad.engine.draws import Draws
from ohmgrad.engine.site import Site
from ohmgrad.errors import TileError
from ohmgrad.parameters.update import UpdateParameters


class Compound(UnitCell, ABC):
    """A unit cell with a learning rule of its own.

    A rule of your own is a subclass with its parameters, whose :meth:`build` returns a :class:`Rule`.
    """

    @abstractmethod
    def build(self, site: Site) -> Rule:
        """The rule and its arrays on the crossbar of a tile; the tile has called :meth:`check` before."""


class Rule(nn.Module, ABC):
    """A learning rule and its state: how gradients change the arrays of a tile, and what the tile shows of them.

    Everything a rule remembers is a buffer, so PyTorch saves, loads, copies and moves it exactly.
    """

    arrays: nn.ModuleList

    @abstractmethod
    def update(self, x: Tensor, d: Tensor, rate: float, up: UpdateParameters, draws: Draws) -> None:
        """Learn from a batch.

        :param x: inputs ``[n, in]``; :param d: gradients of the outputs ``[n, out]``; :param rate: learning rate,
            above 0; :param up: how gradients become pulses.
        """

    @abstractmethod
    def visible(self) -> Tensor:
        """The weight that forward and backward see, ``[out, in]``; shares memory with an array where it can."""

    @abstractmethod
    def set_weights(self, weights: Tensor, draws: Draws) -> None:
        """Start anew from the given visible weights (within the bounds of the cells)."""

    def all_arrays(self) -> list[Array]:
        """The arrays, the one that gradients reach first."""
        return [array for array in self.arrays if isinstance(array, Array)]

    def cells(self) -> list[CellArray]:
        """The arrays of single cells that all arrays are made of."""
        return [cells for array in self.all_arrays() for cells in array.cells()]

    def decays(self) -> bool:
        """Whether any cell decays with time."""
        return any(cells.device_config.lifetime > 0.0 for cells in self.cells())

    def diffuses(self) -> bool:
        """Whether any cell diffuses with time."""
        return any(cells.device_config.diffusion > 0.0 for cells in self.cells())

    def decay(self, alpha: float, draws: Draws) -> None:
        """One step of decay of the cells that have a lifetime."""
        for array in self.all_arrays():
            array.decay(alpha, draws)

    def diffuse(self, draws: Draws) -> None:
        """One step of the random walk of the cells that diffuse."""
        for array in self.all_arrays():
            array.diffuse(draws)

    def drift(self, delta_t: float, draws: Draws) -> None:
        """Let time pass for the cells that drift."""
        for array in self.all_arrays():
            array.drift(delta_t, draws)

    def clip(self, limit: float, draws: Draws) -> None:
        """Clip all cells to their bounds and to ``[-limit, limit]`` (only bounds if negative)."""
        for array in self.all_arrays():
            array.clip(limit, draws)

    def reset_columns(self, columns: Tensor, probability: float, draws: Draws) -> None:
        """Reset cells in some columns of every array."""
        for array in self.all_arrays():
            array.reset_columns(columns, probability, draws)

    def state(self) -> dict[str, Tensor]:
        """The rule's own state (counters, choppers, averages) by name; empty if it has none."""
        return {}

    def hidden(self) -> OrderedDict[str, Tensor]:
        """Hidden parameters by name, in order; the tensors ``[out, in]`` themselves, not copies."""
        return OrderedDict()

    def set_hidden(self, values: dict[str, Tensor]) -> None:
        """Restore hidden parameters exactly.

        :raises TileError: if a name is missing or unknown, or a shape differs; nothing is changed then.
        """
        mine = self.hidden()
        if set(values) != set(mine):
            odd = sorted(set(values) ^ set(mine))
            raise TileError(f"Hidden parameters differ: {', '.join(odd)}. This tile has: {', '.join(mine)}.")
        given = {name: torch.as_tensor(value) for name, value in values.items()}
        for name, tensor in mine.items():
            if given[name].shape != tensor.shape:
                raise TileError(
                    f"Hidden parameter {name!r} has shape {tuple(given[name].shape)};"
                    f" this tile needs {tuple(tensor.shape)}."
                )
        for name, tensor in mine.items():
            tensor.copy_(given[name])
