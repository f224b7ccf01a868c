"""Converters and pulses that presets use."""

from ohmgrad.parameters.io import IOParameters
from ohmgrad.parameters.update import UpdateParameters
from ohmgrad.presets.defaults import with_defaults

PresetIOParameters = with_defaults(
    IOParameters,
    "PresetIOParameters",
    """Converters and noise of the training presets: seven bits in, nine bits out, an output range of 20.""",
    __name__,
    {"inp_res": 1.0 / 126.0, "out_res": 1.0 / 510.0, "out_bound": 20.0, "out_noise": 0.1},
)
StandardIOParameters = with_defaults(
    IOParameters,
    "StandardIOParameters",
    """Converters and noise of a mature chip: eight bits in and out, an output range of 10.""",
    __name__,
    {"inp_res": 1.0 / 254.0, "out_res": 1.0 / 254.0, "out_bound": 10.0, "out_noise": 0.04},
)
PresetUpdateParameters = with_defaults(
    UpdateParameters,
    "PresetUpdateParameters",
    """Pulses of the training presets: stochastic trains of up to 31 slots, with update management.""",
    __name__,
    {"desired_bl": 31},
)
