"""Where the reference contradicts itself or its documents, and no other test of devices says what happens here."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from builders import steady
from ohmgrad.configs import SingleRPUConfig, SoftBoundsDevice, SoftBoundsPmaxDevice
from ohmgrad.presets import PCMPresetDevice, ReRamESPresetDevice
from ohmgrad.tile import AnalogTile


def tile_of(device: Any, seed: int = 5) -> AnalogTile:
    torch.manual_seed(seed)
    return AnalogTile(3, 4, SingleRPUConfig(device=device))


@pytest.mark.parametrize("gradient", [-1.0, 1.0])
def test_a_measured_curve_has_equal_steps_at_0_if_its_range_is_symmetric(gradient: float) -> None:
    device = steady(SoftBoundsPmaxDevice)
    tile = tile_of(device)
    tile.set_weights(torch.zeros(3, 4))
    tile.set_learning_rate(device.weight_granularity)
    tile.update(torch.ones(4), torch.full((3,), gradient))
    # 2 / (1 - exp(-1/2)) - 1 is the bound, of which one pulse makes the share 1 - exp(-1/2000)
    torch.testing.assert_close(tile.get_weights(), torch.full((3, 4), -gradient * 0.00204098), atol=1e-7, rtol=0.0)
    assert device.weight_granularity == pytest.approx(0.00204098, abs=1e-7)


@pytest.mark.parametrize("up_down", [0.0, 0.9])
def test_the_steps_of_cells_do_not_change_how_pulses_are_counted(up_down: float) -> None:
    device = SoftBoundsDevice(dw_min=0.01, up_down=up_down, w_max=5.0, w_min=-5.0)
    tile = tile_of(device)
    hidden = tile.get_hidden_parameters()
    hidden["dwmin_up"] *= 3.0
    hidden["dwmin_down"] *= 3.0
    tile.set_hidden_parameters(hidden)
    tile.set_learning_rate(0.07)
    tile.update(torch.ones(4), torch.ones(3))
    (counts,) = tile.pulse_counts()
    assert counts.down.tolist() == [[7] * 4] * 3
    assert tile.rpu_config.device == device


def test_write_noise_of_a_loaded_tile_does_not_become_its_memory() -> None:
    device = SoftBoundsDevice(dw_min=0.01, write_noise_std=5.0)
    tile, loaded = tile_of(device), tile_of(device, seed=6)
    tile.update(torch.ones(2, 4), torch.ones(2, 3))
    loaded.load_state_dict(tile.state_dict())
    persistent = tile.get_hidden_parameters()["persistent_weights"]
    assert torch.equal(loaded.get_hidden_parameters()["persistent_weights"], persistent)
    assert torch.equal(loaded.get_weights(), tile.get_weights())
    assert (loaded.get_weights() != persistent).all()


def test_measured_exponential_devices_are_counted_in_mean_steps_of_both_directions() -> None:
    assert ReRamESPresetDevice().weight_granularity == pytest.approx(0.00174, abs=5e-6)
    assert PCMPresetDevice().weight_granularity == pytest.approx(0.157, abs=5e-4)
