"""Where the up and the down step of the cells of a tile are equal: exactly, and followed while it learns."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ohmgrad.analysis.steps import SampledCells
from ohmgrad.cells.vector import VectorArray
from ohmgrad.engine.array import CellArray
from ohmgrad.engine.base_array import Array
from ohmgrad.errors import ConfigError, TileError
from ohmgrad.parameters.enums import VectorUnitCellUpdatePolicy
from ohmgrad.tile import AnalogTile


@torch.no_grad()
def symmetric_points(tile: AnalogTile, array: int = 0) -> Tensor:
    r"""The symmetric point :math:`w_\diamond` of every cell of an array, ``[out, in]``, in the weights that are read.

    It is where an up pulse and a down pulse of the law without noise move the cell equally far (many papers: symmetry
    point); pulses in turns lead there. Of several devices that share a weight, those that receive pulses stand at
    their symmetric points, and a reference where it is. NaN where there is none: the steps are equal at every weight,
    the cell does not move, or pulses only raise (one-sided cells). A cell that steps faster in one direction everywhere
    has it at a bound.

    :param array: which array of the rule, 0 the one that gradients reach (A of a transfer rule, whose last is C).
    :raises TileError: if that is no tile, or has no such array.
    """
    return points_of(array_of(tile, array)).float().cpu()


def array_of(tile: AnalogTile, index: int) -> Array:
    """An array of the rule of a tile.

    :raises TileError: if it is no tile, or there is no array of that number.
    """
    if not isinstance(tile, AnalogTile):
        raise TileError(f"A tile is needed, which {type(tile).__name__} is not. Give the tile of a layer: layer.tile.")
    arrays = tile.rule.all_arrays()
    if not arrays:
        raise TileError(f"{tile.label} has no cells that pulses could reach. Give it a pulsed device.")
    if not 0 <= index < len(arrays):
        raise TileError(f"{tile.label}: array = {index}, but there are {len(arrays)}. Give 0 to {len(arrays) - 1}.")
    return arrays[index]


def points_of(array: Array) -> Tensor:
    """See :func:`symmetric_points`."""
    if isinstance(array, CellArray):
        cells = {name: value.cpu().reshape(-1) for name, value in array.cell_values().items()}
        points = SampledCells(array.device_config, cells).symmetry_points()
        return points.reshape(array.shape).to(array.weight.device)
    if isinstance(array, VectorArray):
        fixed = array.config.update_policy is VectorUnitCellUpdatePolicy.SINGLE_FIXED
        chosen = int(array.current_device_idx)
        pairs = enumerate(zip(array.gammas, array.parts(), strict=True))
        terms = [g * (part.visible() if fixed and k != chosen else points_of(part)) for k, (g, part) in pairs if g]
        return torch.stack(terms).sum(0)
    return torch.full_like(array.visible(), torch.nan)


class SymmetricPointTracker(nn.Module):
    r"""Follows the symmetric points of an array while it learns, from what is read of it anyway.

    After every step of the optimizer, :math:`Q \leftarrow (1 - \eta) Q + \eta A`. The noise of gradients acts like
    pulses in turns and holds A near its symmetric points; the mean Q lies closer to them than A itself, once A has
    arrived there (Xiao et al., arXiv 2602.21321). No pulse is spent on it. Its state is saved as that of any module.

    :param eta: the share :math:`\eta` of the newest read, above 0 and up to 1.
    :param array: which array, see :func:`symmetric_points`.
    :raises ConfigError: if eta is out of range.
    """

    average: Tensor

    def __init__(self, tile: AnalogTile, eta: float = 0.01, array: int = 0) -> None:
        super().__init__()
        if not 0.0 < eta <= 1.0:
            raise ConfigError(f"SymmetricPointTracker: eta = {eta}. Give a number above 0, and up to 1.")
        self.eta, self.array = eta, array
        self._of = (tile,)  # no submodule of this one
        self.register_buffer("average", array_of(tile, array).visible().detach().clone())

    @torch.no_grad()
    def step(self) -> None:
        """Read the array; once after each step of the optimizer."""
        read = array_of(*self._of, self.array).visible()
        if self.average.device != read.device:
            self.average = self.average.to(read.device)
        self.average.lerp_(read, self.eta)

    @property
    def estimate(self) -> Tensor:
        """The mean Q, ``[out, in]``."""
        return self.average.detach().cpu().clone()

    @property
    def error(self) -> Tensor:
        """The estimate minus the exact symmetric points, ``[out, in]``; NaN where there is none."""
        return self.estimate - symmetric_points(*self._of, self.array)
