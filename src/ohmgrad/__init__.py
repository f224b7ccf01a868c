"""ohmgrad: training of neural networks in analog memory, simulated inside PyTorch."""

from ohmgrad.errors import CheckpointError, ConfigError, OhmgradError, OptimizerError, TileError
from ohmgrad.nn import AnalogLinear
from ohmgrad.optim import AnalogSGD
from ohmgrad.tile import AnalogTile

__version__ = "0.1.0"

__all__ = [
    "AnalogLinear",
    "AnalogSGD",
    "AnalogTile",
    "CheckpointError",
    "ConfigError",
    "OhmgradError",
    "OptimizerError",
    "TileError",
    "__version__",
]
