"""The visible weight of a tile as a parameter that PyTorch can read and only an analog optimizer can change."""

from __future__ import annotations

import weakref
from functools import cache
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.optim.optimizer import Optimizer, register_optimizer_step_pre_hook

from ohmgrad.errors import OptimizerError

if TYPE_CHECKING:
    from ohmgrad.tile import AnalogTile


class AnalogWeight(nn.Parameter):
    """The visible weight ``[out, in]`` of one tile.

    It can be read like any parameter (``norm``, ``hist``, ``shape``); it never has a gradient, since its tile learns
    from the inputs and output gradients themselves.
    """

    _tile: weakref.ref[AnalogTile] | None = None

    @property
    def tile(self) -> AnalogTile:
        """The tile that this is the weight of."""
        tile = None if self._tile is None else self._tile()
        if tile is None:
            raise OptimizerError("This analog weight has lost its tile. Keep the layer it came from alive.")
        return tile

    def show(self, weights: Tensor, tile: AnalogTile) -> None:
        """Refer to the memory of ``weights`` from now on."""
        self.data = weights
        self._tile = weakref.ref(tile)

    def __deepcopy__(self, memo: dict[int, Any]) -> AnalogWeight:
        if id(self) not in memo:
            memo[id(self)] = AnalogWeight(self.data.clone(memory_format=torch.preserve_format), self.requires_grad)
        return memo[id(self)]

    def __reduce_ex__(self, protocol: Any) -> Any:
        return AnalogWeight, (self.data, self.requires_grad)


def _refuse_analog_weights(optimizer: Optimizer, *_: Any) -> None:
    if getattr(optimizer, "pulses_analog_weights", False):
        return
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            if isinstance(parameter, AnalogWeight) and parameter.requires_grad:
                raise OptimizerError(
                    f"{type(optimizer).__name__} cannot update the weight of {parameter.tile.label}: it has pulses"
                    " instead of a gradient. Use ohmgrad.optim.AnalogSGD, or freeze it: weight.requires_grad_(False)."
                )


@cache
def watch_optimizers() -> None:
    """From now on, an optimizer that would silently never move the analog weights it was given raises when it steps.

    A hook on all optimizers is the one place where PyTorch lets a parameter object; the first tile sets it.
    """
    register_optimizer_step_pre_hook(_refuse_analog_weights)
