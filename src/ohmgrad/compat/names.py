"""Which names the modules of aihwkit have, where they come from here, and what has no counterpart."""

from __future__ import annotations

_TILES = "AnalogTile FloatingPointTile InferenceTile TorchInferenceTile"
_LAYERS = (
    "AnalogLinear AnalogConv1d AnalogConv2d AnalogConv3d AnalogLinearMapped AnalogConv1dMapped AnalogConv2dMapped"
    " AnalogConv3dMapped"
)
_CONTAINERS = "AnalogSequential AnalogWrapper"
_CELLS = "AnalogVanillaRNNCell AnalogLSTMCell AnalogLSTMCellCombinedWeight AnalogGRUCell"
_DEVICES = (
    "FloatingPointDevice IdealDevice ConstantStepDevice LinearStepDevice SoftBoundsDevice SoftBoundsPmaxDevice"
    " SoftBoundsReferenceDevice ExpStepDevice PowStepDevice PowStepReferenceDevice PiecewiseStepDevice"
)
_COMPOUNDS = (
    "VectorUnitCell ReferenceUnitCell OneSidedUnitCell DifferenceUnitCell TransferCompound BufferedTransferCompound"
    " ChoppedTransferCompound DynamicTransferCompound MixedPrecisionCompound"
)
_CONFIGS = (
    "FloatingPointRPUConfig SingleRPUConfig UnitCellRPUConfig DigitalRankUpdateRPUConfig InferenceRPUConfig"
    " TorchInferenceRPUConfig TorchInferenceRPUConfigIRDropT QuantizedTorchInferenceRPUConfig"
)
_ENUMS = (
    "RPUDataType AnalogContextDataViewMode BoundManagementType NoiseManagementType WeightNoiseType PulseType"
    " WeightModifierType WeightClipType WeightRemapType VectorUnitCellUpdatePolicy AnalogMVType CountLRFeedbackPolicy"
)
_FORWARD = "IOParameters IOParametersIRDropT"
_INFERENCE_PARAMETERS = "WeightModifierParameter WeightClipParameter WeightRemapParameter"
_DRIFT = "SimpleDriftParameter DriftParameter"
_PRE_POST = "InputRangeParameter PrePostProcessingParameter"
_PARAMETERS = f"UpdateParameters {_FORWARD} MappingParameter {_PRE_POST} {_INFERENCE_PARAMETERS} {_DRIFT}"
_DEVICE_PRESETS = (
    "ReRamESPresetDevice ReRamSBPresetDevice CapacitorPresetDevice EcRamPresetDevice EcRamMOPresetDevice"
    " IdealizedPresetDevice GokmenVlasovPresetDevice PCMPresetDevice ReRamArrayOMPresetDevice"
    " ReRamArrayHfO2PresetDevice"
)
_FAMILIES = ("ReRamES", "ReRamSB", "Capacitor", "EcRam", "EcRamMO", "Idealized")
_CONFIG_PRESETS = " ".join(
    [
        *(f"{device}Preset" for device in (*_FAMILIES, "GokmenVlasov", "PCM")),
        *(f"{device}{count}Preset" for count in (2, 4) for device in _FAMILIES),
        *(f"{rule}{device}Preset" for rule in ("TikiTaka", "TTv2", "ChoppedTTv2", "AGAD") for device in _FAMILIES),
        *(f"MixedPrecision{device}Preset" for device in (*_FAMILIES, "GokmenVlasov", "PCM")),
    ]
)
_INFERENCE_PRESETS = "FloatingPointPreset StandardHWATrainingPreset"
PRESETS = {*_CONFIG_PRESETS.split(), *_INFERENCE_PRESETS.split()}
"""Whole configurations."""
_PRESET_PARAMETERS = "PresetIOParameters StandardIOParameters PresetUpdateParameters"
_CONVERTERS = "SinglePairConductanceConverter"
_NOISE = "BaseNoiseModel PCMLikeNoiseModel"
_COMPENSATION = "BaseDriftCompensation GlobalDriftCompensation"
_CHIP = "drift_analog_weights program_analog_weights"
_OTHER_NOISE = "CustomDriftPCMLikeNoiseModel ReRamWan2022NoiseModel ReRamCMONoiseModel HermesNoiseModel"
_OTHER_CONVERTERS = (
    "SingleDeviceConductanceConverter DualPairConductanceConverter NPairConductanceConverter"
    " CustomPairConductanceConverter"
)
_ERRORS = (
    "AihwkitException ModuleError TileError TileModuleError ArgumentError CudaError ConfigError AnalogBiasConfigError"
    " TorchTileConfigError CloudError FusionExportError"
)

MODULES: dict[str, str] = {
    "aihwkit": "__version__",
    "aihwkit.version": "__version__",
    "aihwkit.exceptions": _ERRORS,
    "aihwkit.nn": f"{_LAYERS} {_CONTAINERS} AnalogRNN {_CELLS}",
    "aihwkit.nn.conversion": "convert_to_analog convert_to_digital",
    "aihwkit.nn.modules": "",
    "aihwkit.nn.modules.base": "AnalogLayerBase",
    "aihwkit.nn.modules.container": f"AnalogContainerBase {_CONTAINERS}",
    "aihwkit.nn.modules.linear": "AnalogLinear",
    "aihwkit.nn.modules.linear_mapped": "AnalogLinearMapped",
    "aihwkit.nn.modules.conv": "AnalogConv1d AnalogConv2d AnalogConv3d",
    "aihwkit.nn.modules.conv_mapped": "AnalogConv1dMapped AnalogConv2dMapped AnalogConv3dMapped",
    "aihwkit.nn.modules.rnn": "",
    "aihwkit.nn.modules.rnn.cells": f"LSTMState {_CELLS}",
    "aihwkit.nn.modules.rnn.rnn": "AnalogRNN",
    "aihwkit.optim": "AnalogOptimizer AnalogSGD AnalogAdam",
    "aihwkit.optim.analog_optimizer": "AnalogOptimizerMixin AnalogOptimizer AnalogSGD AnalogAdam",
    "aihwkit.optim.context": "AnalogContext",
    "aihwkit.optim.weight_view": "ReadOnlyWeightView",
    "aihwkit.simulator": "",
    "aihwkit.simulator.configs": (
        f"{_PARAMETERS} {_ENUMS} {_DEVICES} {_COMPOUNDS} {_CONFIGS} PrePostProcessingRPU build_config"
    ),
    "aihwkit.simulator.configs.configs": f"{_CONFIGS} IOManagedRPUConfig PrePostProcessingRPU MappableRPU",
    "aihwkit.simulator.configs.devices": f"PulsedDevice {_DEVICES}",
    "aihwkit.simulator.configs.compounds": f"UnitCell DigitalRankUpdateCell {_COMPOUNDS}",
    "aihwkit.simulator.configs.helpers": "build_config",
    "aihwkit.simulator.configs.utils": f"{_PARAMETERS} {_ENUMS}",
    "aihwkit.simulator.configs.enums": _ENUMS,
    "aihwkit.simulator.parameters": f"{_PARAMETERS} {_ENUMS}",
    "aihwkit.simulator.parameters.base": "RPUConfigBase",
    "aihwkit.simulator.parameters.enums": _ENUMS,
    "aihwkit.simulator.parameters.inference": f"{_INFERENCE_PARAMETERS} {_DRIFT}",
    "aihwkit.simulator.parameters.io": _FORWARD,
    "aihwkit.simulator.parameters.mapping": "MappingParameter MappableRPU",
    "aihwkit.simulator.parameters.pre_post": f"{_PRE_POST} PrePostProcessingRPU",
    "aihwkit.simulator.parameters.runtime": "RuntimeParameter",
    "aihwkit.simulator.parameters.training": "UpdateParameters",
    "aihwkit.simulator.noise_models": f"{_NOISE} {_COMPENSATION}",
    "aihwkit.simulator.presets": (
        f"{_CONFIG_PRESETS} {_INFERENCE_PRESETS} {_DEVICE_PRESETS} PCMPresetUnitCell {_PRESET_PARAMETERS}"
    ),
    "aihwkit.simulator.presets.configs": _CONFIG_PRESETS,
    "aihwkit.simulator.presets.devices": _DEVICE_PRESETS,
    "aihwkit.simulator.presets.compounds": "PCMPresetUnitCell",
    "aihwkit.simulator.presets.inference": _INFERENCE_PRESETS,
    "aihwkit.simulator.presets.utils": _PRESET_PARAMETERS,
    "aihwkit.simulator.rpu_base": "cuda tiles",
    "aihwkit.simulator.tiles": f"{_TILES} InferenceTileWithPeriphery QuantizedTorchInferenceTile",
    "aihwkit.simulator.tiles.analog": "AnalogTile AnalogTileWithoutPeriphery",
    "aihwkit.simulator.tiles.array": "TileModuleArray",
    "aihwkit.simulator.tiles.base": "AnalogTileStateNames",
    "aihwkit.simulator.tiles.floating_point": "FloatingPointTile",
    "aihwkit.simulator.tiles.inference": "InferenceTile InferenceTileWithPeriphery",
    "aihwkit.simulator.tiles.inference_torch": "TorchInferenceTile",
    "aihwkit.simulator.tiles.module": "TileModule",
    "aihwkit.simulator.tiles.torch_tile": "TorchSimulatorTile",
    "aihwkit.simulator.tiles.custom": "CustomRPUConfig CustomTile CustomSimulatorTile CustomUpdateParameters",
    "aihwkit.simulator.tiles.transfer": "TorchTransferTile TransferSimulatorTile",
    "aihwkit.inference": f"{_CONVERTERS} {_OTHER_CONVERTERS} {_NOISE} {_OTHER_NOISE} StateIndependentNoiseModel"
    f" {_COMPENSATION} {_CHIP} BaseConductanceConverter",
    "aihwkit.inference.utils": _CHIP,
    "aihwkit.inference.noise": "",
    "aihwkit.inference.noise.base": "BaseNoiseModel",
    "aihwkit.inference.noise.pcm": "PCMLikeNoiseModel CustomDriftPCMLikeNoiseModel",
    "aihwkit.inference.noise.custom": "StateIndependentNoiseModel",
    "aihwkit.inference.noise.reram": "ReRamWan2022NoiseModel ReRamCMONoiseModel",
    "aihwkit.inference.noise.hermes": "HermesNoiseModel",
    "aihwkit.inference.compensation": "",
    "aihwkit.inference.compensation.base": "BaseDriftCompensation",
    "aihwkit.inference.compensation.drift": (
        "GlobalDriftCompensation GlobalDriftCompensationWithExactReference PerColumnDriftCompensation"
    ),
    "aihwkit.inference.converter": "",
    "aihwkit.inference.converter.base": "BaseConductanceConverter",
    "aihwkit.inference.converter.conductance": f"{_CONVERTERS} {_OTHER_CONVERTERS}",
    "aihwkit.inference.converter.wpo": "WeightProgrammingOptimizer",
    "aihwkit.inference.converter.fusion": "FusionConductanceConverter",
    "aihwkit.inference.calibration": "InputRangeCalibrationType calibrate_input_ranges",
    "aihwkit.inference.calibration.calibration": "InputRangeCalibrationType calibrate_input_ranges",
    "aihwkit.utils": "",
    "aihwkit.utils.analog_info": "analog_summary AnalogInfo",
    "aihwkit.utils.visualization": (
        "compute_pulse_response plot_pulse_response compute_pulse_statistics plot_pulse_statistics"
        " get_tile_for_plotting estimate_n_steps plot_response_overview plot_device plot_device_compact"
        " plot_device_symmetry plot_weight_drift plot_programming_error plot_model_programming_error"
    ),
    "aihwkit.utils.fitting": "fit_measurements model_response",
    "aihwkit.utils.export": "fusion_export fusion_import",
    "aihwkit.utils.legacy": "convert_legacy_checkpoint",
    "aihwkit.linalg": "AnalogMatrix",
    "aihwkit.linalg.matrix": "AnalogMatrix",
}
"""The names of each module."""

OUT_OF_SCOPE: dict[str, str] = {
    "aihwkit.cloud": "there is no cloud",
    "aihwkit.experiments": "there is no cloud that runs experiments; write a loop of PyTorch",
    "aihwkit.extension": "laws and rules are written in Python",
    "aihwkit.nn.low_precision_modules": "digital quantisation is left to other libraries",
    "aihwkit.nn.low_precision_conversion": "digital quantisation is left to other libraries",
    "aihwkit.simulator.digital_low_precision": "digital quantisation is left to other libraries",
    "aihwkit.simulator.parameters.quantization": "digital quantisation is left to other libraries",
    "aihwkit.simulator.presets.web": "there is no cloud",
    "aihwkit.utils.export": "nothing is exported to a chip",
}
"""Modules, with all in them, that there is nothing for, and why."""

UNAVAILABLE: dict[str, str] = {
    **dict.fromkeys(
        ["TorchInferenceRPUConfigIRDropT", "IOParametersIRDropT"],
        "the time-dependent drop along wires is not simulated; IOParameters.ir_drop is the static one",
    ),
    **dict.fromkeys(
        ["QuantizedTorchInferenceRPUConfig", "QuantizedTorchInferenceTile"],
        "digital quantisation is left to other libraries",
    ),
    **dict.fromkeys(
        (
            *("CustomRPUConfig", "CustomTile", "CustomSimulatorTile", "CustomUpdateParameters", "TorchSimulatorTile"),
            *("TorchTransferTile", "TransferSimulatorTile", "AnalogTileWithoutPeriphery", "InferenceTileWithPeriphery"),
        ),
        "tiles are not made of simulators here; a device or rule of your own is a file, see the pages on them",
    ),
    **dict.fromkeys(
        [*_OTHER_NOISE.split(), "StateIndependentNoiseModel", "BaseNoiseModel"],
        "derive from ohmgrad.inference.NoiseModel and state the formulas",
    ),
    **dict.fromkeys(
        [
            *_OTHER_CONVERTERS.split(),
            "BaseConductanceConverter",
            "FusionConductanceConverter",
            "WeightProgrammingOptimizer",
        ],
        "a weight is a single pair of conductances",
    ),
    **dict.fromkeys(
        ["GlobalDriftCompensationWithExactReference", "PerColumnDriftCompensation", "BaseDriftCompensation"],
        "drift is compensated by one factor for each tile",
    ),
    **dict.fromkeys(
        ["InputRangeCalibrationType", "calibrate_input_ranges"],
        "ranges of inputs are found in training; see pre_post.input_range",
    ),
    **dict.fromkeys(
        ["fit_measurements", "model_response"],
        "use ohmgrad.analysis.fit_measurements, which takes conductances and directions, and says how certain it is",
    ),
    "convert_legacy_checkpoint": "files of aihwkit are not read",
    "AnalogMatrix": "use a tile: tile.forward, tile.backward, tile.update",
    "ReadOnlyWeightView": "the visible weight is read like any tensor",
    "CountLRFeedbackPolicy": "it belongs to a compound that was removed from aihwkit",
}
"""Names that can be imported and not be used, and what to do."""
