"""Cells of several devices stand in transfer compounds wherever a device can."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor

from algorithms.cells import RULES, compound, tile_of
from ohmgrad.configs import (
    ChoppedTransferCompound,
    IOParameters,
    OneSidedUnitCell,
    ReferenceUnitCell,
    SoftBoundsDevice,
    TransferCompound,
    VectorUnitCell,
    VectorUnitCellUpdatePolicy,
)
from ohmgrad.tile import AnalogTile


def plain(**fields: Any) -> SoftBoundsDevice:
    return SoftBoundsDevice(**{"dw_min": 0.02, "write_noise_std": 0.3, **fields})


def one_sided() -> OneSidedUnitCell:
    return OneSidedUnitCell(unit_cell_devices=[plain(w_min=0.0, w_max=0.3)], refresh_every=3, units_in_mbatch=False)


def vector(policy: VectorUnitCellUpdatePolicy = VectorUnitCellUpdatePolicy.SINGLE_SEQUENTIAL) -> VectorUnitCell:
    return VectorUnitCell(unit_cell_devices=[plain(), plain()], update_policy=policy, gamma_vec=[0.7, 0.5])


def referenced() -> ReferenceUnitCell:
    return ReferenceUnitCell(unit_cell_devices=[plain()])


CELLS = {"plain": plain, "one-sided": one_sided, "vector": vector, "reference": referenced}
PAIRS = [(fast, slow) for fast in CELLS for slow in CELLS if (fast, slow) != ("plain", "plain")]
BY_PAIR = pytest.mark.parametrize(("fast", "slow"), PAIRS, ids=lambda name: name)
BY_RULE = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)


def small(rule: type[TransferCompound], fast: str, slow: str, implementation: str = "cpu", seed: int = 0) -> AnalogTile:
    fields: dict[str, Any] = {"in_chop_prob": 0.4} if issubclass(rule, ChoppedTransferCompound) else {}
    fields |= {"gamma": 0.5, "transfer_every": 2.0, "transfer_forward": IOParameters(out_noise=0.01)}
    devices: list[Any] = [CELLS[fast](), CELLS[slow]()]
    return tile_of((4, 5), compound(rule, devices, **fields), implementation, seed=seed)


def train(tile: AnalogTile, batches: int = 3, seed: int = 0) -> None:
    generator = torch.Generator().manual_seed(seed)
    for batch in range(1, batches + 1):
        x, d = (torch.randn(2 * batch, size, generator=generator) for size in (tile.in_size, tile.out_size))
        tile.update(x, d)


def by_formula(tile: AnalogTile, gamma: float) -> Tensor:
    hidden, state = tile.get_hidden_parameters(), tile.algorithm_state()
    sign = torch.ones(4, 5)
    if "in_chopper" in state:
        sign = torch.outer(1.0 - 2.0 * state["out_chopper"].float(), 1.0 - 2.0 * state["in_chopper"].float())
    return gamma * sign * hidden["hidden_weights_0"] + hidden["hidden_weights_1"]


@BY_RULE
@BY_PAIR
def test_the_visible_weight_follows_its_formula_and_both_implementations_agree(
    rule: type[TransferCompound], fast: str, slow: str
) -> None:
    tiles = [small(rule, fast, slow, implementation) for implementation in ("reference", "cpu")]
    for tile in tiles:
        train(tile)
        torch.testing.assert_close(tile.get_weights(), by_formula(tile, 0.5), rtol=0.0, atol=1e-6)
    torch.testing.assert_close(tiles[0].get_weights(), tiles[1].get_weights(), rtol=0.0, atol=1e-5)
    for first, second in zip(*(tile.pulse_counts() for tile in tiles), strict=True):
        assert torch.equal(torch.stack(list(first)), torch.stack(list(second)))


@BY_RULE
@BY_PAIR
def test_saved_and_copied_in_the_middle_it_goes_on_bit_for_bit(
    rule: type[TransferCompound], fast: str, slow: str
) -> None:
    tile, loaded = small(rule, fast, slow), small(rule, fast, slow, seed=5)
    train(tile)
    loaded.load_state_dict(tile.state_dict())
    copied = copy.deepcopy(tile)
    for each in (tile, loaded, copied):
        train(each, seed=1)
    for name, value in tile.get_hidden_parameters().items():
        assert torch.equal(value, loaded.get_hidden_parameters()[name]), name
        assert torch.equal(value, copied.get_hidden_parameters()[name]), name


@BY_RULE
@pytest.mark.parametrize(("fast", "slow"), [("one-sided", "vector"), ("vector", "one-sided")])
def test_a_batch_may_be_cut_anywhere(rule: type[TransferCompound], fast: str, slow: str) -> None:
    whole, cut = small(rule, fast, slow), small(rule, fast, slow)
    x, d = torch.randn(11, 5, generator=torch.Generator().manual_seed(0)), torch.ones(11, 4)
    whole.update(x, d)
    for part in (slice(0, 1), slice(1, 4), slice(4, 11)):
        cut.update(x[part], d[part])
    torch.testing.assert_close(whole.get_weights(), cut.get_weights(), rtol=0.0, atol=1e-6)
    assert torch.equal(
        whole.get_hidden_parameters()["hidden_weights_0"], cut.get_hidden_parameters()["hidden_weights_0"]
    )


@pytest.mark.parametrize("implementation", ["reference", "cpu"])
@pytest.mark.parametrize("length", [3, 4])
def test_a_chain_of_cells_passes_a_value_on_to_its_end(length: int, implementation: str) -> None:
    from algorithms.cells import EXACT, cell, put

    devices = [
        cell(),
        OneSidedUnitCell(unit_cell_devices=[cell()]),
        VectorUnitCell(unit_cell_devices=[cell(), cell()]),
        ReferenceUnitCell(unit_cell_devices=[cell()]),
    ]
    config = TransferCompound(
        unit_cell_devices=devices[:length],
        transfer_every_vec=[1.0] * length,
        units_in_mbatch=False,
        scale_transfer_lr=False,
        transfer_forward=IOParameters(is_perfect=True),
        transfer_update=EXACT,
    )
    tile = tile_of((1, 1), config, implementation)
    put(tile, {"hidden_weights_0": 0.25})
    tile.update(torch.ones(1, 1), torch.zeros(1, 1))
    values = [float(tile.get_hidden_parameters()[f"hidden_weights_{k}"]) for k in range(length)]
    assert values == pytest.approx([0.25] * length)
    assert float(tile.get_weights()) == pytest.approx(0.25)


@pytest.mark.parametrize("implementation", ["reference", "cpu"])
@pytest.mark.parametrize("fast", ["one-sided", "vector"])
def test_a_transfer_resets_every_device_of_the_column_that_it_read(fast: str, implementation: str) -> None:
    from algorithms.cells import EXACT, cell, put

    device = cell(reset=0.1, reset_std=0.01)
    kind = OneSidedUnitCell if fast == "one-sided" else VectorUnitCell
    config = TransferCompound(
        unit_cell_devices=[kind(unit_cell_devices=[device, device]), cell()],
        with_reset_prob=1.0,
        units_in_mbatch=False,
        transfer_forward=IOParameters(is_perfect=True),
        transfer_update=EXACT,
    )
    tile = tile_of((3, 2), config, implementation)
    put(tile, {"hidden_weights_0_0": 0.5, "hidden_weights_1_0": 0.9})
    tile.update(torch.zeros(1, 2), torch.zeros(1, 3))
    hidden = tile.get_hidden_parameters()
    first, second = hidden["hidden_weights_0_0"], hidden["hidden_weights_1_0"]
    for weights, kept in ((first, 0.5), (second, 0.9)):
        torch.testing.assert_close(weights[:, 0], torch.full((3,), 0.1), rtol=0.0, atol=0.05)
        assert (weights[:, 1] == kept).all()
    assert not torch.equal(first[:, 0], second[:, 0])  # each device has noise of its own
    assert [counts.resets[:, 0].tolist() for counts in tile.pulse_counts()[:2]] == [[1, 1, 1]] * 2
