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

from ohmgrad.errors import TileError

if TYPE_CHECKING:
    from ohmgrad.tile import AnalogTile


def analog_product(tile: AnalogTile, x: Tensor, scale: Tensor | None) -> Tensor:
    """The product of a tile with inputs ``[..., in]``, times a digital factor of its outputs, see its ``forward``."""
    if torch.compiler.is_compiling():
        if torch.compiler.is_exporting():
            raise TileError(
                f"{tile.label} cannot be exported: a program that leaves this process leaves its cells behind. Export"
                " convert_to_digital(model)."
            )
        y, _clipped = _product(x, tile._shown, scale, tile._number, tile.learns_digitally)
        return y
    if getattr(DistributedDataParallel, "_active_ddp_module", None) is not None:
        _enter_ddp(tile)
    if not torch.is_grad_enabled():
        return scaled(tile._forward_product(x, marks_clipped=False)[0], scale)
    return _AnalogProduct.apply(x, tile._shown, tile, scale)


def _enter_ddp(tile: AnalogTile) -> None:
    """Refuse what would drift apart; the weights that all processes were given at first are no writing of a user."""
    if tile._shown.requires_grad and not tile.learns_digitally:
        raise TileError(
            f"{tile.label}: torch.nn.parallel.DistributedDataParallel shares gradients, and analog weights have none:"
            " each process would train cells of its own. Train in one process, or freeze the analog layers:"
            " layer.freeze()."
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
    if of_weight and tile.learns_digitally:
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
# goes by a number of its own, in a tensor, so that equal layers are compiled once. That they have an effect, on what
# the tile remembers and on its counters, keeps two equal products two, their order, and the backward product of a layer
# whose input needs no gradient.

_numbers = itertools.count()
_tiles: weakref.WeakValueDictionary[int, AnalogTile] = weakref.WeakValueDictionary()


def numbered(tile: AnalogTile) -> Tensor:
    """The number by which operators find a tile of this process."""
    number = next(_numbers)
    _tiles[number] = tile
    return torch.tensor(number, dtype=torch.int64, device="cpu")


def _tile_of(number: Tensor) -> AnalogTile:
    tile = _tiles.get(int(number))
    if tile is None:
        raise TileError("A compiled model uses an analog tile that is no more. Compile it again.")
    return tile


@torch.library.custom_op("ohmgrad::product", mutates_args=())
def _product(
    x: Tensor, weight: Tensor, scale: Tensor | None, number: Tensor, is_digital: bool
) -> tuple[Tensor, Tensor]:
    """The product, and which of its elements the output converter clipped."""
    tile = _tile_of(number)
    y, clipped = tile._forward_product(x, marks_clipped=True)
    return scaled(y, scale), y.new_zeros(y.shape, dtype=torch.bool) if clipped is None else clipped


@_product.register_fake
def _(x: Tensor, weight: Tensor, scale: Tensor | None, number: Tensor, is_digital: bool) -> tuple[Tensor, Tensor]:
    y = x.new_empty(*x.shape[:-1], weight.shape[0])
    return y, torch.empty_like(y, dtype=torch.bool)


@torch.library.custom_op("ohmgrad::product_backward", mutates_args=())
def _product_backward(
    gradient: Tensor,
    x: Tensor,
    clipped: Tensor,
    scale: Tensor | None,
    number: Tensor,
    columns: int,
    of_input: bool,
    of_weight: bool,
    is_digital: bool,
) -> tuple[Tensor, Tensor]:
    """The gradients; nothing in the place of those that are not wanted, or not there."""
    found = _gradients(_tile_of(number), gradient, x, clipped, scale, of_input, of_weight)
    of_x, of_w = (x.new_empty(0) if given is None else given for given in found)
    return of_x, of_w


@_product_backward.register_fake
def _(
    gradient: Tensor,
    x: Tensor,
    clipped: Tensor,
    scale: Tensor | None,
    number: Tensor,
    columns: int,
    of_input: bool,
    of_weight: bool,
    is_digital: bool,
) -> tuple[Tensor, Tensor]:
    of_x = torch.empty_like(x, memory_format=torch.contiguous_format) if of_input else x.new_empty(0)
    if of_weight and is_digital:
        return of_x, x.new_empty(gradient.shape[-1], columns, dtype=torch.float32)
    return of_x, x.new_empty(0)


def _keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    x, weight, scale, number, ctx.is_digital = inputs
    ctx.columns = weight.shape[1]
    ctx.save_for_backward(x, output[1], scale, number)


def _differentiate(ctx: Any, gradient: Tensor, _of_clipped: Any) -> tuple[Tensor | None, ...]:
    x, clipped, scale, number = ctx.saved_tensors
    of_input, of_weight, *_ = ctx.needs_input_grad
    wanted = (of_input, of_weight, ctx.is_digital)
    of_x, of_w = _product_backward(gradient, x, clipped, scale, number, ctx.columns, *wanted)
    return of_x if of_input else None, of_w if of_weight and ctx.is_digital else None, None, None, None


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
