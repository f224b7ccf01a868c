"""Parameters of how the weights of a layer are laid out on tiles."""

from typing import Annotated

from pydantic import Field

from ohmgrad.parameters.base import Config

Lines = Annotated[int, Field(ge=0)]


class MappingParameter(Config):
    r"""How the weight of a layer becomes conductances on one or more tiles.

    The weight of a layer is :math:`W_{ij} = \alpha_i s_i w_{ij}`: what the cells hold, times the scale :math:`s` of the
    mapping, which is set with the weights and then kept unless they are remapped, times a scale :math:`\alpha` that is
    trained.
    """

    digital_bias: bool = True
    """The bias of a layer is digital, added to what the tile gives; else it is one more column of cells, whose input
    is always 1."""
    weight_scaling_omega: Annotated[float, Field(ge=0.0)] = 0.0
    r"""Setting weights chooses the scale so that the largest weight in the cells is :math:`\omega`. 0: no scale."""
    weight_scaling_columnwise: bool = False
    """A scale for each output instead of one for each tile."""
    weight_scaling_lr_compensation: bool = False
    r"""The learning rate of the tile is divided by the mean scale, and gradients keep their size; else gradients are
    divided. The weight of the layer moves by the same; rules that use the learning rate elsewhere differ."""
    learn_out_scaling: bool = False
    r"""The factor :math:`\alpha` of the outputs is an ordinary parameter, trained by the optimizer."""
    out_scaling_columnwise: bool = False
    r"""A factor :math:`\alpha` for each output instead of one for each tile."""
    max_input_size: Lines = 512
    """Inputs of a tile at most, an analog bias included; a layer with more has several tiles of about equal sizes,
    whose outputs are added digitally. 0: any number."""
    max_output_size: Lines = 512
    """Outputs of a tile at most. 0: any number."""
