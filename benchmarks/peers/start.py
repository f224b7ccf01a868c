"""The same cells and the same weights in tiles of both libraries."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from peers.cases import OURS
from peers.library import Library


class Start:
    """Makes tiles that are all alike; ours draws the cells, and leaves them in a file for the other.

    :param size: lines of the square array; :param rpu_config: of the library; :param shared: the file.
    """

    def __init__(self, library: Library, size: int, rpu_config: Any, shared: Path) -> None:
        self.library, self.size, self.rpu_config = library, size, rpu_config
        self.weights = 0.05 * (2 * torch.rand(size, size) - 1)
        if library.name == OURS:
            tile = library.tile(size, size, rpu_config)
            tile.set_weights(self.weights)
            torch.save(dict(tile.get_hidden_parameters()), shared)
        self.hidden = torch.load(shared)

    def tile(self) -> Any:
        """A new tile; what it draws from now on is its own."""
        tile = self.library.tile(self.size, self.size, self.rpu_config)
        own = tile.get_hidden_parameters()
        tile.set_hidden_parameters(type(own)((name, self.hidden[name]) for name in own))
        if "hidden_weights_0" not in own:
            tile.set_weights(self.weights)
        return tile
