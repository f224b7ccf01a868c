"""Tiki-Taka and its successors on a small regression, plus the presets."""

import torch
from torch.nn.functional import mse_loss

from aihwkit.nn import AnalogLinear
from aihwkit.optim import AnalogSGD
from aihwkit.simulator.configs import UnitCellRPUConfig, build_config
from aihwkit.simulator.configs.compounds import (
    BufferedTransferCompound,
    ChoppedTransferCompound,
    DynamicTransferCompound,
    TransferCompound,
)
from aihwkit.simulator.configs.devices import SoftBoundsDevice, SoftBoundsReferenceDevice
from aihwkit.simulator.configs.helpers import build_config as build_config_helper
from aihwkit.simulator.parameters import IOParameters, UpdateParameters
from aihwkit.simulator.parameters.enums import NoiseManagementType, PulseType
from aihwkit.simulator.presets import (
    AGADEcRamPreset,
    ChoppedTTv2IdealizedPreset,
    PresetIOParameters,
    ReRamSBPresetDevice,
    TikiTakaEcRamPreset,
    TikiTakaReRamSBPreset,
    TTv2CapacitorPreset,
)

torch.manual_seed(3)


def device(**kw):
    return SoftBoundsDevice(dw_min=0.005, w_max_dtod=0.1, w_min_dtod=0.1, up_down_dtod=0.01, **kw)


transfer_forward = IOParameters(out_res=-1, out_noise=0.01, noise_management=NoiseManagementType.NONE)
pulses = UpdateParameters(desired_bl=1, update_bl_management=False, update_management=False)
cells = {
    "tt": TransferCompound(
        unit_cell_devices=[device(), device()],
        gamma=0.0,
        transfer_every=2,
        units_in_mbatch=False,
        n_reads_per_transfer=1,
        transfer_columns=True,
        with_reset_prob=0.0,
        fast_lr=1.0,
        scale_transfer_lr=True,
        transfer_lr=1.0,
        transfer_forward=transfer_forward,
        transfer_update=UpdateParameters(pulse_type=PulseType.STOCHASTIC_COMPRESSED),
    ),
    "ttv2": BufferedTransferCompound(
        unit_cell_devices=[device(), device()],
        transfer_every=1.0,
        units_in_mbatch=False,
        thres_scale=1.0,
        momentum=0.1,
        transfer_forward=transfer_forward,
        transfer_update=pulses,
        transfer_lr=5.0,
    ),
    "chopped": ChoppedTransferCompound(
        unit_cell_devices=[device(), device()],
        in_chop_prob=0.05,
        in_chop_random=True,
        out_chop_prob=0.0,
        fast_lr=0.1,
        auto_scale=True,
        auto_granularity=500.0,
        momentum=0.1,
        transfer_forward=transfer_forward,
        transfer_update=pulses,
    ),
    "agad": DynamicTransferCompound(
        unit_cell_devices=[SoftBoundsReferenceDevice(dw_min=0.005), device()],
        in_chop_prob=0.05,
        fast_lr=0.1,
        auto_scale=True,
        auto_granularity=500.0,
        tail_weightening=5.0,
        transfer_forward=transfer_forward,
        transfer_update=pulses,
    ),
}
x = torch.rand(40, 5) * 2 - 1
y = x @ (torch.rand(2, 5) - 0.5).T


def train(config, epochs=60, lr=0.1):
    model = AnalogLinear(5, 2, bias=False, rpu_config=config)
    opt = AnalogSGD(model.parameters(), lr=lr)
    opt.regroup_param_groups(model)
    hist = []
    for _ in range(epochs):
        opt.zero_grad()
        loss = mse_loss(model(x), y, reduction="sum") / 10
        loss.backward()
        opt.step()
        hist.append(loss.item())
    return model, hist[0], sum(hist[-5:]) / 5


out = []
for name, cell in cells.items():
    rpu = UnitCellRPUConfig(device=cell)
    rpu.forward.out_noise = 0.01
    model, first, last = train(rpu, 150)
    hidden = next(model.analog_tiles()).get_hidden_parameters()
    assert "hidden_weights_0" in "".join(hidden), list(hidden)
    assert last < 0.6 * first, (name, first, last)
    out.append(f"{name} {first:.2f}->{last:.2f}")

for preset in (
    TikiTakaEcRamPreset,
    TikiTakaReRamSBPreset,
    TTv2CapacitorPreset,
    ChoppedTTv2IdealizedPreset,
    AGADEcRamPreset,
):
    model, _, last = train(preset(), 5)
    assert isinstance(model.analog_module.rpu_config.device, TransferCompound)
    assert model.get_weights()[0].shape == (2, 5) and last == last
assert build_config is build_config_helper
for algo in ("sgd", "tiki-taka", "ttv2", "c-ttv2", "agad", "mp"):
    cfg = build_config(algo, device=ReRamSBPresetDevice, io_parameters=PresetIOParameters, construction_seed=5)
    train(cfg, 3)
assert build_config("agad", device=device()).device.fast_lr == 0.1
print("tiki_taka: " + ", ".join(out))
