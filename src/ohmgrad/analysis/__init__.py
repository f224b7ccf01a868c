"""What is known of cells: steps, responses, symmetric points, and devices fitted to measurements."""

from ohmgrad.analysis.symmetric_points import SymmetricPointTracker, symmetric_points
from ohmgrad.analysis.zero_shift import ZeroShift, zero_shift

__all__ = [
    "SymmetricPointTracker",
    "ZeroShift",
    "symmetric_points",
    "zero_shift",
]
