"""Several tiles for one layer, by the name of aihwkit."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

import torch
from torch import Tensor, nn

from ohmgrad.compat.tiles import AnalogTile, Weights
from ohmgrad.configs import RPUConfig
from ohmgrad.nn.matrix import pieces


class TileModuleArray(nn.Module):
    """Tiles of about equal sizes for a layer that is larger than one: ``array[i][j]``, i in inputs, j in outputs."""

    def __init__(
        self,
        out_size: int,
        in_size: int,
        rpu_config: RPUConfig,
        bias: bool = False,
        tile_class: type[AnalogTile] | None = None,
    ) -> None:
        super().__init__()
        mapping, kind = rpu_config.mapping, tile_class or AnalogTile
        self.out_size, self.in_size, self.rpu_config = out_size, in_size, rpu_config
        self.in_sizes = pieces(in_size, mapping.max_input_size)
        self.out_sizes = pieces(out_size, mapping.max_output_size)
        self.array = nn.ModuleList(
            nn.ModuleList(kind(rows, columns, rpu_config) for rows in self.out_sizes) for columns in self.in_sizes
        )
        self.bias = nn.Parameter(torch.zeros(out_size)) if bias else None

    def _tiles(self) -> list[list[AnalogTile]]:
        return [list(cast("Iterable[AnalogTile]", tiles)) for tiles in self.array]

    def forward(self, x: Tensor) -> Tensor:
        """``[..., in]`` to ``[..., out]``."""
        parts = zip(x.split(self.in_sizes, -1), self._tiles(), strict=True)
        first, *others = [torch.cat([tile(part) for tile in tiles], -1) for part, tiles in parts]
        y = sum(others, first)
        return y if self.bias is None else y + self.bias

    def get_weights(self, **how: Any) -> Weights:
        """Copies of the weight ``[out, in]`` and the bias."""
        columns = [torch.cat([tile.get_weights(**how)[0] for tile in tiles]) for tiles in self._tiles()]
        return torch.cat(columns, 1), None if self.bias is None else self.bias.detach().cpu().clone()

    @torch.no_grad()
    def set_weights(self, weight: Any, bias: Any = None, **how: Any) -> None:
        """Set weight and bias within the bounds of the cells."""
        flat = torch.as_tensor(weight, dtype=torch.float32).detach().reshape(self.out_size, self.in_size)
        for part, tiles in zip(flat.split(self.in_sizes, 1), self._tiles(), strict=True):
            for rows, tile in zip(part.split(self.out_sizes), tiles, strict=True):
                tile.set_weights(rows, **how)
        if bias is not None and self.bias is not None:
            self.bias.copy_(torch.as_tensor(bias))
