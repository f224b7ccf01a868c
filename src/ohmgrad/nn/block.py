"""A block of the weight of a layer: one tile, and what is digital around it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ohmgrad.configs import InferenceRPUConfig, RPUConfig, WeightRemapType
from ohmgrad.engine.weight_range import remap_factor
from ohmgrad.hardware_aware import hold, remaps
from ohmgrad.nn.input_range import InputRange
from ohmgrad.parameters.mapping import MappingParameter
from ohmgrad.product import scaled
from ohmgrad.tile import AnalogTile


class Block(nn.Module):
    r""":math:`y_i = \alpha_i s_i r \sum_j w_{ij}\, \mathrm{clip}(x_j, -r, r) / r`, with w in the cells of one tile.

    The scales s (set with the weights, and remapped) and :math:`\alpha` (trained), and the range r of the inputs, are
    there if the configuration asks for them. What the block learns is :math:`W = \alpha s w`, as if its scales were
    not.

    :param rows: outputs; :param columns: inputs; :param has_bias: whether there is an analog bias, one more column.
    """

    mapping_scale: Tensor | None
    out_scale: nn.Parameter | None
    input_range: InputRange | None

    def __init__(self, rows: int, columns: int, rpu_config: RPUConfig, has_bias: bool = False) -> None:
        super().__init__()
        self.tile = AnalogTile(rows, columns, rpu_config, has_bias)
        mapping, ranged = rpu_config.mapping, rpu_config.pre_post.input_range

        def ones(for_each_output: bool) -> Tensor:
            return torch.ones(rows if for_each_output else 1, dtype=torch.float32)

        by_output, is_scaled = mapping.weight_scaling_columnwise, mapping.weight_scaling_omega > 0.0
        if isinstance(rpu_config, InferenceRPUConfig) and remaps(rpu_config):
            by_output |= rpu_config.remap.type is WeightRemapType.CHANNELWISE_SYMMETRIC
            is_scaled, self.tile.remap = True, self.remap
        self.register_buffer("mapping_scale", ones(by_output) if is_scaled else None)
        learned = nn.Parameter(ones(mapping.out_scaling_columnwise)) if mapping.learn_out_scaling else None
        self.register_parameter("out_scale", learned)
        self.input_range = InputRange(ranged) if ranged.enable else None
        self.register_load_state_dict_post_hook(_after_load)

    @property
    def is_plain(self) -> bool:
        """Whether the tile is all that there is."""
        return self.mapping_scale is None and self.out_scale is None and self.input_range is None

    def forward(self, x: Tensor) -> Tensor:
        """``[..., in]`` to ``[..., out]``."""
        inside, limit = (x, None) if self.input_range is None else self.input_range(x)
        return scaled(scaled(self.tile(inside, self.mapping_scale), limit), self.out_scale)

    def scale(self) -> Tensor | None:
        """All factors of the outputs together, ``[1]`` or ``[out]``, without a gradient; None if there are none."""
        scales = [each.detach() for each in (self.mapping_scale, self.out_scale) if each is not None]
        return scales[0] * scales[-1] if len(scales) == 2 else scales[0] if scales else None

    def get_weights(self) -> Tensor:
        """A copy of :math:`W` ``[out, in]`` on the processor; an analog bias is its last column."""
        weights, scale = self.tile.get_weights(), self.scale()
        return weights if scale is None else weights * scale.cpu()[:, None]

    @torch.no_grad()
    def set_weights(self, weights: Tensor) -> None:
        """Set :math:`W` within the bounds of the cells, with new scales; the rule of the tile starts anew."""
        scale = None
        if self.mapping_scale is not None:
            mapping: MappingParameter = self.tile.rpu_config.mapping
            sizes = weights.abs().amax(1) if mapping.weight_scaling_columnwise else weights.abs().max()[None]
            omega = mapping.weight_scaling_omega
            scale = torch.where(sizes > 0.0, sizes / omega, 1.0) if omega > 0.0 else torch.ones_like(sizes)
            weights = weights / scale[:, None]
        self.tile.set_weights(weights)  # first, since it may refuse
        if self.mapping_scale is not None and scale is not None:
            self.mapping_scale.copy_(scale)
        if self.out_scale is not None:
            self.out_scale.fill_(1.0)
        self._compensate()

    @torch.no_grad()
    def remap(self) -> None:
        """Move a factor from the weights of the cells to the scale, so that they fill their range; W stays."""
        config, scale = self.tile.rpu_config, self.mapping_scale
        assert isinstance(config, InferenceRPUConfig)
        assert scale is not None
        weights = self.tile.rule.visible()
        factor = remap_factor(weights, scale, config.remap)
        hold(self.tile, weights / factor[:, None])
        scale.mul_(factor)
        self._compensate()

    def _compensate(self) -> None:
        """Let the learning rate of the tile follow the scales, if the configuration says so."""
        scale = self.mapping_scale
        if scale is None or scale.is_meta:  # without memory, until a state is loaded
            return
        if self.tile.rpu_config.mapping.weight_scaling_lr_compensation:
            self.tile.rate_scale = 1.0 / float(scale.mean())


def _after_load(block: nn.Module, _keys: Any) -> None:
    """Let what follows from the scales follow those that were loaded."""
    assert isinstance(block, Block)
    block._compensate()
