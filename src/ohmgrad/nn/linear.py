"""A linear layer whose weight lives on analog tiles."""

from __future__ import annotations

from torch import Tensor, nn

from ohmgrad.configs import RPUConfig
from ohmgrad.nn.base import AnalogLayer


class AnalogLinear(AnalogLayer):
    """``y = W x + b`` with an analog weight W and a bias b, digital unless ``mapping.digital_bias`` is off.

    Made like ``torch.nn.Linear``, with the same initial weights (clipped to the bounds of the cells). Train it with
    :class:`ohmgrad.optim.AnalogSGD`.

    :param in_features: width of the input; :param out_features: width of the output.
    :param bias: whether there is a bias: an ordinary parameter ``[out]``, or the last column of the tile.
    :param rpu_config: of the tiles; default ``SingleRPUConfig()``.
    """

    twin, sizes = nn.Linear, ("in_features", "out_features")

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, rpu_config: RPUConfig | None = None
    ) -> None:
        self.in_features, self.out_features = in_features, out_features
        super().__init__(out_features, in_features, bias, rpu_config)

    def forward(self, x: Tensor) -> Tensor:
        """``[..., in]`` to ``[..., out]``."""
        # As an attribute, a module is searched for in one dictionary after the other; torch types it as one or None.
        return self._with_bias(self._modules["matrix"](x))  # type: ignore[misc]

    def extra_repr(self) -> str:
        """Sizes for ``print(model)``."""
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.has_bias}"
