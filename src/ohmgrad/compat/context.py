"""The visible weight of a tile by the name of aihwkit, as optimizers are given it."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

from torch import Tensor

from ohmgrad.compat.errors import TileModuleError
from ohmgrad.weight import AnalogWeight, DigitalWeight

if TYPE_CHECKING:
    from ohmgrad.compat.tiles import AnalogTile


class AnalogContext:
    """Mixed into the visible weight of a tile, as optimizers are given it."""

    _owner: weakref.ref[AnalogTile] | None = None
    use_torch_update = False
    use_indexed = False

    @property
    def analog_tile(self) -> AnalogTile:
        """The tile that this is the weight of."""
        owner = None if self._owner is None else self._owner()
        if owner is None:
            raise TileModuleError("This analog weight has lost its tile. Keep the layer it came from alive.")
        return owner

    @property
    def analog_input(self) -> list[Tensor]:
        """The inputs that wait for the optimizer."""
        return [x for x, _ in self.analog_tile.cells._trace]

    @property
    def analog_grad_output(self) -> list[Tensor]:
        """The output gradients that wait for the optimizer."""
        return [d for _, d in self.analog_tile.cells._trace]

    def has_gradient(self) -> bool:
        """Whether anything waits for the optimizer."""
        return bool(self.analog_tile.cells._trace)

    def reset(self, analog_tile: Any = None) -> None:
        """Drop what waits for the optimizer."""
        self.analog_tile.cells.forget()

    def enable_data_view(self) -> None:
        """Nothing: the weight can always be read."""

    def enable_placeholder(self) -> None:
        """Nothing: the weight can always be read."""


class PulsedWeight(AnalogContext, AnalogWeight):
    """Of a tile that learns by pulses."""


class SharedWeight(AnalogContext, DigitalWeight):
    """Of a tile that is trained digitally."""

    use_torch_update = True
