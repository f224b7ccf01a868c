"""What layers and containers of aihwkit can say of the layers and tiles in them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any

from torch import nn

from ohmgrad.compat.errors import ModuleError
from ohmgrad.compat.inference import InferenceTile
from ohmgrad.compat.tiles import AnalogTile, Weights


class AnalogLayerBase:
    """Mixed into layers and containers."""

    IS_CONTAINER = False

    def named_analog_modules(self) -> Iterator[tuple[str, Any]]:
        """Layers and containers by name."""
        return ((name, each) for name, each in self._named_modules() if isinstance(each, AnalogLayerBase))

    def named_analog_layers(self) -> Iterator[tuple[str, Any]]:
        """Layers by name."""
        return ((name, each) for name, each in self.named_analog_modules() if not each.IS_CONTAINER)

    def named_analog_tiles(self) -> Iterator[tuple[str, AnalogTile]]:
        """Tiles by name."""
        return ((name, each) for name, each in self._named_modules() if isinstance(each, AnalogTile))

    def analog_modules(self) -> Iterator[nn.Module]:
        """Layers and containers."""
        return (each for _, each in self.named_analog_modules())

    def analog_layers(self) -> Iterator[nn.Module]:
        """Layers."""
        return (each for _, each in self.named_analog_layers())

    def analog_tiles(self) -> Iterator[AnalogTile]:
        """Tiles."""
        return (each for _, each in self.named_analog_tiles())

    def analog_tile_count(self) -> int:
        """How many tiles there are."""
        return sum(1 for _ in self.analog_tiles())

    def apply_to_analog_layers(self, fn: Callable[[nn.Module], object]) -> Any:
        """Call a function with every layer."""
        for each in list(self.analog_layers()):
            fn(each)
        return self

    def apply_to_analog_tiles(self, fn: Callable[[AnalogTile], object]) -> Any:
        """Call a function with every tile."""
        for each in list(self.analog_tiles()):
            fn(each)
        return self

    def get_analog_tile_devices(self) -> list[Any]:
        """Where the tiles are."""
        return [each.device for each in self.analog_tiles()]

    def unregister_parameter(self, name: str) -> None:
        """Make a parameter an attribute that is None."""
        assert isinstance(self, nn.Module)
        self._parameters.pop(name, None)
        setattr(self, name, None)

    def load_state_dict(
        self,
        state_dict: Any,
        strict: bool = True,
        load_rpu_config: bool | None = None,
        strict_rpu_config_check: bool | None = None,
        **named: Any,
    ) -> Any:
        """As in torch; unless ``load_rpu_config`` is False, tiles take the configurations that were saved too."""
        for each in self.analog_tiles():
            each.loads_config = load_rpu_config is not False
        try:
            return super().load_state_dict(state_dict, strict=strict, **named)
        finally:
            for each in self.analog_tiles():
                each.loads_config = True

    def replace_rpu_config(self, rpu_config: Any) -> None:
        """Give all tiles another configuration."""
        for each in self.analog_tiles():
            each.replace_with(rpu_config)

    def remap_analog_weights(self, weight_scaling_omega: float | None = 1.0) -> None:
        """Choose the scales of all mappings anew."""
        for each in self.analog_tiles():
            each.remap_weights(weight_scaling_omega)

    def program_analog_weights(self, noise_model: Any = None) -> None:
        """Program all tiles for inference.

        :raises ModuleError: in training.
        """
        for each in self._inference_tiles("program_analog_weights"):
            each.program_weights(noise_model=noise_model)

    def drift_analog_weights(self, t_inference: float = 0.0) -> None:
        """Let all tiles be so many seconds old.

        :raises ModuleError: in training.
        """
        for each in self._inference_tiles("drift_analog_weights"):
            each.drift_weights(t_inference)

    def _inference_tiles(self, what: str) -> list[InferenceTile]:
        if getattr(self, "training", False):
            raise ModuleError(f"{what} is for evaluation. Call model.eval() before.")
        found = [each for each in self.analog_tiles() if isinstance(each, InferenceTile)]
        if not found:
            raise ModuleError(
                f"{what}: there is no tile for inference. Use an InferenceRPUConfig, or ohmgrad.inference."
            )
        return found

    def _named_modules(self) -> list[tuple[str, Any]]:
        assert isinstance(self, nn.Module)
        return list(self.named_modules())


class AnalogContainerBase(AnalogLayerBase):
    """Mixed into modules that hold layers."""

    IS_CONTAINER = True

    def get_weights(self) -> OrderedDict[str, Weights]:
        """Weights and biases of all tiles by name."""
        return OrderedDict((name, tile.get_weights()) for name, tile in self.named_analog_tiles())

    def set_weights(self, weight: dict[str, Weights]) -> None:
        """Set what :meth:`get_weights` gave.

        :raises ModuleError: if a tile is missing.
        """
        for name, tile in self.named_analog_tiles():
            if name not in weight:
                raise ModuleError(f"set_weights: nothing is given for {name!r}.")
            tile.set_weights(*weight[name])


class AnalogSequential(AnalogContainerBase, nn.Sequential):
    """``torch.nn.Sequential`` that knows the layers and tiles in it."""


class AnalogWrapper(AnalogContainerBase):
    """Makes a model a model that knows the layers and tiles in it; it stays what it was."""

    def __new__(cls, module: nn.Module) -> Any:
        """The module itself, whose class is derived from its own from now on."""
        module.__class__ = wrapped(type(module))
        return module


def wrapped(kind: type[nn.Module]) -> type[nn.Module]:
    """The class of a wrapped model."""
    if kind not in _wrapped:
        parts = {"__reduce_ex__": _reduced, "digital_class": kind, "__module__": __name__}
        _wrapped[kind] = type(f"AnalogWrapper{kind.__name__}", (AnalogContainerBase, kind), parts)
    return _wrapped[kind]


_wrapped: dict[type[nn.Module], type[nn.Module]] = {}


def _reduced(self: Any, protocol: Any) -> tuple[Any, ...]:
    return _empty, (self.digital_class,), self.__dict__.copy()


def _empty(kind: type[nn.Module]) -> nn.Module:
    made = wrapped(kind)
    return made.__new__(made)
