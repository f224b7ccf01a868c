"""Parameters of what is done digitally before and after a tile."""

from typing import Annotated

from pydantic import Field

from ohmgrad.parameters.base import Config

Share = Annotated[float, Field(ge=0.0, le=1.0)]
NotNegative = Annotated[float, Field(ge=0.0)]


class InputRangeParameter(Config):
    r"""A range :math:`r` of the inputs: they are clipped to :math:`\pm r` and divided by it; outputs are multiplied.

    With ``noise_management=NONE`` the converter then works at a range that is learned, and known before an input comes.
    """

    enable: bool = False
    """Whether there is a range."""
    learn_input_range: bool = True
    """The range is a parameter; else it keeps what it has from ``init_value`` and from data."""
    init_value: Annotated[float, Field(gt=0.0)] = 3.0
    """The range at first."""
    init_from_data: Annotated[int, Field(ge=0)] = 100
    """Batches of a training from which the range is found: the mean of ``init_std_alpha`` standard deviations."""
    init_std_alpha: Annotated[float, Field(gt=0.0)] = 3.0
    """Standard deviations of the inputs that the range holds."""
    decay: NotNegative = 0.001
    """Rate at which a range shrinks that holds more than the share ``input_min_percentage`` of the inputs."""
    input_min_percentage: Share = 0.95
    """Share of the inputs above which the range decays."""
    gradient_scale: NotNegative = 1.0
    """Factor of the gradient of the range, if it is relative."""
    gradient_relative: bool = True
    """The gradient of the range is proportional to the range."""


class PrePostProcessingParameter(Config):
    """What is done digitally before and after a tile."""

    input_range: InputRangeParameter = Field(default_factory=InputRangeParameter)
    """The range of the inputs."""
