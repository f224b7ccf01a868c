"""Reading and writing analog weights; errors for wrong settings."""

import numpy as np
import torch
from torch import nn

from aihwkit.exceptions import (
    AihwkitException,
    ArgumentError,
    ConfigError,
    ModuleError,
    TileError,
)
from aihwkit.nn import AnalogConv1d, AnalogLinear, AnalogSequential
from aihwkit.nn.modules.base import AnalogLayerBase
from aihwkit.optim.context import AnalogContext
from aihwkit.simulator.configs import InferenceRPUConfig, SingleRPUConfig, UnitCellRPUConfig
from aihwkit.simulator.configs import build_config
from aihwkit.simulator.configs.compounds import ReferenceUnitCell
from aihwkit.simulator.configs.devices import ConstantStepDevice
from aihwkit.simulator.parameters.base import RPUConfigBase
from aihwkit.simulator.tiles.module import TileModule

torch.manual_seed(31)
rpu = SingleRPUConfig(device=ConstantStepDevice(w_max=1.0, w_min=-1.0, w_max_dtod=0.05, w_min_dtod=0.05))
assert isinstance(rpu, RPUConfigBase)
layer = AnalogLinear(5, 3, bias=True, rpu_config=rpu)
assert isinstance(layer, nn.Linear) and isinstance(layer, AnalogLayerBase)
assert isinstance(layer.analog_module, TileModule)
# The analog layer has no torch weight of its own.
assert layer.weight is None and layer.bias is True
assert layer.in_features == 5 and layer.out_features == 3
assert "SingleRPUConfig" in repr(layer)

w, b = torch.rand(3, 5) - 0.5, torch.tensor([0.1, -0.2, 0.3])
assert layer.set_weights(w, b) is None
got_w, got_b = layer.get_weights()
assert torch.allclose(got_w, w, atol=1e-6) and torch.allclose(got_b, b)
assert not got_w.requires_grad and got_w.device.type == "cpu"
got_w.fill_(7.0)  # a copy: the tile is unchanged
assert torch.allclose(layer.get_weights()[0], w, atol=1e-6)
est, _ = layer.get_weights(realistic=True)
assert est.shape == (3, 5) and (est - w).abs().mean() < 0.2
layer.set_weights(w.numpy().astype(np.float32), b.numpy())
assert torch.allclose(layer.get_weights()[0], w, atol=1e-6)

tile = next(layer.analog_tiles())
assert isinstance(tile.analog_ctx, AnalogContext) and tile.analog_ctx.analog_tile is tile
assert tile.get_analog_ctx() is tile.analog_ctx and not tile.analog_ctx.has_gradient()
assert tuple(tile.analog_ctx.shape) == (3, 5)
names = [n for n, _ in layer.named_parameters()]
assert "analog_module.analog_ctx" in names, names
assert AnalogLinear(5, 3, bias=False, rpu_config=rpu).get_weights()[1] is None

model = AnalogSequential(AnalogConv1d(2, 4, 3, rpu_config=rpu), nn.Flatten(), layer, nn.ReLU())
assert [n for n, _ in model.named_analog_layers()] == ["0", "2"]
assert [n for n, _ in model.named_analog_tiles()] == ["0.analog_module", "2.analog_module"]
assert [n for n, _ in model.named_analog_modules()] == ["", "0", "2"]
for tile in model.analog_tiles():
    weight, _ = tile.get_weights()
    assert weight.shape == (tile.out_size, tile.in_size)
    tile.set_weights(torch.zeros_like(weight))
everything = model.get_weights()
assert list(everything) == ["0.analog_module", "2.analog_module"]
assert model.get_weights()["0.analog_module"][0].shape == (4, 6)
everything["2.analog_module"] = (w, b)
model.set_weights(everything)
assert torch.allclose(layer.get_weights()[0], w, atol=1e-6)
count = []
model.apply_to_analog_layers(lambda mod: count.append(type(mod).__name__))
model.apply_to_analog_tiles(lambda t: t.reset())
assert count == ["AnalogConv1d", "AnalogLinear"] and layer.get_weights()[0].abs().max() < 0.1


def raised(kind, action):
    try:
        action()
    except kind as err:
        assert isinstance(err, AihwkitException)
        return type(err).__name__
    raise AssertionError(f"no {kind.__name__}")


def wrong_name():
    config = SingleRPUConfig(device=ConstantStepDevice())
    config.device.dw_minimum = 0.1
    AnalogLinear(2, 2, rpu_config=config)


caught = [
    raised(ConfigError, wrong_name),
    raised(
        ConfigError, lambda: AnalogLinear(2, 2, rpu_config=SingleRPUConfig(device=ConstantStepDevice(dw_min="small")))
    ),
    raised(
        ConfigError,
        lambda: AnalogLinear(2, 2, rpu_config=UnitCellRPUConfig(device=ReferenceUnitCell(unit_cell_devices=[]))),
    ),
    raised(ArgumentError, lambda: build_config("no-such", device=ConstantStepDevice)),
    raised(ModuleError, lambda: model.set_weights({})),
    raised(
        ModuleError,
        lambda: AnalogSequential(AnalogLinear(2, 2, rpu_config=InferenceRPUConfig())).train().program_analog_weights(),
    ),
]
assert issubclass(TileError, AihwkitException)
print(f"weights_io: {len(everything)} tiles, errors {'/'.join(caught)}")
