"""Whole configurations for the training of models that are programmed into a chip afterwards."""

from ohmgrad.configs import (
    BoundManagementType,
    InferenceRPUConfig,
    InputRangeParameter,
    IOParameters,
    MappingParameter,
    NoiseManagementType,
    PrePostProcessingParameter,
    WeightClipParameter,
    WeightClipType,
    WeightNoiseType,
    WeightRemapParameter,
    WeightRemapType,
)
from ohmgrad.presets.defaults import with_defaults
from ohmgrad.presets.parameters import StandardIOParameters

StandardHWATrainingPreset = with_defaults(
    InferenceRPUConfig,
    "StandardHWATrainingPreset",
    """Training for a mature chip of phase-change memory, whose products have noise of reads and drops along the wires.

    Eight bits in and out, inputs in a learned range, weights clipped and remapped for each output, scales that are
    trained. Weights are not disturbed until ``modifier`` says how.

    M. J. Rasch et al., Nat. Commun. 14, 5282 (2023).
    """,
    __name__,
    {
        "mapping": MappingParameter(
            weight_scaling_omega=1.0,
            weight_scaling_columnwise=True,
            learn_out_scaling=True,
            out_scaling_columnwise=True,
            max_input_size=512,
            max_output_size=0,
        ),
        "forward": StandardIOParameters(
            bound_management=BoundManagementType.NONE,
            noise_management=NoiseManagementType.CONSTANT,
            nm_thres=1.0,
            w_noise=0.0175,
            w_noise_type=WeightNoiseType.PCM_READ,
            ir_drop=1.0,
        ),
        "pre_post": PrePostProcessingParameter(input_range=InputRangeParameter(enable=True)),
        "clip": WeightClipParameter(type=WeightClipType.FIXED_VALUE, fixed_value=1.0),
        "remap": WeightRemapParameter(type=WeightRemapType.CHANNELWISE_SYMMETRIC),
    },
)

FloatingPointPreset = with_defaults(
    InferenceRPUConfig,
    "FloatingPointPreset",
    """A digital layer on one tile of any size, to compare with: exact products, exact updates.""",
    __name__,
    {
        "forward": IOParameters(is_perfect=True),
        "mapping": MappingParameter(max_input_size=0, max_output_size=0),
    },
)
