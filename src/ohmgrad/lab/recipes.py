"""The algorithms as the lab runs them: which settings are tuned, over what range, and what is fixed beside them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ohmgrad.configs import IdealDevice, IOParameters, SingleRPUConfig, UpdateParameters
from ohmgrad.presets import build_config

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
class LinearRange:
    """Any number between two bounds."""

    low: float
    high: float

    def at(self, share: float) -> float:
        """The value a share in [0, 1) of the way."""
        return float(f"{self.low + share * (self.high - self.low):.3g}")


@dataclass(frozen=True)
class WholeRange:
    """Any whole number from ``low`` to ``high``; with ``log``, uniform in its logarithm."""

    low: int
    high: int
    log: bool = False

    def at(self, share: float) -> float:
        """The value a share in [0, 1) of the way."""
        if self.log:
            return round(math.exp(math.log(self.low) + share * (math.log(self.high) - math.log(self.low))))
        return self.low + int(share * (self.high + 1 - self.low))


@dataclass(frozen=True)
class Choice:
    """One of a few values."""

    values: tuple[float, ...]

    def at(self, share: float) -> float:
        """The value a share in [0, 1) of the way."""
        return self.values[int(share * len(self.values))]


Scale = LogRange | LinearRange | WholeRange | Choice
Space = Mapping[str, Scale]
"""What is tuned, and over what range."""


@dataclass(frozen=True)
class Recipe:
    """An algorithm as the lab runs it."""

    name: str
    title: str
    build: Callable[[Any, Knobs], Any]
    """From a device and the tuned settings to an RPU configuration."""
    space: Space
    """What is tuned. ``lr``: learning rate (of the array that the gradient pulses, and of the digital biases);
    ``transfer_every``: samples between two transfers; ``transfer_lr``: gain of a transfer; ``gamma``: share of the
    fast array in the visible weight; ``eta``: weight of the latest read in the reference."""
    arrays: int = 2
    """Arrays of one layer: 0 is floating point, 1 is the weight itself; of more, the first is the fast A, and the last
    the slow C."""
    by_default: bool = True
    """Whether a comparison has it unless it is told otherwise."""
    untuned: tuple[str, ...] = ()
    """What ``build`` reads if it is given, though it is not tuned."""

    @property
    def knobs(self) -> tuple[str, ...]:
        """The settings that ``build`` reads, and the learning rate."""
        return (*self.space, *self.untuned)


LR: Space = {"lr": LogRange(0.01, 3.0)}
GAIN: Space = {"transfer_lr": LogRange(0.01, 1.0)}
TRANSFER: Space = {"transfer_every": Choice((1, 2, 5, 10)), **GAIN}
GAMMA: Space = {"gamma": LogRange(0.05, 1.0)}
PLAIN = tuple(GAMMA)  # of rules that are compared without residual learning
LOW_RANK: Space = {**LR, "transfer_every": Choice((10, 30, 100)), **GAIN}
ETA: Space = {"eta": LogRange(0.002, 0.2)}


def transfer_rule(rule: str, n_devices: int | None = None, **fields: Any) -> Callable[[Any, Knobs], Any]:
    """A rule with a fast and a slow array by its name; all of them give the four settings the same meaning.

    :param n_devices: see :func:`~ohmgrad.presets.build_config`.
    :param fields: more fields of the rule, or functions of the tuned settings that give them.
    """

    def build(device: Any, knobs: Knobs) -> Any:
        gamma = float(knobs.get("gamma", 0.0))
        # TTv2 to TTv4 multiply the gain by gamma (if it is not 0), the others do not.
        shrinks = gamma > 0.0 and rule in ("ttv2", "ttv3", "ttv4")
        return build_config(
            rule,
            device,
            up_parameters=UpdateParameters,
            n_devices=n_devices,
            gamma=gamma,
            fast_lr=1.0,
            scale_fast_lr=True,
            transfer_every=float(knobs["transfer_every"]),
            units_in_mbatch=False,
            transfer_lr=knobs["transfer_lr"] / (gamma if shrinks else 1.0),
            scale_transfer_lr=False,
            **{name: field(knobs) if callable(field) else field for name, field in fields.items()},
        )

    return build


def _low_rank(device: Any, knobs: Knobs) -> Any:
    """Two narrow arrays of rank 4; the period counts batches here. It is made for small changes of a trained weight.

    B begins with weights of the size of a step: with the gain of the source's default, 0.1, what reaches A would be
    less than the noise of the converters.
    """
    fields: dict[str, Any] = {"rank": 4, "reinit_gain": 1.0, "transfer_lr": knobs["transfer_lr"]}
    fields["transfer_every"] = int(knobs["transfer_every"])
    return build_config("lrtt", device, up_parameters=UpdateParameters, **fields)


def _knob(name: str) -> Callable[[Knobs], float]:
    """A tuned setting, as a field."""
    return lambda knobs: float(knobs[name])


_BUFFERED: dict[str, Any] = {"auto_scale": False}  # the learning rate of A is tuned instead


def _floating_point(device: Any, knobs: Knobs) -> Any:
    """Exact products and exact updates; the device plays no part."""
    perfect = IOParameters(is_perfect=True)
    return SingleRPUConfig(device=IdealDevice(), forward=perfect, backward=perfect)


RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe("fp", "floating point", _floating_point, LR, arrays=0),
        Recipe("sgd", "analog SGD", lambda device, knobs: build_config("sgd", device), LR, arrays=1),
        Recipe("ttv1", "TTv1", transfer_rule("ttv1"), {**LR, **TRANSFER}, untuned=PLAIN),
        Recipe("rl", "residual learning", transfer_rule("ttv1"), {**LR, **TRANSFER, **GAMMA}),
        Recipe("ttv2", "TTv2", transfer_rule("ttv2", momentum=0.1, **_BUFFERED), {**LR, **TRANSFER}, untuned=PLAIN),
        Recipe("ttv3", "TTv3", transfer_rule("ttv3", **_BUFFERED), {**LR, **TRANSFER}, untuned=PLAIN),
        Recipe("rttv3", "residual TTv3", transfer_rule("ttv3", **_BUFFERED), {**LR, **TRANSFER, **GAMMA}),
        Recipe("ttv4", "TTv4", transfer_rule("ttv4", **_BUFFERED), {**LR, **TRANSFER}, untuned=PLAIN),
        # The leak is the gain, so that the buffer is a running mean, as in the paper.
        Recipe("rlv2", "RLv2", transfer_rule("rlv2", leak=_knob("transfer_lr")), {**LR, **TRANSFER, **GAMMA}),
        Recipe("mrl", "MRL, 4 tiles", transfer_rule("mrl"), {**LR, **TRANSFER, **GAMMA}, arrays=4),
        Recipe("rider", "RIDER", transfer_rule("rider", eta=_knob("eta")), {**LR, **TRANSFER, **GAMMA, **ETA}),
        Recipe("e-rider", "E-RIDER", transfer_rule("e-rider", eta=_knob("eta")), {**LR, **TRANSFER, **GAMMA, **ETA}),
        Recipe("lrtt", "low-rank TT", _low_rank, LOW_RANK, arrays=3, by_default=False),
        Recipe("mp", "mixed precision", lambda device, knobs: build_config("mp", device), LR, arrays=1),
    )
}
"""Every algorithm by name, in the order of its history."""
