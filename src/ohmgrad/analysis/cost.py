r"""What learning costs on a chip: time, energy and digital storage, by the formulas of the papers.

The formulas are those by which the published figures come out. With D the longer side of the array, l the slots of the
gradient's trains, :math:`t_{sp}` = 5 ns for a slot, :math:`t_M` = 40 ns for an analog product, p = 175 digital
operations a nanosecond, :math:`n_s` vectors per read and batches of B, an update takes for each vector

- analog SGD: :math:`t_0 = l\, t_{sp} + 2D/p` (30.9 ns with D = 512 and l = 5; 77.7 with D = 4608),
- TTv1, residual learning: :math:`t_0 + (t_M + l' t_{sp})/n_s`, where l' are the slots of the transfer's trains,
- TTv2, TTv3: :math:`t_0 + (t_M + t_{sp} + 2D/p)/n_s` (56.3 ns with D = 512 and :math:`n_s` = 2; 126.5 with D = 4608),
- TTv4: :math:`t_0 + (t_M + t_{sp} + 6D/p)/n_s` (62.1 ns; 17.1 with :math:`n_s` = 10 and l = 1),
- multi-tile: :math:`t_0 + \sum_k (t_M + l_k t_{sp})/T_k` (95.9 and 142.7 ns, where :math:`\sum_k 1/T_k = 1`),
- mixed precision: :math:`(2D^2 + D)/p + D\, t_{sp}/B` (3024.5 ns with D = 512 and B = 100).

A read costs 2 digital operations for each cell that is read where a buffer H is multiplied and added to, 1 where a
reference is subtracted, 3 for a running mean and 1 for a leak. By that count RLv2 has 3 D, RIDER and E-RIDER 4 D, and
the noise gate of TTv4 8 D more. Low-rank Tiki-taka has two products at once and two pulsed updates at once for every
vector, :math:`t_M + \max(l_A, l_B)\, t_{sp} + 2D/p`, and its transfers, two reads at once. These are no published
figures.

Digital storage is counted in bytes of one number each: 2 D for the vectors of a tile, out times in for each digital
matrix, and B (in + out) for the batch of mixed precision.

Energy is published only in totals for one network, 198 760 weights (785-250-10): 83.2 nJ a sample by mixed precision,
:math:`12.82 + 9.44 N` nJ with N tiles for each weight. Here these are scaled with the number of weights and are no more
than that: trains, reads and what a device takes for a pulse have no part in them.

H. Li et al., AISTATS 2026 (arXiv 2510.02516); M. J. Rasch et al., Nat. Commun. 15 (2024).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import nn

from ohmgrad.algorithms.base import Rule, SingleArrayRule
from ohmgrad.algorithms.buffered import BufferedTransfer
from ohmgrad.algorithms.dynamic import DynamicTransfer
from ohmgrad.algorithms.low_rank import LowRankTransfer
from ohmgrad.algorithms.matrices import MatrixTransfer
from ohmgrad.algorithms.mixed_precision import MixedPrecision
from ohmgrad.algorithms.residual import ResidualTransfer
from ohmgrad.algorithms.rider import RiderTransfer
from ohmgrad.algorithms.transfer import Transfer
from ohmgrad.amounts import amount
from ohmgrad.analysis.meter import Meter, Traffic
from ohmgrad.nn.base import named_analog_layers
from ohmgrad.nn.summary_table import Column, as_text, counted, rich_table
from ohmgrad.tile import AnalogTile

if TYPE_CHECKING:
    from rich.table import Table

SLOT = 5.0
"""Nanoseconds of a slot of a pulse train."""
PRODUCT = 40.0
"""Nanoseconds of an analog product."""
OPERATIONS = 175.0
"""Digital operations a nanosecond."""
PUBLISHED_WEIGHTS = 198_760
"""Weights of the network whose energy was published."""
ENERGY, ENERGY_OF_TILE, ENERGY_OF_MIXED_PRECISION = 12.82, 9.44, 83.2
"""Nanojoules of that network for a sample: without arrays, for each tile of a weight, and by mixed precision."""


@dataclass(frozen=True)
class TileCost:
    """What one tile costs; None where no formula is known: digital weights, and rules of one's own."""

    name: str
    """The layer, with a number if it has several tiles."""
    rule: str
    """The class of the rule."""
    traffic: Traffic
    latency: float | None
    """Nanoseconds of the update for each vector."""
    energy: float | None
    """Nanojoules for each vector (products included)."""
    storage: float | None
    """Bytes of digital storage."""


@dataclass(frozen=True)
class Cost:
    """What a model costs, tile by tile; ``print`` shows a table."""

    rows: tuple[TileCost, ...]

    @property
    def latency(self) -> float | None:
        """The sum over tiles, for a vector in each of them (a convolution sends several for a sample)."""
        return _total([row.latency for row in self.rows])

    @property
    def energy(self) -> float | None:
        """The sum over tiles, in nanojoules."""
        return _total([row.energy for row in self.rows])

    @property
    def storage(self) -> float | None:
        """The sum over tiles, in bytes."""
        return _total([row.storage for row in self.rows])

    def __str__(self) -> str:
        return as_text(_columns(self))

    def __rich__(self) -> Table:
        return rich_table(_columns(self))


def cost(model: nn.Module, meter: Meter) -> Cost:
    """What learning costs by the formulas of :mod:`ohmgrad.analysis.cost`, with what was really sent and read.

    :param model: with analog layers, or a tile; :param meter: of that model; it has seen some training.
    :raises TileError: if a tile is not metered.
    """
    if isinstance(model, AnalogTile):
        named = [(model.name, model)]
    else:
        named = [
            (f"{name}[{number}]" if len(layer.tiles) > 1 else name, tile)
            for name, layer in named_analog_layers(model)
            for number, tile in enumerate(layer.tiles)
        ]
    return Cost(tuple(_tile_cost(name, tile, meter.traffic(tile)) for name, tile in named))


def _tile_cost(name: str, tile: AnalogTile, traffic: Traffic) -> TileCost:
    rows, columns = tile.weight.shape
    rule = tile.rule
    return TileCost(
        name,
        type(rule).__name__,
        traffic,
        latency(rule, rows, columns, traffic) if traffic.vectors else None,
        energy(rule, rows, columns),
        storage(rule, rows, columns, traffic.batch),
    )


def latency(rule: Rule, rows: int, columns: int, traffic: Traffic) -> float | None:
    """Nanoseconds of the update for each vector; None: no formula is known.

    :param rows: outputs and :param columns: inputs of the tile, a bias included; :param traffic: what it is sent.
    """
    longer, slots = max(rows, columns), traffic.slots
    vector = 2.0 * longer / OPERATIONS
    if isinstance(rule, MixedPrecision):
        return (2.0 * rows * columns + rows) / OPERATIONS + slots[0] * SLOT
    if isinstance(rule, SingleArrayRule):
        return slots[0] * SLOT + vector
    if isinstance(rule, LowRankTransfer):
        transfer = traffic.reads[0] * PRODUCT + slots[2] * SLOT
        return PRODUCT + max(slots[0], slots[1]) * SLOT + vector + transfer
    if not isinstance(rule, Transfer):
        return None
    read = PRODUCT + operations_per_cell(rule) * longer / OPERATIONS
    return sum(slots) * SLOT + vector + sum(traffic.reads) * read


def operations_per_cell(rule: Transfer) -> float:
    """Digital operations for each cell that is read."""
    if isinstance(rule, DynamicTransfer):
        return 14.0 if rule.config.noise_gate > 0.0 else 6.0
    if isinstance(rule, ResidualTransfer):
        return 3.0
    if isinstance(rule, BufferedTransfer):
        return 2.0
    return 4.0 if isinstance(rule, RiderTransfer) else 0.0


def energy(rule: Rule, rows: int, columns: int) -> float | None:
    """Nanojoules for each vector; None: no formula is known."""
    arrays = rule.all_arrays()
    weights = rows * columns
    if not arrays:
        return None
    if isinstance(rule, MixedPrecision):
        return ENERGY_OF_MIXED_PRECISION * weights / PUBLISHED_WEIGHTS
    cells = [array.visible().numel() for array in arrays]
    tiles = sum(cells) / cells[-1]  # the last array has the shape of the weight
    return (ENERGY + ENERGY_OF_TILE * tiles) * weights / PUBLISHED_WEIGHTS


def storage(rule: Rule, rows: int, columns: int, batch: float = 1.0) -> float | None:
    """Bytes of digital storage; None: no formula is known.

    :param batch: vectors of a batch, which mixed precision keeps.
    """
    vectors, matrix = 2.0 * max(rows, columns), rows * columns
    if isinstance(rule, MixedPrecision):
        return vectors + matrix + batch * (rows + columns)
    if isinstance(rule, MatrixTransfer):
        return vectors + matrix * len(rule.buffer_names())
    if isinstance(rule, LowRankTransfer):
        return vectors + 2.0 * rule.config.rank
    return vectors if isinstance(rule, (SingleArrayRule, Transfer)) else None


def _total(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _columns(found: Cost) -> list[Column]:
    rows = found.rows

    def column(title: str, values: list[str], total: str = "") -> Column:
        return Column(title, True, values, total)

    return [
        Column(
            "tile\nrule",
            False,
            [f"{row.name or '(the model)'}\n{row.rule}" for row in rows],
            counted(len(rows), "tile"),
            12,
        ),
        column("vectors\n ", [amount(row.traffic.vectors) for row in rows]),
        column("slots of\neach array", [_listed(row.traffic.slots) for row in rows]),
        column("reads of\neach array", [_listed(row.traffic.reads) for row in rows]),
        column("latency\n(ns)", [_shown(row.latency) for row in rows], _shown(found.latency)),
        column("energy\n(nJ)", [_shown(row.energy) for row in rows], _shown(found.energy)),
        column("digital\nstorage", [_bytes(row.storage) for row in rows], _bytes(found.storage)),
    ]


def _listed(values: tuple[float, ...]) -> str:
    return " ".join(f"{value:.2g}" for value in values) or "-"


def _shown(value: Any) -> str:
    return "-" if value is None else f"{value:.3g}" if value < 100.0 else f"{value:.0f}"


def _bytes(value: float | None) -> str:
    return "-" if value is None else amount(value, "B")
