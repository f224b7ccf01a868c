"""Every array of a chain keeps its own schedule."""

from __future__ import annotations

import pytest
import torch

from ohmgrad.algorithms.schedule import period_in_vectors, transfer_times
from ohmgrad.configs import (
    ConstantStepDevice,
    IOParameters,
    PulseType,
    TransferCompound,
    UnitCellRPUConfig,
    UpdateParameters,
)
from ohmgrad.tile import AnalogTile


def test_a_later_array_is_transferred_in_a_batch_in_which_the_first_one_rests() -> None:
    cell = ConstantStepDevice(dw_min=0.01, dw_min_dtod=0, dw_min_std=0, up_down_dtod=0, w_max_dtod=0, w_min_dtod=0)
    rule = TransferCompound(
        unit_cell_devices=[cell, cell, cell],
        transfer_every_vec=[100.0, 3.0, 0.0],
        units_in_mbatch=False,
        transfer_forward=IOParameters(is_perfect=True),
        transfer_update=UpdateParameters(pulse_type=PulseType.NONE_WITH_DEVICE),
        transfer_lr=0.5,
        scale_transfer_lr=False,
    )
    tile = AnalogTile(2, 2, UnitCellRPUConfig(device=rule))
    hidden = tile.get_hidden_parameters()
    hidden["hidden_weights_1"] = torch.full((2, 2), 0.4)
    tile.set_hidden_parameters(hidden)
    tile.update(torch.zeros(3, 2), torch.zeros(3, 2))
    torch.testing.assert_close(tile.get_weights(), torch.tensor([[0.2, 0.0], [0.2, 0.0]]))
    assert tile.algorithm_state()["current_slice_indices"].tolist() == [0, 1, 0]


@pytest.mark.parametrize(
    ("every", "batch", "period"), [(0.7, 10, 7), (1.0, 64, 64), (0.25, 10, 3), (0.0, 10, 0), (1e-15, 1, 1)]
)
def test_a_period_in_batches_is_rounded_up_to_vectors(every: float, batch: int, period: int) -> None:
    assert period_in_vectors(every, True, batch) == period


@pytest.mark.parametrize(("every", "period"), [(2.5, 3), (2.4, 2), (0.4, 0), (-3.0, 0)])
def test_a_period_in_vectors_is_rounded(every: float, period: int) -> None:
    assert period_in_vectors(every, False, 64) == period


def test_transfers_fall_on_multiples_of_the_period_wherever_a_batch_begins() -> None:
    cut = [*transfer_times(0, 10, 4), *transfer_times(10, 1, 4), *transfer_times(11, 9, 4)]
    assert cut == [4, 8, 12, 16, 20]
