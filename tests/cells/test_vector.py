"""Vector cells: several devices store one weight, and a policy says which of them is pulsed."""

from __future__ import annotations

import copy
import re
from typing import Any

import pytest
import torch

from algorithms.cells import ONE_PULSE, cell, put, tile_of
from builders import perfect
from ohmgrad.configs import (
    PulsedDevice,
    ReferenceUnitCell,
    SoftBoundsDevice,
    UnitCellRPUConfig,
    VectorUnitCell,
    VectorUnitCellUpdatePolicy,
)
from ohmgrad.errors import ConfigError, TileError
from ohmgrad.tile import AnalogTile

Policy = VectorUnitCellUpdatePolicy
POLICIES = list(Policy)
STEP = 0.01


def noisy() -> PulsedDevice:
    return SoftBoundsDevice(dw_min=0.02, write_noise_std=0.5)


def one_pulse_each(tile: AnalogTile, samples: int) -> None:
    """Every cell gets one down pulse in every sample."""
    tile.update(torch.ones(samples, tile.in_size), torch.ones(samples, tile.out_size))


def vector_tile(devices: int, policy: Policy, implementation: str = "cpu", **fields: Any) -> AnalogTile:
    device = VectorUnitCell(unit_cell_devices=[cell(STEP)] * devices, update_policy=policy, **fields)
    return tile_of((2, 3), device, implementation, rate=STEP, update=ONE_PULSE)


def train(tile: AnalogTile, batches: int = 3, batch: int = 4, seed: int = 0) -> None:
    generator = torch.Generator().manual_seed(seed)
    for _ in range(batches):
        x, d = (torch.randn(batch, size, generator=generator) for size in (tile.in_size, tile.out_size))
        tile.update(x, d)


def hidden_weights(tile: AnalogTile, count: int) -> list[torch.Tensor]:
    hidden = tile.get_hidden_parameters()
    return [hidden[f"hidden_weights_{k}"] for k in range(count)]


@pytest.mark.parametrize("implementation", ["reference", "cpu"])
@pytest.mark.parametrize("policy", POLICIES)
def test_the_weight_is_the_weighted_sum_of_the_devices(policy: Policy, implementation: str) -> None:
    gammas = [0.5, 2.0, -1.0]
    device = VectorUnitCell(unit_cell_devices=[noisy()] * 3, update_policy=policy, gamma_vec=gammas)
    tile = tile_of((4, 5), device, implementation)
    for act in (lambda: train(tile), lambda: tile.set_weights(torch.rand(4, 5) - 0.5), lambda: train(tile, 1)):
        act()
        total = sum(gamma * w for gamma, w in zip(gammas, hidden_weights(tile, 3), strict=True))
        torch.testing.assert_close(tile.get_weights(), total, rtol=0.0, atol=1e-6)


@pytest.mark.parametrize("policy", POLICIES)
def test_both_implementations_pulse_the_same_cells(policy: Policy) -> None:
    tiles = [
        tile_of((7, 33), VectorUnitCell(unit_cell_devices=[noisy()] * 3, update_policy=policy), implementation)
        for implementation in ("reference", "cpu")
    ]
    for tile in tiles:
        train(tile)
    for first, second in zip(*(hidden_weights(tile, 3) for tile in tiles), strict=True):
        torch.testing.assert_close(first, second, rtol=0.0, atol=1e-5)
    counts = [[torch.stack(list(each)) for each in tile.pulse_counts()] for tile in tiles]
    assert all(torch.equal(a, b) for a, b in zip(*counts, strict=True))


def test_under_the_policy_all_every_device_gets_the_same_trains() -> None:
    tile = tile_of((4, 5), VectorUnitCell(unit_cell_devices=[cell(STEP)] * 3))
    train(tile)
    first, *others = hidden_weights(tile, 3)
    assert first.abs().max() > 0.0
    assert all(torch.equal(first, other) for other in others)


@pytest.mark.parametrize("index", [0, 2])
def test_under_the_policy_fixed_only_the_chosen_device_is_pulsed(index: int) -> None:
    tile = vector_tile(3, Policy.SINGLE_FIXED)
    tile.set_hidden_update_index(index)
    assert tile.get_hidden_update_index() == index
    one_pulse_each(tile, 5)
    for k, weight in enumerate(hidden_weights(tile, 3)):
        torch.testing.assert_close(weight, torch.full((2, 3), -5 * STEP if k == index else 0.0))


@pytest.mark.parametrize("first", [0, 1])
def test_under_the_policy_sequential_the_devices_take_turns_beginning_with_the_first(first: int) -> None:
    tile = vector_tile(3, Policy.SINGLE_SEQUENTIAL, first_update_idx=first)
    one_pulse_each(tile, 1)
    assert [float(w[0, 0]) != 0.0 for w in hidden_weights(tile, 3)] == [k == first for k in range(3)]
    one_pulse_each(tile, 3)
    one_pulse_each(tile, 4)
    visits = [round(-float(w[0, 0]) / STEP) for w in hidden_weights(tile, 3)]
    assert visits == [3 if k in (first, (first + 1) % 3) else 2 for k in range(3)]
    assert tile.get_hidden_update_index() == (first + 8) % 3


def test_under_the_policy_random_every_device_gets_its_share_of_the_samples() -> None:
    samples = 6000
    device = VectorUnitCell(unit_cell_devices=[cell(STEP, bound=1e4)] * 3, update_policy=Policy.SINGLE_RANDOM)
    tile = tile_of((1, 1), device, rate=STEP, update=ONE_PULSE)
    one_pulse_each(tile, samples)
    visits = torch.tensor([-float(w[0, 0]) / STEP for w in hidden_weights(tile, 3)])
    assert round(float(visits.sum())) == samples
    assert (visits - samples / 3).abs().max() < 5 * (samples * 2 / 9) ** 0.5


@pytest.mark.parametrize("policy", POLICIES)
def test_a_batch_may_be_cut_anywhere(policy: Policy) -> None:
    device = VectorUnitCell(unit_cell_devices=[noisy()] * 2, update_policy=policy)
    whole, cut = tile_of((5, 6), device), tile_of((5, 6), device)
    x, d = torch.randn(9, 6, generator=torch.Generator().manual_seed(0)), torch.ones(9, 5)
    whole.update(x, d)
    for part in (slice(0, 1), slice(1, 6), slice(6, 9)):
        cut.update(x[part], d[part])
    assert torch.equal(whole.get_weights(), cut.get_weights())


@pytest.mark.parametrize("gammas", [[], [1.0, 1.0], [0.5, 2.0], [1.0, -1.0], [1.0, 0.0]])
@pytest.mark.parametrize("policy", POLICIES)
def test_what_is_set_is_what_is_got(policy: Policy, gammas: list[float]) -> None:
    tile = vector_tile(2, policy, gamma_vec=gammas)
    put(tile, {"hidden_weights_1": torch.full((2, 3), 0.3)})
    wanted = torch.linspace(-1.0, 1.0, 6).reshape(2, 3)
    tile.set_weights(wanted)
    torch.testing.assert_close(tile.get_weights(), wanted)


@pytest.mark.parametrize("devices", [1, 2])
def test_a_reference_cell_shows_the_difference_to_its_reference(devices: int) -> None:
    tile = tile_of((2, 3), ReferenceUnitCell(unit_cell_devices=[cell(STEP)] * devices), rate=STEP, update=ONE_PULSE)
    put(tile, {"hidden_weights_1": 0.5})
    torch.testing.assert_close(tile.get_weights(), torch.full((2, 3), -0.5))
    tile.set_weights(torch.full((2, 3), 0.3))
    torch.testing.assert_close(tile.get_weights(), torch.full((2, 3), 0.3))
    one_pulse_each(tile, 2)
    weight, reference = hidden_weights(tile, 2)
    torch.testing.assert_close(weight, torch.full((2, 3), 0.8 - 2 * STEP))
    torch.testing.assert_close(reference, torch.full((2, 3), 0.5))


def test_pulses_are_counted_with_the_mean_granularity() -> None:
    device = VectorUnitCell(unit_cell_devices=[cell(0.01), cell(0.03)])
    assert device.weight_granularity == pytest.approx(0.02)
    tile = tile_of((1, 1), device, rate=0.1)
    tile.update(torch.ones(1, 1), torch.ones(1, 1))  # 0.1 / 0.02 = 5 pulses, all certain
    assert [round(float(w), 6) for w in hidden_weights(tile, 2)] == [-0.05, -0.15]


def test_hidden_parameters_of_a_nested_cell_are_numbered_outward() -> None:
    inner = VectorUnitCell(unit_cell_devices=[cell(), cell()])
    tile = tile_of((2, 2), VectorUnitCell(unit_cell_devices=[cell(), inner]))
    names = list(tile.get_hidden_parameters())
    common = [name[: -len("_0")] for name in names[: names.index("hidden_weights_0")]]
    expected = [f"{name}_0" for name in [*common, "hidden_weights"]]
    for k in (0, 1):
        expected += [f"{name}_{k}_1" for name in [*common, "hidden_weights"]]
    assert names == [*expected, "hidden_weights_1"]


def test_devices_of_a_cell_differ_although_their_parameters_are_the_same() -> None:
    hidden = tile_of((4, 4), VectorUnitCell(unit_cell_devices=[noisy()] * 2)).get_hidden_parameters()
    assert not torch.equal(hidden["max_bound_0"], hidden["max_bound_1"])


def test_time_acts_on_every_device_by_its_own_parameters() -> None:
    device = VectorUnitCell(unit_cell_devices=[cell(lifetime=2.0), cell()])
    tile = tile_of((1, 1), device)
    tile.set_weights(torch.full((1, 1), 0.4))
    tile.post_update_step()
    assert [round(float(w), 6) for w in hidden_weights(tile, 2)] == [0.2, 0.4]
    assert float(tile.get_weights()) == pytest.approx(0.3)


@pytest.mark.parametrize("policy", POLICIES)
def test_a_saved_tile_goes_on_as_if_it_had_not_been_saved(policy: Policy) -> None:
    device = VectorUnitCell(unit_cell_devices=[noisy()] * 2, update_policy=policy)
    tile, loaded = tile_of((5, 6), device), tile_of((5, 6), device, seed=7)
    train(tile)
    loaded.load_state_dict(tile.state_dict())
    copied = copy.deepcopy(tile)
    for each in (tile, loaded, copied):
        train(each, seed=1)
    assert torch.equal(tile.get_weights(), loaded.get_weights())
    assert torch.equal(tile.get_weights(), copied.get_weights())


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "unit_cell_devices is empty"),
        ({"unit_cell_devices": [1.0]}, "holds float. Give a pulsed device or a cell"),
        ({"unit_cell_devices": [cell()], "gamma_vec": [1.0, 2.0]}, "gamma_vec has 2 entries for 1 devices"),
        ({"unit_cell_devices": [cell()] * 2, "gamma_vec": [0.0, 0.0]}, "not all 0"),
        ({"unit_cell_devices": [cell()], "first_update_idx": 1}, "first_update_idx = 1: there are 1 devices"),
        (
            {"unit_cell_devices": [cell()] * 2, "gamma_vec": [0.0, 1.0], "update_policy": Policy.SINGLE_FIXED},
            "the weight of that device in gamma_vec is 0",
        ),
    ],
)
def test_a_cell_that_does_not_fit_together_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        AnalogTile(2, 2, UnitCellRPUConfig(device=VectorUnitCell(**fields)))


def test_a_reference_cell_takes_no_third_device() -> None:
    with pytest.raises(ConfigError, match="has 3 devices"):
        AnalogTile(2, 2, UnitCellRPUConfig(device=ReferenceUnitCell(unit_cell_devices=[cell()] * 3)))


@pytest.mark.parametrize("index", [-1, 2])
def test_a_device_that_does_not_exist_cannot_be_chosen(index: int) -> None:
    tile = vector_tile(2, Policy.SINGLE_FIXED)
    with pytest.raises(TileError, match=f"no device {index} to choose"):
        tile.set_hidden_update_index(index)


def test_a_layer_of_vector_cells_is_trained_by_an_optimizer() -> None:
    from ohmgrad.nn import AnalogLinear
    from ohmgrad.optim import AnalogSGD

    torch.manual_seed(3)
    device = VectorUnitCell(unit_cell_devices=[SoftBoundsDevice(dw_min=0.002)] * 2)
    layer = AnalogLinear(4, 2, bias=False, rpu_config=perfect(UnitCellRPUConfig(device=device)))
    optimizer = AnalogSGD(layer.parameters(), lr=0.1)
    x, target = torch.randn(20, 4), torch.full((2, 4), 0.2)
    losses = []
    for _ in range(60):
        optimizer.zero_grad()
        loss = (layer(x) - x @ target.t()).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.05 * losses[0]
