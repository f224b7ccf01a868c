"""The reads of a transfer: the analog product of one-hot vectors, with every imperfection of the circuits."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor

from algorithms.cells import EXACT, cell, compound, pass_time, put, slow, tile_of
from ohmgrad.configs import (
    AnalogMVType,
    IOParameters,
    TransferCompound,
    WeightNoiseType,
)
from ohmgrad.engine.draws import Stream
from ohmgrad.engine.mvm import mvm, unmanaged
from ohmgrad.tile import AnalogTile

STORED = torch.rand(5, 7, generator=torch.Generator().manual_seed(0)) - 0.5
BY_SLICES = pytest.mark.parametrize("columns", [True, False], ids=["columns", "rows"])
IMPERFECT: dict[str, dict[str, Any]] = {
    "wires": {"ir_drop": 1.0, "ir_drop_g_ratio": 20.0},
    "offsets": {"v_offset_std": 0.2},
    "resistance": {"r_series": 0.3, "v_offset_std": 0.1, "v_offset_w_min": -0.7},
    "weights": {"w_noise": 0.05, "w_noise_type": WeightNoiseType.PCM_READ},
    "curves": {"out_nonlinearity": 0.8, "out_nonlinearity_std": 0.4, "slope_calibration": 0.3, "out_bound": 1.0},
    "noise": {"out_noise": 0.05, "out_noise_std": 0.7},
    "separate": {"mv_type": AnalogMVType.POS_NEG_SEPARATE, "w_read_asymmetry_dtod": 0.3, "out_noise": 0.05},
    "digital sum": {"mv_type": AnalogMVType.POS_NEG_SEPARATE_DIGITAL_SUM, "out_noise": 0.05},
}


def reader(fields: dict[str, Any], columns: bool, implementation: str, stored: Tensor = STORED) -> AnalogTile:
    """A tile whose A is given, and whose transfers copy it exactly but for the read."""
    io = IOParameters(**{"out_noise": 0.0, "out_res": 0.0, **fields})
    device = compound(TransferCompound, transfer_forward=io, transfer_columns=columns, transfer_update=EXACT)
    tile = tile_of((stored.shape[0], stored.shape[1]), device, implementation, rate=1.0)
    put(tile, {"hidden_weights_0": stored})
    return tile


@BY_SLICES
@pytest.mark.parametrize("name", IMPERFECT)
def test_a_transfer_copies_what_the_analog_product_gives(name: str, columns: bool, implementation: str) -> None:
    tile = reader(IMPERFECT[name], columns, implementation)
    matrix = STORED if columns else STORED.t()
    lines, rule = matrix.shape[1], tile.rule
    io, numbers, stream = unmanaged(rule.config.transfer_forward), torch.arange(lines), Stream.READ.of(0)
    expected = mvm(
        matrix, torch.eye(lines), io, tile._draws(), stream, numbers, forward=False, periphery=rule.read_periphery
    )
    pass_time(tile, lines, at_once=True)
    read = slow(tile).t() if columns else slow(tile)
    torch.testing.assert_close(read, expected, rtol=0.0, atol=1e-6)
    assert (read - matrix.t()).abs().max() > 0.01


@BY_SLICES
@pytest.mark.parametrize("name", IMPERFECT)
def test_a_read_that_waits_for_the_whole_array_has_the_same_imperfections(name: str, columns: bool) -> None:
    """The least input noise forces a barrier at every read."""
    quick, barrier = (reader({**IMPERFECT[name], "inp_noise": noise}, columns, "cpu") for noise in (0.0, 1e-12))
    for tile in (quick, barrier):
        pass_time(tile, 9, at_once=True)
    torch.testing.assert_close(slow(barrier), slow(quick), rtol=0.0, atol=1e-6)


@BY_SLICES
def test_the_drop_of_a_read_is_the_hand_worked_number_of_its_place_on_the_wire(columns: bool) -> None:
    stored = torch.full((1, 2), 0.4) if columns else torch.full((2, 1), 0.4)
    tile = reader({"ir_drop": 1.0, "ir_drop_g_ratio": 4.0}, columns, "cpu", stored)
    pass_time(tile, 2, at_once=True)
    # a = 0.4 * 2 / 4 = 0.2 and c = 0.05 a^3 - 0.2 a^2 + 0.5 a = 0.0924; slice 0 is at the end of the wire.
    assert slow(tile).flatten().tolist() == pytest.approx([0.4, 0.4 - 0.0924 * 0.4 * 0.75], abs=1e-6)


@BY_SLICES
def test_all_sources_are_read_through_the_same_circuits(columns: bool) -> None:
    io = IOParameters(v_offset_std=0.2, v_offset_w_min=0.0, out_noise=0.0, out_res=0.0)
    device = compound(
        TransferCompound,
        [cell(), cell(), cell()],
        transfer_forward=io,
        transfer_columns=columns,
        transfer_update=EXACT,
        transfer_every_vec=[1.0, 1.0, 1.0],
    )
    tile = tile_of((1, 1), device, rate=1.0)
    (offset,) = (value for name, value in tile.state_dict().items() if "v_offset" in name)
    put(tile, {"hidden_weights_0": 0.5})
    pass_time(tile, 1)
    share = 1.0 - float(offset)
    hidden = tile.get_hidden_parameters()
    assert float(hidden["hidden_weights_1"]) == pytest.approx(0.5 * share)
    assert float(hidden["hidden_weights_2"]) == pytest.approx(0.5 * share**2)


@BY_SLICES
def test_copies_and_saved_states_read_through_the_same_circuits(columns: bool) -> None:
    first = reader(IMPERFECT["offsets"], columns, "cpu")
    torch.manual_seed(9)
    other = AnalogTile(5, 7, first.rpu_config)
    other.set_learning_rate(1.0)
    name = "rule.read_periphery.v_offset"
    assert not torch.equal(first.state_dict()[name], other.state_dict()[name])
    other.load_state_dict(first.state_dict())
    copied = copy.deepcopy(first)
    for tile in (first, other, copied):
        pass_time(tile, 3)
    assert torch.equal(slow(other), slow(first))
    assert torch.equal(slow(copied), slow(first))


@BY_SLICES
def test_what_negative_inputs_read_lies_in_memory_like_the_weight(columns: bool) -> None:
    state = reader(IMPERFECT["separate"], columns, "cpu").state_dict()
    assert state["rule.read_periphery.w_asymmetry"].shape == STORED.shape


def test_a_construction_seed_fixes_the_circuits_of_the_reads() -> None:
    io = IOParameters(v_offset_std=0.2)
    for seed, alike in ((5, True), (0, False)):
        device = compound(TransferCompound, transfer_forward=io, construction_seed=seed)
        first, second = (tile_of((3, 4), device, seed=number).rule.read_periphery for number in (1, 2))
        assert torch.equal(first["v_offset"], second["v_offset"]) == alike
