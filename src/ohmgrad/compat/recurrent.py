"""The recurrent layers of aihwkit: those of ohmgrad, made of its linear layers."""

from __future__ import annotations

from typing import Any, NamedTuple, cast

from torch import Tensor, nn

from ohmgrad.compat.base import AnalogContainerBase
from ohmgrad.compat.layers import AnalogLinear
from ohmgrad.nn import recurrent, recurrent_cells


class LSTMState(NamedTuple):
    """What a cell of an LSTM remembers."""

    hx: Tensor
    cx: Tensor


class _Cell(AnalogContainerBase):
    """Mixed into the cells of ohmgrad."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        rpu_config: Any = None,
        tile_module_class: Any = None,
    ) -> None:
        self._kind = tile_module_class
        super().__init__(input_size, hidden_size, bias, rpu_config)  # type: ignore[call-arg]

    def linear(self, in_features: int, out_features: int, bias: bool, rpu_config: Any) -> nn.Module:
        """A linear layer of the cell; digital without a configuration."""
        if rpu_config is None:
            return nn.Linear(in_features, out_features, bias)
        return AnalogLinear(in_features, out_features, bias, rpu_config, self._kind)


class AnalogVanillaRNNCell(_Cell, recurrent_cells.AnalogVanillaRNNCell):
    """See :class:`ohmgrad.nn.AnalogVanillaRNNCell`."""


class AnalogLSTMCell(_Cell, recurrent_cells.AnalogLSTMCell):
    """See :class:`ohmgrad.nn.AnalogLSTMCell`."""


class AnalogLSTMCellCombinedWeight(_Cell, recurrent_cells.AnalogLSTMCellCombinedWeight):
    """See :class:`ohmgrad.nn.AnalogLSTMCellCombinedWeight`."""


class AnalogGRUCell(_Cell, recurrent_cells.AnalogGRUCell):
    """See :class:`ohmgrad.nn.AnalogGRUCell`."""


class AnalogRNN(AnalogContainerBase, nn.Module):
    """See :class:`ohmgrad.nn.AnalogRNN`, which is ``rnn``."""

    def __init__(
        self,
        cell: type[_Cell],
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        rpu_config: Any = None,
        tile_module_class: Any = None,
        xavier: bool = False,
        num_layers: int = 1,
        bidir: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        kind: Any = cell

        def made(*arguments: Any) -> Any:
            return kind(*arguments, tile_module_class)

        self.hidden_size, self.num_layers = hidden_size, num_layers
        self.rnn = recurrent.AnalogRNN(
            cast(Any, made),
            input_size,
            hidden_size,
            bias,
            rpu_config,
            xavier=xavier,
            num_layers=num_layers,
            bidir=bidir,
            dropout=dropout,
        )

    def forward(self, input: Tensor, states: Any = None) -> tuple[Tensor, Any]:
        """``[t, n, in]`` to ``[t, n, H]``, and the last states."""
        y, last = self.rnn(input, states)
        return y, last

    def get_zero_state(self, batch_size: int) -> Any:
        """The states before the first step."""
        return self.rnn.get_zero_state(batch_size)

    def reset_parameters(self, xavier: bool = False) -> None:
        """Draw the weights of all cells anew."""
        self.rnn.reset_parameters(xavier)
