"""What a model is made of, by the names of aihwkit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from ohmgrad.compat.array import TileModuleArray
from ohmgrad.compat.base import AnalogLayerBase
from ohmgrad.compat.layers import AnalogLayer
from ohmgrad.nn.base import AnalogLayer as NativeLayer
from ohmgrad.nn.summary import try_out
from ohmgrad.nn.summary_table import Column, by, counted, percent, plain_text, tiles_of_a_size


@dataclass(frozen=True)
class TileInfo:
    """One tile."""

    log_in_size: int
    """Inputs in use."""
    log_out_size: int
    """Outputs in use."""
    phy_in_size: int
    """Inputs that such a tile may have."""
    phy_out_size: int
    """Outputs that such a tile may have."""
    is_mapped: bool
    """Whether the layer lies on an array of tiles of that size; else the tile is as large as the layer."""

    @property
    def utilization(self) -> float:
        """Cross points in use (percent)."""
        return 100.0 * self.points / self.room

    @property
    def points(self) -> int:
        """Cross points in use."""
        return self.log_in_size * self.log_out_size

    @property
    def room(self) -> int:
        """Cross points that there are."""
        return self.phy_in_size * self.phy_out_size if self.is_mapped else self.points


@dataclass
class LayerInfo:
    """One layer: analog, or digital and without any in it."""

    module: nn.Module
    """The layer of the model itself."""
    path: str
    """Where it is in the model; empty if it is the model."""
    rpu_config: Any = None
    input_size: list[int] | None = None
    """Shape of what it was given last."""
    output_size: list[int] | None = None
    """Shape of what it gave last."""
    reuse_factor: int = 0
    """Vectors that its weight was multiplied with; 0 if it is digital."""
    tiles_info: list[TileInfo] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Its class."""
        return type(self.module).__name__

    @property
    def isanalog(self) -> bool:
        """Whether its weight is analog."""
        return isinstance(self.module, (AnalogLayerBase, NativeLayer))

    @property
    def num_tiles(self) -> int:
        """How many tiles it has."""
        return len(self.tiles_info)

    @property
    def kernel_size(self) -> Any:
        """The size of its window; None if it has none."""
        return getattr(self.module, "kernel_size", None)

    def multiplied(self, _module: nn.Module, given: tuple[Tensor, ...], _output: Any) -> None:
        """After a product of the weight with inputs ``[..., in]``."""
        self.reuse_factor += given[0].shape[:-1].numel()

    def answered(self, _module: nn.Module, given: Any, output: Any) -> None:
        """After the layer was called."""
        self.input_size, self.output_size = _shape(given), _shape(output)


class AnalogInfo:
    """The layers that take part in a forward pass; ``print`` shows them as a table.

    A layer that is called several times is one row, and its tiles count once.
    """

    layer_summary: list[LayerInfo]
    total_tile_number: int
    """Tiles of all layers."""
    total_nb_analog: int
    """Analog layers."""

    def __init__(self, model: nn.Module, input_size: Any = None, rpu_config: Any = None) -> None:
        self.model, self.input_size, self.rpu_config = model, input_size, rpu_config
        rows = {path: _described(path, module, rpu_config) for path, module in _layers(model)}
        order: list[LayerInfo] = []

        def watch(twin: nn.Module) -> None:
            for path, module in _layers(twin):
                row, product = rows[path], _product(module)
                module.register_forward_pre_hook(lambda _module, _given, row=row: _enter(order, row))
                module.register_forward_hook(row.answered)
                if product is not None:
                    product.register_forward_hook(row.multiplied)

        try_out(model, input_size, watch)
        self.layer_summary = order
        self.total_tile_number = sum(row.num_tiles for row in order)
        self.total_nb_analog = sum(row.isanalog for row in order)

    def __repr__(self) -> str:
        rows, tiles = self.layer_summary, [tile for row in self.layer_summary for tile in row.tiles_info]
        analog = f"{counted(self.total_nb_analog, 'analog layer')}\n{len(rows) - self.total_nb_analog} digital"
        shapes = [f"{_sizes(row.input_size)}\n{_sizes(row.output_size)}" for row in rows]
        reuse = [f"{row.reuse_factor:,}" if row.isanalog else "-" for row in rows]
        columns = [
            Column("layer\nclass", False, [f"{row.path or '(the model)'}\n{row.name}" for row in rows], analog),
            Column("input\noutput", False, shapes, ""),
            Column("kernel", False, [_sizes(row.kernel_size) for row in rows], ""),
            Column("tiles of\noutputs x inputs", False, [_tiles(row) for row in rows], counted(len(tiles), "tile")),
            Column("used", True, [_used(row.tiles_info) for row in rows], _used(tiles)),
            Column("reuse\nfactor", True, reuse, ""),
        ]
        return f"{type(self.model).__name__} with an input of {_sizes(self.input_size)}\n\n{plain_text(columns)}"


def analog_summary(model: nn.Module, input_size: Any = None, rpu_config: Any = None) -> AnalogInfo:
    """What the layers of a model are made of, and how often an input of some shape uses their weights.

    The model stays as it is: a copy of it in evaluation mode sees zeros. Layers of ohmgrad count too; see
    :func:`ohmgrad.nn.analog_summary` for what their cells are, and how much memory they take.

    :param input_size: shape of the input; :param rpu_config: without effect, every layer has its own.
    """
    return AnalogInfo(model, input_size, rpu_config)


def _layers(model: nn.Module, path: str = "") -> Iterator[tuple[str, nn.Module]]:
    """Analog layers, and digital modules that consist of no others, by name."""
    children = list(model.named_children())
    if isinstance(model, (AnalogLayer, NativeLayer)) or not children:
        yield path, model
        return
    for name, child in children:
        yield from _layers(child, f"{path}.{name}" if path else name)


def _product(module: nn.Module) -> Any:
    """What is called for every product with the weight of a layer."""
    if isinstance(module, AnalogLayer):
        return module.analog_module
    return module.matrix if isinstance(module, NativeLayer) else None


def _described(path: str, module: nn.Module, rpu_config: Any) -> LayerInfo:
    row, is_mapped = LayerInfo(module, path, rpu_config), False
    tiles: list[Any] = []
    if isinstance(module, AnalogLayer):
        tiles, is_mapped = list(module.analog_tiles()), isinstance(module.analog_module, TileModuleArray)
    elif isinstance(module, NativeLayer):
        tiles, is_mapped = list(module.tiles), len(module.tiles) > 1
    for tile in tiles:
        limits = tile.rpu_config.mapping
        columns, rows = tile.in_size, tile.out_size
        size = limits.max_input_size or columns, limits.max_output_size or rows
        row.tiles_info.append(TileInfo(columns, rows, *size, is_mapped))
    return row


def _enter(order: list[LayerInfo], row: LayerInfo) -> None:
    """Layers are listed in the order in which they are called first."""
    if not any(each is row for each in order):
        order.append(row)


def _shape(values: Any) -> list[int] | None:
    """The shape of the first tensor in some values."""
    if isinstance(values, Tensor):
        return list(values.shape)
    inside = values.values() if isinstance(values, dict) else values if isinstance(values, (tuple, list)) else ()
    return next((shape for shape in map(_shape, inside) if shape is not None), None)


def _sizes(size: Any) -> str:
    if size is None:
        return "-"
    if isinstance(size, Tensor):
        return by(size.shape)
    return by(size) if isinstance(size, (tuple, list)) else str(size)


def _tiles(row: LayerInfo) -> str:
    return tiles_of_a_size([(tile.log_out_size, tile.log_in_size) for tile in row.tiles_info]) or "-"


def _used(tiles: list[TileInfo]) -> str:
    return percent(sum(tile.points for tile in tiles) / sum(tile.room for tile in tiles) if tiles else None)
