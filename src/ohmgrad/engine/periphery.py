"""What is fixed in the circuits around an array when they are made: offsets, gains and noise of every output."""

from __future__ import annotations

import math
from collections import OrderedDict
from enum import IntEnum
from typing import Any

import torch
from torch import Tensor, nn

from ohmgrad.engine.draws import Draws, Stream
from ohmgrad.engine.kept import Kept
from ohmgrad.errors import TileError
from ohmgrad.parameters.enums import AnalogMVType
from ohmgrad.parameters.io import IOParameters


class Direction(IntEnum):
    """Which circuits: every direction has its own. Numbers address what is drawn, so they never change."""

    FORWARD = 0
    BACKWARD = 1
    READ = 2
    """The reads of a transfer."""
    REFRESH = 3
    """The reads of a refresh."""

    def stream(self, array: int = 0) -> int:
        """The random numbers of the circuits in this direction around one array of a tile."""
        return Stream.PERIPHERY.of(array, 8 * self)


class _Draw(IntEnum):
    """Which values; numbers never change."""

    OFFSET = 0
    NONLINEARITY = 1
    ASYMMETRY = 2
    NOISE = 3


class Periphery(nn.Module):
    r"""The drawn values of one product direction, as buffers; only those that the settings need.

    ``v_offset`` ``[out]``: :math:`o_i = |\mathrm{v\_offset\_std}\, N|`; ``out_nonlinearity`` ``[out]``:
    :math:`n_i = |n (1 + \mathrm{out\_nonlinearity\_std}\, N)|` with n the field of that name over the output bound;
    ``out_nonlinearity_factor`` (a scalar): the gain that makes up for saturation,
    :math:`F = (1 + (\bar n + R)\, s B)^2` with :math:`\bar n` the mean and s the slope calibration; ``w_asymmetry``
    like the weight: :math:`1 + \mathrm{w\_read\_asymmetry\_dtod}\, N`; ``out_noise_values`` ``[out]``:
    :math:`\sigma_i = |\sigma (1 + \mathrm{out\_noise\_std}\, N)|`.

    :param io: settings of the direction, read when it is made.
    :param outputs: number of outputs of the product; :param inputs: of its inputs.
    :param stream: of :meth:`Direction.stream`.
    :param transposed: the product is with the transpose of the weight.
    """

    def __init__(
        self, io: IOParameters, outputs: int, inputs: int, draws: Draws, stream: int, transposed: bool = False
    ) -> None:
        super().__init__()
        self.transposed = transposed
        self.settings: Kept[Any] = Kept()  # what follows from ``io``, see ``engine/settings.py``
        if is_ideal(io):
            return

        def spread(mean: float, std: float, which: _Draw, rows: int = 1, columns: int = outputs) -> Tensor:
            noise = draws.normal(stream + (which << 8), torch.arange(rows), columns)
            return noise.mul_(std).add_(1.0).mul_(mean)

        bound = io.out_bound if 0.0 < io.out_bound < math.inf else 1.0
        mean_saturation = 0.0
        if io.v_offset_std > 0.0:
            offset = draws.normal(stream + (_Draw.OFFSET << 8), torch.arange(1), outputs)[0]
            self.register_buffer("v_offset", offset.mul_(io.v_offset_std).abs_())
        if io.out_nonlinearity > 0.0:
            curve = spread(io.out_nonlinearity / bound, io.out_nonlinearity_std, _Draw.NONLINEARITY)[0].abs_()
            mean_saturation = float(curve.mean())
            self.register_buffer("out_nonlinearity", curve)
        if io.slope_calibration > 0.0 and is_saturating(io):
            slope = 1.0 + (mean_saturation + io.r_series) * io.slope_calibration * bound
            self.register_buffer("out_nonlinearity_factor", torch.tensor(slope**2, dtype=torch.float32))
        if io.w_read_asymmetry_dtod > 0.0:
            shape = (inputs, outputs) if transposed else (outputs, inputs)
            self.register_buffer("w_asymmetry", spread(1.0, io.w_read_asymmetry_dtod, _Draw.ASYMMETRY, *shape))
        if io.out_noise_std > 0.0 and io.out_noise > 0.0:
            self.register_buffer("out_noise_values", spread(io.out_noise, io.out_noise_std, _Draw.NOISE)[0].abs_())

    def __getitem__(self, name: str) -> Tensor:
        """A drawn value.

        :raises TileError: if the settings did not need it when the circuits were made.
        """
        value = self._buffers.get(name)
        if value is None:
            raise TileError(f"{name} was not drawn: its setting was changed after the tile was made. Make a new tile.")
        return value

    @property
    def asymmetry(self) -> Tensor:
        """``w_asymmetry`` as the product sees it, ``[out, in]`` of the product."""
        return self["w_asymmetry"].t() if self.transposed else self["w_asymmetry"]

    def values(self) -> OrderedDict[str, Tensor]:
        """All drawn values by name; the tensors themselves."""
        return OrderedDict(self.named_buffers())

    def set_values(self, values: dict[str, Tensor]) -> None:
        """Replace some of them.

        :raises TileError: if a name is unknown or the number of values differs; nothing is changed then.
        """
        mine = self.values()
        given = {name: torch.as_tensor(value) for name, value in values.items()}
        for name, value in given.items():
            if name not in mine:
                has = f"It has: {', '.join(mine)}" if mine else "It has none: switch its imperfections on"
                raise TileError(f"This direction of the tile has no drawn value {name!r}. {has}.")
            if value.numel() != mine[name].numel():
                raise TileError(f"{name} was given {value.numel()} values. Give {mine[name].numel()}.")
        for name, value in given.items():
            mine[name].copy_(value.reshape(mine[name].shape))


def drawn(periphery: Periphery | None) -> Periphery:
    """The circuits, where a product cannot do without.

    :raises TileError: if there are none.
    """
    if periphery is None:
        raise TileError("These settings vary from output to output or cell to cell. Give the product a Periphery.")
    return periphery


def has_offset(io: IOParameters) -> bool:
    """Whether the outputs load the array: they have voltage offsets or a series resistance."""
    return io.v_offset_std > 0.0 or io.r_series > 0.0


def is_saturating(io: IOParameters) -> bool:
    """Whether the outputs have a nonlinearity or, with a series resistance, a slope to calibrate."""
    return io.out_nonlinearity > 0.0 or io.r_series > 0.0


def is_ideal(io: IOParameters) -> bool:
    """Whether there is nothing but the product."""
    return io.is_perfect or io.mv_type is AnalogMVType.IDEAL
