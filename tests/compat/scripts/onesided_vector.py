"""Unit cells of several devices: vector, reference and one-sided pairs."""

import torch
from torch.nn.functional import mse_loss

from aihwkit.nn import AnalogLinear
from aihwkit.optim import AnalogSGD
from aihwkit.simulator.configs import UnitCellRPUConfig, VectorUnitCellUpdatePolicy
from aihwkit.simulator.configs.compounds import OneSidedUnitCell, ReferenceUnitCell, VectorUnitCell
from aihwkit.simulator.configs.devices import (
    ConstantStepDevice,
    LinearStepDevice,
    PowStepDevice,
    SoftBoundsDevice,
)
from aihwkit.simulator.configs.utils import IOParameters, UpdateParameters
from aihwkit.simulator.presets import Capacitor4Preset, EcRam2Preset, PCMPreset, ReRamES2Preset
from aihwkit.simulator.tiles import AnalogTile

torch.manual_seed(17)
x = torch.rand(40, 4) * 2 - 1
y = x @ (0.6 * (torch.rand(3, 4) - 0.5)).T


def train(cell_or_config, epochs=60):
    config = cell_or_config
    if not hasattr(config, "tile_class"):
        config = UnitCellRPUConfig(device=config, forward=IOParameters(out_noise=0.01))
    model = AnalogLinear(4, 3, bias=False, rpu_config=config)
    opt = AnalogSGD(model.parameters(), lr=0.2)
    opt.regroup_param_groups(model)
    losses = []
    for _ in range(epochs):
        opt.zero_grad()
        loss = mse_loss(model(x), y)
        loss.backward()
        opt.step()
        losses.append(loss.item())
    return model, losses[0], sum(losses[-5:]) / 5


small = dict(dw_min=0.002, w_max_dtod=0.1, w_min_dtod=0.1)
cells = {
    "all": VectorUnitCell(
        unit_cell_devices=[ConstantStepDevice(**small), SoftBoundsDevice(**small)],
        update_policy=VectorUnitCellUpdatePolicy.ALL,
    ),
    "sequential": VectorUnitCell(
        unit_cell_devices=[ConstantStepDevice(**small) for _ in range(3)],
        update_policy=VectorUnitCellUpdatePolicy.SINGLE_SEQUENTIAL,
        gamma_vec=[1.0, 1.0, 1.0],
    ),
    "random": VectorUnitCell(
        unit_cell_devices=[LinearStepDevice(**small), PowStepDevice(**small)],
        update_policy=VectorUnitCellUpdatePolicy.SINGLE_RANDOM,
        gamma_vec=[1.0, 1.0],
    ),
    "fixed": VectorUnitCell(
        unit_cell_devices=[ConstantStepDevice(**small), ConstantStepDevice(**small)],
        update_policy=VectorUnitCellUpdatePolicy.SINGLE_FIXED,
        first_update_idx=1,
        gamma_vec=[0.5, 1.0],
    ),
    "reference": ReferenceUnitCell(unit_cell_devices=[SoftBoundsDevice(**small)] * 2),
    "onesided": OneSidedUnitCell(
        unit_cell_devices=[ConstantStepDevice(w_min=0, w_min_dtod=0.0, dw_min=0.002)],
        refresh_every=10,
        units_in_mbatch=True,
        refresh_upper_thres=0.75,
        refresh_lower_thres=0.25,
        refresh_forward=IOParameters(is_perfect=True),
        refresh_update=UpdateParameters(desired_bl=31),
    ),
}
report = []
for name, cell in cells.items():
    model, first, last = train(cell)
    assert last < 0.5 * first, (name, first, last)
    report.append(f"{name} {last / first:.2f}")
    hidden = next(model.analog_tiles()).get_hidden_parameters()
    assert any("hidden_weights" in key for key in hidden), (name, list(hidden))

# Reference device: choose which of the two devices is written.
tile = AnalogTile(
    2,
    3,
    UnitCellRPUConfig(device=ReferenceUnitCell(unit_cell_devices=[ConstantStepDevice(), ConstantStepDevice()])),
    bias=False,
)
tile.set_hidden_update_index(1)
assert tile.get_hidden_update_index() == 1
tile.set_weights(-0.1 * torch.ones(2, 3))
tile.set_hidden_update_index(0)
tile.set_learning_rate(0.1)
tile.update(torch.ones(1, 3), -torch.ones(1, 2))
assert tile.get_hidden_update_index() == 0 and tile.get_weights()[0].shape == (2, 3)
for preset in (EcRam2Preset, ReRamES2Preset, Capacitor4Preset, PCMPreset):
    model, _, last = train(preset(), 3)
    assert last == last and len(model.analog_module.rpu_config.device.unit_cell_devices) >= 1
print("onesided_vector: loss ratios " + ", ".join(report))
