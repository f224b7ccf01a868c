"""Fit a small linear map on one analog crossbar with pulsed SGD."""

import torch
from torch import Tensor
from torch.nn.functional import mse_loss

from aihwkit.nn import AnalogLinear
from aihwkit.optim import AnalogSGD
from aihwkit.simulator.configs import SingleRPUConfig
from aihwkit.simulator.configs.devices import ConstantStepDevice
from aihwkit.simulator.rpu_base import cuda

torch.manual_seed(11)

device = torch.device("cuda" if cuda.is_compiled() and torch.cuda.is_available() else "cpu")

# Data: 64 samples of a 6 -> 3 regression.
w_true = 0.4 * (torch.rand(3, 6) - 0.5)
x = torch.rand(64, 6) * 2 - 1
y = x @ w_true.T + 0.05

rpu_config = SingleRPUConfig(device=ConstantStepDevice(dw_min=0.002, w_max_dtod=0.1, w_min_dtod=0.1))
rpu_config.forward.out_noise = 0.02

model = AnalogLinear(6, 3, bias=True, rpu_config=rpu_config)
x, y = x.to(device), y.to(device)
model = model.to(device)
print_config = str(rpu_config)
assert "ConstantStepDevice" in print_config and "dw_min=0.002" in print_config

opt = AnalogSGD(model.parameters(), lr=0.1)
opt.regroup_param_groups(model)
assert len(opt.param_groups) >= 1

losses = []
for epoch in range(60):
    opt.zero_grad()
    pred: Tensor = model(x)
    loss = mse_loss(pred, y)
    loss.backward()
    opt.step()
    losses.append(loss.item())

first, last = losses[0], sum(losses[-5:]) / 5
assert pred.shape == (64, 3)
assert last < 0.5 * first, (first, last)
weight, bias = model.get_weights()
assert weight.shape == (3, 6) and bias.shape == (3,)
print(f"linear: loss {first:.4f} -> {last:.4f}")
