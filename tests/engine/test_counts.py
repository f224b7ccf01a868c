"""Pulse types that count: every cell gets the rounded product of what its two lines ask for."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor

from builders import steady
from ohmgrad.configs import (
    ChoppedTransferCompound,
    ConstantStepDevice,
    OneSidedUnitCell,
    PulseType,
    RPUConfig,
    SingleRPUConfig,
    SoftBoundsDevice,
    UnitCellRPUConfig,
    UpdateParameters,
    VectorUnitCell,
    VectorUnitCellUpdatePolicy,
)
from ohmgrad.tile import AnalogTile

X, D = torch.tensor([0.5, -1.0]), torch.tensor([0.2])
COUNTED = [PulseType.MEAN_COUNT, PulseType.DETERMINISTIC_IMPLICIT]
BY_TYPE = pytest.mark.parametrize("kind", COUNTED, ids=lambda kind: kind.name)
BY_IMPLEMENTATION = pytest.mark.parametrize("implementation", ["reference", "cpu", "gpu"])


def tile_of(
    device: Any, shape: tuple[int, int], update: UpdateParameters, implementation: str = "cpu", seed: int = 0
) -> AnalogTile:
    torch.manual_seed(seed)
    single = isinstance(device, (ConstantStepDevice, SoftBoundsDevice))
    config: RPUConfig = SingleRPUConfig(device=device) if single else UnitCellRPUConfig(device=device)
    config.update = update
    config.runtime.implementation = implementation
    return AnalogTile(*shape, config)


def counted(x: Tensor, d: Tensor, rate: float, implementation: str = "cpu", **update: Any) -> list[int]:
    """Down pulses less up pulses of every cell, from steps of 0.001."""
    tile = tile_of(
        steady(ConstantStepDevice, dw_min=0.001, w_max=10.0, w_min=-10.0),
        (len(d), len(x)),
        UpdateParameters(**update),
        implementation,
    )
    tile.set_learning_rate(rate)
    tile.update(x, d)
    (counts,) = tile.pulse_counts()
    return (counts.down - counts.up).flatten().tolist()


@BY_IMPLEMENTATION
@BY_TYPE
@pytest.mark.parametrize(
    ("rate", "update", "expected"),
    [
        (0.1, {}, [10, -20]),
        (1.0, {}, [16, -31]),  # 15.5 is rounded to the even number
        (0.1, {"um_grad_scale": 0.5}, [5, -10]),
        (1.0, {"update_management": False, "update_bl_management": False, "fixed_bl": False}, [100, -200]),
    ],
)
def test_counts_are_the_rounded_products(
    kind: PulseType, rate: float, update: dict[str, Any], expected: list[int], implementation: str
) -> None:
    assert counted(X, D, rate, implementation, pulse_type=kind, **update) == expected


@BY_IMPLEMENTATION
def test_the_lines_of_implicit_counts_have_resolutions_of_their_own(implementation: str) -> None:
    settings = {"pulse_type": PulseType.DETERMINISTIC_IMPLICIT, "x_res_implicit": 0.35, "d_res_implicit": 0.1}
    assert counted(X, D, 0.1, implementation, **settings) == [7, -20]  # 0.5 becomes 0.35, 1 becomes 1.05 and then 1


def test_a_resolution_above_1_is_a_number_of_steps() -> None:
    kind = PulseType.DETERMINISTIC_IMPLICIT
    assert counted(X, D, 0.1, pulse_type=kind, x_res_implicit=4.0) == [10, -20]
    assert counted(torch.tensor([0.6, -1.0]), D, 0.1, pulse_type=kind, x_res_implicit=4.0) == [10, -20]
    assert counted(torch.tensor([0.6, -1.0]), D, 0.1, pulse_type=kind, res=4.0) == [12, -20]  # not its resolution
    assert counted(torch.tensor([0.6, -1.0]), D, 0.1, pulse_type=PulseType.MEAN_COUNT, res=4.0) == [10, -20]


def test_stochastic_rounding_keeps_the_mean() -> None:
    settings = {"x_res_implicit": 0.25, "sto_round": True, "pulse_type": PulseType.DETERMINISTIC_IMPLICIT}
    device = steady(ConstantStepDevice, dw_min=0.001, w_max=10.0, w_min=-10.0)
    tile = tile_of(device, (1, 4000), UpdateParameters(**settings))
    tile.set_learning_rate(0.1)
    x = torch.full((4000,), 0.6)
    x[0] = 1.0
    tile.update(x, D)
    counts = tile.pulse_counts()[0].down[0, 1:].double()
    assert set(counts.tolist()) == {10.0, 15.0}  # half or three quarters of 20
    assert abs(float(counts.mean()) - 12.0) <= 5 * 5 * (0.4 * 0.6 / len(counts)) ** 0.5


def test_both_stochastic_types_give_the_same_pulses() -> None:
    tiles = [
        tile_of(SoftBoundsDevice(), (5, 7), UpdateParameters(pulse_type=kind))
        for kind in (PulseType.STOCHASTIC, PulseType.STOCHASTIC_COMPRESSED)
    ]
    for tile in tiles:
        learn(tile)
    assert torch.equal(*(tile.get_weights() for tile in tiles))


def learn(tile: AnalogTile, cuts: tuple[int, ...] = (0, 12)) -> None:
    generator = torch.Generator().manual_seed(7)
    x, d = (torch.randn(12, size, generator=generator) for size in (tile.in_size, tile.out_size))
    for begin, end in pairwise(cuts):
        tile.update(x[begin:end], d[begin:end])


CELLS = {
    "single": SoftBoundsDevice(dw_min=0.002, write_noise_std=0.5),
    "one-sided": OneSidedUnitCell(unit_cell_devices=[SoftBoundsDevice(dw_min=0.002)]),
    "in turns": VectorUnitCell(
        unit_cell_devices=[SoftBoundsDevice(dw_min=0.002)] * 2,
        update_policy=VectorUnitCellUpdatePolicy.SINGLE_SEQUENTIAL,
    ),
    "chopped": ChoppedTransferCompound(
        unit_cell_devices=[SoftBoundsDevice(dw_min=0.002)] * 2, in_chop_prob=0.5, fast_lr=1.0, gamma=0.5
    ),
}


@BY_TYPE
@pytest.mark.parametrize("longest", [31, 200])
@pytest.mark.parametrize("cell", CELLS)
def test_the_compiled_replay_counts_as_the_reference_does(cell: str, longest: int, kind: PulseType) -> None:
    update = UpdateParameters(pulse_type=kind, desired_bl=longest)
    tiles = [tile_of(CELLS[cell], (5, 130), update, name) for name in ("reference", "cpu")]
    for tile in tiles:
        learn(tile)
    for mine, its in zip(*(tile.pulse_counts() for tile in tiles), strict=True):
        assert all(map(torch.equal, mine, its))
    assert any((counts.total > 31 * 12).any() for counts in tiles[0].pulse_counts()) == (longest > 31)
    torch.testing.assert_close(tiles[0].get_weights(), tiles[1].get_weights(), rtol=0.0, atol=2e-5)


@BY_TYPE
@pytest.mark.parametrize("cell", CELLS)
def test_a_batch_of_counts_may_be_cut_anywhere(cell: str, kind: PulseType) -> None:
    update = UpdateParameters(pulse_type=kind, desired_bl=100)
    whole, cut = (tile_of(CELLS[cell], (5, 6), update) for _ in range(2))
    learn(whole)
    learn(cut, cuts=(0, 1, 7, 12))
    assert torch.equal(whole.get_weights(), cut.get_weights())


@BY_TYPE
def test_the_halves_of_a_one_sided_cell_share_the_counts_by_sign(kind: PulseType) -> None:
    cell = OneSidedUnitCell(unit_cell_devices=[steady(ConstantStepDevice, dw_min=0.001, w_max=1.0)])
    tile = tile_of(cell, (1, 2), UpdateParameters(pulse_type=kind))
    tile.update(X, D)
    minus, plus = tile.pulse_counts()
    assert minus.up.tolist() == [[10, 0]]
    assert plus.up.tolist() == [[0, 20]]
    assert not minus.down.any()
    assert not plus.down.any()


@BY_IMPLEMENTATION
@BY_TYPE
def test_trains_that_are_not_fixed_saturate_at_their_own_length(kind: PulseType, implementation: str) -> None:
    longer = {"desired_bl": 31, "fixed_bl": False, "update_bl_management": False, "pulse_type": kind}
    assert counted(X, D, 1.0, implementation, **longer) == [100, -200]  # of 1000 slots
    assert counted(X, 10.0 * D, 1.0, implementation, **longer) == [500, -1000]


def test_the_share_of_zeros_in_the_gradient_is_averaged_if_asked_for() -> None:
    device = ChoppedTransferCompound(unit_cell_devices=[SoftBoundsDevice()] * 2, auto_momentum=0.5)
    tile = tile_of(device, (4, 2), UpdateParameters(d_sparsity=True))
    tile.update(torch.ones(1, 2), torch.tensor([[1.0, 0.0, 0.0, 0.0]]))
    assert float(tile.algorithm_state()["d_sparsity"]) == 0.75
    tile.update(torch.ones(1, 2), torch.tensor([[1.0, 1.0, 1.0, 0.0]]))
    assert float(tile.algorithm_state()["d_sparsity"]) == 0.5
    silent = tile_of(device, (4, 2), UpdateParameters())
    silent.update(torch.ones(1, 2), torch.tensor([[1.0, 0.0, 0.0, 0.0]]))
    assert float(silent.algorithm_state()["d_sparsity"]) == 0.0


def test_a_vector_of_zeros_is_all_zeros() -> None:
    device = ChoppedTransferCompound(unit_cell_devices=[SoftBoundsDevice()] * 2, auto_momentum=0.5)
    tile = tile_of(device, (4, 2), UpdateParameters(d_sparsity=True))
    tile.update(torch.ones(1, 2), torch.zeros(1, 4))
    assert float(tile.algorithm_state()["d_sparsity"]) == 1.0
    tile.update(torch.ones(1, 2), torch.ones(1, 4))  # a vector without a zero is left out
    assert float(tile.algorithm_state()["d_sparsity"]) == 1.0
