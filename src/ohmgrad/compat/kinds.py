"""Which tile a configuration means, as attributes of configurations that scripts read."""

from __future__ import annotations

from typing import Any

from ohmgrad.compat.array import TileModuleArray
from ohmgrad.compat.inference import InferenceTile
from ohmgrad.compat.tiles import AnalogTile, FloatingPointTile
from ohmgrad.configs import FloatingPointRPUConfig, InferenceRPUConfig


def tile_class_of(config: Any) -> type[AnalogTile]:
    """The class of tile that a configuration means."""
    if isinstance(config, FloatingPointRPUConfig):
        return FloatingPointTile
    return InferenceTile if isinstance(config, InferenceRPUConfig) else AnalogTile


class KnowsTiles:
    """Mixed into configurations."""

    @property
    def tile_class(self) -> type[AnalogTile]:
        """The class of its tiles."""
        return tile_class_of(self)

    @property
    def tile_array_class(self) -> type[TileModuleArray]:
        """The class of arrays of its tiles."""
        return TileModuleArray

    def create_tile(self, *arguments: Any, **named: Any) -> AnalogTile:
        """A tile of this configuration."""
        kind: Any = self.tile_class
        tile: AnalogTile = kind(*arguments, rpu_config=self, **named)
        return tile
