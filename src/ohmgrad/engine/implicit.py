"""Implicit cells: their parameters are worked out from their addresses whenever they are needed, instead of stored.

A sampled cell is a pure function of seed and position. ``PulsedDevice.sample`` says which, in torch, for whole
matrices; :mod:`ohmgrad.engine.tracing` follows it, and from what it found comes the source of a function of one cell,
in the vocabulary of :mod:`ohmgrad.words`, which the kernels compile like a law. The numbers of a configuration are
arguments of that function: devices that differ in them share their kernels.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import torch
from torch import Tensor

from ohmgrad import words
from ohmgrad.devices.base import PulsedDevice, Sampler
from ohmgrad.engine.draws import Draws
from ohmgrad.engine.generated import generated
from ohmgrad.engine.random import cell_normal, cell_uniform
from ohmgrad.engine.tracing import Node, trace

LEAST, GREATEST = "least weight", "greatest weight"
"""Names of the limits of a cell, beside those of its parameters."""

_BLOCK = 1 << 18
"""Cells that are sampled at once where nothing compiled does it."""


@dataclass
class CellSampler:
    """Cell-to-cell variation of some rows of an array, addressed by row, column and purpose."""

    draws: Draws
    stream: int
    rows: Tensor
    columns: int
    has_bias: bool

    def normal(self, purpose: int) -> Tensor:
        """Standard normal numbers."""
        return self.draws.normal(self.stream, self.rows, self.columns, purpose)

    def uniform(self, purpose: int) -> Tensor:
        """Uniform numbers in (0, 1]."""
        return self.draws.uniform(self.stream, self.rows, self.columns, purpose)


def sampled(device: PulsedDevice, draw: Sampler) -> dict[str, Tensor]:
    """The parameters of cells, and their limits."""
    cells = device.sample(draw)
    least, greatest = device.limits(cells)
    return {**cells, LEAST: least, GREATEST: greatest}


def in_blocks(
    sample: Callable[[Sampler], dict[str, Tensor]], draw: CellSampler, columns_are_slices: bool, whole: bool = False
) -> dict[str, Tensor]:
    """What ``sample`` says of all cells, new tensors ``[out, in]`` whose slices are contiguous in memory.

    A block of rows comes after the other, so that what they pass through takes little memory; ``whole``: all at once.
    """
    found: dict[str, Tensor] = {}
    shape = len(draw.rows), draw.columns
    for rows in draw.rows.split(len(draw.rows) if whole else max(1, _BLOCK // draw.columns)):
        for name, value in sample(replace(draw, rows=rows)).items():
            if name not in found:
                found[name] = value.new_empty(shape[::-1]).t() if columns_are_slices else value.new_empty(shape)
            found[name][rows] = value
    return found


@dataclass(frozen=True)
class Sampling:
    """What a kernel computes the parameters of cells from, in the place of their tensors.

    ``function(stream, row, column, last, key0, key1, *constants)`` gives the parameters of one cell, a tuple of
    float32. Words of 32 bits without sign: ``stream``, ``last`` (the number of the last column) and ``key`` are the
    same for all cells of an array. ``constants`` are float32. It is written in the vocabulary of laws: a line is one
    operation, whose result has a name of its own, nothing branches, and ``inspect.getsource`` gives its text.
    """

    function: Callable[..., Any]
    constants: tuple[float, ...]
    stream: int
    last: int
    key: tuple[int, int]
    materialised: Callable[[], list[Tensor]]
    """The parameters of all cells as tensors ``[slices, lanes]``, for what is not compiled."""


@dataclass(frozen=True)
class Recipe:
    """How the parameters and limits of one cell follow from its random numbers.

    ``nodes`` as in :mod:`ohmgrad.engine.tracing`; ``outputs``: the node of each name.
    """

    nodes: tuple[Node, ...]
    outputs: dict[str, int]

    @property
    def names(self) -> tuple[str, ...]:
        """Those of the parameters, in the order of ``sample``."""
        return tuple(name for name in self.outputs if name not in (LEAST, GREATEST))

    @property
    def digest(self) -> int:
        """Tells recipes apart, 63 bits: equal ones give equal cells."""
        content = hashlib.sha256(repr((self.nodes, self.outputs)).encode()).digest()
        return int.from_bytes(content[:8], "little") >> 1

    def written(self, names: Iterable[str]) -> tuple[Callable[..., Any], tuple[float, ...]]:
        """A function of one cell that gives some of them, see :class:`Sampling`, and its constants."""
        source, constants = _write(self.nodes, [self.outputs[name] for name in names])
        return _function(source), constants


def recipe_of(device: PulsedDevice, shape: tuple[int, int], has_bias: bool) -> Recipe:
    """How the cells of an array are sampled.

    :raises Untraceable: if the device has a way of its own that cannot be followed.
    """
    return Recipe(*trace(lambda draw: sampled(device, draw), shape, has_bias))


def _write(nodes: tuple[Node, ...], outputs: list[int]) -> tuple[str, tuple[float, ...]]:
    """The source of the function, with nothing in it that is not needed, and its constants."""
    needed = set(outputs)
    for number in reversed(range(len(nodes))):
        if number in needed:
            needed.update(_arguments(nodes[number]))
    terms: dict[int, str] = {}
    constants: list[float] = []
    lines: list[str] = []
    for number in sorted(needed):
        kind, *rest = nodes[number]
        if kind == "constant":
            is_plain = repr(rest[0]) in ("0.0", "1.0") and number not in outputs
            terms[number] = repr(rest[0]) if is_plain else f"c{len(constants)}"
            constants += [] if is_plain else rest
            continue
        terms[number] = f"v{len(lines)}"
        lines.append(f"    {terms[number]} = {_expression(kind, rest, terms)}\n")
    arguments = ["stream", "row", "column", "last", "key0", "key1", *(f"c{k}" for k in range(len(constants)))]
    given = "".join(f"{terms[number]}, " for number in outputs)
    source = f"def parameters({', '.join(arguments)}):\n{''.join(lines)}    return ({given})\n"
    return source, tuple(constants)


def _arguments(node: Node) -> tuple[int, ...]:
    """The nodes that a node is made of."""
    return () if node[0] in ("constant", "normal", "uniform") else node[1:]


def _expression(kind: str, rest: list[Any], terms: dict[int, str]) -> str:
    if kind in ("normal", "uniform"):
        return f"cell_{kind}(stream, row, column, {rest[0]}, key0, key1)"
    if kind == "last column":
        return "column == last"
    of = [terms[number] for number in rest]
    if kind == "neg":
        return f"-{of[0]}"
    return f"{kind}({', '.join(of)})" if kind.isidentifier() else f" {kind} ".join(of)


@cache
def _function(source: str) -> Callable[..., Any]:
    """The function with that source, the same one each time; its text can be asked for like that of any other."""
    scope: dict[str, Any] = {word.__name__: word for word in words.LAW_WORDS}
    function: Callable[..., Any] = generated(
        source, "parameters", scope | {"cell_normal": cell_normal, "cell_uniform": cell_uniform}
    )
    return function


@dataclass
class ImplicitCells:
    """The cells of one array, of which nothing is stored.

    ``device`` and ``recipe``: what they are; ``shape`` ``[out, in]``, ``has_bias`` and ``stream``: where;
    ``columns_are_slices``: how the array is seen.
    """

    device: PulsedDevice
    recipe: Recipe
    shape: tuple[int, int]
    has_bias: bool
    stream: int
    columns_are_slices: bool

    def sampling(self, names: tuple[str, ...], draws: Draws, where: torch.device) -> Sampling:
        """What a kernel computes some of their parameters from.

        :param draws: of the seed of the cells.
        """
        function, constants = self.recipe.written(names)
        last = self.shape[1] - 1
        return Sampling(
            function, constants, self.stream, last, draws.key, lambda: self._from_definition(names, draws, where)
        )

    def values(
        self, names: tuple[str, ...], draws: Draws, where: torch.device, slices: Tensor | None = None
    ) -> list[Tensor]:
        """Parameters and limits of the cells by name, each ``[slices, lanes]``, for this one use.

        :param slices: only of these, int64 ``[n]``.
        """
        if draws.implementation != "cpu":
            found = self._from_definition(names, draws, where)
            return found if slices is None else [value[slices] for value in found]
        from ohmgrad.engine.implicit_cpu import values

        count, lanes = self.shape[::-1] if self.columns_are_slices else self.shape
        chosen = torch.arange(count) if slices is None else slices
        return list(values(self.sampling(names, draws, where), len(names), chosen, lanes, self.columns_are_slices))

    def _from_definition(self, names: tuple[str, ...], draws: Draws, where: torch.device) -> list[Tensor]:
        """The same by ``device.sample``."""
        found = in_blocks(
            lambda draw: {name: value for name, value in sampled(self.device, draw).items() if name in names},
            CellSampler(draws, self.stream, torch.arange(self.shape[0], device=where), self.shape[1], self.has_bias),
            self.columns_are_slices,
        )
        return [found[name].t() if self.columns_are_slices else found[name] for name in names]
