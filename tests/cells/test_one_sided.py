"""One-sided cells: two devices that are only pulsed up, and what their refresh does."""

from __future__ import annotations

import copy
import re
from typing import Any

import pytest
import torch
from torch import Tensor

from algorithms.cells import EXACT, ONE_PULSE, cell, put, tile_of
from ohmgrad.configs import (
    BoundManagementType,
    ConstantStepDevice,
    IOParameters,
    LinearStepDevice,
    NoiseManagementType,
    OneSidedUnitCell,
    SoftBoundsDevice,
    TransferCompound,
    UnitCellRPUConfig,
    UpdateParameters,
    VectorUnitCell,
)
from ohmgrad.engine.draws import Stream
from ohmgrad.engine.mvm import mvm
from ohmgrad.errors import ConfigError
from ohmgrad.tile import AnalogTile

STEP = 0.01
PERFECT = IOParameters(is_perfect=True)


def halves(tile: AnalogTile) -> tuple[Tensor, Tensor]:
    """g- and g+."""
    hidden = tile.get_hidden_parameters()
    return hidden["hidden_weights_0"], hidden["hidden_weights_1"]


def one_sided(device: Any = None, **fields: Any) -> OneSidedUnitCell:
    common = {"refresh_forward": PERFECT, "refresh_update": EXACT}
    return OneSidedUnitCell(unit_cell_devices=[cell(STEP, bound=1.0) if device is None else device], **common | fields)


def train(tile: AnalogTile, batches: int = 3, batch: int = 4, seed: int = 0) -> None:
    generator = torch.Generator().manual_seed(seed)
    for _ in range(batches):
        x, d = (torch.randn(batch, size, generator=generator) for size in (tile.in_size, tile.out_size))
        tile.update(x, d)


@pytest.mark.parametrize("implementation", ["reference", "cpu"])
def test_a_pulse_raises_one_of_the_two_halves_and_never_lowers_any(implementation: str) -> None:
    tile = tile_of((1, 2), one_sided(), implementation, rate=STEP, update=ONE_PULSE)
    tile.update(torch.tensor([[1.0, -1.0], [1.0, 1.0], [-1.0, -1.0]]), torch.tensor([[1.0], [1.0], [1.0]]))
    minus, plus = halves(tile)
    torch.testing.assert_close(minus, torch.tensor([[2 * STEP, STEP]]))
    torch.testing.assert_close(plus, torch.tensor([[STEP, 2 * STEP]]))
    torch.testing.assert_close(tile.get_weights(), torch.tensor([[-STEP, STEP]]))
    assert all(not counts.down.any() for counts in tile.pulse_counts())


def test_both_implementations_pulse_the_same_cells() -> None:
    device = SoftBoundsDevice(dw_min=0.02, write_noise_std=0.5)
    tiles = [tile_of((7, 33), one_sided(device, refresh_every=2), name) for name in ("reference", "cpu")]
    for tile in tiles:
        train(tile, batches=5)
    for first, second in zip(*(halves(tile) for tile in tiles), strict=True):
        torch.testing.assert_close(first, second, rtol=0.0, atol=1e-5)
    counts = [[torch.stack(list(each)) for each in tile.pulse_counts()] for tile in tiles]
    assert all(torch.equal(a, b) for a, b in zip(*counts, strict=True))


def test_together_the_halves_get_the_pulses_that_a_single_device_would_get() -> None:
    x, d = torch.randn(6, 5, generator=torch.Generator().manual_seed(0)), torch.linspace(-1.0, 1.0, 6)[:, None]
    pair = tile_of((1, 5), one_sided())
    pair.update(x, d)
    single = tile_of((1, 5), VectorUnitCell(unit_cell_devices=[cell(STEP, bound=1.0)]))  # counts with the same trains
    single.update(x, d)
    torch.testing.assert_close(pair.get_weights(), single.get_weights())


def test_weights_are_set_on_the_side_of_their_sign() -> None:
    tile = tile_of((1, 3), one_sided())
    tile.set_weights(torch.tensor([[0.3, -0.4, 0.0]]))
    minus, plus = halves(tile)
    torch.testing.assert_close(plus, torch.tensor([[0.3, 0.0, 0.0]]))
    torch.testing.assert_close(minus, torch.tensor([[0.0, 0.4, 0.0]]))
    torch.testing.assert_close(tile.get_weights(), torch.tensor([[0.3, -0.4, 0.0]]))


# What the two halves hold before and after a refresh with the thresholds 0.75 and 0.25.
BEFORE_PLUS = [0.80, 0.80, 0.50, 0.26, 0.74, 0.76]
BEFORE_MINUS = [0.30, 0.20, 0.40, 0.90, 0.70, 0.76]
AFTER_PLUS = [0.50, 0.80, 0.50, 0.00, 0.74, 0.00]
AFTER_MINUS = [0.00, 0.20, 0.40, 0.64, 0.70, 0.00]


@pytest.mark.parametrize("implementation", ["reference", "cpu"])
def test_a_refresh_takes_full_cells_back_and_keeps_their_weight(implementation: str) -> None:
    tile = tile_of((1, 6), one_sided(refresh_every=1), implementation)
    put(tile, {"hidden_weights_0": torch.tensor([BEFORE_MINUS]), "hidden_weights_1": torch.tensor([BEFORE_PLUS])})
    before = tile.get_weights()
    tile.update(torch.ones(1, 6), torch.zeros(1, 1))
    minus, plus = halves(tile)
    torch.testing.assert_close(minus, torch.tensor([AFTER_MINUS]))
    torch.testing.assert_close(plus, torch.tensor([AFTER_PLUS]))
    torch.testing.assert_close(tile.get_weights(), before)
    assert tile.algorithm_state()["refresh_counter"] == 3


def test_a_refresh_reads_all_columns_before_it_writes_any() -> None:
    noisy = {"inp_noise": 0.1, "out_noise": 0.0, "inp_res": 0.0, "out_res": 0.0, "out_bound": 0.0}
    unmanaged = {"noise_management": NoiseManagementType.NONE, "bound_management": BoundManagementType.NONE}
    io = IOParameters(**noisy, **unmanaged)
    always = {"refresh_every": 1, "refresh_upper_thres": -100.0, "refresh_lower_thres": -100.0}
    tile = tile_of((2, 5), one_sided(refresh_forward=io, **always))
    stored = [torch.rand(2, 5, generator=torch.Generator().manual_seed(seed)) for seed in (1, 2)]
    put(tile, {"hidden_weights_0": stored[0], "hidden_weights_1": stored[1]})
    tile.update(torch.ones(1, 5), torch.zeros(1, 2))
    # Noise on all input lines: the read of a column depends on what the others hold.
    index, eye, draws = tile.rule.all_arrays()[0].index, torch.eye(5), tile._draws()
    minus, plus = (
        mvm(half, eye, io, draws, Stream.REFRESH.of(index, 8 * which), torch.arange(5)).t()
        for which, half in enumerate(stored)
    )
    assert (plus - stored[1]).abs().max() > 0.05
    torch.testing.assert_close(tile.get_weights(), plus - minus)


def test_a_refresh_reads_each_half_through_its_own_circuits() -> None:
    io = IOParameters(v_offset_std=0.1, v_offset_w_min=0.0, out_noise=0.0, inp_res=0.0, out_res=0.0)
    tile = tile_of((1, 1), one_sided(refresh_every=1, refresh_forward=io, refresh_upper_thres=0.5))
    minus, plus = (name for name in tile.state_dict() if name.endswith("v_offset"))
    assert not torch.equal(tile.state_dict()[minus], tile.state_dict()[plus])
    tile.load_state_dict({**tile.state_dict(), minus: torch.zeros(1), plus: torch.tensor([0.25])})
    put(tile, {"hidden_weights_0": 0.4, "hidden_weights_1": 0.8})
    tile.update(torch.ones(1, 1), torch.zeros(1, 1))
    # What is read is 0.75 * 0.8 = 0.6 and 0.4.
    assert tile.algorithm_state()["refresh_counter"] == 1
    assert tile.get_weights().item() == pytest.approx(0.6 - 0.4)


def test_a_refresh_writes_with_pulses_unless_told_otherwise() -> None:
    tile = tile_of((1, 1), one_sided(refresh_every=1, refresh_update=UpdateParameters()))
    put(tile, {"hidden_weights_0": 0.3, "hidden_weights_1": 0.80})
    tile.update(torch.ones(1, 1), torch.zeros(1, 1))
    minus, plus = halves(tile)
    assert float(minus) == 0.0
    assert float(plus) == pytest.approx(31 * STEP)  # 50 steps are wanted, 31 fit into one train


@pytest.mark.parametrize(("in_batches", "vectors"), [(True, 8), (False, 2)])
def test_a_refresh_happens_after_its_number_of_vectors_or_batches(in_batches: bool, vectors: int) -> None:
    tile = tile_of((1, 1), one_sided(refresh_every=2, units_in_mbatch=in_batches))
    put(tile, {"hidden_weights_0": 0.3, "hidden_weights_1": 0.8})
    nothing = torch.zeros(4 if in_batches else 1, 1)
    for seen in range(len(nothing), vectors + 1, len(nothing)):
        assert tile.algorithm_state()["refresh_counter"] == 0
        tile.update(torch.ones_like(nothing), nothing)
        assert tile.algorithm_state()["refresh_counter"] == (seen == vectors)


@pytest.mark.parametrize("device", [cell(0.1, bound=1.0), SoftBoundsDevice(dw_min=0.1, write_noise_std=0.5)])
def test_a_batch_may_be_cut_anywhere_around_refreshes(device: Any) -> None:
    config = one_sided(device, refresh_every=3, units_in_mbatch=False, refresh_forward=IOParameters())
    whole, cut = tile_of((5, 6), config), tile_of((5, 6), config)
    x, d = torch.randn(20, 6, generator=torch.Generator().manual_seed(0)), torch.ones(20, 5)
    whole.update(x, d)
    for part in (slice(0, 1), slice(1, 6), slice(6, 7), slice(7, 20)):
        cut.update(x[part], d[part])
    assert whole.algorithm_state()["refresh_counter"] > 0
    assert torch.equal(whole.get_weights(), cut.get_weights())


def test_the_refresh_of_a_fast_array_leaves_the_slow_array_alone() -> None:
    config = TransferCompound(
        unit_cell_devices=[one_sided(refresh_every=1), cell(STEP)],
        transfer_every=2,
        units_in_mbatch=False,
        transfer_forward=PERFECT,
        transfer_update=EXACT,
        gamma=0.5,
    )
    tile = tile_of((1, 1), config)
    put(tile, {"hidden_weights_0_0": 0.3, "hidden_weights_1_0": 0.8, "hidden_weights_1": 0.25})
    torch.testing.assert_close(tile.get_weights(), torch.tensor([[0.5 * 0.5 + 0.25]]))
    tile.update(torch.ones(1, 1), torch.zeros(1, 1))
    hidden = tile.get_hidden_parameters()
    assert float(hidden["hidden_weights_1"]) == 0.25
    torch.testing.assert_close(hidden["hidden_weights_1_0"], torch.tensor([[0.5]]))
    assert tile.algorithm_state()["refresh_counter_0"] == 1


@pytest.mark.parametrize("implementation", ["reference", "cpu"])
def test_a_read_at_the_vector_of_a_refresh_happens_after_it(implementation: str) -> None:
    fast = one_sided(cell(STEP, bound=1.0, reset=0.1), refresh_every=1)
    config = TransferCompound(
        unit_cell_devices=[fast, cell(STEP)],
        transfer_every=1,
        units_in_mbatch=False,
        transfer_forward=PERFECT,
        transfer_update=EXACT,
        scale_transfer_lr=False,
    )
    tile = tile_of((1, 1), config, implementation)
    put(tile, {"hidden_weights_0_0": 0.3, "hidden_weights_1_0": 0.8})
    tile.update(torch.ones(1, 1), torch.zeros(1, 1))
    minus, plus = (float(tile.get_hidden_parameters()[f"hidden_weights_{k}_0"]) for k in (0, 1))
    assert (minus, plus) == (pytest.approx(0.1), pytest.approx(0.6))
    assert float(tile.get_hidden_parameters()["hidden_weights_1"]) == pytest.approx(plus - minus)


@pytest.mark.parametrize(
    "device",
    [
        ConstantStepDevice(dw_min=0.02, up_down=0.3, w_max=0.5, w_min=-0.8, dw_min_std=0.0),
        SoftBoundsDevice(dw_min=0.02, up_down=0.3, w_max=0.5, w_min=-0.8, dw_min_std=0.0),
        LinearStepDevice(dw_min=0.02, gamma_up=0.5, gamma_down=0.1, dw_min_std=0.0),
    ],
    ids=lambda device: type(device).__name__,
)
def test_the_inverted_half_is_the_mirror_image_of_the_other(device: Any) -> None:
    tile = tile_of((3, 4), one_sided(device, copy_inverted=True))
    hidden = tile.get_hidden_parameters()
    assert torch.equal(hidden["dwmin_up_0"], hidden["dwmin_down_1"])
    assert torch.equal(hidden["dwmin_down_0"], hidden["dwmin_up_1"])
    assert torch.equal(hidden["max_bound_0"], -hidden["min_bound_1"])
    assert torch.equal(hidden["min_bound_0"], -hidden["max_bound_1"])
    # Up pulses of the mirror image are down pulses of the original, seen in a mirror.
    single = tile_of((3, 4), VectorUnitCell(unit_cell_devices=[device]))
    hidden_single = single.get_hidden_parameters()
    names = [name for name in hidden_single if name != "hidden_weights_0"]
    put(single, {name: hidden[f"{name[:-2]}_1"] for name in names})
    up = UpdateParameters(desired_bl=5, update_management=False, update_bl_management=False)
    for each in (tile, single):
        each.rpu_config.update = up
        each.set_learning_rate(1.0)  # every slot fires
        each.update(torch.ones(2, 4), torch.ones(2, 3))
    minus, plus = halves(tile)
    assert not plus.any()
    torch.testing.assert_close(-minus, single.get_weights())


def test_a_saved_tile_goes_on_as_if_it_had_not_been_saved() -> None:
    device = SoftBoundsDevice(dw_min=0.1, w_min=0.0)
    config = one_sided(device, refresh_every=2, refresh_forward=IOParameters(), refresh_update=UpdateParameters())
    tile, loaded = tile_of((5, 6), config), tile_of((5, 6), config, seed=7)
    train(tile)
    loaded.load_state_dict(tile.state_dict())
    copied = copy.deepcopy(tile)
    for each in (tile, loaded, copied):
        train(each, seed=1)
    assert tile.algorithm_state()["refresh_counter"] > 0
    assert torch.equal(tile.get_weights(), loaded.get_weights())
    assert torch.equal(tile.get_weights(), copied.get_weights())


@pytest.mark.parametrize(
    ("device", "message"),
    [
        (OneSidedUnitCell(), "unit_cell_devices is empty"),
        (OneSidedUnitCell(unit_cell_devices=[cell()] * 3), "has 3 devices. Give one"),
        (OneSidedUnitCell(unit_cell_devices=[cell(), SoftBoundsDevice()]), "two different devices"),
        (
            OneSidedUnitCell(unit_cell_devices=[VectorUnitCell(unit_cell_devices=[cell()])]),
            "holds VectorUnitCell. Give a pulsed device",
        ),
    ],
)
def test_a_cell_that_does_not_fit_together_is_refused(device: OneSidedUnitCell, message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        AnalogTile(2, 2, UnitCellRPUConfig(device=device))
