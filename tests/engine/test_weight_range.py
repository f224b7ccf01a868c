"""Bounds of weights and factors between weights and scales, against numbers worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch

from ohmgrad.configs import WeightClipParameter, WeightClipType, WeightRemapParameter, WeightRemapType
from ohmgrad.engine.weight_range import clip_bound, remap_factor

W = torch.tensor([[0.5, -1.5], [0.0, 0.0], [-0.5, 0.25]])
LAYER, CHANNEL = WeightRemapType.LAYERWISE_SYMMETRIC, WeightRemapType.CHANNELWISE_SYMMETRIC


@pytest.mark.parametrize(
    ("kind", "fixed", "bound"),
    [
        (WeightClipType.AVERAGE_CHANNEL_MAX, -1.0, 2.0 / 3.0),
        (WeightClipType.AVERAGE_CHANNEL_MAX, 0.5, 0.5),
        (WeightClipType.AVERAGE_CHANNEL_MAX, 0.7, 2.0 / 3.0),
        (WeightClipType.LAYER_GAUSSIAN, -1.0, 2.0 * math.sqrt(0.5104166667)),  # mean -0.2083, five degrees of freedom
        (WeightClipType.LAYER_GAUSSIAN, 0.3, 0.3),
        (WeightClipType.FIXED_VALUE, 0.3, 0.3),
    ],
)
def test_a_bound_follows_from_the_weights(kind: WeightClipType, fixed: float, bound: float) -> None:
    found = clip_bound(W, WeightClipParameter(type=kind, sigma=2.0, fixed_value=fixed))
    assert float(found) == pytest.approx(bound, rel=1e-6)


def test_a_single_weight_has_no_spread_to_be_clipped_to() -> None:
    clip = WeightClipParameter(type=WeightClipType.LAYER_GAUSSIAN)
    assert float(clip_bound(torch.ones(1, 1), clip)) == math.inf


@pytest.mark.parametrize(
    ("remap", "factor"),
    [
        (WeightRemapParameter(type=LAYER), [1.5]),
        (WeightRemapParameter(type=LAYER, remapped_wmax=0.5), [3.0]),
        (WeightRemapParameter(type=CHANNEL), [1.5, 1.0, 0.5]),
        (WeightRemapParameter(type=CHANNEL, remapped_wmax=0.5), [3.0, 1.0, 1.0]),
        # scales would be 3, 1, 4: none above 2 * 1, or 2 * 1.25
        (WeightRemapParameter(type=CHANNEL, max_scale_range=2.0), [1.0, 1.0, 0.25]),
        (WeightRemapParameter(type=CHANNEL, max_scale_range=2.0, max_scale_ref=1.25), [1.25, 1.0, 0.3125]),
        (WeightRemapParameter(type=CHANNEL, max_scale_range=9.0), [1.5, 1.0, 0.5]),
    ],
)
def test_a_factor_brings_the_largest_weight_to_the_end_of_the_range(
    remap: WeightRemapParameter, factor: list[float]
) -> None:
    scale = torch.tensor([2.0, 1.0, 8.0]) if remap.type is CHANNEL else torch.tensor([2.0])
    assert remap_factor(W, scale, remap).tolist() == factor


def test_weights_of_0_are_left_alone() -> None:
    for kind in (LAYER, CHANNEL):
        assert bool((remap_factor(torch.zeros(2, 3), torch.ones(1), WeightRemapParameter(type=kind)) == 1.0).all())
