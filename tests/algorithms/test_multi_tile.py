"""Many arrays in a chain: what they reduce to, how fine they are, and how the warm start fills them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from algorithms.cells import cell, pass_time, put, tile_of
from builders import steady
from ohmgrad.configs import (
    IOParameters,
    MultiTileTransferCompound,
    SingleRPUConfig,
    SoftBoundsDevice,
    TransferCompound,
    UnitCellRPUConfig,
    UpdateParameters,
)
from ohmgrad.errors import ConfigError, TileError
from ohmgrad.testing import common
from ohmgrad.tile import AnalogTile

SIZE = (3, 4)
NOISY = SoftBoundsDevice(dw_min=0.02, write_noise_std=0.3, diffusion=1e-3, lifetime=200.0)


def chain(count: int, device: Any = None, **fields: Any) -> MultiTileTransferCompound:
    """Silent cells that are read perfectly and written exactly, unless a device is given."""
    given = {"units_in_mbatch": False, **fields}
    if device is None:
        given = {"transfer_forward": IOParameters(is_perfect=True), **given}
    return MultiTileTransferCompound.of(cell() if device is None else device, count, **given)


def phase_of(tile: AnalogTile) -> int:
    return int(tile.algorithm_state()["phase"])


# --- what it reduces to ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(3, 4), (4, 3)])
def test_one_array_is_analog_sgd(size: tuple[int, int]) -> None:
    one = common.live(common.make_tile(UnitCellRPUConfig(device=chain(1, NOISY)), size))
    plain = common.live(common.make_tile(SingleRPUConfig(device=NOISY), size))
    assert torch.equal(one.get_weights(), plain.get_weights())
    for mine, theirs in zip(one.pulse_counts()[0], plain.pulse_counts()[0], strict=True):
        assert torch.equal(mine, theirs)


def test_two_arrays_are_residual_learning() -> None:
    both = {"gamma": 0.3, "transfer_every": 2.0, "units_in_mbatch": False, "transfer_lr": 0.5}
    mine = MultiTileTransferCompound.of(NOISY, 2, **both)
    theirs = TransferCompound(unit_cell_devices=[NOISY, NOISY], scale_transfer_lr=False, **both)
    first, second = (
        common.everything(common.live(common.make_tile(UnitCellRPUConfig(device=rule), SIZE), steps=6))
        for rule in (mine, theirs)
    )
    common.assert_same_bits(first, second, "two arrays")


def test_every_array_is_read_by_its_own_period_and_at_its_own_rate() -> None:
    tile = tile_of((2, 3), chain(4, transfer_every=2.0, period_growth=3.0, transfer_lr=0.1, transfer_lr_growth=1.2))
    pass_time(tile, 54)
    assert tile.algorithm_state()["current_slice_indices"].tolist() == [27 % 3, 9 % 3, 3 % 3, 0]
    assert tile.rule.reads.tolist() == [27, 9, 3, 0]
    assert [tile.rule.transfer_rate(k, 0.7) for k in range(3)] == pytest.approx([0.1, 0.12, 0.144])


@pytest.mark.parametrize("batch", [10, 100])
def test_periods_stay_nested_where_they_are_parts_of_a_batch(batch: int) -> None:
    rule = tile_of((2, 3), chain(4, transfer_every=0.1, period_growth=3.0, units_in_mbatch=True)).rule
    assert [rule.period(k, batch) for k in range(3)] == [batch // 10 * 3**k for k in range(3)]


def test_vectors_of_periods_and_rates_override_the_growth() -> None:
    given = chain(3, transfer_every_vec=[1.0, 7.0, 0.0], transfer_lr_vec=[0.3, 0.2, 0.0], gamma_vec=[0.1, 0.4, 1.0])
    tile = tile_of((1, 1), given)
    pass_time(tile, 14)
    assert tile.rule.reads.tolist() == [14, 2, 0]
    assert [tile.rule.transfer_rate(k, 0.7) for k in range(2)] == [0.3, 0.2]
    put(tile, {"hidden_weights_0": 1.0, "hidden_weights_1": 1.0, "hidden_weights_2": 1.0})
    assert float(tile.get_weights()) == pytest.approx(1.5)


def test_arrays_that_are_not_written_are_frozen() -> None:
    tile = tile_of((2, 3), chain(3, transfer_every=2.0, period_growth=4.0))
    tile.update(torch.ones(7, 3), torch.ones(7, 2))
    pulses = [counts.total.any() for counts in tile.pulse_counts()]
    assert pulses == [True, True, False]


def test_devices_of_a_chain_are_copies() -> None:
    one = cell()
    rule = MultiTileTransferCompound.of(one, 2)
    rule.unit_cell_devices[0].dw_min = 0.5
    assert (one.dw_min, rule.unit_cell_devices[1].dw_min) == (0.01, 0.01)


def test_a_chain_without_arrays_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"unit_cell_devices has 0 devices\. Give at least 1"):
        tile_of((1, 1), chain(0))


# --- how fine it is --------------------------------------------------------------------------------------------------


def floor_of(count: int, steps: int = 1000) -> float:
    """What is left of (w - b)^2 on the mean, for targets b anywhere between the bounds of cells of 10 states."""
    rule = chain(
        count, steady(SoftBoundsDevice, dw_min=0.2, w_max=1.0, w_min=-1.0), gamma=0.5, transfer_every=2.0,
        period_growth=5.0, transfer_lr=0.01, transfer_lr_growth=1.0, fast_lr=0.5, scale_fast_lr=False,
        transfer_forward=IOParameters(is_perfect=True),
        transfer_update=UpdateParameters(update_bl_management=False, update_management=False),
    )  # fmt: skip
    update = rule.transfer_update.model_copy(deep=True)
    tile = tile_of((64, 1), rule, update=update)
    target = 2.0 * torch.rand(64, 1, generator=torch.Generator().manual_seed(0)) - 1.0
    seen: list[Tensor] = []
    for step in range(steps):
        error = tile.get_weights() - target
        tile.update(torch.ones(1, 1), 2.0 * error.t())
        if step >= steps - 300:
            seen.append(error.square().mean())
    return float(torch.stack(seen).mean())


def test_more_tiles_lower_the_floor() -> None:
    one, two, three = map(floor_of, (1, 2, 3))
    assert two < one / 2
    assert three < two / 2


# --- the warm start --------------------------------------------------------------------------------------------------


def test_the_warm_start_fills_the_coarse_tile_first() -> None:
    tile = tile_of((2, 3), chain(4, transfer_every=1.0, transfer_lr=1.0, warm_start=True))
    touched = []
    for _ in range(4):
        before = [counts.total.clone() for counts in tile.pulse_counts()]
        tile.update(torch.ones(9, 3), -torch.ones(9, 2))
        after = [counts.total for counts in tile.pulse_counts()]
        touched.append([k for k in range(4) if not torch.equal(after[k], before[k])])
        tile.rule.next_phase()
    assert touched == [[0, 3], [0, 2], [0, 1], [0, 1, 2]]
    assert phase_of(tile) == 3


@pytest.mark.parametrize("phase", [0, 1, 2])
def test_a_batch_may_be_cut_anywhere_in_every_phase(phase: int) -> None:
    config = UnitCellRPUConfig(device=chain(3, NOISY, transfer_every=2.0, period_growth=2.0, warm_start=True))
    whole, cut = (common.make_tile(config, SIZE) for _ in range(2))
    for tile in (whole, cut):
        for _ in range(phase):
            tile.rule.next_phase()
    x, d = common.a_batch(12, SIZE)
    whole.update(x, d)
    for part in (slice(0, 1), slice(1, 8), slice(8, 12)):
        cut.update(x[part], d[part])
    common.assert_same_bits(common.everything(cut), common.everything(whole), f"phase {phase}")


@pytest.mark.parametrize("way", common.COPIES)
def test_a_warm_start_that_was_saved_goes_on_to_the_same_bits(way: str) -> None:
    config = UnitCellRPUConfig(device=chain(3, NOISY, transfer_every=1.0, warm_start=True))

    def go_on(tile: AnalogTile) -> dict[str, Tensor]:
        common.live(tile, first=3)
        tile.rule.next_phase()
        return common.everything(common.live(tile, first=6))

    tile = common.live(common.make_tile(config, SIZE))
    tile.rule.next_phase()
    other = common.COPIES[way](tile, lambda: common.make_tile(config, SIZE, seed=9))
    assert phase_of(other) == 1
    common.assert_same_bits(go_on(other), go_on(tile), way)


def test_set_weights_starts_anew_with_phase_0() -> None:
    tile = tile_of((2, 3), chain(3, warm_start=True))
    tile.rule.next_phase()
    tile.set_weights(torch.zeros(2, 3))
    assert phase_of(tile) == 0


def test_without_a_warm_start_there_is_no_phase() -> None:
    tile = tile_of((2, 3), chain(3))
    tile.rule.next_phase()
    assert "phase" not in tile.algorithm_state()
    assert not tile.rule.is_warming_up


def test_the_warm_start_cannot_be_captured_in_a_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    tile = tile_of((2, 3), chain(2, warm_start=True))
    monkeypatch.setattr("ohmgrad.engine.host.is_captured", lambda _: True)
    with pytest.raises(TileError, match="a phase of the warm start"):
        pass_time(tile)
    tile.rule.next_phase()
    pass_time(tile)
