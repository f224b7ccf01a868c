"""Working directly with one analog tile."""

import torch

from aihwkit.simulator.configs import FloatingPointRPUConfig, SingleRPUConfig
from aihwkit.simulator.configs.devices import (
    ConstantStepDevice,
    ExpStepDevice,
    FloatingPointDevice,
    IdealDevice,
    LinearStepDevice,
)
from aihwkit.simulator.parameters import IOParameters, UpdateParameters
from aihwkit.simulator.parameters.enums import PulseType
from aihwkit.simulator.rpu_base import cuda
from aihwkit.simulator.tiles import AnalogTile, FloatingPointTile

torch.manual_seed(2)
OUT, IN = 4, 6

config = SingleRPUConfig(
    device=ConstantStepDevice(
        dw_min=0.001, w_max_dtod=0.1, w_min_dtod=0.1, lifetime=10.0, diffusion=0.01, reset_std=0.01
    ),
    forward=IOParameters(is_perfect=True),
    backward=IOParameters(is_perfect=True),
    update=UpdateParameters(desired_bl=31, pulse_type=PulseType.STOCHASTIC_COMPRESSED),
)
tile = AnalogTile(OUT, IN, config, bias=False)
assert not tile.is_cuda and tile.in_size == IN and tile.out_size == OUT
if cuda.is_compiled():
    tile = tile.cuda()

w = (torch.rand(OUT, IN) - 0.5) * 0.4
tile.set_weights(w)
weight, bias = tile.get_weights()
assert bias is None and torch.allclose(weight, w, atol=1e-6)

tile.set_learning_rate(0.05)
assert abs(tile.get_learning_rate() - 0.05) < 1e-7

x, d = torch.rand(10, IN), torch.rand(10, OUT) - 0.5
y = tile.forward(x)
assert torch.allclose(y, x @ w.T, atol=1e-4)
assert torch.allclose(tile(x), x @ w.T, atol=1e-4)
g = tile.backward(d)
assert torch.allclose(g, d @ w, atol=1e-4)

# w <- w - lr d x^T on average
tile.update(x, d)
change = tile.get_weights()[0] - w
expected = -0.05 * d.T @ x
cosine = torch.nn.functional.cosine_similarity(change.flatten(), expected.flatten(), dim=0)
assert cosine > 0.8, cosine

hidden = tile.get_hidden_parameters()
print_names = sorted(hidden)
assert {"max_bound", "min_bound", "dwmin_up", "dwmin_down"} <= set(hidden), print_names
assert all(p.shape == (OUT, IN) for p in hidden.values())
hidden["max_bound"] = torch.full((OUT, IN), 0.1)
tile.set_hidden_parameters(hidden)
assert torch.allclose(tile.get_hidden_parameters()["max_bound"], torch.full((OUT, IN), 0.1))
tile.set_weights(torch.full((OUT, IN), 0.09))
for _ in range(20):
    tile.update(torch.ones(5, IN), -torch.ones(5, OUT))
assert tile.get_weights()[0].max() <= 0.1 + 1e-5

old = tile.get_weights()[0]
tile.decay_weights()
assert tile.get_weights()[0].abs().sum() < 0.98 * old.abs().sum()
old = tile.get_weights()[0]
tile.diffuse_weights()
assert not torch.equal(tile.get_weights()[0], old)
tile.set_weights(torch.full((OUT, IN), 0.09))
tile.reset_columns(1, 2, 1.0)
now = tile.get_weights()[0]
assert now[:, 1:3].abs().max() < 0.08 and torch.allclose(now[:, 0], torch.full((OUT,), 0.09))
tile.reset()
assert tile.get_weights()[0].abs().max() < 0.08
assert isinstance(tile.get_brief_info(), str) and "AnalogTile" in repr(tile)

fp = FloatingPointTile(OUT, IN, FloatingPointRPUConfig(device=FloatingPointDevice()), bias=False)
fp.set_weights(w)
fp.set_learning_rate(0.1)
fp.update(x, d)
assert torch.allclose(fp.get_weights()[0], w - 0.1 * d.T @ x, atol=1e-5)
for dev in (IdealDevice(), LinearStepDevice(gamma_up=0.1, gamma_down=0.1), ExpStepDevice()):
    t = AnalogTile(2, 3, SingleRPUConfig(device=dev))
    t.set_learning_rate(0.01)
    t.update(torch.ones(1, 3), torch.ones(1, 2))
    assert t.get_weights()[0].mean() < 0.05
print(f"tile_level: update cosine {cosine:.3f}, hidden parameters {len(hidden)}")
