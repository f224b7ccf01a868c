"""The two libraries behind one surface. Their names are the same on purpose; what is not is here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from torch import Tensor

from peers.cases import OURS

CHANGING = ("hidden_weights", "buffered_FP_weight", "running_mean_weight", "past_mean_weight")
"""How the names of hidden parameters begin that an update may change."""


@dataclass(frozen=True)
class Library:
    """What a comparison needs of a library."""

    name: str
    configs: Any
    """The module that holds every configuration, device and compound."""
    tile: Any
    linear: Any
    sgd: Any
    weights: Callable[[Any], Tensor]
    """The visible weight of a tile, ``[out, in]``."""
    tile_of: Callable[[Any], Any]
    """The tile of a layer."""

    def one_array(self, rpu_config: Any) -> Any:
        """The configuration for layers that are one array, however large; aihwkit cuts them at 512 lines."""
        for field in ("max_input_size", "max_output_size"):
            if hasattr(rpu_config.mapping, field):
                setattr(rpu_config.mapping, field, 0)
        return rpu_config

    def arrays(self, tile: Any) -> dict[str, Tensor]:
        """What an update may change, by name: the visible weight, and what is hidden."""
        hidden = tile.get_hidden_parameters()
        shown = {name: values for name, values in hidden.items() if name.startswith(CHANGING)}
        return {name: values.detach().clone() for name, values in {"weight": self.weights(tile), **shown}.items()}


def library(name: str) -> Library:
    """Import one of the two, with all that a script needs."""
    if name == OURS:
        return Library(
            name,
            import_module("ohmgrad.configs"),
            import_module("ohmgrad.tile").AnalogTile,
            import_module("ohmgrad.nn").AnalogLinear,
            import_module("ohmgrad.optim").AnalogSGD,
            lambda tile: tile.get_weights(),
            lambda layer: layer.tile,
        )
    return Library(
        name,
        import_module("aihwkit.simulator.configs"),
        import_module("aihwkit.simulator.tiles.analog").AnalogTile,
        import_module("aihwkit.nn").AnalogLinear,
        import_module("aihwkit.optim").AnalogSGD,
        lambda tile: tile.get_weights()[0],
        lambda layer: next(iter(layer.analog_tiles())),
    )
