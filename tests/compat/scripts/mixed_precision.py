"""Mixed-precision training: rank update in digital, forward and backward in analog."""

import torch
from sklearn.datasets import load_digits
from torch import nn

from aihwkit.nn import AnalogLinear, AnalogSequential
from aihwkit.optim import AnalogSGD
from aihwkit.simulator.configs import DigitalRankUpdateRPUConfig, MixedPrecisionCompound
from aihwkit.simulator.configs.compounds import ReferenceUnitCell
from aihwkit.simulator.configs.devices import SoftBoundsDevice, SoftBoundsPmaxDevice
from aihwkit.simulator.parameters import IOParameters, MappingParameter
from aihwkit.simulator.presets import MixedPrecisionEcRamMOPreset, MixedPrecisionPCMPreset

torch.manual_seed(9)

data = load_digits()
x = torch.tensor(data.data, dtype=torch.float32) / 16
y = torch.tensor(data.target)
order = torch.randperm(len(y))
x_train, y_train, x_test, y_test = x[order[:1400]], y[order[:1400]], x[order[1400:]], y[order[1400:]]

rpu_config = DigitalRankUpdateRPUConfig(
    device=MixedPrecisionCompound(
        device=SoftBoundsDevice(dw_min=0.005, w_max=1.0, w_min=-1.0, w_max_dtod=0.2, w_min_dtod=0.2),
        transfer_every=1,
        n_rows_per_transfer=-1,
        granularity=0.0,
        n_x_bins=0,
        n_d_bins=0,
        stoc_round_x=False,
    ),
    forward=IOParameters(out_noise=0.04),
    backward=IOParameters(out_noise=0.04),
    mapping=MappingParameter(weight_scaling_omega=0.0),
)
model = AnalogSequential(AnalogLinear(64, 24, True, rpu_config), nn.Tanh(), AnalogLinear(24, 10, True, rpu_config))
opt = AnalogSGD(model.parameters(), lr=0.1)
opt.regroup_param_groups(model)
loss_fun = nn.CrossEntropyLoss()

history = []
for epoch in range(9):
    perm = torch.randperm(1400)
    total = 0.0
    for idx in perm.split(20):
        opt.zero_grad()
        loss = loss_fun(model(x_train[idx]), y_train[idx])
        loss.backward()
        opt.step()
        total += loss.item() * len(idx) / 1400
    history.append(total)

model.eval()
with torch.no_grad():
    acc = (model(x_test).argmax(1) == y_test).float().mean().item()
assert history[-1] < 0.5 * history[0], history
assert acc > 0.8, acc

names = next(model.analog_tiles()).get_hidden_parameters()
assert len(names) > 0 and all(isinstance(v, torch.Tensor) for v in names.values())

pair = DigitalRankUpdateRPUConfig(
    device=MixedPrecisionCompound(
        device=ReferenceUnitCell(
            unit_cell_devices=[SoftBoundsPmaxDevice(p_max=200, alpha=0.002), SoftBoundsPmaxDevice()]
        )
    )
)
for config in (MixedPrecisionEcRamMOPreset(), MixedPrecisionPCMPreset(), pair):
    layer = AnalogLinear(4, 3, rpu_config=config)
    step = AnalogSGD(layer.parameters(), lr=0.1)
    layer(torch.rand(5, 4)).pow(2).sum().backward()
    step.step()
    assert layer.get_weights()[0].isfinite().all()
print(f"mixed_precision: loss {history[0]:.3f} -> {history[-1]:.3f}, accuracy {acc:.3f}")
