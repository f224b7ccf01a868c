"""What a learning rule sees of the conductances at every cross point: one cell each, or several that act together."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING

from torch import Tensor

from ohmgrad.engine.draws import Draws
from ohmgrad.engine.exact import ExactUpdates
from ohmgrad.engine.host import HostModule, move_on
from ohmgrad.engine.plan import EXACT, plan_lines
from ohmgrad.engine.replay import Events
from ohmgrad.engine.samples import Plan, Samples
from ohmgrad.engine.tally import Tally
from ohmgrad.parameters.enums import PulseType
from ohmgrad.parameters.update import UpdateParameters

if TYPE_CHECKING:
    from ohmgrad.engine.array import CellArray


class Array(HostModule, ABC):
    """One weight ``[out, in]`` stored in conductances, which pulses change and transfers read.

    :param index: tells the random numbers of the arrays of a tile apart.
    :param columns_are_slices: whether transfers read columns (True) or rows; the memory layout follows.
    """

    samples: Tensor
    """Rank-1 updates seen, int64: numbers the trains."""
    tally: Tally | None = None
    """Counts what the array is sent, if anybody wants to know; it is no state."""

    def __init__(self, index: int, columns_are_slices: bool) -> None:
        super().__init__()
        self.index = index
        self.columns_are_slices = columns_are_slices
        self.register_counter("samples")

    # --- what it shows -----------------------------------------------------------------------------------------------

    @abstractmethod
    def visible(self) -> Tensor:
        """The weight ``[out, in]`` that reading gives; shares memory with the cells where it can."""

    @property
    @abstractmethod
    def weight_granularity(self) -> float:
        """Step that the pulse generator counts with."""

    @abstractmethod
    def hidden(self) -> OrderedDict[str, Tensor]:
        """Parameters and hidden weights by name, in order; the tensors ``[out, in]`` themselves."""

    @abstractmethod
    def cells(self) -> list[CellArray]:
        """The arrays of single cells that it is made of, itself if it is one."""

    def counters(self) -> dict[str, Tensor]:
        """Counters of the array by name; empty if it has none."""
        return {}

    def by_slice(self, value: Tensor) -> Tensor:
        """An ``[out, in]`` tensor of this array as ``[slices, lanes]`` (a view)."""
        return value.t() if self.columns_are_slices else value

    def counts_on_host(self) -> bool:
        """Whether what the program does with pulses depends on how many there have been."""
        return False

    # --- pulses ------------------------------------------------------------------------------------------------------

    def update(self, samples: Samples, up: UpdateParameters, draws: Draws, events: Events | None = None) -> Tensor:
        """Apply samples in turn, by pulses (or exactly).

        :param events: reads during the batch, their ``words`` counted in samples.
        :returns: the slices that were read, ``[E, lanes]``.
        """
        if events is None:
            events = _no_events() if draws.implementation == "cpu" else Events.none(samples.x.device)
        return self.replay(self.plan(samples, up, draws), events, draws)

    def plan(self, samples: Samples, up: UpdateParameters, draws: Draws) -> Plan:
        """Everything about samples that does not depend on the weights."""
        first = move_on(self.known("samples"), samples.counted(), draws.asks)
        if up.pulse_type in EXACT:
            granularity = self.weight_granularity if up.pulse_type is PulseType.MEAN_FIELD else 0.0
            return ExactUpdates.of(samples, up.pulse_type is not PulseType.NONE, granularity)
        return plan_lines(samples, self.weight_granularity, up, draws, self.index, first, self.tally)

    @abstractmethod
    def replay(self, plan: Plan, events: Events, draws: Draws) -> Tensor:
        """Apply a plan; see :meth:`update`."""

    # --- operations on all cells -------------------------------------------------------------------------------------

    @abstractmethod
    def set(self, weights: Tensor, draws: Draws) -> None:
        """Set the weight ``[out, in]``, within the bounds of the cells."""

    @abstractmethod
    def decay(self, alpha: float, draws: Draws) -> None:
        """One step of decay of the cells that have a lifetime."""

    @abstractmethod
    def diffuse(self, draws: Draws) -> None:
        """One step of the random walk of the cells that diffuse."""

    @abstractmethod
    def drift(self, delta_t: float, draws: Draws) -> None:
        """Let time pass for the cells that drift."""

    @abstractmethod
    def clip(self, limit: float, draws: Draws) -> None:
        """Clip to the bounds of the cells and, unless ``limit`` is negative, to ``[-limit, limit]``."""

    @abstractmethod
    def reset_columns(self, columns: Tensor, probability: float, draws: Draws) -> None:
        """Reset cells of some columns, each with a probability."""


@cache
def _no_events() -> Events:
    """Those of an update without reads, in the processor's memory: always the same."""
    return Events.none()


def hidden_of(arrays: Iterable[Array]) -> OrderedDict[str, Tensor]:
    """Hidden parameters of several arrays: those of array k with suffix ``_k``, then ``hidden_weights_k``."""
    hidden: OrderedDict[str, Tensor] = OrderedDict()
    for k, array in enumerate(arrays):
        hidden.update((f"{name}_{k}", value) for name, value in array.hidden().items())
        hidden[f"hidden_weights_{k}"] = array.visible()
    return hidden
