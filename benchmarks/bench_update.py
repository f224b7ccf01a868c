"""The pulsed update: time for each cell and sample, by size, batch, pulse density, device and rule.

The density is exact on average: without management and with inputs and gradients of +-1, a cell gets lr / g pulses from
each sample. With a compound that is the density on its fast array, and one slice is transferred after every sample.
"""

from __future__ import annotations

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from ohmgrad.configs import (
    BufferedTransferCompound,
    ChoppedTransferCompound,
    ConstantStepDevice,
    DigitalRankUpdateRPUConfig,
    DynamicTransferCompound,
    IdealDevice,
    IOParameters,
    LinearStepDevice,
    MixedPrecisionCompound,
    RPUConfig,
    SingleRPUConfig,
    SoftBoundsDevice,
    TransferCompound,
    UnitCellRPUConfig,
    UpdateParameters,
)
from ohmgrad.devices.base import PulsedDevice
from ohmgrad.tile import AnalogTile
from ohmgrad.words import clip, exp, power, where

GRANULARITY = 1e-4  # small steps, so that no cell sits at a bound while it is measured


class FadingDevice(PulsedDevice):
    """Soft bounds whose steps also fall off exponentially."""

    @staticmethod
    def law(w, up, noise, dwmin_up, dwmin_down, min_bound, max_bound, dw_min_std):
        room = 1.0 - w / where(up, max_bound, min_bound)
        step = where(up, dwmin_up, -dwmin_down) * room * exp(-0.5 * where(up, w, -w))
        return clip(w + step * (1.0 + dw_min_std * noise), min_bound, max_bound)


class CurvedDevice(PulsedDevice):
    """Soft bounds whose steps fall off with a power of the room that is left."""

    @staticmethod
    def law(w, up, noise, dwmin_up, dwmin_down, min_bound, max_bound, dw_min_std):
        room = 1.0 - w / where(up, max_bound, min_bound)
        step = where(up, dwmin_up, -dwmin_down) * power(room, 1.5)
        return clip(w + step * (1.0 + dw_min_std * noise), min_bound, max_bound)


DEVICES = {
    "ideal": IdealDevice(),
    "constant_step": ConstantStepDevice(dw_min=GRANULARITY),
    "linear_step": LinearStepDevice(dw_min=GRANULARITY, gamma_up=0.3, gamma_down=0.3),
    "soft_bounds": SoftBoundsDevice(dw_min=GRANULARITY),
    "soft_bounds_without_noise": SoftBoundsDevice(dw_min=GRANULARITY, dw_min_std=0.0),
    "soft_bounds_with_exp": FadingDevice(dw_min=GRANULARITY),
    "soft_bounds_with_power": CurvedDevice(dw_min=GRANULARITY),
    "soft_bounds_with_write_noise": SoftBoundsDevice(dw_min=GRANULARITY, write_noise_std=1.0),
}
RULES = {
    "ttv1": TransferCompound,
    "ttv2": BufferedTransferCompound,
    "ttv3": ChoppedTransferCompound,
    "ttv4": DynamicTransferCompound,
}
SIZES = (64, 128, 256, 512, 1024, 2048)
BATCHES = (1, 10, 64)
DENSITIES = (0.05, 0.3, 1.0, 5.0)


def config(subject: str) -> RPUConfig:
    """The device trained by SGD, or the rule on two soft-bounds devices."""
    plain = UpdateParameters(update_management=False, update_bl_management=False)
    if subject in DEVICES:
        return SingleRPUConfig(device=DEVICES[subject], update=plain)
    if subject == "mixed_precision":
        return DigitalRankUpdateRPUConfig(device=MixedPrecisionCompound(device=DEVICES["soft_bounds"]), update=plain)
    name, _, gamma = subject.partition("_gamma")
    compound = RULES[name](
        unit_cell_devices=[DEVICES["soft_bounds"], DEVICES["soft_bounds"]],
        fast_lr=0.0,
        units_in_mbatch=False,
        transfer_forward=IOParameters(out_bound=0.0, out_res=0.0),
        gamma=0.1 if gamma else 0.0,
    )
    return UnitCellRPUConfig(device=compound, update=plain)


@pytest.mark.parametrize("density", DENSITIES)
@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("subject", [*DEVICES, *RULES, "ttv3_gamma"])
def test_update(benchmark: BenchmarkFixture, subject: str, size: int, batch: int, density: float) -> None:
    torch.manual_seed(0)
    tile = AnalogTile(size, size, config(subject))
    tile.set_learning_rate(density * GRANULARITY)
    x, d = torch.randn(batch, size).sign(), torch.randn(batch, size).sign()
    benchmark.extra_info.update(
        subject=subject, size=size, batch=batch, density=density, threads=torch.get_num_threads()
    )
    rounds = max(3, min(50, int(2e9 / (size * size * batch * max(density, 1.0) * 20))))
    benchmark.pedantic(tile.update, args=(x, d), rounds=rounds, warmup_rounds=1)
    if subject != "ideal":
        received = tile.pulse_counts()[0].total.double().mean().item() / (batch * (rounds + 1))
        assert received == pytest.approx(density, rel=0.5)  # the load is the one that is named
