"""Recurrent networks of analog cells."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout

from ohmgrad.configs import RPUConfig
from ohmgrad.errors import ConfigError, TileError
from ohmgrad.nn.base import AnalogModule
from ohmgrad.nn.recurrent_cells import RecurrentCell, State, output_of

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
        self.layers = nn.ModuleList(
            nn.ModuleList(cell(width, hidden_size, bias, rpu_config) for _ in range(directions)) for width in widths
        )
        if xavier:
            self.reset_parameters(xavier)

    def reset_parameters(self, xavier: bool = False) -> None:
        """Draw the weights of all cells anew."""
        for cell in self.cells():
            cell.reset_parameters(xavier)

    def cells(self) -> list[RecurrentCell]:
        """All cells: of the first layer forward and, if there are two directions, backward; and so on."""
        return [cast(RecurrentCell, cell) for layer in self.layers for cell in cast(nn.ModuleList, layer)]

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
        last: list[State] = []
        for index, layer in enumerate(self.layers):
            if index and self.dropout:
                x = dropout(x, self.dropout, self.training)
            cells = [cast(RecurrentCell, cell) for cell in cast(nn.ModuleList, layer)]
            given = None if states is None else states[index]
            firsts = given if isinstance(given, list) else [given] if given is not None else [None] * len(cells)
            if len(firsts) != len(cells):
                raise TileError(f"AnalogRNN: {len(firsts)} states given for a layer. Give {len(cells)}.")
            runs = [_run(cells[k], x, firsts[k], backwards=k > 0) for k in range(len(cells))]
            x = torch.cat([outputs for outputs, _ in runs], -1)
            last += [state for _, state in runs]
        return x, self._by_layer(last)

    def _by_layer(self, states: list[State]) -> list[LayerState]:
        """States in the order of :meth:`cells` as a list for each layer."""
        return [list(pair) for pair in zip(states[::2], states[1::2], strict=True)] if self.bidir else list(states)

    def extra_repr(self) -> str:
        """For ``print(model)``."""
        return f"{self.input_size}, {self.hidden_size}, bidir={self.bidir}, dropout={self.dropout}"


def _run(cell: RecurrentCell, x: Tensor, state: State | None, backwards: bool) -> tuple[Tensor, State]:
    """One cell over a sequence ``[t, n, in]``, from its end if ``backwards``; outputs in the order of time."""
    state = cell.zero_state(x) if state is None else state
    prepared = list(cell.prepare(x).unbind(0))
    outputs = []
    for step in reversed(prepared) if backwards else prepared:
        state = cell.advance(step, state)
        outputs.append(output_of(state))
    return torch.stack(outputs[::-1] if backwards else outputs), state
