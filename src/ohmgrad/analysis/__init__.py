"""What is known of cells: steps, responses, symmetric points, and devices fitted to measurements."""

from ohmgrad.analysis.device_fit import DeviceFit
from ohmgrad.analysis.fitting import fit_measurements
from ohmgrad.analysis.measurements import Measurements
from ohmgrad.analysis.symmetric_points import SymmetricPointTracker, symmetric_points
from ohmgrad.analysis.zero_shift import ZeroShift, zero_shift

__all__ = [
    "DeviceFit",
    "Measurements",
    "SymmetricPointTracker",
    "ZeroShift",
    "fit_measurements",
    "symmetric_points",
    "zero_shift",
]
