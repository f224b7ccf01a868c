"""The resistive cells that the lab compares algorithms on: few states, strong asymmetry, much variation."""

from __future__ import annotations

from typing import Any

from ohmgrad.configs import ConstantStepDevice, LinearStepDevice, SoftBoundsDevice

BOUND = 1.0
"""Mean magnitude of the weight bounds."""

VARIATION: dict[str, Any] = {
    "w_max": BOUND,
    "w_min": -BOUND,
    "w_max_dtod": 0.3,
    "w_min_dtod": 0.3,
    "dw_min_dtod": 0.3,
    "dw_min_std": 0.3,
    "up_down": 0.0,
    "up_down_dtod": 0.3,
}
"""What the cells have in common: bounds, steps and asymmetry differ by 30 % from cell to cell, and every
single step by 30 % from pulse to pulse."""

CELLS = {
    "soft-bounds": "steps vanish towards the bound they lead to (ReRAM-like)",
    "linear": "steps shrink to 30 % towards the bound they lead to",
    "constant": "steps do not depend on the weight, but up and down differ in every cell",
}
"""Every kind of cell by name."""


def make_cell(name: str, states: int) -> Any:
    """The device of a kind with ``states`` mean steps between its mean bounds."""
    common = VARIATION | {"dw_min": 2.0 * BOUND / states}
    if name == "soft-bounds":
        return SoftBoundsDevice(**common)
    if name == "linear":
        return LinearStepDevice(gamma_up=0.7, gamma_down=0.7, **common)
    return ConstantStepDevice(**common)
