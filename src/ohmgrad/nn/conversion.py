"""Models of torch with analog layers in the place of digital ones, and back."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatchcase

from torch import nn

from ohmgrad.configs import RPUConfig
from ohmgrad.errors import ConfigError
from ohmgrad.nn.base import AnalogLayer
from ohmgrad.nn.conv import AnalogConv1d, AnalogConv2d, AnalogConv3d
from ohmgrad.nn.linear import AnalogLinear
from ohmgrad.nn.recurrent_twin import AnalogRecurrent

LAYERS: dict[type[nn.Module], type[AnalogLayer | AnalogRecurrent]] = {
    **{kind.twin: kind for kind in (AnalogLinear, AnalogConv1d, AnalogConv2d, AnalogConv3d)},
    **dict.fromkeys((nn.RNN, nn.LSTM, nn.GRU), AnalogRecurrent),
}
"""The analog layer of every digital one."""
Special = Mapping[str | type[nn.Module], RPUConfig | None]


def convert_to_analog(
    model: nn.Module,
    rpu_config: RPUConfig,
    special: Special | None = None,
    exclude: Iterable[str] = (),
    inplace: bool = False,
) -> nn.Module:
    """A model whose linear, convolutional and recurrent layers are analog, with weights as near as cells can hold.

    Layers of exactly these classes are converted; those of derived classes stay, since they may do something else. A
    layer that a model has in two places stays one layer.

    :param special: other configurations for some layers, None for those that stay digital: by name or pattern
        (``"encoder.*"``, ``"*.head"``), or by class. The first name that fits counts, then the class.
    :param exclude: names or patterns of modules that stay as they are, with all that is in them.
    :param inplace: change the model itself; else it stays as it is.
    :raises ConfigError: if a name in ``special`` or ``exclude`` fits nothing.
    """
    special, exclude = dict(special or {}), list(exclude)
    for kind in (key for key in special if isinstance(key, type)):
        if not any(type(module) is kind for module in model.modules()):
            raise ConfigError(f"convert_to_analog: no module is a {kind.__name__}. Leave it out of special.")
    names = [name for name, _ in model.named_modules(remove_duplicate=False)]
    for pattern in [*exclude, *(key for key in special if isinstance(key, str))]:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise ConfigError(f"convert_to_analog: no module is called {pattern!r}. There are: {', '.join(names[1:])}.")

    def convert(name: str, module: nn.Module) -> nn.Module | None:
        analog = LAYERS.get(type(module))
        if analog is None:
            return None
        by_name = (config for key, config in special.items() if isinstance(key, str) and fnmatchcase(name, key))
        config = next(by_name, special.get(type(module), rpu_config))
        if config is None:
            return None
        _check_plain(name, module, owners)
        made = analog.from_digital(module, config)
        for hooks in _HOOKS:
            getattr(made, hooks).update(getattr(module, hooks))
        return made

    model = model if inplace else copy.deepcopy(model)
    owners: dict[int, list[str]] = {}
    for name, module in model.named_modules():
        for parameter in module._parameters.values():
            owners.setdefault(id(parameter), []).append(name)
    converted = replaced(model, convert, exclude)
    for module in converted.modules():
        if isinstance(module, nn.TransformerEncoderLayer):
            module.activation_relu_or_gelu = 0  # else, in evaluation, it reads weights and passes its layers by
        elif isinstance(module, nn.TransformerEncoder):
            module.enable_nested_tensor = module.use_nested_tensor = False  # which only those layers could take
    return converted


_HOOKS = (
    *("_forward_pre_hooks", "_forward_hooks", "_backward_pre_hooks", "_backward_hooks", "_forward_hooks_with_kwargs"),
    *("_forward_pre_hooks_with_kwargs", "_forward_hooks_always_called"),
)
"""Where torch keeps what users let happen around a module."""


def _check_plain(name: str, module: nn.Module, owners: dict[int, list[str]]) -> None:
    """Raise, if a layer is not what its class says, or shares a parameter with another."""
    plain = ("weight", "bias") if not isinstance(module, nn.RNNBase) else module._flat_weights_names
    if odd := [each for each in (*module._parameters, *module._buffers) if each not in plain]:
        raise ConfigError(
            f"convert_to_analog: {name or 'the model'} has {odd[0]!r}, of a pruning or a normalisation of its weight."
            " Make that permanent before, or exclude the layer."
        )
    for parameter in module._parameters.values():
        if parameter is not None and (others := [other for other in owners[id(parameter)] if other != name]):
            raise ConfigError(
                f"convert_to_analog: {name!r} shares a parameter with {others[0]!r}, and would not afterwards. Give it"
                " one of its own, or exclude it."
            )


def convert_to_digital(model: nn.Module, exclude: Iterable[str] = (), inplace: bool = False) -> nn.Module:
    """A model whose analog layers are those of torch, with the visible weights.

    :param exclude: names or patterns of modules that stay as they are; :param inplace: change the model itself.
    """

    def convert(_name: str, module: nn.Module) -> nn.Module | None:
        return module.to_digital() if isinstance(module, (AnalogLayer, AnalogRecurrent)) else None

    return replaced(model if inplace else copy.deepcopy(model), convert, list(exclude))


def replaced(model: nn.Module, convert: Callable[[str, nn.Module], nn.Module | None], exclude: list[str]) -> nn.Module:
    """The model with other modules where ``convert`` gives some; the same module becomes the same."""
    done: dict[nn.Module, nn.Module] = {}

    def replaced(name: str, module: nn.Module) -> nn.Module:
        if any(fnmatchcase(name, pattern) for pattern in exclude):
            return module
        if module not in done:
            other = convert(name, module)
            done[module] = module if other is None else other
            if other is None:
                for key, child in list(module._modules.items()):  # those that stand in two places, in both
                    if child is not None:
                        setattr(module, key, replaced(f"{name}.{key}" if name else key, child))
        return done[module]

    return replaced("", model)
