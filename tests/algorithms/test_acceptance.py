"""The learning rules on problems small enough for a sheet of paper; pulses are certain unless said otherwise."""

from __future__ import annotations

import io
import itertools
import math
from typing import Any

import pytest
import torch

from algorithms.cells import (
    EXACT,
    ONE_PULSE,
    RULES,
    buffer,
    cell,
    close,
    compound,
    everything,
    fast,
    pass_time,
    pointer,
    put,
    same_bits,
    slow,
    tile_of,
)
from ohmgrad.configs import (
    BufferedTransferCompound,
    ChoppedTransferCompound,
    DynamicTransferCompound,
    IOParameters,
    SoftBoundsDevice,
    TransferCompound,
)
from ohmgrad.tile import AnalogTile

CHOPPED = (ChoppedTransferCompound, DynamicTransferCompound)
SHAPES = ((2, 3), (3, 2), (3, 3))


def signs(tile: AnalogTile, chopper: str) -> list[int]:
    return [-1 if flipped else 1 for flipped in tile.algorithm_state()[chopper].tolist()]


# --- 1 and 2: the visible weight -------------------------------------------------------------------------------------


@pytest.mark.parametrize("columns", [True, False])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("rule", CHOPPED)
def test_the_visible_weight_dechops_every_element_by_its_own_row_and_column(
    rule: type[ChoppedTransferCompound], shape: tuple[int, int], columns: bool, implementation: str
) -> None:
    out, inputs = shape
    device = compound(
        rule, gamma=0.5, transfer_columns=columns, in_chop_prob=0.5, in_chop_random=True, out_chop_prob=0.5
    )
    tile = tile_of(shape, device, implementation, update=ONE_PULSE)
    while len(set(signs(tile, "in_chopper"))) < 2 or len(set(signs(tile, "out_chopper"))) < 2:
        pass_time(tile)
    put(
        tile,
        {"hidden_weights_0": torch.arange(1.0, 1.0 + out * inputs).reshape(shape) / 10, "hidden_weights_1": -0.25},
    )
    of_column, of_row = ("in_chopper", "out_chopper") if columns else ("out_chopper", "in_chopper")
    c_x, c_d = signs(tile, of_column), signs(tile, of_row)
    for i, j in itertools.product(range(out), range(inputs)):
        stored = (1 + i * inputs + j) / 10
        assert tile.weight[i, j].item() == pytest.approx(0.5 * c_d[i] * c_x[j] * stored - 0.25, abs=1e-6)


@pytest.mark.parametrize("columns", [True, False])
@pytest.mark.parametrize("rule", CHOPPED)
def test_a_chopper_that_flips_turns_the_contribution_of_its_slice_at_once(
    rule: type[ChoppedTransferCompound], columns: bool, implementation: str
) -> None:
    device = compound(rule, gamma=0.5, transfer_columns=columns, in_chop_prob=1.0, in_chop_random=True, transfer_lr=0.0)
    tile = tile_of((2, 3), device, implementation)
    put(tile, {"hidden_weights_0": 0.4, "hidden_weights_1": 0.1})
    expected = torch.full((2, 3), 0.5 * 0.4 + 0.1)
    close(tile.get_weights(), expected)
    for k in range(3 if columns else 2):
        pass_time(tile)
        expected[(slice(None), k) if columns else (k, slice(None))] = -0.5 * 0.4 + 0.1
        close(tile.get_weights(), expected)


@pytest.mark.parametrize("rule", RULES)
def test_the_visible_weight_follows_the_fast_array_between_transfers(
    rule: type[TransferCompound], implementation: str
) -> None:
    device = compound(rule, gamma=0.5, transfer_every=1000.0, fast_lr=0.01, scale_fast_lr=False)
    tile = tile_of((2, 3), device, implementation, update=ONE_PULSE)
    put(tile, {"hidden_weights_1": 0.2})
    x, d = torch.tensor([1.0, -1.0, 0.0]), torch.tensor([1.0, -1.0])
    for n in range(1, 5):
        tile.update(x[None], d[None])
        close(tile.get_weights(), 0.2 - 0.5 * 0.01 * n * torch.outer(d, x))


# --- 3 to 6: what one transfer writes --------------------------------------------------------------------------------


def test_ttv1_adds_the_read_times_the_transfer_rate_and_returns_to_the_first_column(implementation: str) -> None:
    tile = tile_of((2, 3), compound(TransferCompound), implementation)
    preset = 0.5 * torch.tensor([[1.0, -1.0, 0.0], [-1.0, -1.0, 1.0]])
    put(tile, {"hidden_weights_0": preset})
    for k in range(3):
        assert pointer(tile) == k
        pass_time(tile)
        written = torch.zeros(2, 3)
        written[:, : k + 1] = 0.3 * preset[:, : k + 1]
        close(slow(tile), written)
    assert pointer(tile) == 0
    assert tile.pulse_counts()[1].total.tolist() == [[15, 15, 0], [15, 15, 15]]
    close(fast(tile), preset)


def test_ttv1_writes_the_right_weight_on_average(implementation: str) -> None:
    lanes, slices = 20, 40
    tile = tile_of((lanes, slices), compound(TransferCompound), implementation)
    preset = torch.rand(lanes, slices, generator=torch.Generator().manual_seed(1)) - 0.5
    put(tile, {"hidden_weights_0": preset})
    pass_time(tile, slices, at_once=True)
    error = slow(tile) - 0.3 * preset
    pulse, slots = 0.01, 15  # 0.3 * 0.5 / 0.01 slots at most, each a coin
    assert error.abs().max() < 5.0 * pulse * math.sqrt(slots / 4)
    assert abs(error.mean()) < 4.0 * pulse * math.sqrt(slots / 4 / error.numel())


def test_ttv2_makes_one_step_and_keeps_the_rest_in_its_buffer(implementation: str) -> None:
    device = compound(BufferedTransferCompound, [cell(0.01), cell(0.02)], forget_buffer=False, momentum=0.1)
    tile = tile_of((1, 1), device, implementation)
    put(tile, {"hidden_weights_0": 0.1})
    pass_time(tile)
    close(slow(tile), 0.02)
    close(buffer(tile), 0.03 - 0.9 * 0.02)


@pytest.mark.parametrize(("stored", "steps", "rest"), [(0.05, 1, 0.5), (-0.2, -1, -5.0), (0.03, 0, 0.9)])
def test_ttv3_counts_its_buffer_in_steps_of_the_fast_array(
    stored: float, steps: int, rest: float, implementation: str
) -> None:
    device = compound(ChoppedTransferCompound, [cell(0.01), cell(0.02)], forget_buffer=False)
    tile = tile_of((1, 1), device, implementation)
    put(tile, {"hidden_weights_0": stored})
    pass_time(tile)
    close(slow(tile), 0.02 * steps)
    close(buffer(tile), rest, 1e-5)


@pytest.mark.parametrize("rule", CHOPPED)
@pytest.mark.parametrize(("gamma", "held"), [(0.1, 0.03), (0.0, 0.3)])
def test_the_ratio_of_the_gammas_scales_the_transfer(
    rule: type[ChoppedTransferCompound], gamma: float, held: float, implementation: str
) -> None:
    tile = tile_of((1, 1), compound(rule, gamma=gamma), implementation)
    put(tile, {"hidden_weights_0": 0.01})
    pass_time(tile)
    close(buffer(tile), held)


# --- 7: granularity --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", RULES)
def test_gradients_are_counted_in_steps_of_the_fast_array_however_coarse_the_slow_one_is(
    rule: type[TransferCompound], implementation: str
) -> None:
    device = compound(rule, [cell(1e-3), cell(1e-1)], transfer_every=0.0, fast_lr=0.01, scale_fast_lr=False)
    tile = tile_of((3, 4), device, implementation)
    x, d = torch.tensor([1.0, -0.5, 0.25, 0.8]), torch.tensor([0.9, -0.3, 1.0])
    vectors, slots = 100, 10  # 0.01 / 0.001 slots for the strongest cross point
    tile.update(x.expand(vectors, -1), d.expand(vectors, -1))
    spread = 1e-3 * math.sqrt(vectors * slots / 4)
    close(fast(tile), -0.01 * vectors * torch.outer(d, x), 4.0 * spread)


# --- 8 to 11: schedules ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("columns", "slices"), [(True, 3), (False, 5)])
def test_the_period_grows_along_a_chain_by_the_number_of_slices(
    columns: bool, slices: int, implementation: str
) -> None:
    device = compound(TransferCompound, [cell()] * 3, transfer_every=2.0, transfer_columns=columns)
    tile = tile_of((5, 3), device, implementation)
    for t in range(1, 4 * slices + 1):
        pass_time(tile)
        assert [pointer(tile, k) for k in range(3)] == [t // 2 % slices, t // (2 * slices) % slices, 0]


@pytest.mark.parametrize("rule", CHOPPED)
def test_an_automatic_period_lets_a_cell_cross_its_states_in_a_sweep(
    rule: type[ChoppedTransferCompound], implementation: str
) -> None:
    few_states = cell(dw_min=0.1, bound=0.3)
    tile = tile_of((2, 3), compound(rule, [few_states] * 2, transfer_every=-1.0), implementation)
    seen = []
    for _ in range(6):
        pass_time(tile)
        seen.append((pointer(tile), int(tile.algorithm_state()["transfer_counter"])))
    assert seen == [(0, 0), (1, 0), (1, 0), (2, 0), (2, 0), (0, 1)]


def test_three_reads_with_reset_move_three_columns_and_clear_each_after_its_own_read(implementation: str) -> None:
    steps = [cell(1 / 128)] * 2
    device = compound(TransferCompound, steps, n_reads_per_transfer=3, with_reset_prob=1.0, transfer_lr=0.5)
    tile = tile_of((2, 3), device, implementation, rate=1.0)
    preset = torch.tensor([[8, -16, 32], [-8, 16, 32]]) / 128
    put(tile, {"hidden_weights_0": preset})
    pass_time(tile)
    close(slow(tile), 0.5 * preset)
    assert not fast(tile).any()
    assert pointer(tile) == 0


def test_a_batch_longer_than_the_period_is_applied_and_counted_to_its_end(implementation: str) -> None:
    step = 1 / 128
    rates = {"fast_lr": step, "scale_fast_lr": False, "scale_transfer_lr": False}
    device = compound(TransferCompound, [cell(step)] * 2, transfer_every=4.0, **rates)
    tile, single = (tile_of((2, 5), device, implementation, update=ONE_PULSE) for _ in range(2))
    for batch in (1, 2):
        tile.update(torch.ones(10, 5), torch.ones(10, 2))
        assert (tile.pulse_counts()[0].total == 10 * batch).all()
        close(fast(tile), -10 * step * batch)
    for _ in range(20):
        single.update(torch.ones(1, 5), torch.ones(1, 2))
    # column s was read after 4 (s + 1) vectors, each of which had lowered it by one step
    close(slow(tile), -4 * step * torch.arange(1.0, 6.0).expand(2, 5))
    same_bits(everything(tile), everything(single))


# --- 12: choppers ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("columns", [True, False])
@pytest.mark.parametrize("rule", CHOPPED)
def test_regular_choppers_flip_slice_by_slice_in_the_last_sweep_of_every_phase(
    rule: type[ChoppedTransferCompound], columns: bool, implementation: str
) -> None:
    device = compound(rule, in_chop_prob=0.25, in_chop_random=False, transfer_columns=columns)
    tile = tile_of((2, 3) if columns else (3, 2), device, implementation)
    flips = []
    before = signs(tile, "in_chopper")
    for sweep, s in itertools.product(range(12), range(3)):
        pass_time(tile)
        after = signs(tile, "in_chopper")
        flips += [(sweep, s, k) for k in range(3) if after[k] != before[k]]
        before = after
    assert flips == [(sweep, s, s) for sweep in (3, 7, 11) for s in range(3)]


@pytest.mark.parametrize("probability", [0.25, 0.0])
@pytest.mark.parametrize("rule", CHOPPED)
def test_random_choppers_flip_at_their_own_rate_only(
    rule: type[ChoppedTransferCompound], probability: float, implementation: str
) -> None:
    slices, lanes, sweeps = 40, 40, 40
    device = compound(rule, in_chop_prob=probability, in_chop_random=True, out_chop_prob=probability)
    tile = tile_of((lanes, slices), device, implementation)
    inputs, outputs = 0, 0
    state = tile.algorithm_state()
    for _ in range(sweeps):
        pass_time(tile, slices, at_once=True)
        before, state = state, tile.algorithm_state()
        inputs += int((before["in_chopper"] ^ state["in_chopper"]).sum())
        outputs += int((before["out_chopper"] ^ state["out_chopper"]).sum())
    for flips, chances in ((inputs, slices * sweeps), (outputs, lanes * sweeps)):
        spread = math.sqrt(probability * (1.0 - probability) / chances)
        assert abs(flips / chances - probability) <= 4.0 * spread


@pytest.mark.parametrize("columns", [True, False])
@pytest.mark.parametrize("rule", CHOPPED)
def test_choppers_that_flip_within_a_batch_act_on_the_vectors_that_follow(
    rule: type[ChoppedTransferCompound], columns: bool, implementation: str
) -> None:
    device = compound(
        rule,
        transfer_columns=columns,
        fast_lr=0.01,
        scale_fast_lr=False,
        in_chop_prob=0.5,
        in_chop_random=True,
        out_chop_prob=0.5,
    )
    whole, single = (tile_of((2, 3), device, implementation, update=ONE_PULSE) for _ in range(2))
    whole.update(torch.ones(20, 3), torch.ones(20, 2))
    for _ in range(20):
        single.update(torch.ones(1, 3), torch.ones(1, 2))
    same_bits(everything(whole), everything(single))
    assert (fast(whole).abs() < 0.2 - 1e-6).all()  # no cell kept its sign throughout


@pytest.mark.parametrize("rule", CHOPPED)
def test_regular_choppers_with_probability_zero_never_flip(
    rule: type[ChoppedTransferCompound], implementation: str
) -> None:
    tile = tile_of((2, 3), compound(rule, in_chop_prob=0.0, in_chop_random=False), implementation)
    pass_time(tile, 60, at_once=True)
    assert set(signs(tile, "in_chopper") + signs(tile, "out_chopper")) == {1}


# --- 13: the moving reference of AGAD --------------------------------------------------------------------------------


def test_agad_writes_nothing_for_an_offset_that_ttv3_without_choppers_follows(implementation: str) -> None:
    common: dict[str, Any] = {"in_chop_random": False, "fast_lr": 0.01, "scale_fast_lr": False}
    agad = tile_of((2, 3), compound(DynamicTransferCompound, in_chop_prob=0.5, **common), implementation)
    plain = tile_of((2, 3), compound(ChoppedTransferCompound, in_chop_prob=0.0, **common), implementation)
    for tile in (agad, plain):
        put(tile, {"hidden_weights_0": 0.2})
        pass_time(tile, 3 * 40, at_once=True)
    close(slow(plain), 40 * 0.01)
    assert not slow(agad).any()
    hidden = agad.get_hidden_parameters()
    close(hidden["past_mean_weight"], 0.2)
    close(hidden["running_mean_weight"], 0.2)


def test_agad_learns_an_offset_within_two_phases_of_slow_averaging(implementation: str) -> None:
    phase, offset = 10, 0.2
    device = compound(DynamicTransferCompound, in_chop_prob=1 / phase, tail_weightening=5.0)
    tile = tile_of((2, 3), device, implementation)
    put(tile, {"hidden_weights_0": offset})
    pass_time(tile, 3 * 2 * phase + 3, at_once=True)  # the first sweep of the third phase takes the reference over
    close(tile.get_hidden_parameters()["past_mean_weight"], offset * (1.0 - 0.5 ** (2 * phase)), 1e-6)
    before = slow(tile)
    pass_time(tile, 3 * 5 * phase, at_once=True)
    assert torch.equal(slow(tile), before)


def test_agad_follows_a_ramp_by_its_distance_to_the_mean_of_the_phase_before(implementation: str) -> None:
    phase, beta, step, g_a, g_c, kappa = 4, 0.5, 0.02, 0.01, 0.02, 30.0
    device = compound(
        DynamicTransferCompound, [cell(g_a), cell(g_c)], in_chop_prob=1 / phase, tail_weightening=2.0, momentum=0.25
    )
    tile = tile_of((1, 1), device, implementation)
    c, held, running, past, written, switched = 1, 0.0, 0.0, 0.0, 0.0, False
    moved = 0
    for t in range(6 * phase):
        z = 0.5 + step * t  # an offset, and what a gradient adds in the frame of the stored weights
        put(tile, {"hidden_weights_0": z})
        pass_time(tile)
        past = running if switched else past
        held += kappa * c * (z - past)
        n = max(-1, min(1, math.trunc(held)))
        held = 0.25 * held if n else held
        running = (1.0 - beta) * running + beta * z
        written += g_c * n if t > phase else 0.0
        moved += abs(n) if t > phase else 0
        switched = t % phase == phase - 1
        c = -c if switched else c
        hidden = tile.get_hidden_parameters()
        close(hidden["past_mean_weight"], past, 1e-5)
        close(hidden["running_mean_weight"], running, 1e-5)
        close(hidden["buffered_FP_weight"], held, 1e-4)
        close(hidden["hidden_weights_1"], written, 1e-5)
    assert moved > phase


# --- 14: checkpoints -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("columns", [True, False])
@pytest.mark.parametrize("rule", RULES)
def test_a_checkpoint_in_the_middle_of_a_sweep_goes_on_as_if_nothing_had_happened(
    rule: type[TransferCompound], columns: bool, implementation: str
) -> None:
    special: dict[str, Any] = {"gamma": 0.3, "transfer_columns": columns, "transfer_every": 1.5}
    if issubclass(rule, ChoppedTransferCompound):
        special |= {"in_chop_prob": 0.5, "out_chop_prob": 0.3, "auto_scale": True, "fast_lr": 0.5}
    noisy = SoftBoundsDevice(dw_min=0.01, write_noise_std=0.5)
    device = compound(rule, [noisy, noisy], transfer_forward=IOParameters(w_noise=0.0), **special)
    generator = torch.Generator().manual_seed(3)
    x, d = torch.randn(4, 4, 5, generator=generator), torch.randn(4, 4, 4, generator=generator)
    tile = tile_of((4, 5), device, implementation)
    for n in range(2):
        tile.update(x[n], d[n])
    file = io.BytesIO()
    torch.save(tile.state_dict(), file)
    file.seek(0)
    resumed = tile_of((4, 5), device, implementation, seed=99)
    resumed.load_state_dict(torch.load(file))
    same_bits(everything(resumed), everything(tile))
    for n in range(2, 4):
        for each in (tile, resumed):
            each.update(x[n], d[n])
    same_bits(everything(resumed), everything(tile))
    assert fast(tile).any()
    assert slow(tile).any()


def test_a_written_pulse_of_certain_size_needs_no_pulses_at_all(implementation: str) -> None:
    tile = tile_of((2, 3), compound(TransferCompound, transfer_update=EXACT), implementation)
    put(tile, {"hidden_weights_0": 0.123})
    pass_time(tile, 3)
    close(slow(tile), 0.3 * 0.123)
    assert not tile.pulse_counts()[1].total.any()
