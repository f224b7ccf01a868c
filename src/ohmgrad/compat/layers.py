"""The layers of aihwkit, on its tiles."""

from __future__ import annotations

import math
from typing import Any, cast

import torch
from torch import Tensor, nn

from ohmgrad.compat.array import TileModuleArray
from ohmgrad.compat.base import AnalogLayerBase
from ohmgrad.compat.errors import ModuleError
from ohmgrad.compat.kinds import tile_class_of
from ohmgrad.compat.tiles import AnalogTile, Weights
from ohmgrad.configs import RPUConfig, SingleRPUConfig
from ohmgrad.nn.conv import patches


class AnalogLayer(AnalogLayerBase, nn.Module):
    """A layer of torch whose weight is in ``analog_module``; its ``weight`` is None, and its ``bias`` a truth value."""

    analog_module: AnalogTile | TileModuleArray
    twin: type[nn.Module]
    sizes: tuple[str, ...]
    always_array = False

    def _make(self, out_size: int, in_size: int, bias: bool, rpu_config: RPUConfig | None, kind: Any) -> None:
        """Put the weights that the layer of torch has onto tiles."""
        config = SingleRPUConfig() if rpu_config is None else rpu_config
        mapping, kind = config.mapping, kind or tile_class_of(config)
        is_large = 0 < mapping.max_input_size < in_size or 0 < mapping.max_output_size < out_size
        weight, given = self._parameters.pop("weight"), self._parameters.pop("bias")
        object.__setattr__(self, "weight", None)
        object.__setattr__(self, "bias", bias)
        generator = torch.get_rng_state()  # seeds of tiles are drawn from it; the next layer begins as that of torch
        if issubclass(kind, TileModuleArray):
            self.analog_module = kind(out_size, in_size, config, bias)
        elif self.always_array or is_large:
            self.analog_module = TileModuleArray(out_size, in_size, config, bias, kind)
        else:
            self.analog_module = kind(out_size, in_size, config, bias)
        torch.set_rng_state(generator)
        assert weight is not None
        self.set_weights(weight, given)

    def reset_parameters(self) -> None:
        """Weights and bias as a new layer of torch has them."""
        if "analog_module" in self._modules:
            twin: Any = self._digital()
            self.set_weights(twin.weight, twin.bias)
        else:  # called by the layer of torch when it is made
            super().reset_parameters()

    def _digital(self) -> nn.Module:
        return self.twin(**{name: getattr(self, name) for name in self.sizes}, bias=bool(self.bias))

    def get_weights(self, **how: Any) -> Weights:
        """Copies of the weight ``[out, in]`` and the bias."""
        return self.analog_module.get_weights(**how)

    def set_weights(self, weight: Any, bias: Any = None, **how: Any) -> None:
        """Set weight and bias within the bounds of the cells."""
        rows = torch.as_tensor(weight).detach().flatten(1)
        self.analog_module.set_weights(rows, None if bias is None else torch.as_tensor(bias).detach(), **how)

    @classmethod
    def from_digital(cls, module: nn.Module, rpu_config: RPUConfig, tile_module_class: Any = None) -> Any:
        """A layer with the weights of one of torch, on its device."""
        twin: Any = module
        sizes = {name: getattr(module, name) for name in cls.sizes}
        made = cast(Any, cls)(
            **sizes, bias=twin.bias is not None, rpu_config=rpu_config, tile_module_class=tile_module_class
        )
        made.set_weights(twin.weight, twin.bias)
        return made.to(twin.weight.device).train(module.training)

    @classmethod
    def to_digital(cls, module: Any, realistic: bool = False) -> nn.Module:
        """A layer of torch with the visible weights."""
        twin, (weight, bias) = module._digital(), module.get_weights(realistic=realistic)
        with torch.no_grad():
            twin.weight.copy_(weight.reshape(twin.weight.shape))
            if bias is not None:
                twin.bias.copy_(bias)
        return cast(nn.Module, twin.to(next(module.parameters()).device).train(module.training))

    def extra_repr(self) -> str:
        """As in torch, and the class of the configuration."""
        return f"{self._digital().extra_repr()}, {type(self.analog_module.rpu_config).__name__}"


class AnalogLinear(AnalogLayer, nn.Linear):
    """``torch.nn.Linear`` with analog weights."""

    twin, sizes = nn.Linear, ("in_features", "out_features")

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        rpu_config: RPUConfig | None = None,
        tile_module_class: Any = None,
    ) -> None:
        nn.Linear.__init__(self, in_features, out_features, bias)
        self._make(out_features, in_features, bias, rpu_config, tile_module_class)

    def forward(self, x_input: Tensor) -> Tensor:
        """``[..., in]`` to ``[..., out]``."""
        y: Tensor = self.analog_module(x_input)
        return y


class AnalogLinearMapped(AnalogLinear):
    """The same on an array of tiles, however small it is."""

    always_array = True


class AnalogConv(AnalogLayer):
    """A convolution of torch with analog weights ``[out, in * elements]``."""

    sizes = ("in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation", "groups", "padding_mode")

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        rpu_config: RPUConfig | None = None,
        tile_module_class: Any = None,
        use_indexed: bool | None = None,
    ) -> None:
        if groups != 1:
            raise ModuleError(
                f"{type(self).__name__}: groups = {groups}. aihwkit has none; use the layers of ohmgrad.nn."
            )
        fields = (in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode)
        self.twin.__init__(self, *fields)
        self.in_features, self.out_features = in_channels * math.prod(cast(Any, self).kernel_size), out_channels
        self._make(self.out_features, self.in_features, bias, rpu_config, tile_module_class)

    def forward(self, x_input: Tensor) -> Tensor:
        """``[n, in_channels, ...]`` to ``[n, out_channels, ...]``; or both without the first dimension."""
        this: Any = self
        if x_input.ndim == len(this.kernel_size) + 1:
            return self.forward(x_input[None])[0]
        y: Tensor = self.analog_module(patches(x_input, this))
        return y.movedim(-1, 1)


class AnalogConv1d(AnalogConv, nn.Conv1d):
    """``torch.nn.Conv1d``."""

    twin = nn.Conv1d


class AnalogConv2d(AnalogConv, nn.Conv2d):
    """``torch.nn.Conv2d``."""

    twin = nn.Conv2d


class AnalogConv3d(AnalogConv, nn.Conv3d):
    """``torch.nn.Conv3d``."""

    twin = nn.Conv3d


class AnalogConv1dMapped(AnalogConv1d):
    """The same on an array of tiles, however small it is."""

    always_array = True


class AnalogConv2dMapped(AnalogConv2d):
    """The same on an array of tiles, however small it is."""

    always_array = True


class AnalogConv3dMapped(AnalogConv3d):
    """The same on an array of tiles, however small it is."""

    always_array = True
