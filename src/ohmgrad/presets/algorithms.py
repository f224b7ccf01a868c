"""One definition of every learning rule by name, and the configuration that trains a device by it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ohmgrad.algorithms.base import DigitalRankUpdateCell
from ohmgrad.algorithms.buffered import BufferedTransferCompound
from ohmgrad.algorithms.chopped import ChoppedTransferCompound
from ohmgrad.algorithms.chopping import ChopperParameters
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
from ohmgrad.errors import ConfigError, suggestion
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
    raise ConfigError(f"There is no learning rule {name!r}. {_ELSEWHERE.get(given) or suggestion(given, names)}")


_ELSEWHERE = {
    "rl": "rl is ttv1 with gamma above 0: build_config('ttv1', device, gamma=0.1).",
    "rttv3": "rttv3 is ttv3 with gamma above 0: build_config('ttv3', device, gamma=0.1).",
    "fp": "fp is floating point, without a device: FloatingPointRPUConfig().",
}
"""What the other names of ``ohmgrad compare`` are."""


def _takes(rule: Algorithm, name: str) -> bool:
    """Whether a rule has a field; TTv2 is TTv3 without its choppers."""
    return name in rule.rule.model_fields and not (rule.name == "ttv2" and name in ChopperParameters.model_fields)


def _refuse_misplaced(rule: Algorithm, owner: type[Config], fields: dict[str, Any]) -> None:
    """Say where fields belong that are none of this rule: to the optimizer, or to other rules.

    :param owner: what is given the fields.
    :raises ConfigError: if there are such fields.
    """
    for name, value in fields.items():
        if name in owner.model_fields and (rule.name != "ttv2" or _takes(rule, name) or not value):
            continue
        if name in ("lr", "learning_rate"):
            raise ConfigError(
                f"{rule.title} has no field {name!r}. The learning rate belongs to the optimizer:"
                f" AnalogSGD(model.parameters(), lr={value!r})."
            )
        if others := [other.name for other in _ALGORITHMS if other is not rule and _takes(other, name)]:
            remedy = "use 'ttv3'" if name in owner.model_fields else f"it belongs to {', '.join(others)}"
            why = ", as it has no fast array" if rule.name == "sgd" else ""
            raise ConfigError(f"{rule.title} has no field {name!r} (given {value!r}){why}: {remedy}.")


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
    is_single = rule.name == "sgd" and n_devices in (None, 1)
    _refuse_misplaced(rule, type(_made(device, "device")) if is_single else rule.rule, fields)
    common: dict[str, Any] = {"forward": io, "backward": io.model_copy(deep=True), "update": up}
    seed = {"construction_seed": construction_seed} if construction_seed else {}
    if rule.name == "sgd":
        if is_single:
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
