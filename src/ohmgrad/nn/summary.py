"""What the analog layers of a model are made of, and how often they are used."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ohmgrad.memory import memory_of
from ohmgrad.nn.base import AnalogLayer, named_analog_layers
from ohmgrad.nn.summary_table import as_text, columns_of, rich_table
from ohmgrad.tile import AnalogTile
from ohmgrad.weight import VisibleWeight

if TYPE_CHECKING:
    from rich.table import Table


@dataclass(frozen=True)
class LayerSummary:
    """One analog layer."""

    name: str
    """Where it is in the model; empty if it is the model."""
    kind: str
    """Its class."""
    shape: tuple[int, ...]
    """Of its weight, as torch has it."""
    device: str
    """The classes of its learning rule and its devices, ``BufferedTransferCompound(SoftBoundsDevice)``."""
    tiles: tuple[tuple[int, int], ...]
    """Rows (outputs) and columns (inputs, an analog bias included) of every tile."""
    arrays: int
    """Arrays of every tile: devices that store one weight, unless the arrays have shapes of their own."""
    cells: int
    """Devices altogether."""
    utilisation: float | None
    """Share of the cross points in use, of tiles of ``max_output_size`` x ``max_input_size``; None without a limit."""
    memory: int
    """Bytes of its tiles, see :meth:`ohmgrad.tile.AnalogTile.memory`."""
    output_shape: tuple[int, ...] | None = None
    """What the layer gave last; None if there was no input, or the layer had no part in it."""
    products: int | None = None
    """Vectors that its weight was multiplied with; None if there was no input."""

    @property
    def cross_points(self) -> int:
        """Weights, an analog bias included."""
        return sum(rows * columns for rows, columns in self.tiles)


@dataclass(frozen=True)
class Summary:
    """All analog layers of a model; ``print`` shows them as a table, also the one of rich."""

    rows: tuple[LayerSummary, ...]
    """The layers in the order of the modules, each once."""
    digital_parameters: int
    """Numbers in all parameters that are not analog."""

    @property
    def tiles(self) -> int:
        """Number of tiles."""
        return sum(len(row.tiles) for row in self.rows)

    @property
    def cells(self) -> int:
        """Number of devices."""
        return sum(row.cells for row in self.rows)

    @property
    def memory(self) -> int:
        """Bytes of all tiles."""
        return sum(row.memory for row in self.rows)

    @property
    def utilisation(self) -> float | None:
        """Share of the cross points in use, in the layers whose tiles have a limit; None if there are none."""
        limited = [(row.cross_points, row.utilisation) for row in self.rows if row.utilisation is not None]
        capacity = sum(used / share for used, share in limited)
        return sum(used for used, _ in limited) / capacity if limited else None

    @property
    def products(self) -> int | None:
        """Vectors that all layers were multiplied with; None if there was no input."""
        counts = [row.products for row in self.rows if row.products is not None]
        return sum(counts) if counts else None

    def __str__(self) -> str:
        return as_text(columns_of(self))

    def __rich__(self) -> Table:
        return rich_table(columns_of(self))


def analog_summary(model: nn.Module, input: Tensor | Sequence[Any] | None = None) -> Summary:
    """What the analog layers of a model are made of: tiles, cells, memory; with an input also how often they are used.

    The model stays as it is: an input goes through a copy in evaluation mode. A model on the meta device needs no
    memory for that.

    :param input: a tensor, the shape of one (of zeros), or a sequence of tensors, for a model of several arguments.
    """
    used = {} if input is None else _use(model, input)
    rows = tuple(_row(name, layer, used.get(name)) for name, layer in named_analog_layers(model))
    digital = sum(each.numel() for each in model.parameters() if not isinstance(each, VisibleWeight))
    return Summary(rows, digital)


def _row(name: str, layer: AnalogLayer, use: _Use | None) -> LayerSummary:
    tiles: list[Any] = layer.tiles  # those of a programmed model are of another class
    sizes = tuple((tile.out_size, tile.in_size + int(tile.has_bias)) for tile in tiles)
    points = sum(rows * columns for rows, columns in sizes)
    matrix = layer.matrix
    flat = torch.empty(sum(matrix.out_sizes) * matrix.groups, sum(matrix.in_sizes), device="meta")
    device, arrays, _ = _device(tiles[0])
    mapping = tiles[0].rpu_config.mapping
    limits = mapping.max_output_size, mapping.max_input_size
    capacity = sum((limits[0] or rows) * (limits[1] or columns) for rows, columns in sizes)
    return LayerSummary(
        name=name,
        kind=type(layer).__name__,
        shape=tuple(layer._shaped(flat).shape),
        device=device,
        tiles=sizes,
        arrays=arrays,
        cells=sum(_device(tile)[2] for tile in tiles),
        utilisation=points / capacity if any(limits) else None,
        memory=sum(memory_of(tile, tile.weight).total for tile in tiles),
        output_shape=None if use is None else use.output_shape,
        products=None if use is None else use.products,
    )


def _device(tile: Any) -> tuple[str, int, int]:
    """What stores the weights of a tile, in how many arrays, and how many devices that is altogether."""
    points = tile.weight.numel()
    if isinstance(tile, AnalogTile):
        sizes = [cells.weight.numel() for cells in tile.rule.cells()]
        sizes = sizes or [points]  # an exact weight has no cells, but a place
        return _class(tile.rpu_config.device), len(sizes), sum(sizes)
    arrays = len(tile.cells.g_target)
    return type(tile.cells.noise_model).__name__, arrays, points * arrays


def _class(device: Any) -> str:
    """The class of a device, and in parentheses those of what it consists of."""
    inside = getattr(device, "unit_cell_devices", None) or [each for each in [getattr(device, "device", None)] if each]
    names = dict.fromkeys(_class(each) for each in inside)
    return type(device).__name__ + (f"({', '.join(names)})" if names else "")


# --- use -------------------------------------------------------------------------------------------------------------


class _Use:
    """What a layer was used for."""

    def __init__(self) -> None:
        self.products = 0
        self.output_shape: tuple[int, ...] | None = None

    def multiplied(self, _matrix: nn.Module, given: tuple[Tensor, ...], _output: Tensor) -> None:
        """After a product of the matrix with inputs ``[..., in]``."""
        self.products += given[0].shape[:-1].numel()

    def answered(self, _layer: nn.Module, _given: Any, output: Tensor) -> None:
        """After a layer was called."""
        self.output_shape = tuple(output.shape)


def _use(model: nn.Module, given: Tensor | Sequence[Any]) -> dict[str, _Use]:
    """What every layer, by name, is used for in one forward pass."""
    used = {name: _Use() for name, _ in named_analog_layers(model)}

    def watch(twin: nn.Module) -> None:
        for name, layer in named_analog_layers(twin):
            layer.matrix.register_forward_hook(used[name].multiplied)
            layer.register_forward_hook(used[name].answered)

    try_out(model, given, watch)
    return used


@torch.no_grad()
def try_out(model: nn.Module, given: Tensor | Sequence[Any], watch: Callable[[nn.Module], None]) -> None:
    """One forward pass of a copy in evaluation mode, of which nothing remains.

    :param given: see :func:`analog_summary`; :param watch: is given the copy, to put hooks into it.
    """
    twin = copy.deepcopy(model).eval()
    watch(twin)
    accelerators = {each.device for each in twin.parameters() if each.is_cuda}
    with torch.random.fork_rng(devices=list(accelerators)):  # a model may draw numbers of its own
        twin(*_arguments(twin, given))


def _arguments(model: nn.Module, given: Tensor | Sequence[Any]) -> Sequence[Any]:
    """What the model is called with."""
    if isinstance(given, Tensor):
        return (given,)
    if not all(isinstance(size, int) for size in given):
        return given
    parameters = [each for each in model.parameters() if each.is_floating_point()]
    kinds = [each.dtype for each in parameters if not isinstance(each, VisibleWeight)]
    where = parameters[0].device if parameters else None
    return (torch.zeros(*given, dtype=kinds[0] if kinds else torch.float32, device=where),)
