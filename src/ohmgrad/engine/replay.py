"""Replays a plan on the cells of one array: the common signature of the reference and the compiled kernels.

An array is seen as slices (what a transfer reads at once: columns or rows) of lanes. Every cell walks the words of the
batch in order. Where the trains of its two lines coincide (or as often as the product of their factors says) it gets
pulses, each one application of the law, with the noise addressed by the cell's own pulse number. At an event the
weights of one slice are copied out, and the slice may be reset. Since no cell looks at another, the result depends
neither on the order of cells nor on where a batch is cut.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor

from ohmgrad.devices.base import PulsedDevice
from ohmgrad.engine.draws import Draws
from ohmgrad.engine.implicit import Sampling
from ohmgrad.errors import ConfigError
from ohmgrad.parameters.base import unknown_to

Constant = float | tuple[float, ...]
"""A number or a table of numbers."""


@dataclass
class Law:
    """A device's law bound to its parameters by the names of its arguments.

    ``cell`` names the parameters that every cell has its own value of, ``constants`` holds the values of the others;
    in the law's argument list they come after ``w``, ``up`` and ``noise`` in any order.
    """

    function: Callable[..., Any]
    cell: tuple[str, ...]
    constants: tuple[Constant, ...]
    order: tuple[int, ...]
    """For each further argument: k for ``cell[k]``, ``-1 - k`` for ``constants[k]``."""

    def arguments(self, cell: Any, constants: Any) -> list[Any]:
        """The further arguments in the law's own order."""
        return [cell[k] if k >= 0 else constants[-1 - k] for k in self.order]


def bind_law(device: PulsedDevice, cell_names: tuple[str, ...]) -> Law:
    """Find what the arguments of a device's law mean.

    :raises ConfigError: if there is no law, or an argument is neither a cell parameter nor a field of the device.
    """
    kind = type(device).__name__
    if not hasattr(device, "law"):
        raise ConfigError(f"{kind} has no law. Give a device with one, for example SoftBoundsDevice.")
    if inspect.ismethod(device.law):
        raise ConfigError(f"{kind}.law is a method. Write @staticmethod above it, and no self: a law is of one cell.")
    used = ("law", "sample", "limits", "derived", "weight_granularity", "write_noise")
    if added := unknown_to(device, *used):
        raise ConfigError(
            f"{kind} adds {', '.join(map(repr, added))}, but nothing that it inherits knows of that."
            " Define law or sample, see docs/howto/own-device."
        )
    names = list(inspect.signature(device.law).parameters)
    if names[:3] != ["w", "up", "noise"]:
        raise ConfigError(f"{kind}.law must begin with the arguments w, up, noise; it has {', '.join(names)}.")
    cell: list[str] = []
    constants: list[Constant] = []
    order = []
    for name in names[3:]:
        if name in cell_names:
            order.append(len(cell))
            cell.append(name)
            continue
        value = getattr(device, name, None)
        if isinstance(value, (int, float)):
            constants.append(float(value))
        elif isinstance(value, (list, tuple)) and value and all(isinstance(item, (int, float)) for item in value):
            constants.append(tuple(map(float, value)))
        else:
            raise ConfigError(
                f"{kind}.law has an argument {name!r} that is neither a parameter of its cells"
                f" ({', '.join(cell_names)}) nor a number or a list of numbers in {kind}."
            )
        order.append(-len(constants))
    return Law(device.law, tuple(cell), tuple(constants), tuple(order))


@dataclass
class Events:
    """Reads of slices during a batch, in the order in which they happen.

    ``slices`` and ``words`` are int64 ``[E]``: which slice is read, and after how many words of the batch; a read after
    more words than there are never happens, and gives anything. Where ``resets[e]`` (bool) holds, the slice is reset
    right after the read, with noise that ``numbers[e]`` addresses (None: no slice is ever reset); ``values``
    ``[E, lanes]`` is what the cells of one array are set to.
    """

    slices: Tensor
    words: Tensor
    resets: Tensor
    numbers: Tensor | None = None
    values: Tensor | None = None

    def __len__(self) -> int:
        return self.slices.shape[0]  # which is faster than the length of a tensor

    def part(self, begin: int, end: int, chosen: Tensor) -> Events:
        """The reads that ``chosen`` (bool ``[E]``) marks in the words ``begin .. end - 1``; the others never happen."""
        words = torch.where(chosen, self.words - begin, end - begin + 1)
        return Events(self.slices, words, self.resets & chosen, self.numbers)

    @staticmethod
    def none(where: torch.device | str = "cpu") -> Events:
        """No reads."""
        empty = torch.zeros(0, dtype=torch.int64, device=where)
        return Events(empty, empty, empty.bool())


@dataclass
class Cells:
    """The cells of an array as slices of lanes: every tensor is ``[slices, lanes]`` and changed in place.

    ``state`` is what pulses move; ``apparent`` is what reading gives, ``state`` plus write noise (None without any).
    ``pulses`` counts what a cell has received, pulses and resets, and so addresses its noise; ``raised`` counts those
    that were up. ``parameters`` are those that the law names, in its order, in the precision in which they are
    stored; implicit cells have none of them, but ``sampling``.
    """

    state: Tensor
    apparent: Tensor | None
    pulses: Tensor
    raised: Tensor
    parameters: tuple[Tensor, ...]
    law: Law
    noisy: bool
    write_noise: float
    columns_are_slices: bool
    pulse_stream: int
    write_stream: int
    sampling: Sampling | None = None
    prepared: Any = None
    """What an implementation has made of these tensors for the next time."""


def replay(cells: Cells, slices: Tensor, lanes: Tensor, skips: Tensor | None, events: Events, draws: Draws) -> Tensor:
    """Apply the trains or the pulse counts of a batch.

    :param slices: words of the lines that belong to slices ``[slices, words]``: packed trains in int32, or factors of
        counts in float32.
    :param lanes: words of the lines that belong to lanes ``[words, lanes]``.
    :param skips: for counts, how many pulses of its cells come before each word, int32 ``[words]``; for trains None.
    :returns: what the events read, float32 ``[E, lanes]``.
    """
    if draws.implementation == "cpu":
        return compiled().replay(cells, slices.t().numpy(), lanes.numpy(), skips, events, draws)
    if draws.implementation == "gpu":
        from ohmgrad.engine.replay_gpu import replay as on_gpu

        return on_gpu(cells, slices, lanes, skips, events, draws)
    from ohmgrad.engine.replay_reference import replay as reference

    return reference(cells, slices, lanes, skips, events, draws)


@cache
def compiled() -> Any:
    """The module of what is compiled for the processor."""
    from ohmgrad.engine import replay_cpu

    return replay_cpu
