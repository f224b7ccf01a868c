"""Optimizers that pulse analog weights and step every other parameter as PyTorch does."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cache
from typing import TYPE_CHECKING, Any, cast

import torch

from ohmgrad.engine.peaks import all_finite
from ohmgrad.errors import OptimizerError, TileError
from ohmgrad.warm_start import WarmStart as WarmStart
from ohmgrad.weight import VisibleWeight

if TYPE_CHECKING:
    from torch.optim import Optimizer as _Base

    from ohmgrad.tile import AnalogTile
else:
    _Base = object


class AnalogOptimizerMixin(_Base):
    """Mixed into a torch optimizer, pulses the analog weights it is given.

    A step first lets the torch optimizer step the digital parameters; then every tile learns, in the order of the
    parameters, at the learning rate of its group, from all gradients since the last step; then time acts on the cells
    (diffusion, decay). A learning rate of 0 leaves a tile as it is and drops its gradients.

    An analog weight needs no ``grad``: its tile remembers the inputs and output gradients of every backward pass. So
    momentum, weight decay and gradient clipping do not act on it, ``optimizer.zero_grad()`` drops what is remembered
    but ``model.zero_grad()`` does not, and ``torch.autograd.grad`` through a layer counts as a backward pass (freeze
    the layer with ``layer.freeze()`` for that). ``maximize``, gradient scalers and terms of the loss that use an analog
    weight itself are refused. The weight of a tile that is trained digitally (``InferenceRPUConfig``) is a parameter
    like any other.
    """

    found_inf: torch.Tensor
    grad_scale: torch.Tensor

    pulses_analog_weights = True

    @property
    def _step_supports_amp_scaling(self) -> bool:
        """So that a GradScaler makes itself known to a step with analog weights, which refuses it."""
        return not all(tile.learns_digitally for _, tile in self._analog())

    @_step_supports_amp_scaling.setter
    def _step_supports_amp_scaling(self, value: bool) -> None:
        """Optimizers with fused steps say that they could; a tile could not."""

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """As in torch; analog layers learn their names if parameters are named."""
        super().add_param_group(param_group)
        group = self.param_groups[-1]
        try:
            self._check(group)
        except OptimizerError:
            self.param_groups.pop()
            raise
        for name, parameter in zip(group.get("param_names", ()), group["params"], strict=False):
            if isinstance(parameter, VisibleWeight):
                parameter.tile.name = _name_of_layer(name)

    def _analog(self) -> Iterator[tuple[dict[str, Any], AnalogTile]]:
        for group in self.param_groups:
            for parameter in group["params"]:
                if issubclass(type(parameter), VisibleWeight):  # to ask if it is an instance is slow in torch
                    yield group, parameter.tile

    @staticmethod
    def _check(group: dict[str, Any]) -> None:
        given = group["lr"]
        if isinstance(given, torch.Tensor) and given.device.type != "cpu":
            raise OptimizerError(
                f"Learning rate on {given.device}: every step would wait for it. Give a number, or a tensor in the"
                " processor's memory."
            )
        rate = float(given)
        if not 0.0 <= rate < float("inf"):
            raise OptimizerError(f"Learning rate {rate}. Analog weights need a finite rate that is not negative.")
        if group.get("maximize"):
            raise OptimizerError("maximize=True: analog weights only descend. Minimise the negative of the objective.")

    @staticmethod
    def _check_gradient(tile: AnalogTile) -> None:
        gradient = tile._shown.grad
        if gradient is None:
            return
        if not tile.learns_digitally:
            raise OptimizerError(
                f"The weight of {tile.label} has a gradient: a term of the loss uses the weight itself, as a penalty"
                " does, and pulses cannot follow it. Leave that term out; cells that decay have a lifetime."
            )
        if gradient.is_cpu and not all_finite(gradient):
            raise TileError(f"{tile.label}: the gradient of the weight is not finite in places. Look for its cause.")

    def step(self, closure: Callable[[], float] | None = None) -> Any:
        """One step of digital parameters and tiles.

        :raises OptimizerError: if a learning rate is negative or not finite; nothing is changed then.
        :raises TileError: if it is known by now that a tile was given numbers that are not finite.
        """
        for group in self.param_groups:
            self._check(group)
        if hasattr(self, "found_inf"):  # a GradScaler calls; it cannot scale back what a tile remembers
            del self.found_inf, self.grad_scale  # which it would leave behind; the next step may come without it
            raise OptimizerError(
                "GradScaler: analog weights learn from gradients as they are. Train in bfloat16, which needs no scaler;"
                " in float16, call loss.backward() and optimizer.step() without one."
            )
        tiles = list(self._analog())
        for _, tile in tiles:  # before the digital parameters step
            tile.check(wait=False)
            self._check_gradient(tile)
        inherited: Any = super().step
        step = inherited.__func__
        if getattr(step, "hooked", False):  # torch has wrapped it for another optimizer: our own step runs the hooks
            step = step.__wrapped__
        loss = step(self, closure)
        for group, tile in tiles:
            tile.set_learning_rate(float(group["lr"]) * tile.rate_scale)
            tile.learn()
        for _, tile in tiles:
            tile.post_update_step()
        return loss

    def regroup_param_groups(self, *_: Any) -> None:
        """Give each analog weight a group of its own, with the settings that it has; some scripts look for those."""
        groups, self.param_groups[:] = list(self.param_groups), []
        for group in groups:
            names = group.get("param_names") or [None] * len(group["params"])
            pairs = list(zip(group["params"], names, strict=True))
            rest = [pair for pair in pairs if not isinstance(pair[0], VisibleWeight)]
            for part in [rest, *([pair] for pair in pairs if isinstance(pair[0], VisibleWeight))]:
                if part:
                    params, part_names = map(list, zip(*part, strict=True))
                    named = {"param_names": part_names} if "param_names" in group else {}
                    self.param_groups.append({**group, "params": params, **named})

    def set_learning_rate(self, learning_rate: float) -> None:
        """Set the learning rate of all groups and tiles.

        :raises OptimizerError: if it is negative or not finite; nothing is changed then.
        """
        self._check({"lr": learning_rate})
        for group in self.param_groups:
            group["lr"] = learning_rate
        for _, tile in self._analog():
            tile.set_learning_rate(learning_rate * tile.rate_scale)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drop the gradients of digital parameters and tiles."""
        super().zero_grad(set_to_none)
        for _, tile in self._analog():
            tile.forget()


class AnalogSGD(AnalogOptimizerMixin, torch.optim.SGD):
    """``torch.optim.SGD`` for models with analog layers; takes the same arguments.

    Give it ``model.named_parameters()`` and errors name the layer.
    """


class AnalogAdam(AnalogOptimizerMixin, torch.optim.Adam):
    """``torch.optim.Adam`` for what is digital; analog weights are pulsed by plain gradients."""


class _AnyOptimizer(type):
    """Of a class that is called like a class, and makes instances of others."""

    def __call__(cls, optimizer: Any, *arguments: Any, **named: Any) -> Any:
        return analog(optimizer)(*arguments, **named)

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, AnalogOptimizerMixin)


class AnalogOptimizer(metaclass=_AnyOptimizer):
    """Any optimizer for the digital parameters: ``AnalogOptimizer(torch.optim.AdamW, model.parameters(), lr=0.1)``.

    What it makes is an instance of that class too; analog weights are pulsed as :class:`AnalogOptimizerMixin` says.

    :param optimizer: class of the optimizer, derived from ``torch.optim.Optimizer``; what follows are its arguments.
    :raises OptimizerError: if it is no such class, or one that evaluates its closure several times in a step.
    """

    if TYPE_CHECKING:

        def __init__(self, optimizer: Any, params: Any, *arguments: Any, **named: Any) -> None:
            """As that of the optimizer."""


@cache
def analog(optimizer: Any) -> Any:
    """The class of an optimizer that pulses analog weights too, see :class:`AnalogOptimizer`."""
    if not (isinstance(optimizer, type) and issubclass(optimizer, torch.optim.Optimizer)):
        raise OptimizerError(
            f"AnalogOptimizer: {optimizer!r} is no class of optimizers. Give one, such as torch.optim.SGD, and its"
            " arguments after it."
        )
    if issubclass(optimizer, torch.optim.LBFGS):
        raise OptimizerError(
            f"AnalogOptimizer: {optimizer.__name__} tries several weights in a step, which pulses cannot take back. Use"
            " another optimizer for analog weights, such as torch.optim.SGD."
        )
    if issubclass(optimizer, AnalogOptimizerMixin):
        return optimizer
    parts = {"__doc__": optimizer.__doc__, "__reduce__": _reduced, "__module__": __name__}
    return type(f"AnalogOptimizer{optimizer.__name__}", (AnalogOptimizerMixin, optimizer), parts)


def _reduced(self: torch.optim.Optimizer) -> tuple[Any, ...]:
    """For pickling and copying: the class is made again."""
    (_, optimizer, *_) = type(self).__bases__
    return _restored, (optimizer,), self.__getstate__()


def _restored(optimizer: Any) -> torch.optim.Optimizer:
    kind = analog(optimizer)
    return cast("torch.optim.Optimizer", kind.__new__(kind))


def _name_of_layer(parameter: str) -> str:
    """The layer that an analog weight belongs to, on whichever of its tiles, by the name of the weight in the model."""
    of_tile = re.sub(r"(^|\.)matrix\.blocks\.\d+(?=\.tile\.weight$)", "", parameter)
    return of_tile.removesuffix(".weight").removesuffix(".tile")
