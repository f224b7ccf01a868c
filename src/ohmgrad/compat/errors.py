"""The errors of aihwkit by name. Those of ohmgrad itself are caught by the names of aihwkit too."""

from __future__ import annotations

from ohmgrad.errors import ConfigError, OhmgradError, TileError

AihwkitException = OhmgradError


class ModuleError(OhmgradError):
    """A module cannot do what was asked."""


class TileModuleError(TileError, RuntimeError):
    """A tile cannot be what was asked."""


class ArgumentError(OhmgradError, ValueError):
    """An argument of a function is wrong."""


class CudaError(OhmgradError):
    """Something about GPUs is wrong."""


class AnalogBiasConfigError(ConfigError):
    """An analog bias is not possible here."""


class TorchTileConfigError(ConfigError):
    """A configuration does not fit the tile."""


class OutOfScopeError(OhmgradError, ImportError):
    """Something of aihwkit that ohmgrad has not, and does not mean to have; or not yet."""


class CloudError(OhmgradError):
    """Never raised: there is no cloud here."""


class FusionExportError(CloudError):
    """Never raised: nothing is exported to a chip here."""
