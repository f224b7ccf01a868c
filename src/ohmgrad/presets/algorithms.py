"""One definition of every learning rule by name, and the configuration that trains a device by it."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ohmgrad.algorithms.base import DigitalRankUpdateCell
from ohmgrad.algorithms.buffered import BufferedTransferCompound
from ohmgrad.algorithms.chopped import ChoppedTransferCompound
from ohmgrad.algorithms.dynamic import DynamicTransferCompound
from ohmgrad.algorithms.low_rank import LowRankTransferCompound
from ohmgrad.algorithms.mixed_precision import MixedPrecisionCompound
from ohmgrad.algorithms.multi_tile import MultiTileTransferCompound
from ohmgrad.algorithms.residual import ResidualTransferCompound
from ohmgrad.algorithms.rider import ERiderTransferCompound, RiderTransferCompound
from ohmgrad.algorithms.transfer import TransferCompound
from ohmgrad.cells.base import Cell
from ohmgrad.cells.vector import VectorUnitCell
from ohmgrad.configs import DigitalRankUpdateRPUConfig, RPUConfig, SingleRPUConfig, UnitCellRPUConfig
from ohmgrad.devices.base import PulsedDevice
from ohmgrad.devices.ideal import IdealDevice
from ohmgrad.engine.mvm import unmanaged
from ohmgrad.errors import ConfigError
from ohmgrad.parameters.base import Config
from ohmgrad.parameters.enums import VectorUnitCellUpdatePolicy
from ohmgrad.parameters.io import IOParameters
from ohmgrad.parameters.update import UpdateParameters


@dataclass(frozen=True)
class Algorithm:
    """A learning rule: its class, what belongs to the rule, and the numbers that a device may choose otherwise."""

    name: str
    title: str
    aliases: tuple[str, ...]
    rule: type[Config]
    fixed: dict[str, Any] = field(default_factory=dict, hash=False)
    """What makes the rule what it is, wherever its name is used."""
    numbers: dict[str, Any] = field(default_factory=dict, hash=False)
    """What is tuned to a device; these are the numbers without any preset."""
    desired_bl: int = 31
    """Longest pulse trains of the gradient, likewise."""
    devices: int = 2
    """How many devices a compound takes, unless it takes any number and is told."""


_SCALED = {"auto_scale": True, "units_in_mbatch": False}
_ALGORITHMS = (
    Algorithm("sgd", "analog SGD", ("analog-sgd",), VectorUnitCell),
    Algorithm("ttv1", "TTv1", ("tt", "tiki-taka"), TransferCompound, {"units_in_mbatch": True}),
    Algorithm(
        "ttv2", "TTv2", (), ChoppedTransferCompound, {**_SCALED, "in_chop_prob": 0.0}, {"fast_lr": 0.1}, desired_bl=5
    ),
    Algorithm(
        "ttv3",
        "TTv3",
        ("chopped-ttv2", "c-ttv2"),
        ChoppedTransferCompound,
        _SCALED,
        {"fast_lr": 0.1, "in_chop_prob": 0.1},
        desired_bl=5,
    ),
    Algorithm(
        "ttv4", "TTv4", ("agad",), DynamicTransferCompound, _SCALED, {"fast_lr": 0.1, "in_chop_prob": 0.1}, desired_bl=5
    ),
    Algorithm("rlv2", "RLv2", ("residual-v2",), ResidualTransferCompound, desired_bl=5),
    Algorithm("rider", "RIDER", (), RiderTransferCompound),
    Algorithm("e-rider", "E-RIDER", ("erider",), ERiderTransferCompound, {}, {"in_chop_prob": 0.05}),
    Algorithm("mp", "mixed precision", ("mixed-precision",), MixedPrecisionCompound),
    Algorithm("mrl", "multi-tile residual learning", ("multi-tile",), MultiTileTransferCompound, devices=4),
    Algorithm("lrtt", "low-rank Tiki-taka", ("low-rank",), LowRankTransferCompound, devices=3),
)
ALGORITHMS = {algorithm.name: algorithm for algorithm in _ALGORITHMS}
"""Every learning rule by its name."""


def algorithm_of(name: str) -> Algorithm:
    """The learning rule of a name or an alias, in any case.

    :raises ConfigError: if there is none.
    """
    names = {alias: rule for rule in _ALGORITHMS for alias in (rule.name, *rule.aliases)}
    given = str(name).lower()
    if (found := names.get(given)) is not None:
        return found
    close = difflib.get_close_matches(given, names, n=1, cutoff=0.4)
    hint = f"Did you mean {close[0]!r}?" if close else f"There are: {', '.join(names)}."
    raise ConfigError(f"There is no learning rule {name!r}. {hint}")


def build_config(
    algorithm: str,
    device: PulsedDevice | IdealDevice | Cell | Callable[[], Any],
    io_parameters: IOParameters | Callable[[], IOParameters] = IOParameters,
    up_parameters: UpdateParameters | Callable[[], UpdateParameters] | None = None,
    n_devices: int | None = None,
    construction_seed: int = 0,
    **fields: Any,
) -> RPUConfig:
    """The configuration that trains a device by a learning rule.

    :param algorithm: ``"sgd"``, ``"ttv1"`` (``"tt"``, ``"tiki-taka"``), ``"ttv2"``, ``"ttv3"`` (``"c-ttv2"``,
        ``"chopped-ttv2"``), ``"ttv4"`` (``"agad"``), ``"rlv2"`` (``"residual-v2"``), ``"rider"``, ``"e-rider"``
        (``"erider"``), ``"mrl"`` (``"multi-tile"``), ``"lrtt"`` (``"low-rank"``) or ``"mp"`` (``"mixed-precision"``).
    :param device: a device or a cell, or what makes one, such as its class; yours is copied, once for each array.
    :param io_parameters: converters and noise, of the layer and of the reads of transfers (those without management).
    :param up_parameters: pulses of the gradient, and of transfers without a buffer; by default those of the rule.
    :param n_devices: with ``"sgd"``, so many devices share the weight, and a random one is pulsed (default: 1); with
        ``"mrl"``, the number of tiles (default: 4).
    :param construction_seed: of the compound.
    :param fields: fields of the compound that shall differ from the definition of the rule.
    :raises ConfigError: if there is no such rule or field, or something else was given than is asked for.
    """
    rule = algorithm_of(algorithm)
    if up_parameters is None:
        up_parameters = UpdateParameters(desired_bl=rule.desired_bl)
    io, up = _made(io_parameters, "io_parameters"), _made(up_parameters, "up_parameters")
    if n_devices is not None and (isinstance(n_devices, bool) or not isinstance(n_devices, int) or n_devices < 1):
        raise ConfigError(f"n_devices = {n_devices!r}. Give a whole number from 1.")
    if "unit_cell_devices" in fields:
        raise ConfigError("build_config makes unit_cell_devices from its argument device. Leave them out.")
    common: dict[str, Any] = {"forward": io, "backward": io.model_copy(deep=True), "update": up}
    seed = {"construction_seed": construction_seed} if construction_seed else {}
    if rule.name == "sgd":
        if n_devices in (None, 1):
            one = _made(device, "device").replaced(**seed, **fields)
            return (
                UnitCellRPUConfig(device=one, **common)
                if isinstance(one, Cell)
                else SingleRPUConfig(device=one, **common)
            )
        several = [_made(device, "device") for _ in range(n_devices or 1)]
        policy = {"update_policy": VectorUnitCellUpdatePolicy.SINGLE_RANDOM}
        return UnitCellRPUConfig(device=VectorUnitCell(unit_cell_devices=several, **policy | seed | fields), **common)
    takes_any_number = rule.rule is MultiTileTransferCompound
    if n_devices not in (None, 1) and not takes_any_number:
        raise ConfigError(f"n_devices = {n_devices}: {rule.title} has a number of devices of its own. Leave it out.")
    given = {**rule.fixed, **rule.numbers, **seed, **fields}
    if issubclass(rule.rule, DigitalRankUpdateCell):
        return DigitalRankUpdateRPUConfig(device=rule.rule(device=_made(device, "device"), **given), **common)
    reads_vectors = rule.rule is LowRankTransferCompound  # which are as small as gradients are
    given.setdefault("transfer_forward", io.model_copy(deep=True) if reads_vectors else unmanaged(io))
    if not issubclass(rule.rule, BufferedTransferCompound):
        given.setdefault("transfer_update", up.model_copy(deep=True))
    count = n_devices if takes_any_number and n_devices else rule.devices
    compound: Any = rule.rule(unit_cell_devices=[_made(device, "device") for _ in range(count)], **given)
    return UnitCellRPUConfig(device=compound, **common)


_WANTED: dict[str, tuple[tuple[type[Config], ...], str]] = {
    "device": ((PulsedDevice, IdealDevice, Cell), "a device or a cell of several"),
    "io_parameters": ((IOParameters,), "IOParameters"),
    "up_parameters": ((UpdateParameters,), "UpdateParameters"),
}


def _made(given: Any, name: str) -> Any:
    """A configuration of one's own, from one to copy or from what makes it.

    What a function returns is copied too: it may return the same one every time.
    """
    made = given() if callable(given) else given
    kinds, wanted = _WANTED[name]
    if not isinstance(made, kinds):
        shown = type(made).__name__ if isinstance(made, Config) else repr(made)
        raise ConfigError(f"{name} = {shown}. Give {wanted}, or what makes one, such as a class.")
    return made.model_copy(deep=True)
