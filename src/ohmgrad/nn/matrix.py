"""The weight of a layer, on as many tiles as it needs."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import cast

import torch
from torch import Tensor, nn

from ohmgrad.configs import RPUConfig
from ohmgrad.errors import ConfigError, TileError
from ohmgrad.nn.block import Block
from ohmgrad.tile import checked_config


class TiledMatrix(nn.Module):
    """A matrix ``[out, in]`` of analog weights, cut into blocks of about equal sizes that fit on a tile.

    Blocks are in the order of groups, in each of their inputs, in each of these of their outputs. Each block has scales
    of its own.

    :param out_features: rows; :param in_features: columns of one group.
    :param rpu_config: of every tile; its ``mapping`` says how large they may be.
    :param has_bias: whether there is an analog bias: one more column, the last, whose input is always 1.
    :param groups: the matrix is block-diagonal: every group of outputs has inputs of its own.
    """

    def __init__(
        self,
        out_features: int,
        in_features: int,
        rpu_config: RPUConfig | None = None,
        has_bias: bool = False,
        groups: int = 1,
    ) -> None:
        super().__init__()
        config = checked_config(rpu_config)
        self.groups, self.has_bias = groups, has_bias
        self.out_sizes = pieces(out_features // groups, config.mapping.max_output_size)
        lines = pieces(in_features + int(has_bias), config.mapping.max_input_size)
        if has_bias:
            lines.reverse()  # the bias lies in the last, which is not the smaller then
        self.in_sizes = [*lines[:-1], lines[-1] - int(has_bias)]
        if len(lines) > 1 and not self.in_sizes[-1]:
            raise ConfigError(
                f"MappingParameter.max_input_size = {config.mapping.max_input_size}: the last tile has no input beside"
                " the analog bias. Allow 2, or set digital_bias=True."
            )
        self._widths = self.in_sizes * groups
        self.blocks = nn.ModuleList(
            Block(rows, columns, config, has_bias and index == len(self.in_sizes) - 1)
            for _ in range(groups)
            for index, columns in enumerate(self.in_sizes)
            for rows in self.out_sizes
        )
        self.is_one_tile = len(self.blocks) == 1 and next(self.each()).is_plain

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns, without those of an analog bias."""
        return self.groups * sum(self.out_sizes), sum(self.in_sizes)

    def each(self) -> Iterator[Block]:
        """The blocks in their order."""
        return cast("Iterator[Block]", iter(self.blocks))

    def forward(self, x: Tensor) -> Tensor:
        """``[..., in]``, of all groups, to ``[..., out]``."""
        if self.is_one_tile:
            # A list of modules makes a string of the number and searches: a tenth of a small product.
            y: Tensor = self._modules["blocks"]._modules["0"]._modules["tile"](x)  # type: ignore[union-attr, misc]
            return y
        if x.shape[-1] != sum(self._widths):
            raise TileError(f"The input has shape {tuple(x.shape)}; its last dimension must be {sum(self._widths)}.")
        outputs: list[Tensor] = []
        blocks, parts = self.each(), x.split(self._widths, -1)
        for group in range(self.groups):
            of_group = parts[group * len(self.in_sizes) :][: len(self.in_sizes)]
            given = [[next(blocks)(part) for _ in self.out_sizes] for part in of_group]
            outputs += [sum(rest, first) for first, *rest in zip(*given, strict=True)]
        return outputs[0] if len(outputs) == 1 else torch.cat(outputs, -1)

    def get_weights(self) -> Tensor:
        """A copy of the matrix ``[out, in]`` on the processor; an analog bias is its last column."""
        blocks, rows = self.each(), list[Tensor]()
        for _ in range(self.groups):
            columns = [torch.cat([next(blocks).get_weights() for _ in self.out_sizes]) for _ in self.in_sizes]
            rows.append(torch.cat(columns, 1))
        return torch.cat(rows)

    def set_weights(self, weights: Tensor) -> None:
        """Set the matrix ``[out, in]``; the rules of all tiles start anew.

        :raises TileError: on a wrong shape or a number that is not finite.
        """
        rows, columns = self.groups * sum(self.out_sizes), sum(self.in_sizes) + int(self.has_bias)
        if weights.shape != (rows, columns):
            raise TileError(f"Weights of shape {tuple(weights.shape)} given, {(rows, columns)} needed.")
        widths = [*self.in_sizes[:-1], self.in_sizes[-1] + int(self.has_bias)]
        blocks = self.each()
        for of_group in weights.split(rows // self.groups):
            for of_inputs in of_group.split(widths, 1):
                for block in of_inputs.split(self.out_sizes):
                    next(blocks).set_weights(block)


def pieces(size: int, most: int) -> list[int]:
    """Sizes of the fewest pieces of at most ``most`` (0: any), the first of which may be larger than others by one."""
    count = math.ceil(size / most) if most else 1
    each, larger = divmod(size, max(1, count))
    return [each + int(index < larger) for index in range(max(1, count))]
