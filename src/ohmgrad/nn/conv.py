"""Convolutions whose weights live on analog tiles."""

from __future__ import annotations

import math
from typing import Any, Protocol

from torch import Tensor, nn
from torch.nn.functional import pad

from ohmgrad.configs import RPUConfig
from ohmgrad.errors import TileError
from ohmgrad.nn.base import AnalogLayer

Size = int | tuple[int, ...]


class AnalogConv(AnalogLayer):
    """A convolution as the product of one matrix with every patch of the image.

    A column of the matrix belongs to one element of a patch, a row to one channel of the output; with ``groups`` it is
    block-diagonal, each block on tiles of its own. Made like the layer of torch with the same name, with the same
    padding modes and the same initial weights (clipped to the bounds of the cells).

    :param in_channels: of the image; :param out_channels: of the result; :param kernel_size: lines of a patch.
    :param stride: between patches; :param padding: of the image: lines, ``"same"`` or ``"valid"``.
    :param dilation: between the elements of a patch; :param groups: of channels.
    :param bias: whether there is a bias, a parameter ``[out_channels]`` or the last column of the matrix.
    :param padding_mode: ``"zeros"``, ``"reflect"``, ``"replicate"`` or ``"circular"``.
    :param rpu_config: of the tiles; default ``SingleRPUConfig()``.
    :raises ValueError: as torch does, if they do not fit together.
    """

    sizes = (
        "in_channels",
        "out_channels",
        "kernel_size",
        "stride",
        "padding",
        "dilation",
        "groups",
        "padding_mode",
    )

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: str | Size = 0,
        dilation: Size = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        rpu_config: RPUConfig | None = None,
    ) -> None:
        sizes = (in_channels, out_channels, kernel_size, stride, padding, dilation, groups)
        twin: Any = self.twin(*sizes, bias=False, padding_mode=padding_mode, device="meta")  # knows what fits
        for name in self.sizes:
            object.__setattr__(self, name, getattr(twin, name))
        self._reversed_padding_repeated_twice: list[int] = twin._reversed_padding_repeated_twice
        columns = in_channels // groups * math.prod(twin.kernel_size)
        super().__init__(out_channels, columns, bias, rpu_config, groups)

    in_channels: int
    out_channels: int
    kernel_size: tuple[int, ...]
    stride: tuple[int, ...]
    padding: str | tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int
    padding_mode: str

    def forward(self, x: Tensor) -> Tensor:
        """``[n, in_channels, ...]`` to ``[n, out_channels, ...]``; or both without the first dimension.

        :raises TileError: if the number of dimensions or channels is another.
        """
        dimensions = len(self.kernel_size)
        if x.ndim == dimensions + 1:
            return self.forward(x[None])[0]
        if x.ndim != dimensions + 2 or x.shape[1] != self.in_channels:
            raise TileError(
                f"{type(self).__name__}({self.extra_repr()}): the input has shape {tuple(x.shape)}."
                f" Give [n, {self.in_channels}] and {dimensions} dimensions of the image."
            )
        y = self._with_bias(self.matrix(patches(x, self)))
        return y.movedim(-1, 1)

    def _shaped(self, matrix: Tensor) -> Tensor:
        """See :meth:`AnalogLayer._shaped`."""
        return matrix.reshape(self.out_channels, self.in_channels // self.groups, *self.kernel_size)

    def extra_repr(self) -> str:
        """Sizes for ``print(model)``."""
        named = (f"{name}={getattr(self, name)!r}" for name in self.sizes[2:])
        return f"{self.in_channels}, {self.out_channels}, {', '.join(named)}, bias={self.has_bias}"


class Sliding(Protocol):
    """What says where the patches of an image are: a convolution of torch, or one of these."""

    kernel_size: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    padding_mode: str
    _reversed_padding_repeated_twice: list[int]


def patches(x: Tensor, convolution: Sliding) -> Tensor:
    """Patches ``[n, positions ..., channels * elements]`` of images ``[n, channels, ...]``."""
    kernel, pads, mode = convolution.kernel_size, convolution._reversed_padding_repeated_twice, convolution.padding_mode
    dimensions = len(kernel)
    if any(pads):
        x = pad(x, pads, "constant" if mode == "zeros" else mode)
    for k, (size, step, apart) in enumerate(zip(kernel, convolution.stride, convolution.dilation, strict=True)):
        x = x.unfold(2 + k, (size - 1) * apart + 1, step)[..., ::apart]
    return x.movedim(1, 1 + dimensions).flatten(1 + dimensions)


class AnalogConv1d(AnalogConv):
    """The convolution of ``torch.nn.Conv1d``: ``[n, channels, length]``, see :class:`AnalogConv`."""

    twin = nn.Conv1d


class AnalogConv2d(AnalogConv):
    """The convolution of ``torch.nn.Conv2d``: ``[n, channels, height, width]``, see :class:`AnalogConv`."""

    twin = nn.Conv2d


class AnalogConv3d(AnalogConv):
    """The convolution of ``torch.nn.Conv3d``: ``[n, channels, depth, height, width]``, see :class:`AnalogConv`."""

    twin = nn.Conv3d
