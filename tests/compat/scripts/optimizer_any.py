"""Wrap any torch optimizer, learning rates per group, freezing layers."""

import torch
from torch import nn
from torch.optim import SGD, AdamW
from torch.optim.lr_scheduler import LambdaLR

from aihwkit.nn import AnalogLinear, AnalogSequential
from aihwkit.optim import AnalogAdam, AnalogOptimizer, AnalogSGD
from aihwkit.optim.context import AnalogContext
from aihwkit.simulator.configs import InferenceRPUConfig, SingleRPUConfig, TorchInferenceRPUConfig
from aihwkit.simulator.configs.devices import ConstantStepDevice

torch.manual_seed(13)
x = torch.rand(48, 8) * 2 - 1
y = torch.tanh(x @ (torch.rand(8, 2) - 0.5))


def make(config):
    return AnalogSequential(AnalogLinear(8, 12, rpu_config=config), nn.Tanh(), AnalogLinear(12, 2, rpu_config=config))


def train(model, opt, n=60):
    hist = []
    for _ in range(n):

        def closure():
            opt.zero_grad()
            loss = nn.functional.mse_loss(model(x), y)
            loss.backward()
            return loss

        if isinstance(opt, (AnalogAdam, AdamW)):
            loss = closure()
            opt.step()
        else:
            loss = opt.step(closure)
        hist.append(float(loss))
    return hist[0], sum(hist[-5:]) / 5


report = []
pulsed = SingleRPUConfig(device=ConstantStepDevice(dw_min=0.001))
model = make(pulsed)
opt = AnalogOptimizer(SGD, model.parameters(), lr=0.3)
opt.regroup_param_groups(model)
assert isinstance(opt, SGD) and isinstance(opt, AnalogOptimizer)
assert any(isinstance(p, AnalogContext) for g in opt.param_groups for p in g["params"])
report.append(("sgd", *train(model, opt)))

for name, cls, config in (("adam", AnalogAdam, InferenceRPUConfig()), ("torch", AnalogAdam, TorchInferenceRPUConfig())):
    model = make(config)
    opt = cls(model.parameters(), lr=0.02)
    opt.regroup_param_groups(model)
    report.append((name, *train(model, opt)))
model = make(InferenceRPUConfig())
opt = AnalogOptimizer(AdamW, model.parameters(), lr=0.02, weight_decay=1e-4)
report.append(("adamw", *train(model, opt)))
for name, first, last in report:
    assert last < 0.5 * first, report

# A learning rate for each layer; the first is held still by a rate of zero.
model = make(pulsed)
opt = AnalogSGD([{"params": model[0].parameters(), "lr": 0.0}, {"params": model[2].parameters(), "lr": 0.2}], lr=0.1)
w0, w2 = model[0].get_weights()[0], model[2].get_weights()[0]
train(model, opt, 5)
assert torch.equal(w0, model[0].get_weights()[0])
assert not torch.equal(w2, model[2].get_weights()[0])
assert abs(next(model[2].analog_tiles()).get_learning_rate() - 0.2) < 1e-6

# Freeze by leaving the layer out of the optimizer.
model = make(pulsed)
opt = AnalogSGD(model[2].parameters(), lr=0.2)
opt.regroup_param_groups()
w0 = model[0].get_weights()[0]
train(model, opt, 3)
assert torch.equal(w0, model[0].get_weights()[0])
opt.set_learning_rate(0.05)
assert all(g["lr"] == 0.05 for g in opt.param_groups)
sched = LambdaLR(opt, lambda epoch: 0.5**epoch)
train(model, opt, 1)
sched.step()
assert abs(opt.param_groups[0]["lr"] - 0.025) < 1e-7 or opt.param_groups[0]["lr"] < 0.2
print("optimizer_any: " + ", ".join(f"{n} {a:.3f}->{b:.4f}" for n, a, b in report))
