"""One definition per algorithm name: how it is configured, and which of its settings are tuned, over what range."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ohmgrad.configs import (
    BoundManagementType,
    BufferedTransferCompound,
    ChoppedTransferCompound,
    DynamicTransferCompound,
    IdealDevice,
    IOParameters,
    NoiseManagementType,
    SingleRPUConfig,
    TransferCompound,
    UnitCellRPUConfig,
)

Knobs = Mapping[str, float]
"""Values of the tuned settings by name."""


@dataclass(frozen=True)
class LogRange:
    """Any number between two bounds, uniform in its logarithm."""

    low: float
    high: float

    def at(self, share: float) -> float:
        """The value a share in [0, 1) of the way."""
        value = math.exp(math.log(self.low) + share * (math.log(self.high) - math.log(self.low)))
        return float(f"{value:.3g}")


@dataclass(frozen=True)
class Choice:
    """One of a few values."""

    values: tuple[float, ...]

    def at(self, share: float) -> float:
        """The value a share in [0, 1) of the way."""
        return self.values[int(share * len(self.values))]


@dataclass(frozen=True)
class Recipe:
    """An algorithm as the lab runs it."""

    name: str
    title: str
    build: Callable[[Any, Knobs], Any]
    """From a device and the tuned settings to an RPU configuration."""
    space: Mapping[str, LogRange | Choice]
    """What is tuned. ``lr``: learning rate (of the array that the gradient pulses, and of the digital biases);
    ``transfer_every``: samples between two transfers; ``transfer_lr``: gain of a transfer; ``gamma``: share of the
    fast array in the visible weight."""
    arrays: int = 2
    """Arrays of one layer: 2 are the fast A and the slow C, 1 is the weight itself, 0 is floating point."""


Space = dict[str, LogRange | Choice]
LR: Space = {"lr": LogRange(0.01, 3.0)}
TRANSFER: Space = {"transfer_every": Choice((1, 2, 5, 10)), "transfer_lr": LogRange(0.01, 1.0)}
GAMMA: Space = {"gamma": LogRange(0.05, 1.0)}


def _compound(kind: Any) -> Callable[[Any, Knobs], Any]:
    """A two-array rule of a kind; all kinds give the four settings the same meaning."""

    def build(device: Any, knobs: Knobs) -> Any:
        gamma = float(knobs.get("gamma", 0.0))
        # Rules with a buffer multiply the gain by gamma (if it is not 0), TTv1 does not.
        shrinks = gamma > 0.0 and kind is not TransferCompound
        return UnitCellRPUConfig(
            device=kind(
                unit_cell_devices=[device, device.replaced()],
                gamma=gamma,
                fast_lr=1.0,
                scale_fast_lr=True,
                transfer_every=float(knobs["transfer_every"]),
                units_in_mbatch=False,
                transfer_lr=knobs["transfer_lr"] / (gamma if shrinks else 1.0),
                scale_transfer_lr=False,
                # A transfer reads one cell per line, at full scale: nothing to manage.
                transfer_forward=IOParameters(
                    noise_management=NoiseManagementType.NONE, bound_management=BoundManagementType.NONE
                ),
            )
        )

    return build


def _floating_point(device: Any, knobs: Knobs) -> Any:
    """Exact products and exact updates; the device plays no part."""
    perfect = IOParameters(is_perfect=True)
    return SingleRPUConfig(device=IdealDevice(), forward=perfect, backward=perfect)


RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe("fp", "floating point", _floating_point, LR, arrays=0),
        Recipe("sgd", "analog SGD", lambda device, knobs: SingleRPUConfig(device=device), LR, arrays=1),
        Recipe("ttv1", "TTv1", _compound(TransferCompound), {**LR, **TRANSFER}),
        Recipe("rl", "residual learning", _compound(TransferCompound), {**LR, **TRANSFER, **GAMMA}),
        Recipe("ttv2", "TTv2", _compound(BufferedTransferCompound), {**LR, **TRANSFER}),
        Recipe("ttv3", "TTv3", _compound(ChoppedTransferCompound), {**LR, **TRANSFER}),
        Recipe("rttv3", "residual TTv3", _compound(ChoppedTransferCompound), {**LR, **TRANSFER, **GAMMA}),
        Recipe("ttv4", "TTv4", _compound(DynamicTransferCompound), {**LR, **TRANSFER}),
    )
}
"""Every algorithm by name, in the order of its history."""
