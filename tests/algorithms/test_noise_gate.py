"""The noise gate of AGAD holds noise back and lets gradients pass."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from algorithms.cells import ONE_PULSE, cell, close, compound, everything, pass_time, put, same_bits, slow, tile_of
from ohmgrad.configs import DynamicTransferCompound, IOParameters, SoftBoundsDevice
from ohmgrad.testing import common
from ohmgrad.tile import AnalogTile

NOISY = IOParameters(inp_res=-1.0, out_res=-1.0, out_noise=0.06)
"""Reads that differ by many steps of A."""


def at_work(gate: float, implementation: str = "cpu", **fields: Any) -> AnalogTile:
    """A tile whose fast array is read with noise."""
    settings: dict[str, Any] = {"in_chop_prob": 0.05, "fast_lr": 0.01, "transfer_forward": NOISY, "noise_gate": gate}
    device = compound(DynamicTransferCompound, [cell(0.01), cell(0.001)], **settings | fields)
    return tile_of((4, 3), device, implementation, rate=1.0, update=ONE_PULSE)


def spread(tile: AnalogTile) -> Tensor:
    return tile.get_hidden_parameters()["running_spread_weight"]


def pulses(tile: AnalogTile) -> int:
    return int(tile.pulse_counts()[1].total.sum())


def test_without_a_gate_there_is_no_spread_and_a_gate_that_is_open_changes_nothing() -> None:
    found = []
    for gate in (0.0, 1e-15):
        fields = {"transfer_every": 2.0, "gamma": 0.2, "in_chop_prob": 0.4, "noise_gate": gate}
        device = compound(DynamicTransferCompound, [SoftBoundsDevice(dw_min=0.02)] * 2, **fields)
        device.transfer_forward = IOParameters(inp_res=-1.0, out_res=-1.0)
        tile = tile_of((3, 4), device)
        tile.update(*common.a_batch(80, (3, 4)))
        found.append(everything(tile))
    assert "rule.running_spread_weight" not in found[0]
    assert found[1].pop("rule.running_spread_weight").any()
    assert found[0]["visible"].any()
    same_bits(*found)


def test_noise_alone_makes_many_pulses_without_the_gate_and_almost_none_with_it(implementation: str) -> None:
    free, gated = at_work(0.0, implementation), at_work(3.0, implementation)
    for tile in (free, gated):
        pass_time(tile, 3 * 300, at_once=True)
    assert pulses(free) > 1000
    assert pulses(gated) < 0.02 * pulses(free)


def test_a_clear_gradient_passes(implementation: str) -> None:
    tile = at_work(3.0, implementation)
    x, d = torch.tensor([1.0, -1.0, 0.0]), torch.tensor([1.0, -1.0, 1.0, -1.0])
    tile.update(x.expand(3 * 300, -1), d.expand(3 * 300, -1))
    learned, wanted = slow(tile) / 0.001, -torch.outer(d, x)
    assert (learned[:, :2] * wanted[:, :2] > 50.0).all()
    assert (learned[:, 2].abs() < 15.0).all()


def test_the_spread_is_the_variance_of_the_reads() -> None:
    """Around the mean of those before, which has an error of its own: V = sigma^2 (1 + 1/m) on average."""
    tile = at_work(3.0, in_chop_prob=0.01, tail_weightening=5.0)
    put(tile, {"hidden_weights_0": 0.3})
    pass_time(tile, 3 * 1500, at_once=True)
    m = (2.0 - 0.05) / 0.05
    assert float(spread(tile).mean()) == pytest.approx(0.06**2 * (1.0 + 1.0 / m), rel=0.3)


def test_a_closed_gate_keeps_the_buffer_as_it_is() -> None:
    tile = at_work(1e6)
    put(tile, {"buffered_FP_weight": 0.7})
    pass_time(tile, 3 * 60)
    close(tile.get_hidden_parameters()["buffered_FP_weight"], 0.7)
    assert pulses(tile) == 0
