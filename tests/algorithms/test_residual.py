"""The leak of RLv2, and what is left without it."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from algorithms.cells import buffer, cell, close, compound, everything, pass_time, put, same_bits, slow, tile_of
from builders import steady
from ohmgrad.configs import BufferedTransferCompound, IOParameters, ResidualTransferCompound, SoftBoundsDevice
from ohmgrad.testing import common

ONE_STEP: dict[str, Any] = {"transfer_every": 1.0, "leak": 0.2, "transfer_lr": 0.2}


@pytest.mark.parametrize("columns", [True, False])
@pytest.mark.parametrize("fields", [{}, {"momentum": 0.3, "forget_buffer": True, "scale_transfer_lr": True}])
def test_no_leak_and_no_gamma_is_ttv2(fields: dict[str, Any], columns: bool) -> None:
    fields = {"momentum": 0.0, "forget_buffer": False, "scale_transfer_lr": False, "transfer_lr": 0.3} | fields
    fields |= {"transfer_every": 2.0, "gamma": 0.0, "transfer_columns": columns, "transfer_forward": IOParameters()}
    devices = [SoftBoundsDevice(dw_min=0.02), SoftBoundsDevice(dw_min=0.01)]
    found = []
    for rule, own in ((BufferedTransferCompound, {}), (ResidualTransferCompound, {"leak": 0.0})):
        tile = tile_of((3, 4), compound(rule, devices, **fields, **own))
        tile.update(*common.a_batch(40, (3, 4)))
        found.append(everything(tile))
    assert found[0]["visible"].any()
    same_bits(*found)


def test_the_buffer_is_the_running_mean_of_what_is_read(implementation: str) -> None:
    """If it is filled as fast as it leaks; less than a step of C never makes one, however often it is read."""
    tile = tile_of((2, 1), compound(ResidualTransferCompound, [cell(), cell(0.1)], **ONE_STEP), implementation)
    put(tile, {"hidden_weights_0": torch.tensor([[0.09], [-0.04]])})
    for reads in range(1, 60):
        pass_time(tile)
        close(buffer(tile), torch.tensor([[0.09], [-0.04]]) * (1.0 - 0.8**reads))
    assert not slow(tile).any()


def test_without_a_leak_small_reads_add_up_to_steps() -> None:
    tile = tile_of((1, 1), compound(ResidualTransferCompound, [cell(), cell(0.1)], **ONE_STEP | {"leak": 0.0}))
    put(tile, {"hidden_weights_0": 0.09})
    pass_time(tile, 60)
    close(slow(tile), 0.1 * (60 * 0.2 * 0.09 // 0.1))


@pytest.mark.parametrize("gamma", [0.0, 0.1, 0.5])
def test_the_weight_of_the_fast_array_does_not_scale_the_transfer(gamma: float) -> None:
    tile = tile_of((1, 1), compound(ResidualTransferCompound, [cell(), cell(0.1)], gamma=gamma, **ONE_STEP))
    put(tile, {"hidden_weights_0": 0.09})
    pass_time(tile)
    close(buffer(tile), 0.2 * 0.09)


def test_it_corrects_below_the_step_of_the_slow_array_what_ttv2_cannot() -> None:
    """The target lies between two states of C: A holds the rest, and W shows it."""
    errors = []
    for rule, fields in ((BufferedTransferCompound, {}), (ResidualTransferCompound, {"gamma": 0.3})):
        device = steady(SoftBoundsDevice, dw_min=0.1)
        tile = tile_of((2, 2), compound(rule, [device, device], **fields), rate=0.1)
        target, error = torch.tensor([[0.15, -0.25], [0.05, 0.35]]), 0.0
        for step in range(400):
            x, _ = common.a_batch(4, (2, 2), seed=step)
            tile.update(x, x @ (tile.get_weights() - target).t())
            if step >= 200:
                error += float((tile.get_weights() - target).square().mean()) / 200
        errors.append(error**0.5)
    assert errors[1] < 0.8 * errors[0]
