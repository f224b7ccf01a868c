"""Cells of recurrent networks, whose weights live on analog tiles."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from ohmgrad.configs import RPUConfig
from ohmgrad.nn.base import AnalogModule
from ohmgrad.nn.linear import AnalogLinear

State = Tensor | tuple[Tensor, Tensor]
"""What a cell remembers ``[n, hidden]``: h, or (h, c)."""


class RecurrentCell(AnalogModule):
    r"""One step in time, :math:`(x_t, h_{t-1}) \to h_t`.

    What does not depend on the state is worked out first, for all steps of a sequence at once: ``prepare``; ``advance``
    does the rest of one step.

    :param input_size: width of the input; :param hidden_size: width of the state, H.
    :param bias: whether its linear layers have one; :param rpu_config: of the tiles; default ``SingleRPUConfig()``.
    """

    gates: int
    """Vectors of width H that the linear layers give: one for each gate."""

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, rpu_config: RPUConfig | None = None
    ) -> None:
        super().__init__()
        self.input_size, self.hidden_size, self.has_bias = input_size, hidden_size, bias
        self._make(bias, rpu_config)
        self.reset_parameters()

    def linear(self, in_features: int, out_features: int, bias: bool, rpu_config: RPUConfig | None) -> Any:
        """A linear layer of the cell."""
        return AnalogLinear(in_features, out_features, bias, rpu_config)

    def _make(self, bias: bool, rpu_config: RPUConfig | None) -> None:
        """The linear layers."""
        self.weight_ih = self.linear(self.input_size, self.gates * self.hidden_size, bias, rpu_config)
        self.weight_hh = self.linear(self.hidden_size, self.gates * self.hidden_size, bias, rpu_config)

    def reset_parameters(self, xavier: bool = False) -> None:
        r"""Weights and biases uniform within :math:`\pm 1 / \sqrt{H}`, as in torch; or Xavier's, and no bias."""
        limit = 1.0 / math.sqrt(self.hidden_size)
        for child in self.children():
            layer: Any = child
            where = "meta" if next(layer.parameters()).is_meta else "cpu"  # what has no memory is asked for no weights
            weight = torch.empty(layer.out_features, layer.in_features, dtype=torch.float32, device=where)
            nn.init.xavier_uniform_(weight) if xavier else nn.init.uniform_(weight, -limit, limit)
            bias = weight.new_empty(layer.out_features) if self.has_bias else None
            if bias is not None:
                nn.init.zeros_(bias) if xavier else nn.init.uniform_(bias, -limit, limit)
            if hasattr(layer, "set_weights"):
                layer.set_weights(weight, bias)
            else:  # of a cell that was made digital
                layer.load_state_dict({"weight": weight} if bias is None else {"weight": weight, "bias": bias})

    def get_zero_state(self, batch_size: int) -> State:
        """The state before the first step of so many sequences: zeros, float32."""
        return self.zero_state(torch.zeros(batch_size, self.input_size, dtype=torch.float32))

    def zero_state(self, x: Tensor) -> State:
        """The state before the first step for inputs ``[..., n, in]``, of their type and on their device."""
        return x.new_zeros(x.shape[-2], self.hidden_size)

    def prepare(self, x: Tensor) -> Tensor:
        """What inputs ``[..., in]`` give without the state."""
        return self.weight_ih(x)

    def advance(self, prepared: Tensor, state: State) -> State:
        """The next state, from what the input of this step gave."""
        raise NotImplementedError

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """One step with inputs ``[n, in]``; the output ``[n, hidden]`` and the state."""
        state = self.advance(self.prepare(x), state)
        return output_of(state), state

    def extra_repr(self) -> str:
        """Sizes for ``print(model)``."""
        return f"{self.input_size}, {self.hidden_size}"


class AnalogVanillaRNNCell(RecurrentCell):
    r""":math:`h_t = \tanh(W_{ih} x_t + b_{ih} + W_{hh} h_{t-1} + b_{hh})`, as ``torch.nn.RNN``."""

    gates = 1
    activation: Callable[[Tensor], Tensor] = staticmethod(torch.tanh)

    def advance(self, prepared: Tensor, state: State) -> State:
        """See :meth:`RecurrentCell.advance`."""
        return self.activation(prepared + self.weight_hh(state))


class AnalogReLURNNCell(AnalogVanillaRNNCell):
    """The same with a rectifier in the place of tanh, ``torch.nn.RNN(nonlinearity="relu")``."""

    activation: Callable[[Tensor], Tensor] = staticmethod(torch.relu)


class AnalogLSTMCell(RecurrentCell):
    r"""The cell of ``torch.nn.LSTM``; gates i, f, g, o from :math:`W_{ih} x_t + W_{hh} h_{t-1}` and biases.

    :math:`c_t = f c_{t-1} + i g` and :math:`h_t = o \tanh c_t`, with i, f, o through the logistic function and g
    through tanh (Hochreiter & Schmidhuber, Neural Computation 1997). Its state is (h, c).
    """

    gates = 4

    def zero_state(self, x: Tensor) -> State:
        """See :meth:`RecurrentCell.zero_state`."""
        zeros = x.new_zeros(x.shape[-2], self.hidden_size)
        return zeros, zeros

    def advance(self, prepared: Tensor, state: State) -> State:
        """See :meth:`RecurrentCell.advance`."""
        return self.remembered(prepared + self.weight_hh(state[0]), state[1])

    @staticmethod
    def remembered(gates: Tensor, c: Tensor) -> State:
        """The state after one step, from all gates ``[n, 4 H]`` and the cell's memory ``[n, H]``."""
        i, f, g, o = gates.chunk(4, -1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(c), c


class AnalogLSTMCellCombinedWeight(AnalogLSTMCell):
    r"""The cell of an LSTM with one linear layer ``weight`` for :math:`(x_t, h_{t-1})`: one array, one converter."""

    def _make(self, bias: bool, rpu_config: RPUConfig | None) -> None:
        """See :meth:`RecurrentCell._make`."""
        self.weight = self.linear(self.input_size + self.hidden_size, 4 * self.hidden_size, bias, rpu_config)

    def prepare(self, x: Tensor) -> Tensor:
        """The inputs themselves: nothing can be multiplied before the state is known."""
        return x

    def advance(self, prepared: Tensor, state: State) -> State:
        """See :meth:`RecurrentCell.advance`."""
        return self.remembered(self.weight(torch.cat([prepared, state[0]], -1)), state[1])


class AnalogGRUCell(RecurrentCell):
    r"""The cell of ``torch.nn.GRU``: gates r, z, n.

    :math:`h_t = (1 - z) n + z h_{t-1}` with :math:`n = \tanh(W_{in} x_t + b_{in} + r (W_{hn} h_{t-1} + b_{hn}))` and
    r, z through the logistic function (Cho et al., EMNLP 2014).
    """

    gates = 3

    def advance(self, prepared: Tensor, state: State) -> State:
        """See :meth:`RecurrentCell.advance`."""
        h = output_of(state)
        (r_x, z_x, n_x), (r_h, z_h, n_h) = prepared.chunk(3, -1), self.weight_hh(h).chunk(3, -1)
        r, z = torch.sigmoid(r_x + r_h), torch.sigmoid(z_x + z_h)
        n = torch.tanh(n_x + r * n_h)
        return n + z * (h - n)


def output_of(state: State) -> Tensor:
    """What a cell gives to others, h."""
    return state if isinstance(state, Tensor) else state[0]


def shapes_of(state: object) -> tuple[int, ...] | list[tuple[int, ...]] | str:
    """The shape of a state, or those of its parts."""
    if isinstance(state, Tensor):
        return tuple(state.shape)
    if isinstance(state, (tuple, list)) and all(isinstance(part, Tensor) for part in state):
        return [tuple(part.shape) for part in state]
    return type(state).__name__
