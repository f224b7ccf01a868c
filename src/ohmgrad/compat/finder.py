"""Imports of ``aihwkit`` that find ohmgrad."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType, SimpleNamespace
from typing import Any, NoReturn

from ohmgrad.compat.errors import OutOfScopeError
from ohmgrad.compat.names import MODULES, OUT_OF_SCOPE, PRESETS, UNAVAILABLE

SOURCES = (
    "ohmgrad.compat.errors",
    "ohmgrad.compat.configs",
    "ohmgrad.compat.context",
    "ohmgrad.compat.tiles",
    "ohmgrad.compat.array",
    "ohmgrad.compat.inference",
    "ohmgrad.compat.base",
    "ohmgrad.compat.layers",
    "ohmgrad.compat.recurrent",
    "ohmgrad.compat.conversion",
    "ohmgrad.optim",
    "ohmgrad.configs",
    "ohmgrad.presets",
    "ohmgrad.inference",
    "ohmgrad.compat.summary",
    "ohmgrad.compat.visualization",
)
"""Where names are looked for, in this order."""
OTHER_NAMES = {
    "RPUConfigBase": ("ohmgrad.parameters.base", "Config"),
    "IOManagedRPUConfig": ("ohmgrad.configs", "TileConfig"),
    "MappableRPU": ("ohmgrad.parameters.base", "Config"),
    "PrePostProcessingRPU": ("ohmgrad.parameters.base", "Config"),
    "DifferenceUnitCell": ("ohmgrad.configs", "OneSidedUnitCell"),
    "__version__": ("ohmgrad", "__version__"),
}
"""What goes by another name here."""


class Finder(MetaPathFinder, Loader):
    """Finds the modules of aihwkit that scripts for training import."""

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> Any:
        """See :mod:`importlib`.

        :raises OutOfScopeError: if there is nothing for such a module.
        """
        if fullname.partition(".")[0] != "aihwkit":
            return None
        for name, why in OUT_OF_SCOPE.items():
            if fullname == name or fullname.startswith(f"{name}."):
                raise OutOfScopeError(f"{fullname} is out of ohmgrad's scope: {why}.", name=fullname)
        if fullname not in MODULES:
            raise OutOfScopeError(f"ohmgrad has no counterpart of {fullname}.", name=fullname)
        return ModuleSpec(fullname, self, is_package=True)

    def exec_module(self, module: ModuleType) -> None:
        """Let names of the module be looked for when they are asked for."""
        known = MODULES[module.__name__].split()
        module.__doc__ = f"{module.__name__} as ohmgrad has it."
        module.__dict__["__all__"] = [name for name in known if not name.startswith("_")]

        def find(name: str) -> Any:
            if name not in known:
                raise AttributeError(f"ohmgrad has no {module.__name__}.{name}")
            found = resolved(name)
            setattr(module, name, found)
            return found

        module.__dict__["__getattr__"] = find


def install() -> None:
    """From now on, imports of ``aihwkit`` find ohmgrad, also where aihwkit is installed.

    :raises OutOfScopeError: if aihwkit has been imported already.
    """
    loaded = sys.modules.get("aihwkit")
    if any(isinstance(finder, Finder) for finder in sys.meta_path):
        return
    if loaded is not None:
        raise OutOfScopeError("aihwkit is imported already. Import ohmgrad.compat.aihwkit before it.")
    sys.meta_path.insert(0, Finder())


def resolved(name: str) -> Any:
    """What a name of aihwkit is here; what is not available can be imported, and raises when it is used."""
    if name in UNAVAILABLE:
        return _unavailable(name, UNAVAILABLE[name])
    if name in PRESETS:
        return importlib.import_module("ohmgrad.compat.configs").preset(name)
    if name in OTHER_NAMES:
        module, name = OTHER_NAMES[name]
        return getattr(importlib.import_module(module), name)
    if name in _RPU_BASE:
        return _rpu_base(name)
    if name == "AnalogTileStateNames":
        return SimpleNamespace(ANALOG_STATE_NAME="analog_tile_state")
    for source in SOURCES:
        found = getattr(importlib.import_module(source), name, None)
        if found is not None:
            return found
    raise AttributeError(f"ohmgrad has no {name}")


class _Unavailable(type):
    """Of classes that can be imported, derived from and asked for attributes, but not used."""

    def __call__(cls, *_: Any, **__: Any) -> NoReturn:
        raise OutOfScopeError(f"{cls.__name__} of aihwkit is not here: {cls.why}.")

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return _unavailable(f"{cls.__name__}.{name}", cls.why)

    why: str


def _unavailable(name: str, why: str) -> type:
    """A class that can be imported and derived from, but not used."""
    return _Unavailable(name, (), {"why": why})


def _rpu_base(name: str) -> Any:
    """What scripts look for in the compiled part of aihwkit."""
    if name == "cuda":
        torch = importlib.import_module("torch")
        return SimpleNamespace(is_compiled=torch.cuda.is_available)
    tiles = importlib.import_module("ohmgrad.compat.simulator")
    return SimpleNamespace(AnalogTile=tiles.AnalogSimulatorTile, FloatingPointTile=tiles.SimulatorTile)


_RPU_BASE = ("cuda", "tiles")
