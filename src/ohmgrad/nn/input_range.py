"""The digital range of the inputs of a tile."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from ohmgrad.engine.host import HostModule
from ohmgrad.parameters.pre_post import InputRangeParameter


class InputRange(HostModule):
    r"""Clips inputs to :math:`\pm r` and divides them by :math:`r`.

    :param parameters: how the range begins and how it is learned.
    """

    value: Tensor
    batches: Tensor

    def __init__(self, parameters: InputRangeParameter) -> None:
        super().__init__()
        self.parameters_of_range = parameters
        first = torch.full((1,), parameters.init_value, dtype=torch.float32)
        if parameters.learn_input_range:
            self.value = nn.Parameter(first)
        else:
            self.register_buffer("value", first)
        self.register_counter("batches", by_host=True)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        r"""The clipped and divided inputs, and the range :math:`r`, without a gradient, to multiply the outputs by."""
        parameters = self.parameters_of_range
        if self.training and x.numel() > 1 and self._may_learn_from_data():
            self._learn_from_data(x)
        inside: Tensor = _IntoRange.apply(x, self.value, parameters)
        return inside, self.value.detach().abs()

    def counted(self) -> list[Tensor]:
        """What batches of a training move on."""
        return [self.value, self.batches]

    def _may_learn_from_data(self) -> bool:
        """Whether batches are still counted; a compiled graph cannot ask, and finds out on the way."""
        most = self.parameters_of_range.init_from_data
        return most > 0 and (torch.compiler.is_compiling() or int(self.batches) < most)

    @torch.no_grad()
    def _learn_from_data(self, x: Tensor) -> None:
        """The running mean over batches of so many standard deviations; batches of equal numbers do not count."""
        before = self.batches
        is_counted = before < self.parameters_of_range.init_from_data
        spread = x.float().std() * self.parameters_of_range.init_std_alpha
        is_moved = is_counted.to(x.device) & (spread > 0.0)
        self.value.copy_(torch.where(is_moved, (self.value.abs() * before + spread) / (before + 1), self.value))
        self.batches += is_counted

    def extra_repr(self) -> str:
        """For ``print(model)``."""
        return "learned" if self.parameters_of_range.learn_input_range else "fixed"


class _IntoRange(torch.autograd.Function):
    r"""``clip(x, -r, r) / r``: straight through for the input; for the range what its clipping costs."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, value: Tensor, parameters: InputRangeParameter) -> Tensor:
        ctx.parameters, limit = parameters, value.abs()
        ctx.save_for_backward(x, limit, value.sign())  # the range itself may have moved on, before it comes to that
        return (torch.minimum(torch.maximum(x, -limit), limit) / limit).to(x.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor | None, None]:
        x, limit, sign = ctx.saved_tensors
        of_input = (gradient / limit).to(gradient.dtype)
        if not ctx.needs_input_grad[1]:
            return of_input, None, None
        parameters: InputRangeParameter = ctx.parameters
        above, below, slope = x >= limit, x <= -limit, of_input.float()
        of_range = (slope.clamp(max=0.0) * above).sum() - (slope.clamp(min=0.0) * below).sum()
        if parameters.gradient_relative:
            of_range = of_range * limit * parameters.gradient_scale
        inside = (x.abs() < limit).float().mean()
        of_range = of_range + parameters.decay * limit * (inside > parameters.input_min_percentage)
        return of_input, (of_range * sign).reshape(limit.shape), None
