"""A tile after training: cells that were programmed, and the circuits around them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NoReturn

import torch
from torch import Tensor

from ohmgrad.engine.draws import Stream
from ohmgrad.engine.host import HostModule
from ohmgrad.engine.mvm import mvm
from ohmgrad.engine.noise import Numbers, next_numbers
from ohmgrad.engine.peaks import all_finite
from ohmgrad.engine.precision import cast_for_region, in_single_precision
from ohmgrad.errors import TileError
from ohmgrad.inference.cells import ProgrammedCells
from ohmgrad.parameters.drift_compensation import GlobalDriftCompensation
from ohmgrad.parameters.enums import NoiseManagementType
from ohmgrad.parameters.io import IOParameters
from ohmgrad.parameters.memory_noise import NoiseModel
from ohmgrad.product import scaled
from ohmgrad.tile import AnalogTile, label_of


class ProgrammedTile(HostModule):
    """Stands where an :class:`~ohmgrad.tile.AnalogTile` was: multiplies through its circuits, and learns nothing.

    It is programmed when it is made, and then as old as :meth:`drift` last said. All that it remembers are buffers.

    :param tile: whose visible weights are programmed; its circuits are taken over.
    :param noise_model: what becomes of conductances; :param drift_compensation: of the outputs; None: nothing.
    :param w_max: the weight of the largest conductance, beyond which weights are clipped; None: the largest there is.
    :param seed: of the chip; :param index: which tile of the chip it is.
    """

    baseline: Tensor
    """What the drift compensation measured after programming."""
    compensation: Tensor
    """By what outputs are multiplied now."""
    average_input: Tensor
    forward_vectors: Tensor

    def __init__(
        self,
        tile: AnalogTile,
        noise_model: NoiseModel,
        drift_compensation: GlobalDriftCompensation | None,
        w_max: float | None,
        seed: int,
        index: int,
    ) -> None:
        super().__init__()
        self.drift_compensation = drift_compensation
        self.rpu_config, self.name, self.rate_scale = tile.rpu_config, tile.name, tile.rate_scale
        self.out_size, self.in_size, self.has_bias = tile.out_size, tile.in_size, tile.has_bias
        self.forward_periphery = tile.forward_periphery
        weight = tile.weight.detach()
        if weight.is_meta:
            raise TileError(f"{self.label} is on the meta device and has no weights. Give it some before programming.")
        self.cells = ProgrammedCells(weight, noise_model, w_max, index, self.rpu_config.runtime)
        for name in ("baseline", "compensation"):
            self.register_buffer(name, torch.ones((), dtype=torch.float32, device=weight.device))
        self.register_buffer("average_input", tile.average_input.clone())
        self.register_buffer("forward_vectors", torch.zeros((), dtype=torch.int64, device=weight.device))
        self.program(seed)

    # --- time --------------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def program(self, seed: int) -> None:
        """Program the cells anew, as a chip of another seed would be; the tile is 0 seconds old then."""
        self.cells.program(seed)
        self.forward_vectors.zero_()
        self.compensation.fill_(1.0)
        if self.drift_compensation is not None:
            self.baseline.copy_(self._measured(self.drift_compensation))

    @torch.no_grad()
    def drift(self, seconds: float) -> None:
        """Let the tile be so old, and read the cells anew; the time before does not matter.

        :raises TileError: if it is negative or not finite; nothing is changed then.
        """
        if not 0.0 <= seconds < math.inf:
            raise TileError(f"{self.label}: drift to {seconds} s. Give a finite time that is not negative.")
        self.cells.let_be(seconds)
        if self.drift_compensation is not None:
            now = self._measured(self.drift_compensation)
            self.compensation.copy_(self.drift_compensation.factor(self.baseline, now))

    def _measured(self, compensation: GlobalDriftCompensation) -> Tensor:
        """What the compensation looks at, now. Its inputs fit the converter as they are."""
        x = compensation.inputs(self.in_size, self.cells.weight.device)
        numbers = int(self.cells.reads) * len(x) + torch.arange(len(x), device=x.device)
        io = self.rpu_config.forward.replaced(noise_management=NoiseManagementType.NONE)
        return compensation.measure(self._product(x, io, Stream.COMPENSATION, numbers))

    # --- what a layer asks for ---------------------------------------------------------------------------------------

    def forward(self, x: Tensor, scale: Tensor | None = None) -> Tensor:
        """The analog product with the weights as they are now, ``[..., in]`` to ``[..., out]``.

        Nothing is remembered for learning. The gradient of the input is that of the digital product.

        :param scale: a digital factor of the outputs, ``[1]`` or ``[out]``.
        :raises TileError: on a wrong width, type or device, or (in the processor's memory) a number that is not finite.
        """
        if torch.compiler.is_compiling():
            raise TileError(f"{self.label} is programmed, and cannot be compiled. Compile what is around it.")
        x = cast_for_region(x) if isinstance(x, Tensor) else x
        return scaled(_Product.apply(x, self), scale)

    @property
    def weight(self) -> Tensor:
        """The weight that the tile computes with now, compensated, ``[out, in]``; a copy."""
        return self.cells.weight * self.compensation

    def get_weights(self) -> Tensor:
        """A copy of :attr:`weight` on the processor; an analog bias is its last column."""
        return self.weight.cpu()

    def set_weights(self, weights: Tensor) -> NoReturn:
        """Refuse: the weights were programmed.

        :raises TileError: always.
        """
        raise TileError(
            f"{self.label} is programmed: its weights of shape {tuple(weights.shape)} cannot be set. Set those of the"
            " model that it was made of, and program that."
        )

    @property
    def label(self) -> str:
        """What errors call this tile: its name in the model if an optimizer gave it one, and its size."""
        return label_of(self.name, self.in_size, self.out_size)

    def extra_repr(self) -> str:
        """Size and age for ``print(model)``."""
        kind = type(self.cells.noise_model).__name__
        return f"out_size={self.out_size}, in_size={self.in_size}, {kind}, {float(self.cells.seconds):g} s old"

    # --- inside ------------------------------------------------------------------------------------------------------

    @property
    def _shown(self) -> Tensor:
        return self.cells.weight

    @in_single_precision
    def _product(self, rows: Tensor, io: IOParameters, stream: Stream, numbers: Numbers | None = None) -> Tensor:
        """The analog product of rows, float32 ``[n, out]``; numbers None: the next."""
        cells, draws = self.cells, self.cells.draws()
        numbers = next_numbers(self.forward_vectors, len(rows), draws) if numbers is None else numbers
        if self.has_bias:
            rows = torch.cat([rows, rows.new_ones(len(rows), 1)], 1)
        average = self.average_input.clone()  # frozen: what was learned of the inputs stays
        return mvm(cells.weight, rows, io, draws, cells.stream(stream), numbers, average, True, self.forward_periphery)

    def _rows(self, x: Tensor) -> Tensor:
        """Checked inputs ``[n, in]``, float32."""
        if not isinstance(x, Tensor) or not x.is_floating_point():
            given = f"of type {x.dtype}" if isinstance(x, Tensor) else f"a {type(x).__name__}"
            raise TileError(f"{self.label}: the input is {given}. Give a tensor of floating-point numbers.")
        where = self.cells.weight.device
        if not x.shape or x.shape[-1] != self.in_size:
            raise TileError(
                f"{self.label}: the input has shape {tuple(x.shape)}; its last dimension must be {self.in_size}."
            )
        if x.device != where:
            raise TileError(f"{self.label}: the input is on {x.device}, the cells are on {where}. Move one of them.")
        if x.is_cpu and not all_finite(x):
            raise TileError(f"{self.label}: the input is not finite in places. Look for its cause before this layer.")
        return x.detach().reshape(-1, self.in_size).float()

    def counted(self) -> list[Tensor]:
        """What a product reads and moves on."""
        return [self.forward_vectors]

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> ProgrammedTile:
        super()._apply(lambda tensor: tensor.to(fn(tensor).device), recurse)  # all stays in single precision
        return self


class _Product(torch.autograd.Function):
    """The analog product, whose input has the gradient of a digital one and whose weight has none."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, tile: ProgrammedTile) -> Tensor:
        y = tile._product(tile._rows(x), tile.rpu_config.forward, Stream.FORWARD)
        if tile.drift_compensation is not None:
            y = y * tile.compensation
        if ctx.needs_input_grad[0]:
            ctx.save_for_backward(tile.weight[:, : tile.in_size])
        return y.reshape(*x.shape[:-1], tile.out_size).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (weight,) = ctx.saved_tensors
        return (gradient.float() @ weight).to(gradient.dtype), None
