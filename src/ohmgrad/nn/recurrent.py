"""Recurrent networks of analog cells."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout

from ohmgrad.configs import RPUConfig
from ohmgrad.errors import ConfigError, TileError
from ohmgrad.nn.base import AnalogModule
from ohmgrad.nn.recurrent_cells import RecurrentCell, State, output_of, shapes_of

LayerState = State | list[State]
"""The state of one layer; of two directions, both."""


class AnalogRNN(AnalogModule):
    """Layers of recurrent cells, the outputs of each being the inputs of the next.

    :param cell: class of the cells, such as :class:`~ohmgrad.nn.AnalogLSTMCell`.
    :param input_size: width of the input; :param hidden_size: width of the state, H.
    :param bias: whether linear layers have one; :param rpu_config: of the tiles; default ``SingleRPUConfig()``.
    :param xavier: begin with Xavier's weights and no bias, see :meth:`RecurrentCell.reset_parameters`.
    :param num_layers: how many; :param bidir: whether each has cells for both directions of time.
    :param dropout: probability that an output between layers is dropped in training.
    :raises ConfigError: if a number does not fit.
    """

    def __init__(
        self,
        cell: type[RecurrentCell],
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        rpu_config: RPUConfig | None = None,
        xavier: bool = False,
        num_layers: int = 1,
        bidir: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if num_layers < 1 or not 0.0 <= dropout <= 1.0:
            raise ConfigError(
                f"AnalogRNN: num_layers = {num_layers}, dropout = {dropout}."
                " Give at least one layer, and a probability from 0 to 1."
            )
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.bidir, self.dropout = bidir, dropout
        directions = 1 + int(bidir)
        widths = [input_size] + [directions * hidden_size] * (num_layers - 1)
        kind: Any = BothWays if bidir else OneWay
        self.layers = nn.ModuleList(
            kind(*(cell(width, hidden_size, bias, rpu_config) for _ in range(directions))) for width in widths
        )
        if xavier:
            self.reset_parameters(xavier)

    def reset_parameters(self, xavier: bool = False) -> None:
        """Draw the weights of all cells anew."""
        for cell in self.cells():
            cell.reset_parameters(xavier)

    def cells(self) -> list[RecurrentCell]:
        """All cells: of the first layer forward and, if there are two directions, backward; and so on."""
        return [each for each in self.modules() if isinstance(each, RecurrentCell)]

    def get_zero_state(self, batch_size: int) -> list[LayerState]:
        """The states before the first step: float32 zeros for each layer."""
        states = [cell.get_zero_state(batch_size) for cell in self.cells()]
        return self._by_layer(states)

    def forward(self, x: Tensor, states: list[LayerState] | None = None) -> tuple[Tensor, list[LayerState]]:
        """``[t, n, in]`` to ``[t, n, H]``, or ``[t, n, 2 H]`` of both directions, and the last state of each layer.

        :param states: before the first step, for each layer; default zeros.
        :raises TileError: on a shape that does not fit.
        """
        if x.ndim != 3 or x.shape[-1] != self.input_size or not len(x):
            raise TileError(
                f"AnalogRNN: the input has shape {tuple(x.shape)}. Give [times, samples, {self.input_size}], one time"
                " at least."
            )
        if states is not None and len(states) != self.num_layers:
            raise TileError(f"AnalogRNN: {len(states)} states given. Give one for each of {self.num_layers} layers.")
        last: list[LayerState] = []
        for index, layer in enumerate(self.layers):
            if index and self.dropout:
                x = dropout(x, self.dropout, self.training)
            x, state = layer(x, None if states is None else states[index])
            last.append(state)
        return x, last

    def _by_layer(self, states: list[State]) -> list[LayerState]:
        """States in the order of :meth:`cells` as a list for each layer."""
        return [list(pair) for pair in zip(states[::2], states[1::2], strict=True)] if self.bidir else list(states)

    def extra_repr(self) -> str:
        """For ``print(model)``."""
        return f"{self.input_size}, {self.hidden_size}, bidir={self.bidir}, dropout={self.dropout}"


class OneWay(nn.Module):
    """One cell over a sequence.

    :param cell: what takes the steps; :param backwards: from the end of the sequence to its beginning.
    """

    def __init__(self, cell: RecurrentCell, backwards: bool = False) -> None:
        super().__init__()
        self.cell, self.backwards = cell, backwards

    def forward(self, x: Tensor, state: LayerState | None) -> tuple[Tensor, LayerState]:
        """``[t, n, in]`` to ``[t, n, H]``, in the order of time, and the last state."""
        zeros = self.cell.zero_state(x)
        now = zeros if state is None else cast(State, state)
        if shapes_of(now) != shapes_of(zeros):
            raise TileError(
                f"{type(self.cell).__name__}: a state of shape {shapes_of(now)} given, {shapes_of(zeros)} needed."
            )
        prepared = list(self.cell.prepare(x).unbind(0))
        outputs = []
        for step in reversed(prepared) if self.backwards else prepared:
            now = self.cell.advance(step, now)
            outputs.append(output_of(now))
        return torch.stack(outputs[::-1] if self.backwards else outputs), now


class BothWays(nn.Module):
    """One cell over a sequence forward and another backward, whose outputs are put side by side."""

    def __init__(self, forward: RecurrentCell, backward: RecurrentCell) -> None:
        super().__init__()
        self.directions = nn.ModuleList([OneWay(forward), OneWay(backward, backwards=True)])

    def forward(self, x: Tensor, states: LayerState | None) -> tuple[Tensor, LayerState]:
        """``[t, n, in]`` to ``[t, n, 2 H]``, and both last states.

        :raises TileError: if there are not two states.
        """
        given: list[State | None] = [None, None] if states is None else list(states)
        if len(given) != len(self.directions) or isinstance(states, Tensor):
            raise TileError("AnalogRNN: a layer with two directions has a state for each. Give a list of two.")
        runs = [way(x, state) for way, state in zip(self.directions, given, strict=True)]
        return torch.cat([y for y, _ in runs], -1), [state for _, state in runs]
