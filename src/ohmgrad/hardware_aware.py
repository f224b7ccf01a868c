"""What a tile does in a training for a chip: disturbed weights in its products, and a range that they are kept in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ohmgrad.configs import InferenceRPUConfig, RPUConfig
from ohmgrad.engine.modifier import Modifier
from ohmgrad.engine.weight_range import clip_bound
from ohmgrad.errors import TileError
from ohmgrad.parameters.enums import PulseType, WeightClipType, WeightRemapType

if TYPE_CHECKING:
    from ohmgrad.tile import AnalogTile


def new_modifier(config: RPUConfig, weights: Tensor) -> Modifier | None:
    """What disturbs the weights of a tile; None if nothing does.

    :raises ConfigError: if the configuration does not fit together.
    """
    if not isinstance(config, InferenceRPUConfig):
        return None
    config.check()
    return Modifier(config.modifier, weights) if config.modifier.is_active else None


def learns_digitally(config: RPUConfig) -> bool:
    """Whether the weight is an ordinary parameter, whose gradient any optimizer may use."""
    return isinstance(config, InferenceRPUConfig) and config.update.pulse_type is PulseType.NONE


def remaps(config: RPUConfig) -> bool:
    """Whether weights are brought to the end of the range after every step."""
    return isinstance(config, InferenceRPUConfig) and config.remap.type is not WeightRemapType.NONE


def acts(config: RPUConfig) -> bool:
    """Whether there is anything to do after a step."""
    if not isinstance(config, InferenceRPUConfig):
        return False
    return config.modifier.is_active or config.clip.type is not WeightClipType.NONE or remaps(config)


@torch.no_grad()
def after_step(tile: AnalogTile, config: InferenceRPUConfig) -> None:
    """Clip the weights, let the layer remap them, and draw what disturbs them until the next step.

    :raises TileError: if they are to be remapped, but the tile is in no layer.
    """
    if not tile.weight.requires_grad:  # frozen
        return
    clip = config.clip
    tile._show(anew=True)  # an optimizer may have moved them
    if clip.type is WeightClipType.FIXED_VALUE:
        tile.clip_weights(clip.fixed_value)
    elif clip.type is not WeightClipType.NONE:
        weights = tile.rule.visible()
        bound = clip_bound(weights, clip)
        hold(tile, weights.clamp(-bound, bound))
    if remaps(config):
        if tile.remap is None:
            raise TileError(
                f"{tile.label}: WeightRemapParameter.type = {config.remap.type.name} needs the scale of a layer. Use a"
                " layer such as AnalogLinear, or WeightRemapType.NONE."
            )
        tile.remap()
    if tile.modifier is not None:
        weights = tile.rule.visible()
        tile.modifier.step(weights, tile._draws(weights.device))


def hold(tile: AnalogTile, weights: Tensor) -> None:
    """Let the exact weights of a tile be these, without a look at whether they are finite, which would wait."""
    tile.rule.set_weights(weights, tile._draws(weights.device))
    tile._show()
