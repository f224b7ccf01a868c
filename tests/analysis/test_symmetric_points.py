"""Symmetric points of tiles, exactly and as they are followed in training."""

from __future__ import annotations

import copy

import pytest
import torch

from builders import rule, steady
from ohmgrad.analysis import SymmetricPointTracker, symmetric_points
from ohmgrad.configs import (
    ConstantStepDevice,
    IdealDevice,
    LinearResponseDevice,
    OneSidedUnitCell,
    ReferenceUnitCell,
    SingleRPUConfig,
    SoftBoundsDevice,
    SoftBoundsReferenceDevice,
    UnitCellRPUConfig,
    UpdateParameters,
    VectorUnitCell,
)
from ohmgrad.errors import ConfigError, TileError
from ohmgrad.nn import AnalogLinear
from ohmgrad.optim import AnalogSGD
from ohmgrad.tile import AnalogTile

SKEW = steady(LinearResponseDevice, dw_min=0.01, offset=0.2, tau=1.0)
"""Its symmetric point is 0.2."""


def test_a_linear_response_has_its_symmetric_point_at_offset_times_tau() -> None:
    tile = AnalogTile(3, 2, SingleRPUConfig(device=SKEW.replaced(offset=0.3, tau=2.0)))
    torch.testing.assert_close(symmetric_points(tile), torch.full((3, 2), 0.6), atol=1e-5, rtol=0.0)


def test_a_device_with_a_reference_has_it_in_the_weights_that_are_read() -> None:
    device = SoftBoundsReferenceDevice(reference_mean=0.1, reference_std=0.2, w_max=1.0, w_min=-1.0, dw_min=1e-3)
    torch.manual_seed(0)
    tile = AnalogTile(4, 5, SingleRPUConfig(device=device))
    cells = tile.get_hidden_parameters()
    expected = device.symmetry_points(cells) - cells["reference"]
    inside = (cells["min_bound"] < expected) & (expected < cells["max_bound"])
    assert inside.all()
    torch.testing.assert_close(symmetric_points(tile), expected, atol=1e-5, rtol=0.0)


def test_the_arrays_of_a_transfer_rule_have_their_own() -> None:
    tile = AnalogTile(2, 3, rule("ttv2", SoftBoundsDevice(dw_min=0.02, up_down=0.1)))
    fast, slow = symmetric_points(tile), symmetric_points(tile, array=1)
    assert fast.shape == slow.shape == (2, 3)
    assert not torch.equal(fast, slow)
    with pytest.raises(TileError, match=r"array = 2, but there are 2\. Give 0 to 1"):
        symmetric_points(tile, array=2)


def test_a_layer_is_told_to_give_its_tile() -> None:
    layer = AnalogLinear(3, 2, rpu_config=SingleRPUConfig(device=SKEW))
    for ask in (symmetric_points, SymmetricPointTracker):
        with pytest.raises(TileError, match=r"which AnalogLinear is not\. .*: layer\.tile\."):
            ask(layer)
    assert symmetric_points(layer.tile).shape == (2, 3)


def test_of_a_device_and_its_reference_only_the_device_moves() -> None:
    tile = AnalogTile(2, 2, UnitCellRPUConfig(device=ReferenceUnitCell([SKEW])))
    hidden = tile.get_hidden_parameters()
    hidden["hidden_weights_1"].fill_(0.5)
    tile.set_hidden_parameters(hidden)
    torch.testing.assert_close(symmetric_points(tile), torch.full((2, 2), 0.2 - 0.5), atol=1e-5, rtol=0.0)


def test_devices_that_all_receive_pulses_all_stand_at_theirs() -> None:
    cell = VectorUnitCell([SKEW, SKEW.replaced(offset=-0.1)], gamma_vec=[1.0, 2.0])
    tile = AnalogTile(1, 2, UnitCellRPUConfig(device=cell))
    torch.testing.assert_close(symmetric_points(tile), torch.full((1, 2), 0.2 - 0.2), atol=1e-5, rtol=0.0)


def test_cells_of_equal_steps_and_one_sided_cells_have_none() -> None:
    for config in (
        SingleRPUConfig(device=steady(ConstantStepDevice)),
        UnitCellRPUConfig(device=OneSidedUnitCell([SKEW])),
    ):
        assert symmetric_points(AnalogTile(2, 2, config)).isnan().all()
    with pytest.raises(TileError, match="no cells that pulses could reach"):
        symmetric_points(AnalogTile(2, 2, SingleRPUConfig(device=IdealDevice())))


def test_the_mean_is_exponential_and_survives_a_save() -> None:
    tile = AnalogTile(1, 1, SingleRPUConfig(device=SKEW))
    tracker = SymmetricPointTracker(tile, eta=0.25)
    for weight in (0.4, 0.8):
        tile.set_weights(torch.tensor([[weight]]))
        tracker.step()
    torch.testing.assert_close(tracker.estimate, torch.tensor([[0.25 * 0.8 + 0.75 * 0.25 * 0.4]]))
    torch.testing.assert_close(tracker.error, tracker.estimate - 0.2, atol=1e-5, rtol=0.0)
    restored = SymmetricPointTracker(tile, eta=0.25)
    restored.load_state_dict(copy.deepcopy(tracker.state_dict()))
    assert torch.equal(restored.estimate, tracker.estimate)
    assert list(tracker.state_dict()) == ["average"]  # the tile saves itself
    with pytest.raises(ConfigError, match="eta = 0"):
        SymmetricPointTracker(tile, eta=0.0)


def test_the_mean_lies_closer_to_the_symmetric_point_than_the_fast_array() -> None:
    # A collects nothing but noise, which holds it about its symmetric point (papers on residual learning with unknown
    # symmetric points: E |Q - w|^2 <= E |A - w|^2).
    torch.manual_seed(1)
    update = UpdateParameters(desired_bl=1, update_management=False, update_bl_management=False)
    config = SingleRPUConfig(device=SKEW.replaced(dw_min=0.05), update=update)
    layer = AnalogLinear(1, 40, bias=False, rpu_config=config)
    (tile,) = layer.analog_tiles()
    optimizer = AnalogSGD(layer.parameters(), lr=0.1)
    tracker = SymmetricPointTracker(tile, eta=0.01)
    optimizer.register_step_post_hook(lambda *_: tracker.step())
    exact, squares = symmetric_points(tile), torch.zeros(2)
    for step in range(900):
        optimizer.zero_grad()
        (layer(torch.ones(1, 1)) * torch.randn(1, 40)).sum().backward()
        optimizer.step()
        if step >= 500:
            squares += torch.stack([(read - exact).square().mean() for read in (tracker.estimate, tile.get_weights())])
    assert squares[0] < 0.4 * squares[1]
