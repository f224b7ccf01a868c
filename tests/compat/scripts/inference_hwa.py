"""Hardware-aware training of a digits classifier and its accuracy under drift."""

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

from aihwkit.inference import GlobalDriftCompensation, PCMLikeNoiseModel
from aihwkit.inference.converter.conductance import SinglePairConductanceConverter
from aihwkit.inference.utils import drift_analog_weights, program_analog_weights
from aihwkit.nn import AnalogLinear, AnalogSequential
from aihwkit.optim import AnalogSGD
from aihwkit.simulator.configs import InferenceRPUConfig, WeightRemapParameter, WeightRemapType
from aihwkit.simulator.configs.utils import WeightClipType, WeightModifierType, WeightNoiseType
from aihwkit.simulator.parameters import WeightClipParameter, WeightModifierParameter
from aihwkit.simulator.presets import StandardHWATrainingPreset

torch.manual_seed(8)
np.random.seed(8)

x, y = load_digits(return_X_y=True)
parts = train_test_split(x.astype("float32") / 16, y, test_size=0.25, random_state=0)
x_train, x_test, y_train, y_test = (torch.from_numpy(p) for p in parts)

rpu_config = InferenceRPUConfig()
rpu_config.forward.out_res = 1 / 254.0
rpu_config.forward.inp_res = 1 / 126.0
rpu_config.forward.out_noise = 0.04
rpu_config.forward.w_noise = 0.01
rpu_config.forward.w_noise_type = WeightNoiseType.ADDITIVE_CONSTANT
rpu_config.clip = WeightClipParameter(type=WeightClipType.LAYER_GAUSSIAN, sigma=2.5)
rpu_config.remap = WeightRemapParameter(type=WeightRemapType.LAYERWISE_SYMMETRIC)
rpu_config.modifier = WeightModifierParameter(
    type=WeightModifierType.ADD_NORMAL, std_dev=0.05, rel_to_actual_wmax=True, pdrop=0.0
)
rpu_config.mapping.weight_scaling_omega = 1.0
rpu_config.mapping.digital_bias = True
rpu_config.noise_model = PCMLikeNoiseModel(
    g_max=25.0, prog_noise_scale=1.0, g_converter=SinglePairConductanceConverter(g_max=25.0)
)
rpu_config.drift_compensation = GlobalDriftCompensation()

model = AnalogSequential(
    AnalogLinear(64, 48, bias=True, rpu_config=rpu_config),
    nn.ReLU(),
    AnalogLinear(48, 10, bias=True, rpu_config=rpu_config),
)
opt = AnalogSGD(model.parameters(), lr=0.05, momentum=0.0)
opt.regroup_param_groups(model)
for epoch in range(15):
    model.train()
    for idx in torch.randperm(len(y_train)).split(16):
        opt.zero_grad()
        nn.functional.cross_entropy(model(x_train[idx]), y_train[idx]).backward()
        opt.step()


def accuracy():
    with torch.no_grad():
        return (model(x_test).argmax(1) == y_test).float().mean().item()


model.eval()
ideal = accuracy()
clean = model[0].get_weights()[0]
model.program_analog_weights()
assert not torch.equal(clean, model[0].get_weights()[0])
results = []
for t in (0.0, 3600.0, 86400.0, 86400.0 * 365):
    model.drift_analog_weights(t)
    results.append(accuracy())
tile = next(model.analog_tiles())
assert tile.drift_baseline is not None and float(tile.alpha) > 1.0
program_analog_weights(model, PCMLikeNoiseModel(g_max=25.0))
drift_analog_weights(model, 100.0)

assert ideal > 0.85 and min(results) > 0.7, (ideal, results)
preset = AnalogLinear(8, 4, rpu_config=StandardHWATrainingPreset())
assert preset(torch.rand(3, 8)).shape == (3, 4)
print(f"inference_hwa: ideal {ideal:.3f}, drifted " + " ".join(f"{r:.3f}" for r in results))
