"""A linear layer whose weight lives on an analog tile."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ohmgrad.configs import RPUConfig
from ohmgrad.tile import AnalogTile, checked_config
from ohmgrad.weight import AnalogWeight


class AnalogLinear(nn.Module):
    """``y = W x + b`` with an analog weight W and a bias b, digital unless ``mapping.digital_bias`` is off.

    Made like ``torch.nn.Linear``, with the same initial weights (clipped to the bounds of the cells). Train it with
    :class:`ohmgrad.optim.AnalogSGD`.

    :param in_features: width of the input; :param out_features: width of the output.
    :param bias: whether there is a bias: an ordinary parameter ``[out]``, or the last column of the tile.
    :param rpu_config: of the tile; default ``SingleRPUConfig()``.
    """

    bias: nn.Parameter | None

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, rpu_config: RPUConfig | None = None
    ) -> None:
        super().__init__()
        self.in_features, self.out_features = in_features, out_features
        digital = checked_config(rpu_config).mapping.digital_bias
        self.tile = AnalogTile(out_features, in_features, rpu_config, has_bias=bias and not digital)
        self.register_parameter("bias", nn.Parameter(torch.empty(out_features)) if bias and digital else None)
        self.reset_parameters()

    @property
    def weight(self) -> AnalogWeight:
        """The visible weight ``[out, in]``; an analog bias is its last column."""
        return self.tile.weight

    def reset_parameters(self) -> None:
        """Weights and bias uniform in ``+-1 / sqrt(in_features)``, as ``torch.nn.Linear`` has them."""
        weights = torch.empty(self.out_features, self.in_features)
        nn.init.kaiming_uniform_(weights, a=math.sqrt(5.0))
        limit = 1.0 / math.sqrt(self.in_features)
        if self.tile.has_bias:
            weights = torch.cat([weights, torch.empty(self.out_features, 1).uniform_(-limit, limit)], 1)
        self.tile.set_weights(weights)
        if self.bias is not None:
            nn.init.uniform_(self.bias, -limit, limit)

    def forward(self, x: Tensor) -> Tensor:
        """``[..., in]`` to ``[..., out]``."""
        tile, bias = self._modules["tile"], self._parameters["bias"]  # the fast way
        assert tile is not None
        y: Tensor = tile(x)
        if bias is None:
            return y
        return y + (bias if bias.dtype is y.dtype else bias.to(y.dtype))

    def extra_repr(self) -> str:
        """Sizes for ``print(model)``."""
        has_bias = self.bias is not None or self.tile.has_bias
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={has_bias}"
