"""How much memory a tile takes, and for what."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn

from ohmgrad.algorithms.base import Rule
from ohmgrad.engine.base_array import Array
from ohmgrad.engine.cell_parameters import CellParameters
from ohmgrad.engine.drift import Drifter
from ohmgrad.engine.modifier import Modifier
from ohmgrad.engine.periphery import Periphery


class Memory(NamedTuple):
    """Bytes by kind, for all arrays of a tile together."""

    weights: int
    """What the cells hold: their weights, and where they have write noise also their persistent weights."""
    parameters: int
    """What the cells are: bounds, steps and all that was sampled."""
    counters: int
    """Pulses, up pulses and resets of every cell."""
    drift: int
    """Since when and from where every cell drifts, if it does."""
    rule: int
    r"""The digital state of the learning rule: :math:`H`, :math:`\chi`, choppers, averages, pointers."""
    visible: int
    """The visible weight, if it is not that of one of the arrays; and what products see, if it is disturbed."""
    periphery: int
    """What was drawn for converters and lines."""
    other: int
    """Seeds, clocks and numbers of samples."""
    cross_points: int
    """Weights of the tile, an analog bias included (not a number of bytes)."""

    @property
    def total(self) -> int:
        """All bytes."""
        return sum(self[:-1])

    @property
    def per_weight(self) -> dict[str, float]:
        """Bytes for each weight of the tile, by kind and in total."""
        sizes = {**self._asdict(), "total": self.total}
        return {name: size / self.cross_points for name, size in sizes.items() if name != "cross_points"}


def memory_of(tile: nn.Module, weight: Tensor) -> Memory:
    """What the buffers of a tile take.

    :param weight: the visible weight; its own memory is a buffer.
    """
    sizes = dict.fromkeys(Memory._fields, 0)
    for module in tile.modules():
        for name, buffer in module.named_buffers(recurse=False):
            sizes[_kind(module, name)] += buffer.numel() * buffer.element_size()
    return Memory(**{**sizes, "cross_points": weight.numel()})


def _kind(module: nn.Module, name: str) -> str:
    """What a buffer is for."""
    if isinstance(module, CellParameters) and name in module.parameter_names:
        return "parameters"
    if isinstance(module, (Array, Rule, Modifier)) and name in _KINDS:
        return _KINDS[name]
    kinds = {Rule: "rule", Drifter: "drift", Periphery: "periphery"}
    return next((kind for owner, kind in kinds.items() if isinstance(module, owner)), "other")


_KINDS = {
    "weight": "weights",
    "persistent_weights": "weights",
    "pulses": "counters",
    "raised": "counters",
    "resets": "counters",
    "shown": "visible",
    "mixed": "visible",
    "modified": "visible",
}
"""Of the buffers of arrays and rules that hold one number for each cell or weight."""
