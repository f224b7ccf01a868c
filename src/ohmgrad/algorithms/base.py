"""What every learning rule offers to a tile."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import OrderedDict
from contextlib import ExitStack
from typing import Any, cast

import torch
from pydantic import Field, field_validator
from torch import Tensor, nn

from ohmgrad.cells.base import Cell, Device, UnitCell, checked, make_array
from ohmgrad.cells.vector import VectorUnitCell
from ohmgrad.devices.base import PulsedDevice
from ohmgrad.engine.array import CellArray
from ohmgrad.engine.base_array import Array
from ohmgrad.engine.draws import Draws
from ohmgrad.engine.host import HostModule
from ohmgrad.engine.site import Site
from ohmgrad.errors import ConfigError, TileError
from ohmgrad.parameters.base import Config, unknown_to
from ohmgrad.parameters.update import UpdateParameters


class RuleParameters(Config, ABC):
    """The parameters of a learning rule, in whatever devices it stores the weight.

    A rule of your own is a subclass of :class:`Compound` or :class:`DigitalRankUpdateCell` with its parameters, whose
    :meth:`build` returns a :class:`Rule`.
    """

    def check(self) -> None:
        """Raise :class:`~ohmgrad.errors.ConfigError` if the parameters do not fit together."""
        return

    def check_build(self) -> None:
        """Raise :class:`~ohmgrad.errors.ConfigError` if a class adds fields that :meth:`build` cannot know."""
        if added := unknown_to(self, "build"):
            name, owner = type(self).__name__, next(each for each in type(self).__mro__ if "build" in vars(each))
            raise ConfigError(
                f"{name} adds {', '.join(map(repr, added))} but builds the rule of {owner.__name__}."
                " Define build(self, site), see docs/howto/own-rule."
            )

    @abstractmethod
    def build(self, site: Site) -> Rule:
        """The rule and its arrays on the crossbar of a tile; the tile has called :meth:`check` before."""


class Compound(UnitCell, RuleParameters):
    """A unit cell with a learning rule of its own, which collects gradients in its devices."""


class DigitalRankUpdateCell(RuleParameters):
    """One device or cell at every cross point, and a learning rule that collects gradients digitally."""

    device: Device = Field(default_factory=VectorUnitCell)
    """What stores the weight: any pulsed device, or a cell of several. (The default has no devices yet.)"""
    construction_seed: int = Field(default=0, ge=0)
    """Seed of the cell-to-cell variation; 0: follows the seed of the tile."""

    @field_validator("device", mode="before")
    @classmethod
    def _can_be_pulsed(cls, value: Any) -> Any:
        if not isinstance(value, (PulsedDevice, Cell)):
            raise ValueError("give a pulsed device, for example SoftBoundsDevice(), or a cell of several")
        return value

    def check(self) -> None:
        """See :meth:`RuleParameters.check`."""
        checked(self.device, f"{type(self).__name__}.device")


class Rule(HostModule, ABC):
    """A learning rule and its state: how gradients change the arrays of a tile, and what the tile shows of them.

    Everything a rule remembers is a buffer, so PyTorch saves, loads, copies and moves it exactly.
    """

    arrays: nn.ModuleList

    @abstractmethod
    def update(self, x: Tensor, d: Tensor, rate: float, up: UpdateParameters, draws: Draws) -> None:
        """Learn from a batch.

        :param x: inputs ``[n, in]``; :param d: gradients of the outputs ``[n, out]``; :param rate: learning rate,
            above 0; :param up: how gradients become pulses.
        """

    @abstractmethod
    def visible(self) -> Tensor:
        """The weight that forward and backward see, ``[out, in]``; shares memory with an array where it can."""

    @abstractmethod
    def set_weights(self, weights: Tensor, draws: Draws) -> None:
        """Start anew from the given visible weights (within the bounds of the cells)."""

    def all_arrays(self) -> list[Array]:
        """The arrays, the one that gradients reach first."""
        arrays: Any = self._modules["arrays"]  # asked for in every step: this is the fast way
        return list(arrays._modules.values())

    def cells(self) -> list[CellArray]:
        """The arrays of single cells that all arrays are made of."""
        return [cells for array in self.all_arrays() for cells in array.cells()]

    def decays(self) -> bool:
        """Whether any cell decays with time."""
        return any(cells.device_config.lifetime > 0.0 for cells in self.cells())

    def diffuses(self) -> bool:
        """Whether any cell diffuses with time."""
        return any(cells.device_config.diffusion > 0.0 for cells in self.cells())

    def decay(self, alpha: float, draws: Draws) -> None:
        """One step of decay of the cells that have a lifetime."""
        for array in self.all_arrays():
            array.decay(alpha, draws)

    def diffuse(self, draws: Draws) -> None:
        """One step of the random walk of the cells that diffuse."""
        for array in self.all_arrays():
            array.diffuse(draws)

    def drift(self, delta_t: float, draws: Draws) -> None:
        """Let time pass for the cells that drift."""
        for array in self.all_arrays():
            array.drift(delta_t, draws)

    def clip(self, limit: float, draws: Draws) -> None:
        """Clip all cells to their bounds and to ``[-limit, limit]`` (only bounds if negative)."""
        for array in self.all_arrays():
            array.clip(limit, draws)

    def reset_columns(self, columns: Tensor, probability: float, draws: Draws) -> None:
        """Reset cells in some columns of every array."""
        for array in self.all_arrays():
            array.reset_columns(columns, probability, draws)

    def state(self) -> dict[str, Tensor]:
        """The rule's own state (counters, choppers, averages) by name; empty if it has none."""
        return {}

    def hidden(self) -> OrderedDict[str, Tensor]:
        """Hidden parameters by name, in order; the tensors themselves, of the shapes of their arrays, not copies."""
        return OrderedDict()

    def set_hidden(self, values: dict[str, Tensor]) -> None:
        """Restore hidden parameters exactly.

        :raises TileError: if a name is missing or unknown, or a shape differs; nothing is changed then.
        """
        with ExitStack() as stack:
            for cells in self.cells():
                stack.enter_context(cells.stored())
            self._set_hidden(values)

    def _set_hidden(self, values: dict[str, Tensor]) -> None:
        mine = self.hidden()
        if set(values) != set(mine):
            odd = sorted(set(values) ^ set(mine))
            raise TileError(f"Hidden parameters differ: {', '.join(odd)}. This tile has: {', '.join(mine)}.")
        given = {name: torch.as_tensor(value) for name, value in values.items()}
        for name, tensor in mine.items():
            if given[name].shape != tensor.shape:
                raise TileError(
                    f"Hidden parameter {name!r} has shape {tuple(given[name].shape)};"
                    f" this tile needs {tuple(tensor.shape)}."
                )
            if not torch.isfinite(given[name].to(tensor.dtype)).all():
                raise TileError(
                    f"Hidden parameter {name!r} is up to {float(given[name].abs().max()):g}, which"
                    f" {tensor.dtype} does not hold. Give runtime.parameter_dtype='bfloat16', or 'float32'."
                )
        for name, tensor in mine.items():
            tensor.copy_(given[name])


class SingleArrayRule(Rule):
    """A rule whose only array is the visible weight."""

    def __init__(self, device: Device, site: Site) -> None:
        super().__init__()
        self.arrays = nn.ModuleList([make_array(device, site)])

    @property
    def array(self) -> Array:
        """The array."""
        arrays: Any = self._modules["arrays"]  # asked for in every step, this is the fast way
        return cast(Array, arrays._modules["0"])

    def visible(self) -> Tensor:
        """The weight of the array."""
        return self.array.visible()

    def set_weights(self, weights: Tensor, draws: Draws) -> None:
        """See :meth:`Rule.set_weights`."""
        self.array.set(weights, draws)

    def state(self) -> dict[str, Tensor]:
        """The counters of a cell of several devices."""
        return self.array.counters()

    def hidden(self) -> OrderedDict[str, Tensor]:
        """The parameters of the cells, and the hidden weights if there are several at a cross point."""
        return self.array.hidden()
