"""The recurrent layers of torch with analog cells."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ohmgrad.configs import RPUConfig
from ohmgrad.errors import ConfigError, TileError
from ohmgrad.nn.base import AnalogModule
from ohmgrad.nn.linear import AnalogLinear
from ohmgrad.nn.recurrent import AnalogRNN, LayerState
from ohmgrad.nn.recurrent_cells import (
    AnalogGRUCell,
    AnalogLSTMCell,
    AnalogReLURNNCell,
    AnalogVanillaRNNCell,
    RecurrentCell,
    State,
    shapes_of,
)

if TYPE_CHECKING:
    from typing_extensions import Self

_CELLS: dict[str, type[RecurrentCell]] = {
    "RNN_TANH": AnalogVanillaRNNCell,
    "RNN_RELU": AnalogReLURNNCell,
    "LSTM": AnalogLSTMCell,
    "GRU": AnalogGRUCell,
}
"""By what torch calls the mode of a layer."""


class AnalogRecurrent(AnalogModule):
    """``torch.nn.RNN``, ``LSTM`` or ``GRU`` with analog cells: what ``convert_to_analog`` makes of one.

    It takes and gives what that takes and gives, but for packed sequences, whose lengths differ.

    :param like: the layer of torch, whose sizes it has and whose weights it has not.
    :param rpu_config: of the tiles; default ``SingleRPUConfig()``.
    :raises ConfigError: if it has projections.
    """

    def __init__(self, like: nn.RNNBase, rpu_config: RPUConfig | None = None) -> None:
        super().__init__()
        if like.proj_size:
            raise ConfigError(
                f"{type(like).__name__}(proj_size={like.proj_size}) has no analog layer. Use proj_size=0 and a linear"
                " layer after it, or exclude it from the conversion."
            )
        self.kind, self.mode, self.batch_first = type(like), like.mode, like.batch_first
        self.bias, cell = like.bias, _CELLS[like.mode]
        self.input_size, self.hidden_size, self.num_layers = like.input_size, like.hidden_size, like.num_layers
        self.bidirectional, self.dropout, self.proj_size = like.bidirectional, like.dropout, 0
        self.rnn = AnalogRNN(
            cell,
            like.input_size,
            like.hidden_size,
            like.bias,
            rpu_config,
            num_layers=like.num_layers,
            bidir=like.bidirectional,
            dropout=like.dropout,
        )

    @classmethod
    def from_digital(cls, module: nn.Module, rpu_config: RPUConfig | None = None) -> Self:
        """A layer with the weights of one of torch, within the bounds of the cells, on the same device."""
        assert isinstance(module, nn.RNNBase)
        layer = cls(module, rpu_config)
        for linear, weight, bias in layer._linears(module):
            linear.take(weight, bias)
        return layer.to(module.all_weights[0][0].device).train(module.training)

    def to_digital(self) -> nn.Module:
        """A layer of torch with the visible weights, on the same device."""
        rnn = self.rnn
        sizes = {"batch_first": self.batch_first, "dropout": rnn.dropout, "bidirectional": rnn.bidir}
        special = {"nonlinearity": "relu"} if self.mode == "RNN_RELU" else {}
        make: Any = self.kind
        module = make(rnn.input_size, rnn.hidden_size, rnn.num_layers, bias=self.bias, **sizes, **special)
        for linear, weight, bias in self._linears(module):
            linear.give(weight, bias)
        return module.to(next(self.analog_tiles()).weight.device).train(self.training)

    def _linears(self, module: nn.RNNBase) -> Iterator[tuple[AnalogLinear, Tensor, Tensor | None]]:
        """The analog linear layers and the parameters of torch that are theirs, weight and bias."""
        for cell, parameters in zip(self.rnn.cells(), module.all_weights, strict=True):
            weights, biases = parameters[:2], parameters[2:] if self.bias else (None, None)
            yield from zip((cell.weight_ih, cell.weight_hh), weights, biases, strict=True)

    def forward(self, input: Tensor, hx: State | None = None) -> tuple[Tensor, State]:
        """As the layer of torch does, with states ``[layers * directions, n, H]``.

        :raises TileError: on a packed sequence or a shape that does not fit.
        """
        x = input
        if not isinstance(x, Tensor):
            raise TileError(
                f"{self.kind.__name__} with analog cells: the input is a {type(x).__name__}. Give a tensor; pad the"
                " sequences."
            )
        if hx is not None:
            self._check_state(hx, x)
        if x.ndim == 2:
            hx = hx if hx is None else _each(hx, lambda part: part.unsqueeze(1))
            y, last = self.forward(x.unsqueeze(0 if self.batch_first else 1), hx)
            return y.squeeze(0 if self.batch_first else 1), _each(last, lambda part: part.squeeze(1))
        y, states = self.rnn(x.transpose(0, 1) if self.batch_first else x, self._by_layer(hx))
        flat = [state for layer in states for state in (layer if isinstance(layer, list) else [layer])]
        if self.mode == "LSTM":
            h, c = zip(*flat, strict=True)
            last = torch.stack(h), torch.stack(c)
        else:
            last = torch.stack(flat)
        return y.transpose(0, 1) if self.batch_first else y, last

    def _check_state(self, hx: State, x: Tensor) -> None:
        """Raise, if a state is not of the kind and shape that the layer of torch takes."""
        layers, samples = len(self.rnn.cells()), [] if x.ndim == 2 else [x.shape[0 if self.batch_first else 1]]
        shape = (layers, *samples, self.hidden_size)
        wanted = [shape, shape] if self.mode == "LSTM" else shape
        if shapes_of(hx) != wanted:
            raise TileError(
                f"{self.kind.__name__} with analog cells: a state of shape {shapes_of(hx)} given, {wanted} needed."
            )

    def _by_layer(self, hx: State | None) -> list[LayerState] | None:
        """States of torch as those of :class:`AnalogRNN`."""
        if hx is None:
            return None
        parts: list[State] = list(zip(*hx, strict=True)) if isinstance(hx, tuple) else list(hx)
        return self.rnn._by_layer(parts)

    def flatten_parameters(self) -> None:
        """Nothing: weights lie in cells. Models of torch call it."""

    def extra_repr(self) -> str:
        """For ``print(model)``."""
        return f"{self.kind.__name__}, batch_first={self.batch_first}"


def _each(state: State, change: Callable[[Tensor], Tensor]) -> State:
    """A function applied to all parts of a state."""
    return change(state) if isinstance(state, Tensor) else (change(state[0]), change(state[1]))
