"""The analog product of a tile as PyTorch differentiates it: step by step, and in a compiled graph.

An analog weight has no gradient: what it learns from, inputs and output gradients, stays with the tile.
"""

from __future__ import annotations

import itertools
import weakref
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch._higher_order_ops.effects import _register_effectful_op
from torch._library.effects import EffectType
from torch.autograd.function import once_differentiable
from torch.nn.parallel import DistributedDataParallel

from ohmgrad.engine.periphery import is_ideal
from ohmgrad.errors import TileError
from ohmgrad.weight import DigitalWeight

if TYPE_CHECKING:
    from ohmgrad.tile import AnalogTile


def analog_product(tile: AnalogTile, x: Tensor, scale: Tensor | None) -> Tensor:
    """The product of a tile with inputs ``[..., in]``, times a digital factor of its outputs, see its ``forward``."""
    if torch.compiler.is_compiling():
        y, _clipped = _product(x, tile._shown, scale, tile._number)
        return y
    if getattr(DistributedDataParallel, "_active_ddp_module", None) is not None:
        _enter_ddp(tile)
    if not torch.is_grad_enabled():
        return scaled(tile._forward_product(x, marks_clipped=False)[0], scale)
    return _AnalogProduct.apply(x, tile._shown, tile, scale)


def _enter_ddp(tile: AnalogTile) -> None:
    """Refuse what would drift apart; the weights that all processes were given at first are no writing of a user."""
    if tile._shown.requires_grad:
        raise TileError(
            f"{tile.label}: torch.nn.parallel.DistributedDataParallel shares gradients, and analog weights have none:"
            " each process would train cells of its own. Train in one process, or freeze the analog weights:"
            " weight.requires_grad_(False)."
        )
    tile._show(anew=True)


Gradients = tuple[Tensor | None, Tensor | None]
"""Of the input and of the weight."""


def _gradients(
    tile: AnalogTile,
    gradient: Tensor,
    x: Tensor,
    clipped: Tensor | None,
    scale: Tensor | None,
    of_input: bool,
    of_weight: bool,
) -> Gradients:
    """The gradients that are wanted; an analog weight has none, and its tile remembers what it learns from."""
    rows, given = tile._rows(gradient, tile.out_size, "gradient"), None  # before anything is remembered
    if of_weight and _learns_digitally(tile):
        given = _of_digital_weight(tile, x, rows if scale is None else rows / scale)
    elif of_weight:
        remembered = _flat(gradient)
        tile.remember(_flat(x), remembered if scale is None else remembered / (scale * tile.rate_scale))
    if not of_input:
        return None, given
    tile.check(wait=False)
    rows = scaled(rows, scale)
    if clipped is not None:  # what was clipped does not depend on the input
        rows = rows.masked_fill(clipped.reshape(rows.shape), 0.0)
    return like(gradient, tile._backward_product(rows)), given


def _of_digital_weight(tile: AnalogTile, x: Tensor, rows: Tensor) -> Tensor:
    """The gradient of a weight that is trained digitally, as if its scale were not."""
    with torch.autocast(rows.device.type, enabled=False):
        return rows.t() @ tile._with_bias(tile._rows(x, tile.in_size, "input"))


class _AnalogProduct(torch.autograd.Function):
    """The product, step by step."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, tile: AnalogTile, scale: Tensor | None) -> Tensor:
        ctx.tile = tile
        y, clipped = tile._forward_product(x, marks_clipped=ctx.needs_input_grad[0])
        ctx.save_for_backward(x, clipped, scale)
        return scaled(y, scale)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        # What refuses a second derivative takes its time, also where no graph is made.
        return (_refusing_second if torch.is_grad_enabled() else _passed_back)(ctx, gradient)


def _passed_back(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
    x, clipped, scale = ctx.saved_tensors
    of_input, of_weight, *_ = ctx.needs_input_grad
    return *_gradients(ctx.tile, gradient, x, clipped, scale, of_input, of_weight), None, None


_refusing_second = once_differentiable(_passed_back)


# --- in a compiled graph ---------------------------------------------------------------------------------------------
#
# There, a product is an operator that the compiler does not look into. Operators take tensors and numbers only: a tile
# goes by a number of its own. That they have an effect, on what the tile remembers and on its counters, keeps two equal
# products two, their order, and the backward product of a layer whose input needs no gradient.

_numbers = itertools.count()
_tiles: weakref.WeakValueDictionary[int, AnalogTile] = weakref.WeakValueDictionary()


def numbered(tile: AnalogTile) -> int:
    """The number by which operators find a tile of this process."""
    number = next(_numbers)
    _tiles[number] = tile
    return number


def _tile_of(number: int) -> AnalogTile:
    tile = _tiles.get(number)
    if tile is None:
        raise TileError("A compiled model uses an analog tile that is no more. Compile it again.")
    return tile


@torch.library.custom_op("ohmgrad::product", mutates_args=())
def _product(x: Tensor, weight: Tensor, scale: Tensor | None, number: int) -> tuple[Tensor, Tensor]:
    """The product, and which of its elements the output converter clipped (nothing, if there is none)."""
    tile = _tile_of(number)
    y, clipped = tile._forward_product(x, marks_clipped=True)
    if clipped is None:
        clipped = y.new_zeros(_clipped_shape(tile, y), dtype=torch.bool)
    return scaled(y, scale), clipped


@_product.register_fake
def _(x: Tensor, weight: Tensor, scale: Tensor | None, number: int) -> tuple[Tensor, Tensor]:
    tile = _tile_of(number)
    y = x.new_empty(*x.shape[:-1], tile.out_size)
    return y, y.new_empty(_clipped_shape(tile, y), dtype=torch.bool)


def _clipped_shape(tile: AnalogTile, y: Tensor) -> torch.Size:
    return torch.Size([0]) if is_ideal(tile.rpu_config.forward) else y.shape


@torch.library.custom_op("ohmgrad::product_backward", mutates_args=())
def _product_backward(
    gradient: Tensor, x: Tensor, clipped: Tensor, scale: Tensor | None, number: int, of_input: bool, of_weight: bool
) -> tuple[Tensor, Tensor]:
    """The gradients; nothing in the place of those that are not wanted, or not there."""
    tile = _tile_of(number)
    mask = clipped if clipped.numel() else None
    found = _gradients(tile, gradient, x, mask, scale, of_input, of_weight)
    of_x, of_w = (x.new_empty(0) if given is None else given for given in found)
    return of_x, of_w


@_product_backward.register_fake
def _(
    gradient: Tensor, x: Tensor, clipped: Tensor, scale: Tensor | None, number: int, of_input: bool, of_weight: bool
) -> tuple[Tensor, Tensor]:
    tile = _tile_of(number)
    of_x = torch.empty_like(x, memory_format=torch.contiguous_format) if of_input else x.new_empty(0)
    if of_weight and _learns_digitally(tile):
        return of_x, x.new_empty(tile._shown.shape, dtype=torch.float32)
    return of_x, x.new_empty(0)


def _learns_digitally(tile: AnalogTile) -> bool:
    return isinstance(tile._shown, DigitalWeight)


def _keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    x, _weight, scale, ctx.number = inputs
    ctx.save_for_backward(x, output[1], scale)


def _differentiate(ctx: Any, gradient: Tensor, _of_clipped: Any) -> tuple[Tensor | None, Tensor | None, None, None]:
    x, clipped, scale = ctx.saved_tensors
    of_input, of_weight, *_ = ctx.needs_input_grad
    of_x, of_w = _product_backward(gradient, x, clipped, scale, ctx.number, of_input, of_weight)
    is_digital = of_weight and _learns_digitally(_tile_of(ctx.number))
    return of_x if of_input else None, of_w if is_digital else None, None, None


_product.register_autograd(_differentiate, setup_context=_keep)
for _operator in (_product, _product_backward):
    _register_effectful_op(_operator, EffectType.ORDERED)


# --- shapes and types ------------------------------------------------------------------------------------------------


def scaled(values: Tensor, scale: Tensor | None) -> Tensor:
    """Values ``[..., out]`` times a factor, in their own type."""
    return values if scale is None else (values * scale).to(values.dtype)


def _flat(values: Tensor) -> Tensor:
    """Values ``[..., width]`` as ``[n, width]``."""
    return values if values.ndim == 2 else values.reshape(-1, values.shape[-1])


def like(values: Tensor, rows: Tensor) -> Tensor:
    """Results ``[n, width]`` in the type and with the leading dimensions of the values that they belong to."""
    if values.ndim != 2:
        rows = rows.reshape(*values.shape[:-1], rows.shape[1])
    return rows if values.dtype is torch.float32 else rows.to(values.dtype)
