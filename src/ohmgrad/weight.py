"""The visible weight of a tile as a parameter of PyTorch."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.optim.optimizer import Optimizer, register_optimizer_step_pre_hook

from ohmgrad.errors import OptimizerError, TileError

if TYPE_CHECKING:
    from ohmgrad.tile import AnalogTile


class VisibleWeight(nn.Parameter):
    """The visible weight ``[out, in]`` of one tile, whose memory is that of the tile."""

    _tile: weakref.ref[AnalogTile] | None = None
    _memory: Tensor | None = None
    _versions: int | None = None  # how often it was written to when it was shown; inference mode does not count

    @property
    def tile(self) -> AnalogTile:
        """The tile that this is the weight of."""
        tile = None if self._tile is None else self._tile()
        if tile is None:
            raise OptimizerError("This weight has lost its tile. Keep the layer it came from alive.")
        return tile

    def show(self, weights: Tensor, tile: AnalogTile) -> None:
        """Refer to the memory of ``weights`` from now on."""
        if weights is not self._memory:
            Tensor.data.__set__(self, weights)  # type: ignore[attr-defined]
            self._memory = weights
        if self._tile is None or self._tile() is not tile:
            self._tile = weakref.ref(tile)
        self._versions = None if self.is_inference() else self._version

    @property
    def memory(self) -> Tensor:
        """What is shown, as a plain tensor, for those that may write to it."""
        assert self._memory is not None
        return self._memory

    @property
    def is_written(self) -> bool:
        """Whether somebody has written to it since it was shown."""
        return self._versions is not None and self._version != self._versions

    @property
    def data(self) -> Tensor:
        """The values, detached."""
        return self.detach()

    @data.setter
    def data(self, values: Tensor) -> None:
        self._take(values)

    def _take(self, values: Tensor) -> None:
        """What ``weight.data = values`` does."""
        raise self.refusal("data = ...")

    def refusal(self, what: str) -> TileError:
        """The error about writing to it, or taking it from its tile; ``what``: how."""
        tile = None if self._tile is None else self._tile()
        return TileError(
            f"{'analog layer' if tile is None else tile.label}: the visible weight cannot be written to ({what}), since"
            " it lies in the cells of a tile. Use layer.set_weights(weight, bias), or tile.set_weights(weight)."
        )

    def _to_be_copied(self) -> None:
        """Raise, if a copy would not be one of the cells."""

    def __deepcopy__(self, memo: dict[int, Any]) -> VisibleWeight:
        if id(self) not in memo:
            self._to_be_copied()
            values = self.detach().clone(memory_format=torch.preserve_format)
            memo[id(self)] = type(self)(values, self.requires_grad)
        return memo[id(self)]

    def __reduce_ex__(self, protocol: Any) -> Any:
        self._to_be_copied()
        return type(self), (self.detach(), self.requires_grad)


class DigitalWeight(VisibleWeight):
    """The weight of a tile that is trained digitally: an ordinary parameter with a gradient, for any optimizer.

    If its tile does something after each step, it is to know of them: use :class:`~ohmgrad.optim.AnalogOptimizer`.
    """

    @torch.no_grad()
    def _take(self, values: Tensor) -> None:
        if values.shape != self.shape:
            raise self.refusal(f"data of shape {tuple(values.shape)}")
        self.copy_(values)  # so that it stays the weight of its tile


class WeightCopy(Tensor):
    """What the tiles and scales of a layer amount to: to be read, not to be changed or frozen."""

    # What is made of it is an ordinary tensor.
    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    def refusal(self, what: str) -> TileError:
        """The error about changing it; ``what``: how."""
        return TileError(
            f"layer.weight is a copy of what tiles and scales of the layer amount to, and cannot be changed ({what})."
            " Use layer.set_weights(weight, bias), layer.freeze() and layer.unfreeze()."
        )

    @property
    def data(self) -> Tensor:
        """The values, as an ordinary tensor."""
        return self.as_subclass(Tensor)

    @data.setter
    def data(self, values: Tensor) -> None:
        raise self.refusal("data = ...")


class AnalogWeight(VisibleWeight):
    """The visible weight of a tile that learns by pulses.

    It can be read like any parameter (``norm``, ``hist``, ``shape``). Products give it no gradient: its tile learns
    from the inputs and output gradients themselves. It cannot be written to, since cells take pulses: its methods that
    would change it raise :class:`~ohmgrad.errors.TileError` at once, and what is written to it behind its back
    (through ``detach()``, ``data`` or ``out=``) is noticed by its tile before it is used.
    """

    def _to_be_copied(self) -> None:
        if self.is_written:
            raise self.refusal("in place")


class KeepsWeight(nn.Module):
    """A module from which PyTorch's tools that replace parameters cannot take an analog weight."""

    def register_parameter(self, name: str, param: nn.Parameter | None) -> None:
        """As in torch.

        :raises TileError: if it is the weight of a tile that goes by another name.
        """
        if isinstance(param, VisibleWeight) and name != "weight":
            raise param.refusal(f"as {name}")
        super().register_parameter(name, param)

    def __delattr__(self, name: str) -> None:
        weight = self._parameters.get(name)
        if isinstance(weight, VisibleWeight):
            raise weight.refusal("removed")
        super().__delattr__(name)


def _refusing(name: str) -> Callable[..., Any]:
    def refuse(weight: AnalogWeight | WeightCopy, *_: Any, **__: Any) -> None:
        raise weight.refusal(name)

    return refuse


def _changes(name: str) -> bool:
    """Whether a method of tensors changes them: ``fill_``, ``+=``, an assignment to elements."""
    if name.endswith("_") and not name.startswith("_"):
        return name not in ("requires_grad_", "share_memory_", "detach_")
    return name == "__setitem__" or (name.startswith("__i") and hasattr(Tensor, f"__{name[3:]}"))


for _name in filter(_changes, dir(Tensor)):
    setattr(AnalogWeight, _name, _refusing(_name))
    setattr(WeightCopy, _name, _refusing(_name))
setattr(WeightCopy, "requires_grad_", _refusing("requires_grad_"))  # noqa: B010 (one of the same kind)


def _refuse_analog_weights(optimizer: Optimizer, *_: Any) -> None:
    if getattr(optimizer, "pulses_analog_weights", False):
        return
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            if isinstance(parameter, VisibleWeight) and parameter.requires_grad:
                kind, is_digital = type(optimizer).__name__, isinstance(parameter, DigitalWeight)
                if is_digital and not parameter.tile.acts_after_steps():
                    continue
                why = "its tile would not know of the step" if is_digital else "it has pulses instead of a gradient"
                raise OptimizerError(
                    f"{kind} cannot update the weight of {parameter.tile.label}: {why}. Use ohmgrad.optim.AnalogSGD,"
                    f" or AnalogOptimizer({kind}, ...), or freeze the layer: layer.freeze()."
                )


@cache
def watch_optimizers() -> None:
    """From now on, an optimizer that would silently never move the analog weights it was given raises when it steps.

    A hook on all optimizers is the one place where PyTorch lets a parameter object; the first tile sets it.
    """
    register_optimizer_step_pre_hook(_refuse_analog_weights)
