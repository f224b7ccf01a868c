"""``aihwkit.utils.visualization``: what pulses do to cells and time to programmed weights, as numbers and pictures."""

from ohmgrad.compat.device_plots import plot_device, plot_device_compact, plot_device_symmetry
from ohmgrad.compat.programming_plots import plot_model_programming_error, plot_programming_error, plot_weight_drift
from ohmgrad.compat.pulse_response import (
    compute_pulse_response,
    compute_pulse_statistics,
    estimate_n_steps,
    get_tile_for_plotting,
)
from ohmgrad.compat.response_plots import plot_pulse_response, plot_pulse_statistics, plot_response_overview

__all__ = [
    "compute_pulse_response",
    "compute_pulse_statistics",
    "estimate_n_steps",
    "get_tile_for_plotting",
    "plot_device",
    "plot_device_compact",
    "plot_device_symmetry",
    "plot_model_programming_error",
    "plot_programming_error",
    "plot_pulse_response",
    "plot_pulse_statistics",
    "plot_response_overview",
    "plot_weight_drift",
]
