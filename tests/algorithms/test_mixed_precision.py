"""Mixed precision: the digital sum, what of it reaches the device, and when."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
import torch
from torch import Tensor

from algorithms.cells import cell, close, everything, put, same_bits
from builders import steady
from ohmgrad.configs import (
    DigitalRankUpdateRPUConfig,
    IOParameters,
    MixedPrecisionCompound,
    OneSidedUnitCell,
    PulseType,
    ReferenceUnitCell,
    RuntimeParameter,
    SingleRPUConfig,
    SoftBoundsDevice,
    UpdateParameters,
    VectorUnitCell,
    VectorUnitCellUpdatePolicy,
)
from ohmgrad.errors import ConfigError, TileError
from ohmgrad.tile import AnalogTile

STEP = 1.0 / 64
"""A step whose multiples are exact numbers."""

BOTH = pytest.mark.parametrize("implementation", ["reference", "cpu"])


def tile_of(
    shape: tuple[int, int],
    device: Any = None,
    implementation: str = "cpu",
    rate: float = STEP,
    seed: int = 0,
    update: UpdateParameters | None = None,
    **fields: Any,
) -> AnalogTile:
    """A tile ``[out, in]`` of silent cells with steps of 1/64, unless another device is given."""
    torch.manual_seed(seed)
    rule = MixedPrecisionCompound(device=cell(STEP) if device is None else device, **fields)
    config = DigitalRankUpdateRPUConfig(device=rule, runtime=RuntimeParameter(implementation=implementation))
    if update is not None:
        config.update = update
    tile = AnalogTile(*shape, config)
    tile.set_learning_rate(rate)
    return tile


def chi(tile: AnalogTile) -> Tensor:
    return tile.get_hidden_parameters()["hidden_weights_chi"]


def row(tile: AnalogTile) -> int:
    return int(tile.algorithm_state()["current_row_index"])


def train(tile: AnalogTile, batches: int = 4, batch: int = 3, seed: int = 0) -> None:
    generator = torch.Generator().manual_seed(seed)
    for _ in range(batches):
        x, d = (torch.randn(batch, size, generator=generator) for size in (tile.in_size, tile.out_size))
        tile.update(x, d)


# The recursion by hand


@BOTH
def test_whole_steps_go_to_the_device_and_the_rest_waits(implementation: str) -> None:
    tile = tile_of((2, 3), implementation=implementation, rate=2.5 * STEP)
    x, d = torch.tensor([1.0, -1.0, 0.0]), torch.tensor([1.0, -2.0])
    pattern = torch.tensor([[1.0, -1.0, 0.0], [-1.0, 1.0, 0.0]])
    # Row 0 asks for 2.5 steps: 2 are made and half a one waits. Row 1 asks for 5, which are made.
    expected_steps = [torch.tensor([[2.0], [5.0]]), torch.tensor([[5.0], [10.0]]), torch.tensor([[7.0], [15.0]])]
    rests = [0.5, 0.0, 0.5]
    for steps, rest in zip(expected_steps, rests, strict=True):
        tile.update(x, d)
        assert torch.equal(tile.get_weights(), -STEP * steps * pattern)
        assert torch.equal(chi(tile), STEP * torch.tensor([[rest], [0.0]]) * pattern)
    (pulses,) = tile.pulse_counts()
    assert torch.equal(pulses.total, torch.tensor([[7, 7, 0], [15, 15, 0]], dtype=torch.int32))


def test_the_vectors_of_a_batch_are_summed_before_anything_is_written() -> None:
    tile = tile_of((1, 2))
    tile.update(torch.tensor([[4.0, 1.0], [-1.5, -1.0]]), torch.ones(2, 1))
    assert torch.equal(tile.get_weights(), torch.tensor([[-2.0 * STEP, 0.0]]))
    assert torch.equal(chi(tile), torch.tensor([[0.5 * STEP, 0.0]]))


@BOTH
def test_a_granularity_of_its_own_and_a_rate_of_the_transfer_say_what_a_step_is(implementation: str) -> None:
    tile = tile_of((1, 2), implementation=implementation, granularity=4.0 * STEP, transfer_lr=0.5)
    tile.update(torch.tensor([9.0, -9.0]), torch.ones(1))
    assert torch.equal(chi(tile), STEP * torch.tensor([[1.0, -1.0]]))  # 2 steps of 4
    assert torch.equal(tile.get_weights(), STEP * torch.tensor([[-4.0, 4.0]]))  # of which half is written


def test_a_transfer_rate_of_0_takes_from_the_sum_and_writes_nothing() -> None:
    tile = tile_of((1, 1), transfer_lr=0.0)
    tile.update(torch.tensor([2.5]), torch.ones(1))
    assert float(chi(tile)) == 0.5 * STEP
    assert float(tile.get_weights()) == 0.0


def test_pulses_that_do_not_fit_into_a_train_are_lost() -> None:
    tile = tile_of((2, 1), update=UpdateParameters(desired_bl=4))
    tile.update(torch.ones(1), torch.tensor([10.5, 3.5]))
    assert torch.equal(tile.get_weights(), -STEP * torch.tensor([[4.0], [3.0]]))
    assert torch.equal(chi(tile), STEP * torch.tensor([[0.5], [0.5]]))


def test_writes_are_managed_even_if_the_update_of_the_tile_is_not() -> None:
    update = UpdateParameters(desired_bl=31, update_management=False, update_bl_management=False)
    tile = tile_of((3, 2), update=update)
    tile.update(torch.tensor([1.0, -1.0]), torch.tensor([1.0, 7.0, 20.0]))
    assert torch.equal(tile.get_weights(), -STEP * torch.outer(torch.tensor([1.0, 7.0, 20.0]), torch.tensor([1.0, -1])))
    assert tile.rpu_config.update == update


def test_without_pulses_whole_steps_are_written_exactly_and_within_the_bounds() -> None:
    update = UpdateParameters(pulse_type=PulseType.NONE_WITH_DEVICE)
    tile = tile_of((1, 3), cell(STEP, bound=0.5), update=update)
    tile.update(torch.tensor([100.5, 3.75, -1.5]), torch.ones(1))
    assert torch.equal(tile.get_weights(), torch.tensor([[-0.5, -3.0 * STEP, STEP]]))
    assert torch.equal(chi(tile), STEP * torch.tensor([[0.5, 0.75, -0.5]]))


def test_without_a_device_there_is_no_digital_sum_either() -> None:
    tile = tile_of((1, 2), update=UpdateParameters(pulse_type=PulseType.NONE))
    tile.update(torch.tensor([0.25, 1.5]), torch.ones(1))
    assert torch.equal(tile.get_weights(), -STEP * torch.tensor([[0.25, 1.5]]))
    assert list(tile.get_hidden_parameters()) == []


@BOTH
def test_weights_move_by_the_gradient_on_average(implementation: str) -> None:
    copies, batches = 400, 12
    x, d = torch.tensor([0.37, -0.91, 0.08, 1.0]), torch.tensor([1.0, -0.4, 0.15])
    tile = tile_of((3, 4 * copies), cell(0.01, dw_min_std=0.3), implementation, rate=0.05)
    for _ in range(batches):
        tile.update(x.repeat(copies), d)
    total = batches * 0.05 * torch.outer(d, x.repeat(copies))
    assert (chi(tile).abs() <= 0.01).all()  # less than a step waits
    error = (tile.get_weights() + total - chi(tile)).reshape(3, copies, 4)
    assert (error.mean(1).abs() <= 5.0 * error.std(1) / copies**0.5 + 1e-6).all()


def test_a_sum_far_beyond_what_a_device_can_hold_saturates() -> None:
    tile = tile_of((1, 3), transfer_every=0, rate=1e3)
    for _ in range(2):
        tile.update(torch.tensor([[3e38, -3e38, 0.0]] * 2), torch.full((2, 1), 3e38))
    assert torch.equal(chi(tile), 2.0**40 * STEP * torch.tensor([[1.0, -1.0, 0.0]]))


# Bins


@BOTH
@pytest.mark.parametrize("stochastic", [True, False])
@pytest.mark.parametrize("shape", [(3, 5), (5, 3), (1, 4)])
@pytest.mark.parametrize("d_bins", [0, 101])
@pytest.mark.parametrize("x_bins", [0, 101])
def test_the_sum_is_the_gradient_within_the_error_of_the_bins(
    x_bins: int, d_bins: int, shape: tuple[int, int], stochastic: bool, implementation: str
) -> None:
    fields = {"n_x_bins": x_bins, "n_d_bins": d_bins, "stoc_round_x": stochastic, "stoc_round_d": stochastic}
    tile = tile_of(shape, None, implementation, rate=0.1, transfer_every=0, **fields)
    generator = torch.Generator().manual_seed(3)
    x, d = torch.randn(7, shape[1], generator=generator), torch.randn(7, shape[0], generator=generator)
    tile.update(x, d)
    off = 1.0 if stochastic else 0.5  # bins
    x_error, d_error = (
        off / 50 * lines.abs().amax(1, keepdim=True) * (bins > 0) for lines, bins in ((x, x_bins), (d, d_bins))
    )
    bound = 0.1 * (d.abs().t() @ x_error + d_error.t() @ x.abs() + d_error.t() @ x_error)
    error = chi(tile) - 0.1 * d.t() @ x
    assert (error.abs() <= bound + 1e-6).all()
    several_values = (x_bins and shape[1] > 1) or (d_bins and shape[0] > 1)  # a single one is its own largest
    assert (error.abs().amax() > 1e-4) == bool(several_values)


def test_bins_by_hand() -> None:
    fields = {"transfer_every": 0, "rate": 1.0 / 16}
    x, d = torch.tensor([2.0, 0.9, -1.2, 0.0]), torch.tensor([4.0, -0.9, 1.1])
    for bins in (2, 3):
        tile = tile_of((3, 4), n_x_bins=bins, stoc_round_x=False, **fields)
        tile.update(x.expand(20, 4), d.expand(20, 3))
        close(chi(tile), 20 / 16 * torch.outer(d, torch.tensor([2.0, 0.0, -2.0, 0.0])))
        tile = tile_of((3, 4), n_d_bins=bins + 2, stoc_round_d=False, **fields)
        tile.update(x.expand(20, 4), d.expand(20, 3))
        close(chi(tile), 20 / 16 * torch.outer(torch.tensor([4.0, 0.0, 2.0]), x))


@pytest.mark.parametrize("field", ["x", "d"])
def test_stochastic_bins_are_right_on_average_and_fresh_for_every_vector(field: str) -> None:
    count, lines = 4000, torch.tensor([1.0, 0.3, -0.6, 0.0])
    shape = (1, 4) if field == "x" else (4, 1)
    tile = tile_of(shape, transfer_every=0, rate=1.0, **{f"n_{field}_bins": 3})
    repeated, ones = lines.expand(count, 4), torch.ones(count, 1)
    tile.update(*((repeated, ones) if field == "x" else (ones, repeated)))
    spread = (lines.abs() * (1.0 - lines.abs()) / count).sqrt()
    assert ((chi(tile).flatten() / count - lines).abs() <= 5.0 * spread + 1e-6).all()
    before = chi(tile).flatten()
    tile.set_weights(torch.zeros(shape))  # counts anew, but does not draw the same numbers again
    tile.update(*((repeated, ones) if field == "x" else (ones, repeated)))
    assert not torch.equal(chi(tile).flatten(), before)


def test_inputs_and_gradients_are_rounded_independently() -> None:
    count, lines = 4000, torch.tensor([1.0, 0.5])
    tile = tile_of((2, 2), transfer_every=0, rate=1.0, n_x_bins=3, n_d_bins=3)
    tile.update(lines.expand(count, 2), lines.expand(count, 2))
    both_up = float(chi(tile)[1, 1]) / count
    assert abs(both_up - 0.25) <= 5.0 * (0.25 * 0.75 / count) ** 0.5


# When


@pytest.mark.parametrize("every", [1, 2, 3])
def test_a_transfer_happens_at_the_end_of_the_batch_that_completes_a_period(every: int) -> None:
    tile = tile_of((50, 1), transfer_every=every, n_rows_per_transfer=1)
    for batch in range(1, 10):
        tile.update(torch.ones(4, 1), torch.ones(4, 50))
        assert row(tile) == batch // every
        assert int((tile.get_weights() != 0.0).sum()) == batch // every


def test_batches_of_other_sizes_count_by_their_vectors() -> None:
    tile = tile_of((50, 1), transfer_every=2, n_rows_per_transfer=1)
    transfers = []
    for size in (4, 4, 3, 4, 4, 1):  # periods 8, 8, 6, 8, 8, 2
        tile.update(torch.ones(size, 1), torch.ones(size, 50))
        transfers.append(row(tile))
    assert transfers == [0, 1, 1, 1, 2, 3]  # vectors 4, 8, 11, 15, 19, 20
    assert int(tile.algorithm_state()["current_update_index"]) == 20


@BOTH
def test_a_period_is_the_same_however_its_vectors_are_batched(implementation: str) -> None:
    generator = torch.Generator().manual_seed(1)
    x, d = torch.randn(24, 5, generator=generator), torch.randn(24, 4, generator=generator)
    states = []
    for size in (12, 6, 3, 1):
        tile = tile_of((4, 5), SoftBoundsDevice(dw_min=0.02), implementation, rate=0.1, transfer_every=12 // size)
        tile.rpu_config.device.n_x_bins = 11
        for begin in range(0, 24, size):
            tile.update(x[begin : begin + size], d[begin : begin + size])
        states.append(everything(tile))
    assert states[0]["visible"].any()
    for state in states[1:]:
        same_bits(states[0], state)


@pytest.mark.parametrize("fields", [{"transfer_every": 0}, {"n_rows_per_transfer": 0}])
def test_a_transfer_may_never_happen(fields: dict[str, int]) -> None:
    tile = tile_of((3, 2), **fields)
    train(tile, 5)
    assert not tile.get_weights().any()
    assert chi(tile).all()


# Which rows


def test_rows_take_turns_and_wrap() -> None:
    tile = tile_of((5, 3), n_rows_per_transfer=2)
    pulses = torch.zeros(5, dtype=torch.int64)
    for first in (0, 2, 4, 1, 3, 0):
        assert row(tile) == first
        tile.update(torch.ones(3), torch.full((5,), 1.0))
        now = tile.pulse_counts()[0].total[:, 0].long()
        assert set(torch.nonzero(now - pulses)[:, 0].tolist()) == {first, (first + 1) % 5}
        pulses = now
    assert (chi(tile)[2:] > 0.0).all()
    assert not chi(tile)[:2].any()


def test_more_rows_than_there_are_is_all_rows() -> None:
    tile = tile_of((3, 2), n_rows_per_transfer=7)
    tile.update(torch.ones(2), torch.ones(3))
    assert row(tile) == 0
    assert torch.equal(tile.get_weights(), torch.full((3, 2), -STEP))


def test_a_large_sum_is_worked_out_in_pieces_like_a_small_one() -> None:
    tile = tile_of((70, 1000), rate=1.0, n_rows_per_transfer=50)
    x, d = torch.linspace(-0.1, 0.1, 1000), torch.linspace(0.1, 1.0, 70)
    total = torch.zeros(70, 1000)
    for first in (0, 50):
        tile.update(x, d)
        total += torch.outer(d, x)
        written = (first + torch.arange(50)) % 70
        total[written] -= STEP * torch.trunc(total[written] / STEP)
        assert torch.equal(chi(tile), total)


def test_random_rows_are_drawn_evenly_and_alike_in_both_implementations() -> None:
    starts = []
    for implementation, count in (("cpu", 300), ("reference", 30)):
        tile = tile_of((5, 1), None, implementation, random_row=True, n_rows_per_transfer=2)
        drawn = []
        for _ in range(count):
            tile.update(torch.zeros(1), torch.zeros(5))
            drawn.append((row(tile) - 2) % 5)
        starts.append(drawn)
    assert starts[0][:30] == starts[1]
    counts = torch.bincount(torch.tensor(starts[0]), minlength=5)
    assert ((counts - 60).abs() <= 5.0 * (300 * 0.2 * 0.8) ** 0.5).all()
    assert any(b != (a + 2) % 5 for a, b in zip(starts[0], starts[0][1:], strict=False))


def test_a_transfer_of_all_rows_has_no_random_start() -> None:
    tile = tile_of((5, 2), random_row=True)
    for _ in range(10):
        train(tile, 1)
        assert row(tile) == 0


# Cells of several devices


def soft(**fields: Any) -> SoftBoundsDevice:
    return SoftBoundsDevice(**{"dw_min": 0.02, "write_noise_std": 0.3, **fields})


CELLS: dict[str, Any] = {
    "plain": soft(),
    "vector": VectorUnitCell(
        unit_cell_devices=[soft(), soft()], update_policy=VectorUnitCellUpdatePolicy.SINGLE_RANDOM, gamma_vec=[0.7, 0.5]
    ),
    "reference": ReferenceUnitCell(unit_cell_devices=[soft()]),
    "one-sided": OneSidedUnitCell(unit_cell_devices=[soft(w_min=0.0, w_max=0.3)], refresh_every=2),
}
BY_CELL = pytest.mark.parametrize("name", CELLS)
BUSY: dict[str, Any] = {"n_x_bins": 21, "n_d_bins": 21, "n_rows_per_transfer": 3, "random_row": True}


@BY_CELL
@pytest.mark.parametrize("shape", [(4, 5), (7, 3), (1, 33)])
def test_both_implementations_agree(name: str, shape: tuple[int, int]) -> None:
    tiles = [tile_of(shape, CELLS[name], implementation, 0.1, **BUSY) for implementation in ("reference", "cpu")]
    for tile in tiles:
        train(tile, 8)
    close(tiles[1].get_weights(), tiles[0].get_weights(), 2e-5)
    assert torch.equal(chi(tiles[0]), chi(tiles[1]))
    assert any(counts.total.any() for counts in tiles[0].pulse_counts())
    for first, second in zip(*(tile.pulse_counts() for tile in tiles), strict=True):
        assert torch.equal(torch.stack(list(first)), torch.stack(list(second)))


WAYS = {
    "state_dict": lambda tile, name: loaded(tile, name),
    "deepcopy": lambda tile, _: copy.deepcopy(tile),
    "pickle": lambda tile, _: pickle.loads(pickle.dumps(tile)),
}


def loaded(tile: AnalogTile, name: str) -> AnalogTile:
    other = tile_of((4, 5), CELLS[name], seed=7, rate=0.5, transfer_every=3, **BUSY)
    other.load_state_dict(tile.state_dict())
    return other


@BY_CELL
@pytest.mark.parametrize("way", WAYS)
def test_the_sum_survives_and_training_goes_on_as_if_it_had_never_stopped(name: str, way: str) -> None:
    for stop in range(1, 6):  # in every phase of the period
        tile = tile_of((4, 5), CELLS[name], rate=0.1, transfer_every=3, **BUSY)
        train(tile, stop)
        other = WAYS[way](tile, name)
        assert torch.equal(chi(tile), chi(other))
        assert chi(tile).any()
        for each in (tile, other):
            train(each, 4, seed=1)
        same_bits(everything(tile), everything(other))


def test_the_names_of_the_device_come_first_and_the_sum_last() -> None:
    for device in CELLS.values():
        tile = tile_of((2, 3), device)
        alone = AnalogTile(2, 3, SingleRPUConfig(device=device)) if device is CELLS["plain"] else None
        names = list(tile.get_hidden_parameters())
        assert names[-1] == "hidden_weights_chi"
        assert alone is None or names[:-1] == list(alone.get_hidden_parameters())
    assert names[:-1] == [name for name in names if name.endswith(("_0", "_1"))]


def test_the_device_of_a_vector_cell_can_be_chosen() -> None:
    device = VectorUnitCell(
        unit_cell_devices=[cell(STEP)] * 2, update_policy=VectorUnitCellUpdatePolicy.SINGLE_FIXED, gamma_vec=[1.0, 1.0]
    )
    tile = tile_of((1, 1), device)
    tile.set_hidden_update_index(1)
    tile.update(torch.ones(1), torch.ones(1))
    hidden = tile.get_hidden_parameters()
    assert (float(hidden["hidden_weights_0"]), float(hidden["hidden_weights_1"])) == (0.0, -STEP)
    assert int(tile.algorithm_state()["current_device_idx"]) == 1


def test_one_construction_seed_makes_the_same_cells_in_every_tile() -> None:
    first, second, other = (
        tile_of((3, 4), SoftBoundsDevice(), seed=seed, construction_seed=own) for seed, own in ((1, 5), (2, 5), (3, 0))
    )
    bounds = [tile.get_hidden_parameters()["max_bound"] for tile in (first, second, other)]
    assert torch.equal(bounds[0], bounds[1])
    assert not torch.equal(bounds[0], bounds[2])


# The sum and everything else


def test_the_sum_is_set_as_it_is_given_and_its_steps_are_made_at_the_next_transfer() -> None:
    tile = tile_of((2, 2))
    values = STEP * torch.tensor([[2.5, -2.5], [0.0, 0.25]])
    put(tile, {"hidden_weights_chi": values})
    assert torch.equal(chi(tile), values)
    assert not tile.get_weights().any()
    tile.update(torch.zeros(2), torch.zeros(2))
    assert torch.equal(tile.get_weights(), STEP * torch.tensor([[-2.0, 2.0], [0.0, 0.0]]))


def test_a_wrong_sum_is_refused() -> None:
    tile = tile_of((2, 3))
    hidden = tile.get_hidden_parameters()
    with pytest.raises(TileError, match="hidden_weights_chi"):
        tile.set_hidden_parameters({name: value for name, value in hidden.items() if name != "hidden_weights_chi"})
    with pytest.raises(TileError, match="'hidden_weights_chi' is infinite"):
        tile.set_hidden_parameters({**hidden, "hidden_weights_chi": torch.full((2, 3), torch.inf)})


def test_what_happens_to_the_cells_leaves_the_sum_alone() -> None:
    tile = tile_of((3, 4), SoftBoundsDevice(dw_min=0.02, lifetime=10.0, diffusion=0.01), rate=0.1)
    train(tile)
    before, weights = chi(tile), tile.get_weights()
    for act in (tile.decay_weights, tile.diffuse_weights, lambda: tile.clip_weights(0.01), tile.reset):
        act()
        assert torch.equal(chi(tile), before)
        assert not torch.equal(tile.get_weights(), weights)
        weights = tile.get_weights()


def test_setting_weights_empties_the_sum_and_counts_anew() -> None:
    tile = tile_of((3, 4), transfer_every=2, n_rows_per_transfer=1)
    train(tile, 5)
    tile.set_weights(torch.full((3, 4), 0.25))
    assert torch.equal(tile.get_weights(), torch.full((3, 4), 0.25))
    assert not chi(tile).any()
    assert {name: int(value) for name, value in tile.algorithm_state().items()} == {
        "current_row_index": 0,
        "current_update_index": 0,
    }


# Learning


def test_it_learns_a_linear_map_better_than_analog_sgd() -> None:
    perfect = IOParameters(is_perfect=True)
    device = steady(SoftBoundsDevice, dw_min=0.05, dw_min_std=0.3)  # 24 states: far from 0, up and down steps differ
    errors = {}
    for name in ("sgd", "mp"):
        torch.manual_seed(4)
        if name == "sgd":
            config: Any = SingleRPUConfig(device=device)
        else:
            config = DigitalRankUpdateRPUConfig(device=MixedPrecisionCompound(device=device))
        config.forward = config.backward = perfect
        tile = AnalogTile(4, 6, config)
        tile.set_learning_rate(0.05)
        wanted = torch.rand(4, 6) - 0.5
        late = []
        for step in range(400):
            x = torch.randn(4, 6)
            noise = 0.3 * torch.randn(4, 4)
            tile.update(x, x @ (tile.get_weights() - wanted).t() + noise)
            if step >= 200:
                late.append(float((tile.get_weights() - wanted).square().mean()))
        errors[name] = sum(late) / len(late)
    assert errors["mp"] < 0.5 * errors["sgd"]
    assert errors["mp"] ** 0.5 < 2.0 * device.dw_min


# What is not measured


def test_the_share_of_zeros_is_not_measured() -> None:
    tile = tile_of((2, 3), update=UpdateParameters(d_sparsity=True), n_x_bins=5, n_d_bins=5)
    train(tile)
    assert not any("sparsity" in name for name in tile.algorithm_state())
    with pytest.raises(ConfigError, match="compute_sparsity"):
        MixedPrecisionCompound(compute_sparsity=True)  # type: ignore[call-arg]


# What is refused


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"device": cell(), "n_x_bins": 1}, r"MixedPrecisionCompound\.n_x_bins = 1 .*at least 2"),
        ({"device": cell(), "n_d_bins": 1}, r"MixedPrecisionCompound\.n_d_bins = 1 .*at least 2"),
        ({"device": VectorUnitCell()}, r"VectorUnitCell\.unit_cell_devices is empty"),
        ({}, r"VectorUnitCell\.unit_cell_devices is empty"),
    ],
)
def test_what_does_not_fit_together_is_refused_when_used(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        AnalogTile(2, 3, DigitalRankUpdateRPUConfig(device=MixedPrecisionCompound(**fields)))
