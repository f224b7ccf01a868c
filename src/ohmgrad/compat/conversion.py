"""The conversion of models, by the arguments of aihwkit."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from typing import Any

from torch import nn

from ohmgrad.compat.base import AnalogLayerBase, AnalogSequential, AnalogWrapper
from ohmgrad.compat.layers import AnalogConv1d, AnalogConv2d, AnalogConv3d, AnalogLayer, AnalogLinear
from ohmgrad.nn.conversion import replaced

LAYERS: dict[type[nn.Module], Any] = {
    nn.Linear: AnalogLinear,
    nn.Conv1d: AnalogConv1d,
    nn.Conv2d: AnalogConv2d,
    nn.Conv3d: AnalogConv3d,
    nn.Sequential: AnalogSequential,
}


def convert_to_analog(
    module: nn.Module,
    rpu_config: Any,
    tile_module_class: Any = None,
    conversion_map: dict[type[nn.Module], Any] | None = None,
    specific_rpu_config_fun: Callable[[str, nn.Module, Any], Any] | None = None,
    module_name: str = "",
    ensure_analog_root: bool = True,
    exclude_modules: Iterable[str] | None = None,
    inplace: bool = False,
    verbose: bool = False,
) -> Any:
    """A model with analog layers in the place of those of torch, see :func:`ohmgrad.nn.convert_to_analog`.

    :param specific_rpu_config_fun: is given name, layer and a copy of the configuration, and gives that of the layer.
    """
    kinds = LAYERS if conversion_map is None else conversion_map
    prefix = f"{module_name}." if module_name else ""

    def convert(name: str, layer: nn.Module) -> nn.Module | None:
        kind = kinds.get(type(layer))
        if kind is None or not (isinstance(kind, type) and issubclass(kind, AnalogLayer)):
            return None
        config = copy.deepcopy(rpu_config)
        if specific_rpu_config_fun is not None:
            config = specific_rpu_config_fun(prefix + name, layer, config)
        if verbose:
            print(f"{prefix}{name}: {type(layer).__name__} -> {kind.__name__}")
        made: nn.Module = kind.from_digital(layer, config, tile_module_class)
        return made

    excluded = [name.removeprefix(prefix) for name in exclude_modules or ()]
    converted = replaced(module if inplace else copy.deepcopy(module), convert, excluded)
    if nn.Sequential in kinds:
        for each in converted.modules():
            if type(each) is nn.Sequential:
                each.__class__ = AnalogSequential
    if ensure_analog_root and not isinstance(converted, AnalogLayerBase):
        converted = AnalogWrapper(converted)
    return converted


def convert_to_digital(
    module: nn.Module, conversion_set: Any = None, module_name: str = "", inplace: bool = False
) -> Any:
    """A model whose analog layers are those of torch, with the visible weights."""
    kinds = AnalogLayer if conversion_set is None else tuple(conversion_set)

    def convert(_name: str, layer: nn.Module) -> nn.Module | None:
        return type(layer).to_digital(layer) if isinstance(layer, kinds) and isinstance(layer, AnalogLayer) else None

    digital = replaced(module if inplace else copy.deepcopy(module), convert, [])
    for each in digital.modules():
        kind: Any = nn.Sequential if type(each) is AnalogSequential else getattr(type(each), "digital_class", None)
        if kind is not None:
            each.__class__ = kind
    return digital
