"""Save, reload, copy and continue analog training."""

import os
import tempfile
from copy import deepcopy

import torch
from torch import nn

from aihwkit.exceptions import TileModuleError
from aihwkit.nn import AnalogConv2d, AnalogLinear, AnalogSequential
from aihwkit.optim import AnalogSGD
from aihwkit.simulator.configs import InferenceRPUConfig, SingleRPUConfig
from aihwkit.simulator.configs.devices import ConstantStepDevice, LinearStepDevice
from aihwkit.simulator.parameters import MappingParameter

torch.manual_seed(77)


def make(config):
    return AnalogSequential(
        AnalogConv2d(1, 4, 3, rpu_config=config), nn.Tanh(), nn.Flatten(), AnalogLinear(64, 3, rpu_config=config)
    )


def steps(model, opt, n):
    for _ in range(n):
        opt.zero_grad()
        loss = nn.functional.mse_loss(model(x), y)
        loss.backward()
        opt.step()
    return loss.item()


def same(a, b, atol=1e-6):
    for (w1, b1), (w2, b2) in zip(a.get_weights().values(), b.get_weights().values()):
        if not (torch.allclose(w1, w2, atol=atol) and torch.allclose(b1, b2, atol=atol)):
            return False
    return True


x, y = torch.rand(16, 1, 6, 6), torch.rand(16, 3) - 0.5
config = SingleRPUConfig(
    device=ConstantStepDevice(dw_min=0.002), mapping=MappingParameter(weight_scaling_omega=0.6, learn_out_scaling=True)
)
model = make(config)
opt = AnalogSGD(model.parameters(), lr=0.1)
opt.regroup_param_groups(model)
before = steps(model, opt, 1)
steps(model, opt, 10)

with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, "model.pt")
    torch.save({"model": model.state_dict(), "optimizer": opt.state_dict(), "epoch": 3}, path)
    saved = torch.load(path, weights_only=False)
    whole = os.path.join(folder, "whole.pt")
    torch.save(model, whole)
    pickled = torch.load(whole, weights_only=False)

other = make(config)
assert not same(model, other)
assert any(key.endswith("analog_tile_state") for key in saved["model"])
other.load_state_dict(saved["model"])
other_opt = AnalogSGD(other.parameters(), lr=0.1)
other_opt.regroup_param_groups(other)
other_opt.load_state_dict(saved["optimizer"])
assert saved["epoch"] == 3 and same(model, other) and same(model, pickled)

# Device-to-device variation is part of the checkpoint.
h1 = next(model.analog_tiles()).get_hidden_parameters()
h2 = next(other.analog_tiles()).get_hidden_parameters()
assert list(h1) == list(h2) and all(torch.allclose(h1[k], h2[k]) for k in h1)

clone = deepcopy(model)
assert same(model, clone)
steps(other, other_opt, 60)
assert same(model, clone) and not same(model, other)
after = steps(other, other_opt, 60)
assert after < 0.5 * before, (before, after)

# Keep the new model's own configuration rather than the stored one.
fresh = make(deepcopy(config))
fresh.load_state_dict(saved["model"], load_rpu_config=False)
assert same(model, fresh)
try:
    make(InferenceRPUConfig()).load_state_dict(saved["model"], load_rpu_config=False)
    raise AssertionError("a different kind of tile must not load")
except (TileModuleError, RuntimeError) as err:
    kind = type(err).__name__
assert LinearStepDevice().dw_min > 0
print(f"checkpoint: loss {before:.3f} -> {after:.3f} after reload; mismatch gives {kind}")
