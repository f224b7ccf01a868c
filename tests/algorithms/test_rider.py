"""The reference of RIDER follows the fast array; the choppers of E-RIDER, and the copy that they program."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from algorithms.cells import EXACT, close, compound, fast, pass_time, put, same_bits, slow, tile_of
from ohmgrad.configs import (
    ERiderTransferCompound,
    IOParameters,
    RiderTransferCompound,
    SoftBoundsDevice,
    TransferCompound,
)
from ohmgrad.errors import ConfigError
from ohmgrad.testing import common
from ohmgrad.tile import AnalogTile

STEADY = {"in_chop_prob": 0.0, "out_chop_prob": 0.0}
REGULAR = {"in_chop_prob": 0.25, "in_chop_random": False}
"""Every slice flips in every fourth sweep."""


def reference(tile: AnalogTile) -> Tensor:
    return tile.get_hidden_parameters()["reference"]


def programmed(tile: AnalogTile) -> Tensor:
    return tile.get_hidden_parameters()["programmed_reference"]


@pytest.mark.parametrize("columns", [True, False])
@pytest.mark.parametrize("gamma", [0.0, 0.3])
def test_without_flips_e_rider_is_rider(gamma: float, columns: bool) -> None:
    fields = {"transfer_every": 2.0, "gamma": gamma, "transfer_columns": columns, "transfer_forward": IOParameters()}
    devices = [SoftBoundsDevice(dw_min=0.02, write_noise_std=0.3)] * 2
    found = []
    for rule, own in ((RiderTransferCompound, {}), (ERiderTransferCompound, STEADY)):
        tile = tile_of((3, 4), compound(rule, devices, **fields, **own))
        for step in range(3):
            tile.update(*common.a_batch(15, (3, 4), seed=step))
            tile.post_update_step()
        found.append({**tile.get_hidden_parameters(), "visible": tile.get_weights()})
    assert found[0]["reference"].any()
    assert torch.equal(found[1].pop("programmed_reference"), found[0]["reference"])
    same_bits(*found)


def test_a_fast_array_at_rest_is_taken_for_its_own_reference(implementation: str) -> None:
    """Where TTv1 transfers an offset for ever, RIDER stops: in all, as if it were read 1 / eta times."""
    moved = []
    for rule, own in ((TransferCompound, {"scale_transfer_lr": False}), (RiderTransferCompound, {"eta": 0.05})):
        device = compound(rule, gamma=0.5, transfer_lr=0.01, transfer_update=EXACT, **own)
        tile = tile_of((1, 1), device, implementation)
        put(tile, {"hidden_weights_0": 0.3})
        pass_time(tile, 400, at_once=True)
        moved.append(float(slow(tile)))
    assert moved[0] == pytest.approx(400 * 0.01 * 0.3, rel=1e-4)
    assert moved[1] == pytest.approx(20 * 0.01 * 0.3, rel=1e-4)
    close(reference(tile), 0.3)
    close(tile.get_weights(), slow(tile))


def test_what_is_read_is_compared_with_the_reference_before_it() -> None:
    device = compound(RiderTransferCompound, eta=1.0, gamma=0.5, transfer_lr=1.0)
    tile = tile_of((1, 1), device)
    put(tile, {"hidden_weights_0": 0.1, "reference": 0.3})
    pass_time(tile)
    close(slow(tile), -0.2, 0.02)
    close(reference(tile), 0.1)


def test_the_copy_is_programmed_where_the_slice_flips_and_nowhere_else(implementation: str) -> None:
    device = compound(ERiderTransferCompound, eta=0.5, transfer_lr=0.0, gamma=0.5, **REGULAR)
    tile = tile_of((2, 3), device, implementation)
    put(tile, {"hidden_weights_0": 0.2})
    for sweep in range(8):
        before = programmed(tile)
        for s in range(3):
            flips, held = sweep % 4 == 3, tile.algorithm_state()["in_chopper"].clone()
            pass_time(tile)
            held[s] ^= flips
            assert torch.equal(tile.algorithm_state()["in_chopper"], held)
            before[:, s] = reference(tile)[:, s] if flips else before[:, s]
            assert torch.equal(programmed(tile), before)
            signs = 1.0 - 2.0 * held.float()
            close(tile.get_weights(), 0.5 * signs * (fast(tile) - programmed(tile)) + slow(tile))
    close(reference(tile), 0.2 * (1.0 - 0.5**8))


def test_a_lane_that_flips_leaves_the_copy() -> None:
    fields: dict[str, Any] = {"in_chop_prob": 0.5, "in_chop_random": False, "out_chop_prob": 1.0}
    tile = tile_of((2, 1), compound(ERiderTransferCompound, gamma=0.5, transfer_lr=0.0, **fields))
    put(tile, {"hidden_weights_0": 0.2})
    pass_time(tile)
    assert tile.algorithm_state()["out_chopper"].all()
    assert not tile.algorithm_state()["in_chopper"].any()
    assert not programmed(tile).any()
    close(tile.get_weights(), -0.5 * 0.2)


@pytest.mark.parametrize(
    ("rule", "fields", "message"),
    [
        (RiderTransferCompound, {"unit_cell_devices": [SoftBoundsDevice()] * 3}, "has 3 devices"),
        (RiderTransferCompound, {"with_reset_prob": 0.1}, "with_reset_prob = 0.1"),
        (ERiderTransferCompound, {"n_reads_per_transfer": 2}, "n_reads_per_transfer = 2"),
        (ERiderTransferCompound, {"random_selection": True}, "random_selection = True"),
        (ERiderTransferCompound, {"transfer_every": -1.0}, "transfer_every = -1.0"),
    ],
)
def test_what_does_not_fit_together_is_refused(
    rule: type[TransferCompound], fields: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        tile_of((3, 4), compound(rule, **fields))
