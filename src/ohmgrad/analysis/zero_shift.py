"""Zero-shifting: pulses in turns find the symmetric points of cells, and their references are set there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from numbers import Integral
from pathlib import Path

import torch
from torch import Tensor

from ohmgrad.analysis.symmetric_points import array_of, points_of
from ohmgrad.cells.vector import ReferenceUnitCell, VectorArray
from ohmgrad.devices.reference import ReferenceDevice
from ohmgrad.engine.array import CellArray
from ohmgrad.engine.base_array import Array
from ohmgrad.engine.draws import Draws
from ohmgrad.engine.precision import in_single_precision
from ohmgrad.engine.samples import Samples
from ohmgrad.errors import TileError
from ohmgrad.parameters.enums import PulseType, VectorUnitCellUpdatePolicy
from ohmgrad.parameters.update import UpdateParameters
from ohmgrad.tile import AnalogTile

_AT_ONCE = 1000
"""Pulses whose plan is made together."""


@dataclass(frozen=True)
class ZeroShift:
    """What a calibration found, in the weights that were read before it; each ``[out, in]``."""

    estimate: Tensor
    """The symmetric points as they were read; weights read 0 there now."""
    exact: Tensor
    """The symmetric points by the law, see :func:`~ohmgrad.analysis.symmetric_points`."""
    pulses: int
    """What every cell received."""

    @property
    def error(self) -> Tensor:
        """The estimate minus the exact points; NaN where there is none."""
        return self.estimate - self.exact

    def plot(self, path: str | Path) -> Path:
        """Draw estimates beside the exact points, and what is read there before and after, as PNG; gives the path."""
        from ohmgrad.analysis.plots.zero_shift import draw_zero_shift

        draw_zero_shift(self, Path(path))
        return Path(path)


@torch.no_grad()
def zero_shift(tile: AnalogTile, pulses: int = 2000, array: int = 0) -> ZeroShift:
    r"""Calibrate an array as on a chip, so that its weights read 0 at the symmetric points of its cells.

    1. Every cell receives ``pulses`` single pulses, up and down in turns: with their noise, counted, and wearing it.
    2. The estimate is the mean of what is read after the last pulse up and the last pulse down.
    3. It becomes the reference of the cells: the weight of the second device of a
       :class:`~ohmgrad.configs.ReferenceUnitCell`, within the bounds of that; or what the ``reference`` of devices such
       as :class:`~ohmgrad.configs.SoftBoundsReferenceDevice` moves by.
    4. The visible weight is set to what it was before the calibration, as far as bounds let it, and the rule starts
       anew, as in ``tile.set_weights``: A from its new 0, buffers and counters from 0.

    In N pulses, cells of soft bounds :math:`\pm\tau` come nearer by a factor of about
    :math:`e^{-N \Delta w_{min} / \tau}`, down to what the noise of the steps leaves: the pulses that an accuracy takes
    grow as :math:`1/\Delta w_{min}` (Xiao et al., arXiv 2602.21321).

    :param pulses: N of them, at least 2; :param array: see :func:`~ohmgrad.analysis.symmetric_points`.
    :raises TileError: if the cells have no reference, or a number is out of range; nothing is changed then.
    """
    cells = array_of(tile, array)
    if not isinstance(pulses, Integral) or pulses < 2:
        raise TileError(
            f"{tile.label}: zero_shift with {pulses!r} pulses. Give a whole number, at least 2: one up and one down."
        )
    return _shift(tile, cells, pulses, _reference_of(tile, cells))


@in_single_precision
def _shift(tile: AnalogTile, cells: Array, pulses: int, refer: Callable[[Tensor, Draws], None]) -> ZeroShift:
    """Do what :func:`zero_shift` says, with a way to set the references."""
    draws, before, exact = tile._draws(), tile.get_weights(), points_of(cells).float().cpu()
    estimate = shifted(cells, pulses, draws)
    refer(estimate, draws)
    tile.set_weights(before)
    return ZeroShift(estimate.cpu(), exact, pulses)


def shifted(array: Array, pulses: int, draws: Draws) -> Tensor:
    """Send single pulses to all cells, in turns up and down, the first up; where the cells stand then, ``[out, in]``.

    It is the mean of what is read after the last pulse up and the last pulse down.
    """
    _alternate(array, pulses - 1, True, draws)
    last_but_one = array.visible().clone()
    _alternate(array, 1, pulses % 2 == 1, draws)
    return (last_but_one + array.visible()) / 2.0


def _alternate(array: Array, pulses: int, up: bool, draws: Draws) -> None:
    """Send single pulses to all cells, in turns up and down, the first up or not."""
    one = UpdateParameters(
        desired_bl=1,
        update_management=False,
        update_bl_management=False,
        pulse_type=PulseType.DETERMINISTIC_IMPLICIT,  # one pulse is certain, and no train is drawn
    )
    weight = array.visible()
    rows, columns = weight.shape
    for begin in range(0, pulses, _AT_ONCE):
        number = torch.arange(begin, min(begin + _AT_ONCE, pulses), device=weight.device)
        rises = (number % 2 == 0) == up
        d = torch.where(rises, -1.0, 1.0).to(torch.float32)[:, None].expand(-1, rows).contiguous()
        x = torch.ones(len(number), columns, dtype=torch.float32, device=weight.device)
        rates = torch.full((len(number),), array.weight_granularity, dtype=torch.float64, device=weight.device)
        array.update(Samples.of(x, d, rates), one, draws)


def _reference_of(tile: AnalogTile, array: Array) -> Callable[[Tensor, Draws], None]:
    """What makes an estimate of symmetric points the reference of the cells of an array."""
    if isinstance(array, VectorArray) and isinstance(array.config, ReferenceUnitCell):
        gamma, policy = array.gammas[1 - int(array.current_device_idx)], array.config.update_policy
        if policy is VectorUnitCellUpdatePolicy.SINGLE_FIXED and gamma != 0.0:
            return lambda estimate, draws: _move_second(array, estimate, draws)
        why = (
            f"with update_policy = {policy.name} and gamma_vec = {array.gammas} no device is a reference. Give"
            " SINGLE_FIXED, and numbers that are not 0"
        )
    elif isinstance(array, CellArray) and isinstance(array.device_config, ReferenceDevice):
        return lambda estimate, draws: _move_reference(array, estimate)
    else:
        why = (
            "only a ReferenceUnitCell (its second device) and devices with a reference, SoftBoundsReferenceDevice and"
            " PowStepReferenceDevice, have one"
        )
    kind = type(array.device_config if isinstance(array, CellArray) else getattr(array, "config", array)).__name__
    raise TileError(f"{tile.label}: cells of {kind} cannot be zero-shifted: {why}.")


def _move_second(array: VectorArray, estimate: Tensor, draws: Draws) -> None:
    """Set the device without pulses so that the cell reads 0 at an estimate."""
    other = 1 - int(array.current_device_idx)
    gamma, part = array.gammas[other], array.parts()[other]
    part.set(part.visible() - estimate / gamma, draws)


def _move_reference(array: CellArray, estimate: Tensor) -> None:
    """Move the references of the cells by an estimate."""
    with array.stored():
        array.get_buffer("reference").add_(estimate)
