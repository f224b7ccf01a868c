"""What layers with analog weights have in common."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn

from ohmgrad.configs import RPUConfig
from ohmgrad.engine.peaks import all_finite
from ohmgrad.errors import ConfigError, TileError
from ohmgrad.nn.loading import is_old, rename_old, unlike
from ohmgrad.nn.matrix import TiledMatrix
from ohmgrad.parameters.base import Config
from ohmgrad.tile import AnalogTile, checked_config
from ohmgrad.weight import KeepsWeight, VisibleWeight, WeightCopy

if TYPE_CHECKING:
    from typing_extensions import Self


class AnalogModule(nn.Module):
    """A module that knows the analog layers and tiles in it."""

    def analog_layers(self) -> Iterator[AnalogLayer]:
        """The analog layers, in the order of the modules."""
        return (layer for _, layer in named_analog_layers(self))

    def named_analog_layers(self) -> Iterator[tuple[str, AnalogLayer]]:
        """The same by name."""
        return named_analog_layers(self)

    def analog_tiles(self) -> Iterator[AnalogTile]:
        """The tiles, in the order of the modules."""
        return (tile for _, tile in named_analog_tiles(self))

    def named_analog_tiles(self) -> Iterator[tuple[str, AnalogTile]]:
        """The same by name."""
        return named_analog_tiles(self)

    def analog_tile_count(self) -> int:
        """How many tiles there are."""
        return sum(1 for _ in self.analog_tiles())


class AnalogSequential(AnalogModule, nn.Sequential):
    """``torch.nn.Sequential`` that knows the analog layers and tiles in it.

    Analog layers work in any module of torch; of one that does not know them, :func:`named_analog_tiles` tells.
    """


class AnalogLayer(KeepsWeight, AnalogModule):
    """A layer of torch whose weight lies on analog tiles.

    A kind of layer says what its ``twin`` in torch is, by which ``sizes`` that is made, and what it does with its
    matrix.

    :param out_features: rows of the matrix; :param in_features: columns of it, in each group.
    :param bias: whether there is a bias: an ordinary parameter ``[out]``, or the last column of the matrix.
    :param rpu_config: of the tiles; default ``SingleRPUConfig()``.
    :param groups: of inputs and outputs that have nothing to do with each other.
    """

    bias: nn.Parameter | None
    twin: type[nn.Module]
    """The layer of torch."""
    sizes: tuple[str, ...]
    """Arguments of both that are attributes of both, but the bias."""

    def __init__(
        self, out_features: int, in_features: int, bias: bool, rpu_config: RPUConfig | None, groups: int = 1
    ) -> None:
        super().__init__()
        if isinstance(bias, Config):
            raise ConfigError(f"{type(self).__name__}: bias is a {type(bias).__name__}. Give it as rpu_config=...")
        is_digital = checked_config(rpu_config).mapping.digital_bias
        self.matrix = TiledMatrix(out_features, in_features, rpu_config, bias and not is_digital, groups)
        self.register_parameter("bias", nn.Parameter(torch.empty(out_features)) if bias and is_digital else None)
        self.reset_parameters()

    @classmethod
    def from_digital(cls, module: nn.Module, rpu_config: RPUConfig | None = None) -> Self:
        """A layer with the weights of one of torch, within the bounds of the cells, on the same device.

        :param module: an instance of the ``twin`` of this class.
        """
        sizes = {name: getattr(module, name) for name in cls.sizes}
        layer = cls(**sizes, bias=module.bias is not None, rpu_config=rpu_config)
        weight = cast(Tensor, module.weight)
        layer.take(weight, cast("Tensor | None", module.bias))
        return layer.to(weight.device).train(module.training)

    def to_digital(self) -> nn.Module:
        """A layer of torch with the visible weights, on the same device."""
        module = self.digital()
        self.give(cast(Tensor, module.weight), cast("Tensor | None", module.bias))
        return module.to(self.tiles[0].weight.device).train(self.training)

    def take(self, weight: Tensor, bias: Tensor | None) -> None:
        """Set what parameters of torch hold, and train what they train; see :meth:`set_weights`."""
        self.set_weights(weight.detach(), None if bias is None else bias.detach())
        self._train_tiles(weight.requires_grad)
        if self.bias is not None and bias is not None:
            self.bias.requires_grad_(bias.requires_grad)

    @torch.no_grad()
    def give(self, weight: Tensor, bias: Tensor | None) -> None:
        """Let parameters of torch hold what this layer holds, and be trained if it is."""
        values, trained = self.get_weights(), self.tiles[0].weight.requires_grad
        weight.copy_(values[0]).requires_grad_(trained)
        if bias is not None and values[1] is not None:
            bias.copy_(values[1]).requires_grad_(trained if self.bias is None else self.bias.requires_grad)

    def digital(self) -> nn.Module:
        """A new layer of torch of the same kind and sizes, with initial weights."""
        return self.twin(**{name: getattr(self, name) for name in self.sizes}, bias=self.has_bias)

    @property
    def has_bias(self) -> bool:
        """Whether there is a bias, digital or analog."""
        return self.bias is not None or self.matrix.has_bias

    def reset_parameters(self) -> None:
        """Weights and bias as a new layer of torch has them, within the bounds of the cells."""
        twin: Any = self.digital()
        self.set_weights(twin.weight.detach(), None if twin.bias is None else twin.bias.detach())

    # --- tiles -------------------------------------------------------------------------------------------------------

    @property
    def tiles(self) -> list[AnalogTile]:
        """All tiles, in the order of :class:`~ohmgrad.nn.matrix.TiledMatrix`."""
        return [block.tile for block in self.matrix.each()]

    @property
    def tile(self) -> AnalogTile:
        """The tile, of a layer that has one.

        :raises TileError: if it has more.
        """
        tiles = self.tiles
        if len(tiles) > 1:
            raise TileError(f"{type(self).__name__}({self.extra_repr()}) has {len(tiles)} tiles. Use layer.tiles.")
        return tiles[0]

    # --- weights -----------------------------------------------------------------------------------------------------

    @property
    def weight(self) -> VisibleWeight | WeightCopy:
        """The visible weight: that of the tile, or what tiles and their scales amount to, a copy that is only read."""
        if self.matrix.is_one_tile:
            return self.tile.weight
        weight, _ = self.get_weights()
        return weight.to(self.tiles[0].weight.device).as_subclass(WeightCopy)

    def freeze(self) -> Self:
        """Let the weights, and an analog bias, stay as they are in training; the input still gets its gradient."""
        return self._train_tiles(False)

    def unfreeze(self) -> Self:
        """Let the weights be trained again."""
        return self._train_tiles(True)

    def _train_tiles(self, trained: bool) -> Self:
        for tile in self.tiles:
            tile.weight.requires_grad_(trained)
        return self

    def get_weights(self) -> tuple[Tensor, Tensor | None]:
        """Copies of the weight, in the shape that torch gives it, and of the bias, on the processor."""
        weight, bias = self.matrix.get_weights(), self.bias
        if self.matrix.has_bias:
            return self._shaped(weight[:, :-1]), weight[:, -1].clone()
        return self._shaped(weight), None if bias is None else bias.detach().cpu().clone()

    @torch.no_grad()
    def set_weights(self, weight: Tensor, bias: Tensor | None = None) -> None:
        """Set the weight, in the shape that torch gives it, and the bias; None leaves the bias as it is.

        :raises TileError: on a wrong shape or a number that is not finite.
        """
        weight, bias = self._checked(weight, bias)
        flat = weight.flatten(1)
        if self.matrix.has_bias:
            column = self.matrix.get_weights()[:, -1] if bias is None else bias
            flat = torch.cat([flat, column.to(flat.device)[:, None]], 1)
        self.matrix.set_weights(flat)
        if self.bias is not None and bias is not None:
            self.bias.copy_(bias)

    def _checked(self, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Weight and bias in single precision, of the right shapes and finite, so that all of it can be set."""
        rows, columns = self.matrix.shape
        shapes = {"weight": tuple(self._shaped(torch.empty(rows, columns, device="meta")).shape), "bias": (rows,)}
        if bias is not None and not self.has_bias:
            raise TileError(f"{type(self).__name__}({self.extra_repr()}) has no bias to set. Give none.")
        checked: list[Tensor | None] = []
        for (name, shape), given in zip(shapes.items(), (weight, bias), strict=True):
            value = None if given is None else torch.as_tensor(given, dtype=torch.float32)
            if value is not None and tuple(value.shape) != shape:
                raise TileError(f"{type(self).__name__}: a {name} of shape {tuple(value.shape)} given, {shape} needed.")
            if value is not None and not value.is_meta and not all_finite(value):
                raise TileError(f"{type(self).__name__}: the {name} is not finite in places. Look for its cause.")
            checked.append(value)
        assert checked[0] is not None
        return checked[0], checked[1]

    def _shaped(self, matrix: Tensor) -> Tensor:
        """Rows ``[out, in]`` in the shape that torch gives the weight."""
        return matrix

    def _with_bias(self, y: Tensor) -> Tensor:
        """Outputs ``[..., out]`` and the digital bias, if there is one."""
        bias = self.bias
        if bias is None:
            return y
        return y + (bias if bias.dtype is y.dtype else bias.to(y.dtype))

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *arguments: Any) -> None:
        _metadata, strict, _missing, _unexpected, errors = arguments
        if is_old(state_dict, prefix):
            rename_old(state_dict, prefix)
        if strict:
            errors.extend(unlike(self.tiles, state_dict, prefix))
        super()._load_from_state_dict(state_dict, prefix, *arguments)


def named_analog_layers(model: nn.Module) -> Iterator[tuple[str, AnalogLayer]]:
    """The analog layers of a model by name."""
    return ((name, module) for name, module in model.named_modules() if isinstance(module, AnalogLayer))


def named_analog_tiles(model: nn.Module) -> Iterator[tuple[str, AnalogTile]]:
    """The tiles of a model by name."""
    return ((name, module) for name, module in model.named_modules() if isinstance(module, AnalogTile))
