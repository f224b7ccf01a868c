"""How far weights reach: to what they are clipped, and by what they are divided so that they fill a range."""

from __future__ import annotations

import torch
from torch import Tensor

from ohmgrad.parameters.enums import WeightClipType, WeightRemapType
from ohmgrad.parameters.weight_range import WeightClipParameter, WeightRemapParameter


def clip_bound(w: Tensor, clip: WeightClipParameter) -> Tensor:
    """The bound of weights ``[out, in]`` that follows from them, a number; infinity: none."""
    if clip.type is WeightClipType.AVERAGE_CHANNEL_MAX:
        bound = w.abs().amax(1).mean()
    elif clip.type is WeightClipType.LAYER_GAUSSIAN and w.numel() > 1:  # a single weight has no spread
        bound = clip.sigma * w.std()
    else:
        bound = torch.full_like(w[0, 0], torch.inf)
    return bound.clamp(max=clip.fixed_value) if clip.fixed_value > 0.0 else bound


def remap_factor(w: Tensor, scale: Tensor, remap: WeightRemapParameter) -> Tensor:
    """By what weights ``[out, in]`` are divided and scales multiplied, ``[1]`` or ``[out]``.

    :param scale: what multiplies the outputs so far, ``[1]`` or ``[out]``.
    """
    by_output = remap.type is WeightRemapType.CHANNELWISE_SYMMETRIC
    largest = w.abs().amax(1) if by_output else w.abs().amax()[None]
    factor = torch.where(largest > 0.0, largest / remap.remapped_wmax, 1.0)
    if by_output and remap.max_scale_range > 0.0:
        limit = remap.max_scale_range * scale.min().clamp(min=remap.max_scale_ref)
        factor = torch.minimum(scale * factor, limit) / scale
    return factor
