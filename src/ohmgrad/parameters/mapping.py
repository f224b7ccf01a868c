"""Parameters of how the weights of a layer are laid out on tiles."""

from ohmgrad.parameters.base import Config


class MappingParameter(Config):
    """How a layer uses its tile."""

    digital_bias: bool = True
    """The bias of a layer is digital, added to what the tile gives; else it is one more column of cells, whose input
    is always 1."""
