"""What is known of cells and of training: steps, symmetric points, fitted devices, diagnostics and cost."""

from ohmgrad.analysis.ablation import NonIdeality, ablations, without
from ohmgrad.analysis.cost import Cost, TileCost, cost
from ohmgrad.analysis.device_fit import DeviceFit
from ohmgrad.analysis.fitting import fit_measurements
from ohmgrad.analysis.measurements import Measurements
from ohmgrad.analysis.meter import Meter, Traffic
from ohmgrad.analysis.recorder import Recorder
from ohmgrad.analysis.symmetric_points import SymmetricPointTracker, symmetric_points
from ohmgrad.analysis.zero_shift import ZeroShift, zero_shift

__all__ = [
    "Cost",
    "DeviceFit",
    "Measurements",
    "Meter",
    "NonIdeality",
    "Recorder",
    "SymmetricPointTracker",
    "TileCost",
    "Traffic",
    "ZeroShift",
    "ablations",
    "cost",
    "fit_measurements",
    "symmetric_points",
    "without",
    "zero_shift",
]
