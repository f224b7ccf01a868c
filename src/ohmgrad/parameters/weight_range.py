"""Parameters of how weights are kept in the range of the cells of a chip, after every step of the optimizer."""

from typing import Annotated

from pydantic import Field

from ohmgrad.parameters.base import Config
from ohmgrad.parameters.enums import WeightClipType, WeightRemapType

NotNegative = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]


class WeightClipParameter(Config):
    r"""Weights are clipped to :math:`[-b, b]` after every step, so that no single one takes the range of all."""

    type: WeightClipType = WeightClipType.NONE
    """How the bound b is found."""
    fixed_value: Annotated[float, Field(allow_inf_nan=False)] = -1.0
    """The bound of FIXED_VALUE, and the most that other bounds may be (absolute); 0 or less: none."""
    sigma: NotNegative = 2.5
    """The bound of LAYER_GAUSSIAN in standard deviations of the weights of the tile."""


class WeightRemapParameter(Config):
    r"""Weights are divided by a factor after every step, and the scale of the mapping multiplied by it.

    What a layer computes stays as it is, :math:`W = s\, w = (s a) (w / a)`, and w makes use of the range of the cells.
    """

    type: WeightRemapType = WeightRemapType.NONE
    """For what there is a factor a of its own."""
    remapped_wmax: Positive = 1.0
    """The largest weight in the cells afterwards (absolute)."""
    max_scale_range: NotNegative = 0.0
    """CHANNELWISE_SYMMETRIC: no scale is above so many times the smallest of the tile before; 0: no limit."""
    max_scale_ref: NotNegative = 0.0
    """The least that counts as the smallest scale in that (absolute)."""
