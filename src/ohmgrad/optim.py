"""Optimizers that pulse analog weights and step every other parameter as PyTorch does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import torch

from ohmgrad.errors import OptimizerError
from ohmgrad.weight import AnalogWeight

if TYPE_CHECKING:
    from torch.optim import Optimizer as _Base
else:
    _Base = object


class AnalogOptimizer(_Base):
    """Mixed into a torch optimizer, pulses the analog weights it is given.

    A step first lets the torch optimizer step the digital parameters; then every tile learns, in the order of the
    parameters, at the learning rate of its group, from all gradients since the last step; then time acts on the cells
    (diffusion, decay). A learning rate of 0 leaves a tile as it is and drops its gradients. Momentum, weight decay and
    the like do not act on analog weights.
    """

    pulses_analog_weights = True

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """As in torch; analog layers learn their names if parameters are named."""
        super().add_param_group(param_group)
        group = self.param_groups[-1]
        for name, parameter in zip(group.get("param_names", ()), group["params"], strict=False):
            if isinstance(parameter, AnalogWeight):
                parameter.tile.name = name.removesuffix(".weight").removesuffix(".tile")
        self._check_rate(group)

    def _analog(self) -> Iterator[tuple[dict[str, Any], AnalogWeight]]:
        for group in self.param_groups:
            for parameter in group["params"]:
                if isinstance(parameter, AnalogWeight):
                    yield group, parameter

    @staticmethod
    def _check_rate(group: dict[str, Any]) -> None:
        rate = float(group["lr"])
        if not 0.0 <= rate < float("inf"):
            raise OptimizerError(f"Learning rate {rate}. Analog weights need a finite rate that is not negative.")

    def step(self, closure: Callable[[], float] | None = None) -> Any:
        """One step of digital parameters and tiles.

        :raises OptimizerError: if a learning rate is negative or not finite; nothing is changed then.
        """
        for group in self.param_groups:
            self._check_rate(group)
        loss = super().step(closure)
        tiles = list(self._analog())
        for group, parameter in tiles:
            rate = float(group["lr"])
            parameter.tile.set_learning_rate(rate)
            parameter.tile.learn()
        for _, parameter in tiles:
            parameter.tile.post_update_step()
        return loss

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drop the gradients of digital parameters and tiles."""
        super().zero_grad(set_to_none)
        for _, parameter in self._analog():
            parameter.tile.forget()


class AnalogSGD(AnalogOptimizer, torch.optim.SGD):
    """``torch.optim.SGD`` for models with analog layers; takes the same arguments.

    Give it ``model.named_parameters()`` and errors name the layer.
    """


class AnalogAdam(AnalogOptimizer, torch.optim.Adam):
    """``torch.optim.Adam`` for the digital parameters; analog weights are pulsed by plain gradients."""
