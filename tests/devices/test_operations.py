"""What happens to cells without pulses: setting, decay, diffusion, clipping, reset, and write noise."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from scipy import stats
from torch import Tensor

from builders import steady
from ohmgrad.configs import (
    ConstantStepDevice,
    IdealDevice,
    IOParameters,
    PowStepReferenceDevice,
    PulsedDevice,
    PulseType,
    SingleRPUConfig,
    SoftBoundsDevice,
    SoftBoundsReferenceDevice,
    TransferCompound,
    UnitCellRPUConfig,
    UpdateParameters,
)
from ohmgrad.errors import TileError
from ohmgrad.tile import AnalogTile

IMPLEMENTATIONS = pytest.mark.parametrize("implementation", ["reference", "cpu"])
KINDS = pytest.mark.parametrize("kind", [ConstantStepDevice, SoftBoundsDevice, IdealDevice])


def tile_of(device: Any, rows: int = 3, columns: int = 4, weight: float | Tensor = 0.0, **config: Any) -> AnalogTile:
    torch.manual_seed(5)
    implementation = config.pop("implementation", "auto")
    settings = SingleRPUConfig(device=device, **config)
    settings.runtime.implementation = implementation
    tile = AnalogTile(rows, columns, settings)
    tile.set_weights(torch.as_tensor(weight).expand(rows, columns))
    return tile


def even(kind: Any, **fields: Any) -> Any:
    """A device without variation, of any kind."""
    return kind(**fields) if kind is IdealDevice else steady(kind, **fields)


def all_are(tile: AnalogTile, value: float) -> bool:
    return bool(torch.allclose(tile.get_weights(), torch.full((tile.out_size, tile.in_size), value), atol=1e-7))


# Decay


def test_weights_decay_to_the_reset_bias_in_their_lifetime() -> None:
    tile = tile_of(steady(SoftBoundsDevice, lifetime=10.0, reset=0.2), weight=0.4)
    for expected in (0.38, 0.362):
        tile.decay_weights()
        assert all_are(tile, expected)


@KINDS
def test_weights_of_every_device_decay(kind: Any) -> None:
    tile = tile_of(even(kind, lifetime=10.0), weight=0.5)
    tile.decay_weights()
    assert all_are(tile, 0.45)
    tile.decay_weights(alpha=0.5)
    assert all_are(tile, 0.45 * 0.95)


@KINDS
@pytest.mark.parametrize("lifetime", [1.0, 0.5, 1e-3])
def test_a_lifetime_of_up_to_one_step_loses_everything_in_one_step(kind: Any, lifetime: float) -> None:
    tile = tile_of(even(kind, lifetime=lifetime), weight=0.5)
    tile.decay_weights()
    assert all_are(tile, 0.0)


@KINDS
def test_without_a_lifetime_nothing_decays(kind: Any) -> None:
    tile = tile_of(even(kind), weight=0.5)
    tile.decay_weights()
    assert all_are(tile, 0.5)


def test_decay_ends_at_the_bounds() -> None:
    tile = tile_of(steady(ConstantStepDevice, lifetime=2.0, reset=5.0), weight=0.5)
    tile.decay_weights()
    assert all_are(tile, 0.6)


# Diffusion


@KINDS
@IMPLEMENTATIONS
def test_weights_walk_at_random(kind: Any, implementation: str) -> None:
    tile = tile_of(even(kind, diffusion=0.01), 60, 50, 0.1, implementation=implementation)
    for steps in (1, 2, 3):
        tile.diffuse_weights()
        walked = (tile.get_weights() - 0.1).flatten().numpy()
        assert stats.kstest(walked, "norm", (0.0, 0.01 * math.sqrt(steps))).pvalue > 0.001


def test_every_cell_walks_at_its_own_rate_within_its_bounds() -> None:
    tile = tile_of(ConstantStepDevice(diffusion=0.01, diffusion_dtod=0.5), 30, 40)
    tile.diffuse_weights()
    cells = tile.get_hidden_parameters()
    assert stats.kstest((tile.get_weights() / cells["diffusion_rates"]).flatten().numpy(), "norm").pvalue > 0.001
    wild = tile_of(ConstantStepDevice(diffusion=10.0), 30, 40)
    wild.diffuse_weights()
    cells = wild.get_hidden_parameters()
    assert (wild.get_weights() <= cells["max_bound"]).all()
    assert (wild.get_weights() >= cells["min_bound"]).all()


# Reset


@KINDS
def test_a_reset_leads_to_the_bias_and_a_noise_of_its_own(kind: Any) -> None:
    bias = 0.0 if kind is IdealDevice else 0.2
    device = even(kind, reset_std=0.02) if kind is IdealDevice else even(kind, reset=bias, reset_std=0.02)
    tile = tile_of(device, 60, 50, 0.5)
    tile.reset()
    first = tile.get_weights()
    assert stats.kstest((first - bias).flatten().numpy(), "norm", (0.0, 0.02)).pvalue > 0.001
    tile.reset()
    assert (tile.get_weights() != first).all()


@KINDS
def test_a_reset_without_noise_is_exact(kind: Any) -> None:
    tile = tile_of(even(kind, reset_std=0.0), weight=0.5)
    tile.reset()
    assert all_are(tile, 0.0)


@KINDS
@pytest.mark.parametrize(
    ("start", "count", "columns"),
    [(1, 2, [1, 2]), (3, 2, [3, 0]), (2, -1, [0, 1, 2, 3]), (0, 9, [0, 1, 2, 3]), (-1, 1, [3]), (2, 0, [])],
)
def test_only_the_columns_asked_for_are_reset(kind: Any, start: int, count: int, columns: list[int]) -> None:
    tile = tile_of(even(kind, reset_std=0.0), weight=0.5)
    tile.reset_columns(start, count)
    expected = torch.full((3, 4), 0.5)
    expected[:, columns] = 0.0
    assert torch.equal(tile.get_weights(), expected)


@KINDS
@IMPLEMENTATIONS
def test_each_cell_is_reset_with_the_probability_given(kind: Any, implementation: str) -> None:
    tile = tile_of(even(kind, reset_std=0.0), 60, 50, 0.5, implementation=implementation)
    tile.reset(0.3)
    lost = float((tile.get_weights() == 0.0).float().mean())
    assert abs(lost - 0.3) <= 4 * (0.3 * 0.7 / 3000) ** 0.5
    left = (tile.get_weights() != 0.0).sum()
    tile.reset(0.5)  # other cells than before
    assert 0.4 <= float((tile.get_weights() != 0.0).sum() / left) <= 0.6


@KINDS
def test_a_reset_with_probability_0_does_nothing_at_all(kind: Any) -> None:
    tile = tile_of(even(kind), weight=0.5)
    before = {name: value.clone() for name, value in tile.state_dict().items()}
    tile.reset(0.0)
    assert all(torch.equal(value, before[name]) for name, value in tile.state_dict().items())


@pytest.mark.parametrize("probability", [-0.1, 1.1, math.nan])
def test_a_reset_probability_outside_0_and_1_is_refused(probability: float) -> None:
    tile = tile_of(ConstantStepDevice())
    with pytest.raises(TileError, match=f"reset probability {probability}"):
        tile.reset(probability)


def test_only_the_fast_array_of_a_compound_is_reset() -> None:
    device = steady(ConstantStepDevice, reset_std=0.0)
    compound = TransferCompound(unit_cell_devices=[device, device], gamma=0.5)
    tile = AnalogTile(2, 2, UnitCellRPUConfig(device=compound))
    hidden = tile.get_hidden_parameters()
    hidden["hidden_weights_0"].fill_(0.4)
    hidden["hidden_weights_1"].fill_(0.3)
    tile.set_hidden_parameters(hidden)
    assert all_are(tile, 0.5)
    tile.reset()
    assert all_are(tile, 0.3)


# Bounds and clipping


@pytest.mark.parametrize("kind", [ConstantStepDevice, SoftBoundsDevice])
def test_weights_are_set_within_the_bounds_of_each_cell(kind: type[PulsedDevice]) -> None:
    tile = tile_of(kind(), 30, 40, 5.0)
    cells = tile.get_hidden_parameters()
    assert torch.equal(tile.get_weights(), cells["max_bound"])
    tile.set_weights(torch.full((30, 40), -5.0))
    assert torch.equal(tile.get_weights(), cells["min_bound"])


@KINDS
def test_weights_may_be_clipped_further(kind: Any) -> None:
    weights = torch.linspace(-0.5, 0.5, 12).reshape(3, 4)
    tile = tile_of(even(kind), weight=weights)
    tile.clip_weights()
    assert torch.equal(tile.get_weights(), weights)
    tile.clip_weights(0.2)
    assert torch.equal(tile.get_weights(), weights.clamp(-0.2, 0.2))
    tile.clip_weights(0.0)
    assert all_are(tile, 0.0)


# One frame of the devices with a reference

REFERENCES = pytest.mark.parametrize("kind", [SoftBoundsReferenceDevice, PowStepReferenceDevice])


def referred(kind: Any, **fields: Any) -> Any:
    return steady(kind, dw_min=0.01, w_max=1.0, w_min=-1.0, reference_mean=0.3, reset_std=0.0, **fields)


@REFERENCES
def test_weights_are_bounded_as_seen_from_the_reference(kind: Any) -> None:
    assert all_are(tile_of(referred(kind), weight=0.9), 0.7)
    assert all_are(tile_of(referred(kind), weight=-1.25), -1.25)
    assert all_are(tile_of(referred(kind), weight=-1.5), -1.3)


@REFERENCES
@IMPLEMENTATIONS
def test_pulses_at_the_bounds_stay_numbers(kind: Any, implementation: str) -> None:
    fields = {"pow_gamma": 1.3} if kind is PowStepReferenceDevice else {}
    for weight, gradient in ((0.9, -1.0), (-1.5, 1.0)):
        tile = tile_of(referred(kind, **fields), weight=weight, implementation=implementation)
        before = tile.get_weights()
        tile.set_learning_rate(0.1)
        tile.update(torch.ones(4), gradient * torch.ones(3))
        torch.testing.assert_close(tile.get_weights(), before)


@REFERENCES
@pytest.mark.parametrize("symmetric", [False, True])
def test_reset_and_decay_lead_to_0_and_the_bias_as_seen_from_the_reference(kind: Any, symmetric: bool) -> None:
    fields = {"subtract_symmetry_point": symmetric, "up_down": 0.3}
    tile = tile_of(referred(kind, **fields), weight=0.4)
    tile.reset()
    assert all_are(tile, 0.0)
    tile = tile_of(referred(kind, reset=0.2, lifetime=10.0, **fields), weight=0.4)
    tile.decay_weights()
    assert all_are(tile, 0.38)
    tile.reset()
    assert all_are(tile, 0.2)
    far = tile_of(referred(kind, reset=5.0), weight=0.4)
    far.reset()
    assert all_are(far, 0.7)


# Write noise


def noisy(**fields: Any) -> Any:
    return steady(SoftBoundsDevice, dw_min=0.01, write_noise_std=5.0, **fields)


@IMPLEMENTATIONS
def test_setting_weights_shows_them_with_write_noise(implementation: str) -> None:
    tile = tile_of(noisy(), 60, 50, implementation=implementation)
    assert stats.kstest(tile.get_weights().flatten().numpy(), "norm", (0.0, 0.05)).pvalue > 0.001
    assert not tile.get_hidden_parameters()["persistent_weights"].any()
    first = tile.get_weights()
    tile.set_weights(torch.zeros(60, 50))
    assert (tile.get_weights() != first).all()


def test_setting_weights_may_leave_write_noise_to_the_next_operation() -> None:
    tile = tile_of(noisy(apply_write_noise_on_set=False, lifetime=1e9), 60, 50)
    assert not tile.get_weights().any()
    tile.decay_weights(alpha=0.0)  # changes no state, and redraws
    assert stats.kstest(tile.get_weights().flatten().numpy(), "norm", (0.0, 0.05)).pvalue > 0.001


@pytest.mark.parametrize("operation", ["decay_weights", "diffuse_weights", "clip_weights", "reset_columns"])
def test_operations_redraw_all_write_noise_and_none_of_it_accumulates(operation: str) -> None:
    tile = tile_of(noisy(lifetime=1e9, diffusion=1e-9, reset_std=0.0), 60, 50)
    seen = [tile.get_weights()]
    for _ in range(20):
        getattr(tile, operation)()
        assert (tile.get_weights() != seen[-1]).all()
        seen.append(tile.get_weights())
    assert stats.kstest(seen[-1].flatten().numpy(), "norm", (0.0, 0.05)).pvalue > 0.001
    assert abs(float(torch.corrcoef(torch.stack([seen[-1].flatten(), seen[-2].flatten()]))[0, 1])) < 0.08


@IMPLEMENTATIONS
def test_a_pulse_moves_the_hidden_weight_and_redraws_the_noise_of_its_cell_only(implementation: str) -> None:
    tile = tile_of(noisy(), 30, 40, implementation=implementation)
    before, hidden = tile.get_weights(), tile.get_hidden_parameters()["persistent_weights"]
    tile.set_learning_rate(0.01)
    x, d = torch.zeros(40), torch.zeros(30)
    x[::2], d[:10] = 1.0, -1.0
    tile.update(x, d)
    after, persistent = tile.get_weights(), tile.get_hidden_parameters()["persistent_weights"]
    touched = torch.outer(d, x) != 0.0
    assert torch.equal(after != before, touched)
    assert torch.equal(persistent[~touched], hidden[~touched])
    torch.testing.assert_close(persistent[touched], hidden[touched] + 0.01)
    assert stats.kstest((after - persistent)[touched].numpy(), "norm", (0.0, 0.05)).pvalue > 0.001


def test_pulses_move_the_hidden_weight_as_if_there_were_no_noise() -> None:
    quiet, loud = (tile_of(noisy().replaced(write_noise_std=std), 5, 6, 0.1) for std in (0.0, 5.0))
    generator = torch.Generator().manual_seed(0)
    for _ in range(10):
        x, d = torch.randn(3, 6, generator=generator), torch.randn(3, 5, generator=generator)
        quiet.update(x, d)
        loud.update(x, d)
    assert torch.equal(loud.get_hidden_parameters()["persistent_weights"], quiet.get_weights())


def test_forward_sees_what_is_shown_not_what_is_hidden() -> None:
    tile = tile_of(noisy(), 3, 4, forward=IOParameters(is_perfect=True))
    assert torch.equal(tile(torch.eye(4)).detach(), tile.get_weights().t())


# Updates without pulses


def test_pulse_type_none_leaves_nothing_of_the_device_but_its_diffusion_decay_and_reset() -> None:
    update = UpdateParameters(pulse_type=PulseType.NONE)
    tile = tile_of(steady(SoftBoundsDevice, lifetime=10.0, reset_std=0.0), weight=5.0, update=update)
    assert all_are(tile, 5.0)
    assert tile.get_hidden_parameters() == {}
    tile.set_learning_rate(0.1)
    tile.update(torch.full((2, 4), 1.0), torch.full((2, 3), 5.0))
    assert all_are(tile, 4.0)
    tile.decay_weights()
    assert all_are(tile, 3.6)
    tile.reset()
    assert all_are(tile, 0.0)


@IMPLEMENTATIONS
def test_pulse_type_none_with_device_keeps_the_exact_update_within_the_bounds(implementation: str) -> None:
    update = UpdateParameters(pulse_type=PulseType.NONE_WITH_DEVICE)
    tile = tile_of(steady(SoftBoundsDevice), weight=0.1, update=update, implementation=implementation)
    tile.set_learning_rate(0.1)
    tile.update(torch.full((4,), 1.0), torch.tensor([0.5, -0.5, 0.0]))
    torch.testing.assert_close(tile.get_weights(), torch.tensor([[0.05], [0.15], [0.1]]).expand(3, 4))
    # Sample by sample: the first leads to the bound, the second back from it.
    tile.update(torch.full((2, 4), 1.0), torch.tensor([[-90.0] * 3, [1.0] * 3]))
    assert all_are(tile, 0.5)


def test_the_exact_update_goes_to_the_hidden_weight_and_is_seen_through_write_noise() -> None:
    update = UpdateParameters(pulse_type=PulseType.NONE_WITH_DEVICE)
    tile = tile_of(noisy(), 60, 50, 0.1, update=update)
    tile.set_learning_rate(0.1)
    tile.update(torch.ones(50), torch.ones(60))
    persistent = tile.get_hidden_parameters()["persistent_weights"]
    torch.testing.assert_close(persistent, torch.zeros(60, 50), rtol=0.0, atol=1e-7)
    assert stats.kstest(tile.get_weights().flatten().numpy(), "norm", (0.0, 0.05)).pvalue > 0.001


def test_a_reset_wears_the_cell_like_a_pulse() -> None:
    tile = AnalogTile(3, 4, SingleRPUConfig(device=SoftBoundsDevice()))
    before = tile.pulse_counts()[0].resets
    tile.reset_columns(1, 2)
    assert (tile.pulse_counts()[0].resets - before).tolist() == [[0, 1, 1, 0]] * 3
