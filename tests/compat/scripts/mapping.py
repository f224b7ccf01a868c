"""Weight mapping options: scaling, learned output scales, several tiles per layer."""

import torch
from torch import nn

from aihwkit.nn import AnalogConv2d, AnalogConv2dMapped, AnalogLinear, AnalogLinearMapped
from aihwkit.nn import AnalogSequential
from aihwkit.optim import AnalogSGD
from aihwkit.simulator.configs import SingleRPUConfig
from aihwkit.simulator.configs.devices import ConstantStepDevice, SoftBoundsDevice
from aihwkit.simulator.configs.utils import IOParameters, MappingParameter
from aihwkit.simulator.tiles.array import TileModuleArray

torch.manual_seed(21)

mapping = MappingParameter(
    weight_scaling_omega=0.6,
    weight_scaling_columnwise=True,
    learn_out_scaling=True,
    out_scaling_columnwise=True,
    max_input_size=16,
    max_output_size=12,
    digital_bias=True,
)
rpu = SingleRPUConfig(
    device=SoftBoundsDevice(dw_min=0.002, w_max_dtod=0.0, w_min_dtod=0.0),
    forward=IOParameters(out_noise=0.01),
    mapping=mapping,
)

# 40 x 20 on tiles of at most 16 x 12: 3 by 2 tiles.
layer = AnalogLinearMapped(40, 20, bias=True, rpu_config=rpu)
assert isinstance(layer.analog_module, TileModuleArray)
assert len(list(layer.analog_tiles())) == 6 == layer.analog_tile_count()
assert sum(t.in_size * t.out_size for t in layer.analog_tiles()) == 800

w, b = torch.randn(20, 40) * 0.2, torch.randn(20) * 0.1
layer.set_weights(w, b)
w2, b2 = layer.get_weights()
assert w2.shape == w.shape and torch.allclose(w, w2, atol=1e-4) and torch.allclose(b, b2, atol=1e-4)

for tile in layer.analog_tiles():
    raw, _ = tile.get_weights(apply_weight_scaling=False)
    assert raw.abs().max().item() < 0.6 + 1e-4
    assert tile.get_mapping_scales().numel() == tile.out_size
    assert tile.get_scales() is not None and tile.get_learned_out_scales().numel() == tile.out_size

# An ordinary AnalogLinear splits too, when it exceeds the largest size.
assert len(list(AnalogLinear(40, 20, rpu_config=rpu).analog_tiles())) == 6
analog_bias = SingleRPUConfig(device=ConstantStepDevice(), mapping=MappingParameter(digital_bias=False))
lin = AnalogLinear(4, 2, rpu_config=analog_bias)
tile = next(lin.analog_tiles())
assert tile.analog_bias and not tile.digital_bias and tile.tile.get_x_size() == 5

conv_rpu = SingleRPUConfig(
    device=SoftBoundsDevice(dw_min=0.002, w_max_dtod=0.0, w_min_dtod=0.0),
    mapping=MappingParameter(weight_scaling_omega=0.6, learn_out_scaling=True, max_input_size=18, max_output_size=8),
)
conv = AnalogConv2dMapped(4, 14, kernel_size=3, padding=1, rpu_config=conv_rpu)
assert conv(torch.rand(2, 4, 6, 6)).shape == (2, 14, 6, 6)
# 36 columns over tiles of at most 18, 14 rows over at most 8.
assert len(list(conv.analog_tiles())) == 4
cw, cb = conv.get_weights()
assert cw.numel() == 14 * 36 and cb.shape == (14,)
conv.set_weights(cw * 0.5, cb)
assert torch.allclose(conv.get_weights()[0], cw * 0.5, atol=1e-4)
assert AnalogConv2d(1, 2, 3, rpu_config=analog_bias)(torch.rand(1, 1, 5, 5)).shape == (1, 2, 3, 3)

model = AnalogSequential(layer, nn.Tanh(), AnalogLinear(20, 4, rpu_config=SingleRPUConfig()))
opt = AnalogSGD(model.parameters(), lr=0.05)
opt.regroup_param_groups(model)
x, target = torch.rand(32, 40) - 0.5, torch.rand(32, 4) - 0.5
losses = []
for _ in range(60):
    opt.zero_grad()
    loss = nn.functional.mse_loss(model(x), target) * 4
    loss.backward()
    opt.step()
    losses.append(loss.item())
assert sum(losses[-5:]) / 5 < 0.6 * losses[0], losses
model.remap_analog_weights()
print(f"mapping: 6+{len(list(conv.analog_tiles()))} tiles, loss {losses[0]:.3f} -> {losses[-1]:.3f}")
