"""Each parameter of the learning rules does what its description says."""

from __future__ import annotations

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
    IdealDevice,
    IOParameters,
    NoiseManagementType,
    PulseType,
    TransferCompound,
    UpdateParameters,
    WeightNoiseType,
)
from ohmgrad.errors import ConfigError
from ohmgrad.tile import AnalogTile

BUFFERED = RULES[1:]
CHOPPED = RULES[2:]
CHAINS = RULES[:2]
STEADY: dict[str, Any] = {"in_chop_prob": 0.0}
"""Choppers that never flip."""


def one_by_one(x: float, d: float, count: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.full((count, 1), x), torch.full((count, 1), d)


# --- the visible weight ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", RULES)
def test_with_gamma_zero_the_visible_weight_is_the_memory_of_the_slow_array(rule: type[TransferCompound]) -> None:
    tile = tile_of((3, 4), compound(rule))
    for _ in range(2):
        assert tile.weight.data_ptr() == tile.rule.all_arrays()[-1].weight.data_ptr()
        tile.update(torch.ones(3, 4), torch.ones(3, 3))


@pytest.mark.parametrize(
    ("fields", "gammas"),
    [
        ({"gamma": 0.5}, (0.25, 0.5, 1.0)),
        ({"gamma": 0.0}, (0.0, 0.0, 1.0)),
        ({"gamma": 2.0}, (4.0, 2.0, 1.0)),
        ({"gamma_vec": [0.5, -0.5, 1.0]}, (0.5, -0.5, 1.0)),
        ({"gamma_vec": [0.0, 0.0, 2.0]}, (0.0, 0.0, 2.0)),
    ],
)
@pytest.mark.parametrize("rule", CHAINS)
def test_every_array_is_seen_with_its_own_gamma(
    rule: type[TransferCompound], fields: dict[str, Any], gammas: tuple[float, ...]
) -> None:
    tile = tile_of((2, 3), compound(rule, [cell()] * 3, **fields))
    put(tile, {"hidden_weights_0": 0.1, "hidden_weights_1": 0.2, "hidden_weights_2": 0.4})
    close(tile.get_weights(), 0.1 * gammas[0] + 0.2 * gammas[1] + 0.4 * gammas[2])


@pytest.mark.parametrize("rule", RULES)
def test_setting_weights_gives_them_to_the_slow_array_through_its_gamma(rule: type[TransferCompound]) -> None:
    tile = tile_of((2, 3), compound(rule, gamma_vec=[0.5, 2.0]))
    tile.update(torch.ones(4, 3), torch.ones(4, 2))
    tile.set_weights(torch.full((2, 3), 0.6))
    close(tile.get_weights(), 0.6)
    close(slow(tile), 0.3)
    assert not fast(tile).any()


@pytest.mark.parametrize("rule", RULES)
def test_after_setting_weights_a_period_begins_anew(rule: type[TransferCompound]) -> None:
    tile = tile_of((2, 3), compound(rule, transfer_every=3.0))
    pass_time(tile, 2)
    tile.set_weights(torch.zeros(2, 3))
    pass_time(tile, 2)
    assert pointer(tile) == 0
    pass_time(tile)
    assert pointer(tile) == 1


def test_reset_clears_the_fast_array_only() -> None:
    tile = tile_of((2, 3), compound(TransferCompound, gamma=0.5))
    put(tile, {"hidden_weights_0": 0.1, "hidden_weights_1": 0.2})
    tile.reset_columns(2, 2)  # wraps
    assert fast(tile).ne(0.0).tolist() == [[False, True, False]] * 2
    close(tile.get_weights(), [[0.2, 0.25, 0.2]] * 2)


# --- the learning rate of the fast array -----------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [0.25, 0.125])
@pytest.mark.parametrize(
    ("fast_lr", "scale", "final"),
    [(0.5, True, lambda rate: 0.5 * rate), (0.5, False, lambda rate: 0.5), (0.0, False, lambda rate: rate)],
)
@pytest.mark.parametrize("rule", RULES)
def test_the_fast_array_learns_at_its_own_rate_times_a_scheduler_if_asked(
    rule: type[TransferCompound], fast_lr: float, scale: bool, final: Any, rate: float
) -> None:
    device = compound(rule, [cell(1 / 32)] * 2, fast_lr=fast_lr, scale_fast_lr=scale, transfer_every=0.0)
    tile = tile_of((1, 1), device, rate=rate)
    tile.update(*one_by_one(1.0, -1.0))
    close(fast(tile), final(rate))


@pytest.mark.parametrize("rule", RULES)
def test_the_defaults_of_fast_rates_and_units_are_those_of_the_field(rule: type[TransferCompound]) -> None:
    is_chopped = issubclass(rule, ChoppedTransferCompound)
    device = rule()
    assert (device.gamma, device.transfer_every, device.transfer_lr, device.fast_lr) == (0.0, 1.0, 1.0, 1.0)
    assert device.scale_fast_lr is device.units_in_mbatch is not is_chopped
    assert device.scale_transfer_lr
    assert device.transfer_columns
    if isinstance(device, BufferedTransferCompound):
        assert (device.thres_scale, device.step, device.forget_buffer) == (1.0, 1.0, True)
        assert device.momentum == (0.0 if is_chopped else 0.1)
        up = device.transfer_update
        assert (up.desired_bl, up.update_management, up.update_bl_management) == (1, False, False)
    if isinstance(device, ChoppedTransferCompound):
        assert (device.in_chop_prob, device.out_chop_prob, device.buffer_granularity) == (0.1, 0.0, 1.0)
        assert device.in_chop_random is (rule is ChoppedTransferCompound)
        assert (device.auto_scale, device.auto_momentum, device.auto_granularity) == (False, 0.99, 0.0)
        assert not device.correct_gradient_magnitudes
    if isinstance(device, DynamicTransferCompound):
        assert (device.tail_weightening, device.buffer_cap) == (5.0, 0.0)


@pytest.mark.parametrize("scale", [False, True])
@pytest.mark.parametrize("rule", CHOPPED)
def test_automatic_scaling_makes_the_average_strongest_gradient_a_fixed_number_of_pulses(
    rule: type[ChoppedTransferCompound], scale: bool, implementation: str
) -> None:
    g, batch, momentum = 1 / 256, 4, 0.9
    device = compound(
        rule,
        [cell(g), cell()],
        auto_scale=True,
        auto_momentum=momentum,
        fast_lr=0.5,
        scale_fast_lr=scale,
        transfer_every=0.0,
    )
    rate = 0.25
    tile = tile_of((2, 3), device, implementation, rate=rate)
    x = torch.rand(2 * batch, 3, generator=torch.Generator().manual_seed(0)) + 0.5
    d = 0.01 * torch.randn(2 * batch, 2, generator=torch.Generator().manual_seed(1))
    d[2] = 0.0  # says nothing about the size of gradients
    m_x = m_d = 0.0
    weight = (1.0 - momentum) / batch

    def averaged(average: float, largest: float) -> float:
        if average == 0.0 or largest == 0.0:
            return average or largest
        return (1.0 - weight) * average + weight * largest

    for n in range(0, 2 * batch, batch):
        tile.update(x[n : n + batch], d[n : n + batch])
        for row in range(n, n + batch):
            m_x = averaged(m_x, float(x[row].abs().max()))
            m_d = averaged(m_d, float(d[row].abs().max()))
        state = tile.algorithm_state()
        close(state["m_x"], m_x)
        close(state["m_d"], m_d)
        close(state["tmp_count_lr"], 0.5 * 31 * g / (m_x * m_d) * (rate if scale else 1.0), 1e-5)
        rate /= 2  # a scheduler
        tile.set_learning_rate(rate)


@pytest.mark.parametrize("rule", CHOPPED)
def test_automatically_scaled_gradients_of_any_size_move_the_fast_array_alike(
    rule: type[ChoppedTransferCompound], implementation: str
) -> None:
    device = compound(rule, [cell(1 / 256), cell()], auto_scale=True, fast_lr=0.5, transfer_every=0.0)
    for size in (1e-6, 1.0, 1e6):
        tile = tile_of((1, 1), device, implementation)
        tile.update(*one_by_one(1.0, size, 3))
        # 15.5 pulses are asked for: 16 slots, nearly all of which fire
        assert 3 * 12 <= int(tile.pulse_counts()[0].total) <= 3 * 16


# --- the learning rate of transfers ----------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [False, True])
@pytest.mark.parametrize("rate", [0.25, 0.125])
def test_ttv1_transfers_at_its_own_rate_times_a_scheduler_if_asked(rate: float, scale: bool) -> None:
    device = compound(TransferCompound, transfer_update=EXACT, transfer_lr=0.5, scale_transfer_lr=scale)
    tile = tile_of((1, 1), device, rate=rate)
    put(tile, {"hidden_weights_0": 0.4})
    pass_time(tile)
    close(slow(tile), 0.4 * 0.5 * (rate if scale else 1.0))


@pytest.mark.parametrize("scale", [False, True])
@pytest.mark.parametrize("rate", [0.25, 0.125])
@pytest.mark.parametrize("rule", BUFFERED)
def test_buffers_fill_at_the_transfer_rate_times_a_scheduler_if_asked(
    rule: type[BufferedTransferCompound], rate: float, scale: bool
) -> None:
    tile = tile_of((1, 1), compound(rule, transfer_lr=0.5, scale_transfer_lr=scale), rate=rate)
    put(tile, {"hidden_weights_0": 0.001})
    pass_time(tile)
    unit = 1.0 if rule is BufferedTransferCompound else 0.01  # TTv3 counts steps of A
    close(buffer(tile), 0.001 / unit * 0.5 * (rate if scale else 1.0))


def test_every_array_of_a_chain_has_its_own_transfer_rate() -> None:
    device = compound(TransferCompound, [cell()] * 3, transfer_update=EXACT, transfer_lr_vec=[0.5, 0.25, 0.0])
    tile = tile_of((1, 1), device, rate=1.0)
    put(tile, {"hidden_weights_0": 0.4})
    pass_time(tile)
    hidden = tile.get_hidden_parameters()
    close(hidden["hidden_weights_1"], 0.5 * 0.4)
    close(hidden["hidden_weights_2"], 0.25 * 0.5 * 0.4)  # it travels along the chain within one vector


@pytest.mark.parametrize("rule", CHAINS)
def test_only_buffered_rules_scale_the_transfer_by_the_ratio_of_the_gammas(rule: type[TransferCompound]) -> None:
    fields = {"transfer_update": EXACT} if rule is TransferCompound else {}
    tile = tile_of((1, 1), compound(rule, gamma=0.1, **fields))
    put(tile, {"hidden_weights_0": 0.01})
    pass_time(tile)
    close(slow(tile) if rule is TransferCompound else buffer(tile), 0.003 if rule is TransferCompound else 0.0003)


# --- what is read, when, and what happens to it ----------------------------------------------------------------------


@pytest.mark.parametrize("in_batches", [False, True])
@pytest.mark.parametrize("rule", RULES)
def test_periods_count_vectors_or_batches(rule: type[TransferCompound], in_batches: bool) -> None:
    tile = tile_of((2, 100), compound(rule, transfer_every=2.0, units_in_mbatch=in_batches))
    for batch in range(1, 6):
        pass_time(tile, 4, at_once=True)
        assert pointer(tile) == (batch // 2 if in_batches else 4 * batch // 2)


@pytest.mark.parametrize(("every", "batch", "period"), [(0.5, 7, 4), (0.1, 7, 1), (1.5, 4, 6)])
def test_a_part_of_a_batch_is_rounded_up_to_vectors(every: float, batch: int, period: int) -> None:
    tile = tile_of((2, 100), compound(TransferCompound, transfer_every=every, units_in_mbatch=True))
    for n in range(1, 5):
        pass_time(tile, batch, at_once=True)
        assert pointer(tile) == n * batch // period


@pytest.mark.parametrize("rule", CHAINS)
def test_every_array_of_a_chain_has_its_own_period(rule: type[TransferCompound], implementation: str) -> None:
    device = compound(rule, [cell()] * 3, transfer_every_vec=[5.0, 2.0, 3.0])
    tile = tile_of((2, 100), device, implementation)
    for t in range(1, 13):
        pass_time(tile)
        assert [pointer(tile, k) for k in range(3)] == [t // 5, t // 2, 0]


def test_without_no_self_transfer_the_last_pointer_moves_and_nothing_else_happens() -> None:
    common: dict[str, Any] = {"transfer_every_vec": [2.0, 3.0]}
    plain, itself = (tile_of((2, 5), compound(TransferCompound, no_self_transfer=no, **common)) for no in (True, False))
    for tile in (plain, itself):
        put(tile, {"hidden_weights_0": 0.3, "hidden_weights_1": 0.3})
        pass_time(tile, 6)
    assert pointer(plain, 1) == 0
    assert pointer(itself, 1) == 2
    same_bits(plain.get_hidden_parameters(), itself.get_hidden_parameters())


@pytest.mark.parametrize("rule", RULES)
def test_a_period_of_zero_never_transfers(rule: type[TransferCompound]) -> None:
    tile = tile_of((2, 3), compound(rule, transfer_every=0.0))
    put(tile, {"hidden_weights_0": 0.3})
    pass_time(tile, 10, at_once=True)
    assert pointer(tile) == 0
    assert not slow(tile).any()


@pytest.mark.parametrize(("asked", "taken"), [(2, 2), (3, 3), (100, 5)])
def test_several_slices_are_read_at_once_and_wrap_around(asked: int, taken: int, implementation: str) -> None:
    device = compound(TransferCompound, n_reads_per_transfer=asked, transfer_update=EXACT)
    tile = tile_of((2, 5), device, implementation, rate=1.0)
    put(tile, {"hidden_weights_0": 0.25})
    visits = torch.zeros(5)
    for n in range(4):
        visits[(n * taken + torch.arange(taken)) % 5] += 1
        pass_time(tile)
        close(slow(tile), (0.25 * visits).expand(2, 5))
        assert pointer(tile) == (n + 1) * taken % 5


@pytest.mark.parametrize(("states", "every", "period"), [(100, -1.0, 33), (100, -0.1, 3), (100, -0.001, 1)])
@pytest.mark.parametrize("rule", CHOPPED)
def test_an_automatic_period_is_a_share_of_the_states_of_a_cell(
    rule: type[ChoppedTransferCompound], states: int, every: float, period: int
) -> None:
    fine = cell(dw_min=0.01, bound=0.005 * states)
    # the granularity of the slow array says nothing about the period
    tile = tile_of((2, 3), compound(rule, [fine, cell(0.1)], transfer_every=every))
    pass_time(tile, 2 * period - 1, at_once=True)
    assert pointer(tile) == 1 if period > 1 else pointer(tile) == (2 * period - 1) % 3
    pass_time(tile)
    assert pointer(tile) == 2


@pytest.mark.parametrize("columns", [True, False])
@pytest.mark.parametrize("rule", CHAINS)
def test_randomly_selected_slices_are_all_equally_likely(rule: type[TransferCompound], columns: bool) -> None:
    slices, lanes, transfers = 8, 2, 800
    fields: dict[str, Any] = {"transfer_lr": 100.0, "transfer_update": ONE_PULSE}
    device = compound(
        rule, random_selection=True, n_reads_per_transfer=3, transfer_columns=columns, transfer_every=2.0, **fields
    )
    tile = tile_of((lanes, slices) if columns else (slices, lanes), device)
    put(tile, {"hidden_weights_0": 9.0})  # every read is one pulse
    seen = set()
    for _ in range(transfers // 100):
        pass_time(tile, 200, at_once=True)
        seen.add(pointer(tile))
    written = tile.pulse_counts()[1].total
    visits = (written if columns else written.t())[0].double()
    assert visits.sum() == 3 * transfers
    mean = 3 * transfers / slices
    spread = math.sqrt(transfers * 3 / slices * (1 - 3 / slices))
    assert ((visits - mean).abs() < 4.0 * spread).all()
    assert visits.std() > 0.0
    assert len(seen) > 2


def test_a_random_transfer_takes_neighbouring_slices_and_points_behind_them() -> None:
    device = compound(TransferCompound, random_selection=True, n_reads_per_transfer=2, transfer_update=EXACT)
    tile = tile_of((1, 6), device, rate=1.0)
    put(tile, {"hidden_weights_0": 0.5})
    before = slow(tile)
    for _ in range(20):
        pass_time(tile)
        read = (slow(tile) - before).nonzero()[:, 1].tolist()
        before = slow(tile)
        behind = pointer(tile)
        assert sorted(read) == sorted([(behind - 1) % 6, (behind - 2) % 6])


def test_a_share_of_the_slices_is_reset_after_it_was_read_to_where_the_cells_rest(implementation: str) -> None:
    resting = cell(reset=0.05)
    device = compound(TransferCompound, [resting, cell()], with_reset_prob=0.3, transfer_update=EXACT)
    tile, read = tile_of((3, 150), device, implementation, rate=1.0), 120
    put(tile, {"hidden_weights_0": 0.2})
    pass_time(tile, read, at_once=True)
    close(slow(tile)[:, :read], 0.2)
    close(fast(tile)[:, read:], 0.2)
    was_reset = fast(tile)[0, :read] < 0.1
    close(fast(tile)[:, :read], torch.where(was_reset, 0.05, 0.2).expand(3, -1))
    assert abs(was_reset.double().mean() - 0.3) < 4.0 * math.sqrt(0.3 * 0.7 / read)


def test_a_reset_has_noise_and_stays_within_the_bounds(implementation: str) -> None:
    noisy = cell(bound=0.1, reset_std=0.05)
    device = compound(TransferCompound, [noisy, cell()], with_reset_prob=1.0)
    tile = tile_of((20, 50), device, implementation)
    pass_time(tile, 50, at_once=True)
    stored = fast(tile).double()
    assert stored.abs().max() <= 0.1 + 1e-7
    assert abs(stored.median()) < 4.0 * 0.05 * 1.2533 / math.sqrt(1000)
    inner = stored.abs() < 0.05  # one standard deviation
    assert abs(inner.double().mean() - 0.6827) < 4.0 * math.sqrt(0.6827 * 0.3173 / 1000)


# --- how what is read becomes pulses ---------------------------------------------------------------------------------


@pytest.mark.parametrize("columns", [True, False])
def test_an_exact_write_knows_no_bounds_and_one_with_a_device_does(columns: bool, implementation: str) -> None:
    for kind, expected in ((PulseType.NONE, 0.5), (PulseType.NONE_WITH_DEVICE, 0.1)):
        device = compound(
            TransferCompound,
            [cell(), cell(bound=0.1)],
            transfer_update=UpdateParameters(pulse_type=kind),
            transfer_columns=columns,
        )
        tile = tile_of((2, 3), device, implementation, rate=1.0)
        put(tile, {"hidden_weights_0": 0.5})
        pass_time(tile, 3 if columns else 2)
        close(slow(tile), expected)


@pytest.mark.parametrize("rule", RULES)
def test_an_exact_gradient_with_a_device_goes_to_the_fast_array(
    rule: type[TransferCompound], implementation: str
) -> None:
    fields: dict[str, Any] = {"in_chop_prob": 1.0, "in_chop_random": True} if issubclass(rule, CHOPPED) else {}
    device = compound(rule, fast_lr=0.5, scale_fast_lr=False, transfer_every=2.0, transfer_lr=0.0, **fields)
    tile = tile_of((2, 3), device, implementation, update=UpdateParameters(pulse_type=PulseType.NONE_WITH_DEVICE))
    x, d = torch.tensor([0.1, 0.2, -0.3]), torch.tensor([0.5, -0.7])
    tile.update(x.expand(2, -1), d.expand(2, -1))
    close(fast(tile), -2 * 0.5 * torch.outer(d, x))
    before = fast(tile)
    tile.update(x[None], d[None])
    sign = torch.tensor([-1.0 if fields else 1.0, 1.0, 1.0])  # column 0 was read once
    close(fast(tile), before - 0.5 * torch.outer(d, x) * sign)
    assert not slow(tile).any()


def test_reads_beyond_the_longest_train_saturate() -> None:
    tile = tile_of((4, 1), compound(TransferCompound, [cell(), cell(1 / 128)]), rate=1.0)
    put(tile, {"hidden_weights_0": torch.tensor([[62.0], [-40.0], [31.0], [0.0]]) / 128})
    pass_time(tile)
    close(128 * slow(tile), [[31.0], [-31.0], [31.0], [0.0]])


@pytest.mark.parametrize("rule", [BufferedTransferCompound, ChoppedTransferCompound])
@pytest.mark.parametrize(
    ("forget", "momentum", "rest"), [(True, 0.0, 0.0), (True, 0.1, 0.25), (False, 0.0, 1.5), (False, 0.1, 1.6)]
)
def test_after_a_step_a_share_of_the_buffer_or_of_the_step_remains(
    rule: type[BufferedTransferCompound], forget: bool, momentum: float, rest: float
) -> None:
    device = compound(rule, forget_buffer=forget, momentum=momentum, transfer_lr=1.0)
    tile = tile_of((1, 1), device, rate=1.0)
    put(tile, {"hidden_weights_0": 0.025})  # 2.5 steps
    pass_time(tile)
    close(slow(tile), 0.01)
    close(buffer(tile), rest * (0.01 if rule is BufferedTransferCompound else 1.0), 1e-5)


@pytest.mark.parametrize("rule", BUFFERED)
def test_below_its_threshold_a_buffer_keeps_everything(rule: type[BufferedTransferCompound]) -> None:
    device = compound(rule, momentum=0.0, **(STEADY if rule in CHOPPED else {}))
    tile = tile_of((1, 1), device, rate=1.0)
    put(tile, {"hidden_weights_0": 0.002})
    for n in range(1, 5):
        pass_time(tile)
        close(buffer(tile), 0.2 * n * (0.01 if rule is BufferedTransferCompound else 1.0))
    assert not slow(tile).any()


def test_the_threshold_of_ttv2_is_a_number_of_steps_of_the_slow_array() -> None:
    for scale, steps in ((1.0, 1), (2.0, 1), (3.0, 0)):
        tile = tile_of((1, 1), compound(BufferedTransferCompound, [cell(), cell(0.02)], thres_scale=scale), rate=1.0)
        put(tile, {"hidden_weights_0": 0.05})
        pass_time(tile)
        close(slow(tile), 0.02 * steps)


@pytest.mark.parametrize("rule", [BufferedTransferCompound, ChoppedTransferCompound])
def test_a_buffer_gives_at_most_one_train_of_steps(rule: type[BufferedTransferCompound]) -> None:
    up = UpdateParameters(desired_bl=3, update_management=False, update_bl_management=False)
    device = compound(rule, transfer_update=up, step=3.0, forget_buffer=False, momentum=0.0)
    tile = tile_of((1, 2), device, rate=1.0)
    put(tile, {"hidden_weights_0": torch.tensor([[0.055, -0.015]])})
    pass_time(tile, 2)
    rest = buffer(tile) / (0.01 if rule is BufferedTransferCompound else 1.0)
    close(rest, [[5.5 - 3.0, -0.5]], 1e-5)
    assert tile.pulse_counts()[1].total.tolist() == [[3, 3]]  # certain: 3 pulses for each step, in 3 slots


@pytest.mark.parametrize("rule", [BufferedTransferCompound, ChoppedTransferCompound])
def test_one_step_of_the_buffer_is_so_many_pulses_on_average(rule: type[BufferedTransferCompound]) -> None:
    up = UpdateParameters(desired_bl=4, update_management=False, update_bl_management=False)
    fields = STEADY if rule is ChoppedTransferCompound else {}
    tile = tile_of((50, 20), compound(rule, transfer_update=up, step=2.0, **fields), rate=1.0)
    put(tile, {"hidden_weights_0": 0.015})  # one step
    pass_time(tile, 20, at_once=True)
    pulses = tile.pulse_counts()[1].total.double()
    # in each of 4 slots both lines fire with probability sqrt(2 / 4)
    spread_of_lines = math.sqrt(4 * 0.25 / 1000 + 4 * 0.25 / 20)
    assert abs(pulses.mean() - 2.0) < 4.0 * spread_of_lines
    close(slow(tile), 0.01 * pulses, 1e-5)


def test_without_a_buffer_every_read_stands_for_itself() -> None:
    tiles = [
        tile_of((1, 1), compound(ChoppedTransferCompound, no_buffer=no, **STEADY), rate=1.0) for no in (False, True)
    ]
    for tile in tiles:
        put(tile, {"hidden_weights_0": 0.006})
        pass_time(tile, 2)
    close(slow(tiles[0]), 0.01)  # 0.6 + 0.6 steps
    close(slow(tiles[1]), 0.0)
    close(buffer(tiles[1]), 0.6)


@pytest.mark.parametrize(("granularity", "held"), [(1.0, 0.4), (4.0, 0.1), (0.0, 0.4)])
@pytest.mark.parametrize("rule", CHOPPED)
def test_the_granularity_of_the_buffer_is_a_number_of_steps_of_the_fast_array(
    rule: type[ChoppedTransferCompound], granularity: float, held: float
) -> None:
    device = compound(rule, [cell(0.01), cell(0.07)], buffer_granularity=granularity)
    tile = tile_of((1, 1), device, rate=1.0)
    put(tile, {"hidden_weights_0": 0.004})
    pass_time(tile)
    close(buffer(tile), held)


@pytest.mark.parametrize(
    ("fields", "batch", "period"),
    [
        ({"transfer_every": 2.0}, 1, 2),
        ({"transfer_every": 2.0, "units_in_mbatch": True}, 4, 8),
        ({"transfer_every": -0.5}, 1, 100),  # of 1000 states, 5 slices
    ],
)
@pytest.mark.parametrize("rule", CHOPPED)
def test_automatic_granularity_compares_its_number_of_vectors_with_a_sweep(
    rule: type[ChoppedTransferCompound], fields: dict[str, Any], batch: int, period: int
) -> None:
    device = compound(rule, [cell(bound=5.0)] * 2, auto_granularity=500.0, **fields)
    tile = tile_of((2, 5), device, rate=1.0)
    put(tile, {"hidden_weights_0": 0.001})
    for _ in range(period // batch):
        pass_time(tile, batch, at_once=True)
    close(buffer(tile)[:, 0], 0.1 / (500.0 / (5 * period)))


@pytest.mark.parametrize("rule", CHOPPED)
def test_corrected_gradient_magnitudes_take_the_fast_rate_out_again(rule: type[ChoppedTransferCompound]) -> None:
    device = compound(
        rule,
        [cell(0.01), cell(0.02)],
        correct_gradient_magnitudes=True,
        fast_lr=0.5,
        scale_fast_lr=False,
        transfer_lr=0.1,
        buffer_granularity=2.0,
    )
    tile = tile_of((1, 1), device, rate=1.0)
    put(tile, {"hidden_weights_0": 0.03})
    pass_time(tile)
    close(buffer(tile), 0.1 * 0.03 / (0.5 * (2.0 * 0.01) * 0.02 / 0.01))


@pytest.mark.parametrize("rule", CHOPPED)
def test_corrected_gradient_magnitudes_use_the_fast_rate_at_the_time_of_the_read(
    rule: type[ChoppedTransferCompound], implementation: str
) -> None:
    g = 1 / 256
    device = compound(
        rule,
        [cell(g)] * 2,
        correct_gradient_magnitudes=True,
        auto_scale=True,
        auto_momentum=0.0,
        fast_lr=0.5,
        transfer_lr=1e-6,
    )
    tile = tile_of((1, 3), device, implementation, rate=1.0)
    put(tile, {"hidden_weights_0": 0.5})
    # only the last column is pulsed, only the first two are read
    tile.update(torch.tensor([[0.0, 0.0, 2.0], [0.0, 0.0, 4.0]]), torch.ones(2, 1))
    for s, average in enumerate((2.0, 3.0)):  # a vector counts for half in a batch of two
        rate = 0.5 * 31 * g / average
        close(buffer(tile)[:, s], 1e-6 * 0.5 / (rate * g))


# --- choppers --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("columns", [True, False])
@pytest.mark.parametrize("rule", CHOPPED)
def test_choppers_flip_what_is_stored_and_not_what_is_learned(
    rule: type[ChoppedTransferCompound], columns: bool
) -> None:
    """A gradient that never changes fills the buffer with its own sign, however often the lines flip."""
    device = compound(
        rule,
        transfer_columns=columns,
        fast_lr=0.01,
        scale_fast_lr=False,
        transfer_lr=0.001,
        in_chop_prob=0.5,
        in_chop_random=True,
        out_chop_prob=0.5,
    )
    tile = tile_of((2, 3), device, rate=1.0, update=ONE_PULSE)
    x, d = torch.tensor([[1.0, -1.0, 1.0]]), torch.tensor([[1.0, -1.0]])
    slices = 3 if columns else 2
    forgotten = ["hidden_weights_0"]
    if rule is DynamicTransferCompound:
        forgotten += ["running_mean_weight", "past_mean_weight"]
    for sweep in range(1, 5):
        for s in range(slices):
            put(tile, dict.fromkeys(forgotten, 0.0))
            tile.update(x, d)
            held = buffer(tile)[:, s] if columns else buffer(tile)[s]
            gradient = torch.outer(d[0], x[0])[:, s] if columns else torch.outer(d[0], x[0])[s]
            close(held, -0.001 * sweep * gradient)


def test_lanes_are_chopped_after_the_last_slice_of_a_sweep_only() -> None:
    tile = tile_of((30, 4), compound(ChoppedTransferCompound, in_chop_prob=0.0, out_chop_prob=1.0))
    for sweep in range(3):
        for s in range(4):
            assert (tile.algorithm_state()["out_chopper"] == bool(sweep % 2)).all()
            assert pointer(tile) == s
            pass_time(tile)


# --- AGAD ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("tail", "weight"), [(1.0, 0.25), (2.0, 0.5), (100.0, 1.0)])
def test_the_tail_weight_is_how_much_the_latest_read_counts_in_the_running_mean(tail: float, weight: float) -> None:
    tile = tile_of((1, 1), compound(DynamicTransferCompound, in_chop_prob=0.25, tail_weightening=tail))
    mean = 0.0
    for stored in (0.2, 0.4, -0.3, 0.1, 0.5):
        put(tile, {"hidden_weights_0": stored})
        pass_time(tile)
        mean = (1.0 - weight) * mean + weight * stored
        close(tile.get_hidden_parameters()["running_mean_weight"], mean)


def test_a_capped_buffer_never_holds_more_than_its_cap_after_a_step() -> None:
    fields: dict[str, Any] = {"forget_buffer": False, "momentum": 0.0, "in_chop_prob": 0.0}
    for cap, held in ((0.0, 49.0), (2.0, 2.0)):
        tile = tile_of((1, 2), compound(DynamicTransferCompound, buffer_cap=cap, **fields), rate=1.0)
        put(tile, {"hidden_weights_0": torch.tensor([[0.5, -0.5]])})
        pass_time(tile, 2)
        close(buffer(tile), [[held, -held]], 1e-4)


def test_the_cap_of_a_forgetful_buffer_does_not_matter() -> None:
    tile = tile_of((1, 1), compound(DynamicTransferCompound, buffer_cap=2.0, momentum=0.5, in_chop_prob=0.0), rate=1.0)
    put(tile, {"hidden_weights_0": 0.5})
    pass_time(tile)
    close(buffer(tile), 25.0, 1e-4)


def test_correct_accumulation_divides_by_the_reads_of_the_phase_up_to_the_states_of_a_cell() -> None:
    g = 0.5
    device = compound(
        DynamicTransferCompound,
        [cell(g), cell()],
        experimental_correct_accumulation=True,
        in_chop_prob=0.25,
        tail_weightening=1e-6,
        transfer_lr=0.01,
    )
    tile = tile_of((1, 1), device, rate=1.0)
    put(tile, {"hidden_weights_0": 1.0})
    held = 0.0
    for sweep in range(4):
        pass_time(tile)
        held += 0.01 / g / min(sweep + 1, 1 / g)
        close(buffer(tile), held)


def test_agad_writes_only_after_the_sweep_that_follows_its_first_phase() -> None:
    device = compound(DynamicTransferCompound, in_chop_prob=0.25, tail_weightening=1e-6)
    tile = tile_of((1, 2), device, rate=1.0)
    put(tile, {"hidden_weights_0": 1.0})
    for sweep in range(7):
        pass_time(tile, 2)
        # t counts the sweeps before this one, and must be above 4
        assert tile.pulse_counts()[1].total.tolist() == [[max(0, sweep - 4)] * 2]


def test_steps_of_agad_leave_its_buffer_during_the_warm_up() -> None:
    settings: dict[str, Any] = {"in_chop_prob": 0.25, "tail_weightening": 1e-6, "forget_buffer": False}
    tile = tile_of((1, 2), compound(DynamicTransferCompound, momentum=0.0, **settings), rate=1.0)
    put(tile, {"hidden_weights_0": 0.025})  # a read is 2.5 steps of A, of which one is taken away
    pass_time(tile, 2)
    close(buffer(tile), 1.5, 1e-4)
    assert not slow(tile).any()


@pytest.mark.parametrize("offset", [-0.3, 0.0, 0.3])
def test_agad_learns_the_gradient_through_any_offset(offset: float, implementation: str) -> None:
    """The symmetric point of A is at the offset: a reset leads there, but the rule does not know it."""
    device = compound(
        DynamicTransferCompound, [cell(0.01), cell(0.001)], fast_lr=0.01, scale_fast_lr=False, in_chop_prob=0.1
    )
    tile = tile_of((2, 3), device, implementation, rate=1.0, update=ONE_PULSE)
    put(tile, {"hidden_weights_0": offset})
    x, d = torch.tensor([1.0, -1.0, 0.0]), torch.tensor([1.0, -1.0])
    tile.update(x.expand(3 * 100, -1), d.expand(3 * 100, -1))
    learned = slow(tile) / 0.001
    wanted = -torch.outer(d, x)
    assert (learned[:, :2] * wanted[:, :2] > 20.0).all()
    assert not learned[:, 2].any()


# --- chains ----------------------------------------------------------------------------------------------------------


def test_a_chain_of_ttv2_has_a_buffer_behind_every_array_with_the_threshold_of_the_next() -> None:
    device = compound(BufferedTransferCompound, [cell(0.01), cell(0.02), cell(0.04)], forget_buffer=False, momentum=0.0)
    tile = tile_of((1, 1), device, rate=1.0)
    put(tile, {"hidden_weights_0": 0.05})
    pass_time(tile)
    hidden = tile.get_hidden_parameters()
    close(hidden["hidden_weights_1"], 0.02)
    close(hidden["buffered_FP_weight_0"], 0.05 - 0.02)
    close(hidden["hidden_weights_2"], 0.0)
    close(hidden["buffered_FP_weight_1"], 0.02)
    pass_time(tile)
    hidden = tile.get_hidden_parameters()
    close(hidden["buffered_FP_weight_0"], 0.03 + 0.05 - 0.02)  # at most one step a time
    close(hidden["hidden_weights_1"], 0.04)
    close(hidden["buffered_FP_weight_1"], 0.02 + 0.04 - 0.04)
    close(hidden["hidden_weights_2"], 0.04)


@pytest.mark.parametrize(("n_reads", "later"), [(1, 12), (2, 6), (3, 4), (4, 3)])
def test_periods_along_a_chain_grow_by_slices_over_reads(n_reads: int, later: int) -> None:
    device = compound(TransferCompound, [cell()] * 3, transfer_every=2.0, n_reads_per_transfer=n_reads)
    tile = tile_of((2, 6), device)
    moved = []
    for t in range(1, 25):
        before = pointer(tile, 1)
        pass_time(tile)
        if pointer(tile, 1) != before:
            moved.append(t)
    assert moved == list(range(later, 25, later))


def test_every_device_of_a_chain_is_the_one_that_was_given() -> None:
    device = compound(TransferCompound, [cell(bound=1.0), cell(bound=2.0), cell(bound=3.0)])
    hidden = tile_of((1, 1), device).get_hidden_parameters()
    assert [float(hidden[f"max_bound_{k}"]) for k in range(3)] == [1.0, 2.0, 3.0]


def test_hidden_parameters_are_listed_array_by_array_with_the_buffers_last() -> None:
    common = [
        "max_bound", "min_bound", "dwmin_up", "dwmin_down", "decay_scales", "diffusion_rates", "reset_bias", "drift_nu",
    ]  # fmt: skip
    arrays = [f"{name}_{k}" for k in range(2) for name in [*common, "hidden_weights"]]
    digital = {
        TransferCompound: [],
        BufferedTransferCompound: ["buffered_FP_weight_0"],
        ChoppedTransferCompound: ["buffered_FP_weight_0"],
        DynamicTransferCompound: ["buffered_FP_weight", "running_mean_weight", "past_mean_weight"],
    }
    for rule, names in digital.items():
        assert list(tile_of((2, 3), compound(rule)).get_hidden_parameters()) == arrays + names


def test_a_construction_seed_fixes_the_cells_of_all_arrays_and_keeps_them_apart() -> None:
    varied = cell(dw_min_dtod=0.3)
    first, second = (
        tile_of((3, 4), compound(TransferCompound, [varied, varied], construction_seed=5), seed=seed) for seed in (0, 1)
    )
    hidden, again = first.get_hidden_parameters(), second.get_hidden_parameters()
    same_bits(hidden, again)
    assert not torch.equal(hidden["dwmin_up_0"], hidden["dwmin_up_1"])
    assert not torch.equal(first.seed, second.seed)


# --- the analog read -------------------------------------------------------------------------------------------------


def read_once(io: IOParameters, columns: bool, stored: torch.Tensor, implementation: str = "cpu") -> torch.Tensor:
    """What one sweep of TTv1 copies, with exact writes at rate 1."""
    device = compound(TransferCompound, transfer_forward=io, transfer_columns=columns, transfer_update=EXACT)
    tile = tile_of((stored.shape[0], stored.shape[1]), device, implementation, rate=1.0)
    put(tile, {"hidden_weights_0": stored})
    pass_time(tile, stored.shape[1 if columns else 0], at_once=True)
    return slow(tile)


@pytest.mark.parametrize("columns", [True, False])
def test_input_noise_on_every_line_reads_the_same_on_average(columns: bool, implementation: str) -> None:
    stored = torch.rand(30, 40, generator=torch.Generator().manual_seed(0)) - 0.5
    noise = 0.1
    io = IOParameters(inp_noise=noise, out_noise=0.0, inp_res=0.0, out_res=0.0)
    error = (read_once(io, columns, stored, implementation) - stored).double()
    # each lane sees all slices: a deviation of noise times the norm of its weights
    norms = stored.double().square().sum(1 if columns else 0, keepdim=True).sqrt()
    in_units = error / (noise * norms)
    # the noise of one read is shared by the lanes, so that only the reads are independent
    reads = error.shape[1 if columns else 0]
    assert abs(in_units.mean()) < 4.0 / math.sqrt(reads)
    assert 0.7 < in_units.std() < 1.3


@pytest.mark.parametrize("columns", [True, False])
@pytest.mark.parametrize("rule", RULES)
def test_a_read_that_waits_for_the_whole_array_equals_one_that_does_not(
    rule: type[TransferCompound], columns: bool, implementation: str
) -> None:
    """The least input noise forces a barrier at every read; what is read stays the same."""
    io = IOParameters(out_noise=0.0, inp_res=0.0, out_res=0.0)
    fields: dict[str, Any] = {"with_reset_prob": 0.5 if columns else 0.0} if rule is TransferCompound else {}
    fields |= {"in_chop_prob": 0.5, "out_chop_prob": 0.5} if issubclass(rule, CHOPPED) else {}
    quick, barrier = (
        tile_of(
            (4, 5),
            compound(
                rule,
                transfer_columns=columns,
                transfer_forward=io.replaced(inp_noise=noise),
                fast_lr=0.013,
                scale_fast_lr=False,
                gamma=0.3,
                **fields,
            ),
            implementation,
        )
        for noise in (0.0, 1e-12)
    )
    generator = torch.Generator().manual_seed(4)
    x, d = torch.randn(3, 7, 5, generator=generator), torch.randn(3, 7, 4, generator=generator)
    for n in range(3):
        for tile in (quick, barrier):
            tile.update(x[n], d[n])
    for name, value in everything(quick).items():
        torch.testing.assert_close(everything(barrier)[name], value, atol=1e-5, rtol=1e-5, msg=name)


def test_noise_and_bound_management_are_off_in_reads() -> None:
    stored = torch.tensor([[0.3], [-0.2]])
    managed = IOParameters(out_noise=0.0, out_res=0.0, inp_bound=0.5, noise_management=NoiseManagementType.ABS_MAX)
    close(read_once(managed, True, stored), 0.5 * stored)  # the input 1 clips, instead of being scaled
    clipped = IOParameters(out_noise=0.0, out_res=0.0, inp_res=0.0, out_bound=0.25)
    close(read_once(clipped, True, stored), [[0.25], [-0.2]])


def test_the_converter_of_a_read_rounds_to_its_own_steps() -> None:
    stored = torch.tensor([[0.3], [-0.2], [0.05]])
    coarse = IOParameters(out_noise=0.0, inp_res=0.0, out_bound=1.0, out_res=0.125)  # steps of 0.25
    close(read_once(coarse, True, stored), [[0.25], [-0.25], [0.0]])


def test_output_noise_is_new_at_every_read() -> None:
    io = IOParameters(out_noise=0.05, inp_res=0.0, out_res=0.0)
    error = read_once(io, True, torch.zeros(40, 50)).double()
    assert abs(error.mean()) < 4.0 * 0.05 / math.sqrt(2000)
    assert abs(error.std() - 0.05) < 4.0 * 0.05 / math.sqrt(2 * 2000)
    assert torch.unique(error).numel() > 1990


# --- what is refused -------------------------------------------------------------------------------------------------

REFUSED: list[tuple[type[TransferCompound], str, dict[str, Any]]] = [
    *[(rule, "unit_cell_devices", {"unit_cell_devices": []}) for rule in RULES],
    *[(rule, "unit_cell_devices", {"unit_cell_devices": [cell()]}) for rule in RULES],
    *[(rule, "unit_cell_devices", {"unit_cell_devices": [cell(), IdealDevice()]}) for rule in RULES],
    *[(rule, "unit_cell_devices", {"unit_cell_devices": [cell()] * 3}) for rule in CHOPPED],
    (TransferCompound, "unit_cell_devices", {"unit_cell_devices": [compound(TransferCompound), cell()]}),
    *[(rule, "gamma_vec", {"gamma_vec": [1.0]}) for rule in RULES],
    *[(rule, "gamma_vec", {"gamma_vec": [1.0, 0.0]}) for rule in RULES],
    *[(rule, "transfer_every_vec", {"transfer_every_vec": [1.0, 2.0, 3.0]}) for rule in RULES],
    *[(rule, "transfer_lr_vec", {"transfer_lr_vec": [1.0]}) for rule in RULES],
    (TransferCompound, "with_reset_prob", {"with_reset_prob": 0.5, "transfer_columns": False}),
    *[(rule, "with_reset_prob", {"with_reset_prob": 0.5}) for rule in BUFFERED],
    *[(rule, "n_reads_per_transfer", {"n_reads_per_transfer": 2}) for rule in CHOPPED],
    *[(rule, "random_selection", {"random_selection": True}) for rule in CHOPPED],
    *[(rule, "thres_scale", {"thres_scale": 2.0}) for rule in CHOPPED],
    *[(rule, "transfer_every", {"transfer_every": -1.0, "units_in_mbatch": True}) for rule in CHOPPED],
    (DynamicTransferCompound, "no_buffer", {"no_buffer": True}),
    *[
        (rule, "transfer_forward", {"transfer_forward": IOParameters(w_noise=0.1, w_noise_type=WeightNoiseType.NONE)})
        for rule in RULES
    ],
    # what would otherwise silently never transfer, or never write
    *[(rule, "transfer_every", {"transfer_every": -1.0}) for rule in CHAINS],
    *[(rule, "transfer_every_vec", {"transfer_every_vec": [-1.0, 0.0]}) for rule in RULES],
    *[(rule, "transfer_lr_vec", {"transfer_lr_vec": [-1.0, 0.0]}) for rule in RULES],
    # what is no number
    *[(rule, "gamma_vec", {"gamma_vec": [math.nan, 1.0]}) for rule in RULES],
    *[(rule, "transfer_lr_vec", {"transfer_lr_vec": [math.inf, 1.0]}) for rule in RULES],
    *[(rule, "transfer_every_vec", {"transfer_every_vec": [math.inf, 1.0]}) for rule in RULES],
    *[(rule, "transfer_every", {"transfer_every": math.inf}) for rule in RULES],
    *[(rule, "gamma", {"gamma": math.inf}) for rule in RULES],
]


@pytest.mark.parametrize(
    ("rule", "field", "fields"), REFUSED, ids=lambda value: getattr(value, "__name__", None) or str(value)[:40]
)
def test_settings_that_do_not_fit_together_are_refused_by_name(
    rule: type[TransferCompound], field: str, fields: dict[str, Any]
) -> None:
    with pytest.raises(ConfigError, match=rf"{rule.__name__}\.{field}\b"):
        tile_of((2, 3), compound(rule, **fields))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("fast_lr", -0.1),
        ("transfer_lr", -0.1),
        ("n_reads_per_transfer", 0),
        ("with_reset_prob", 1.5),
        ("construction_seed", -1),
        ("thres_scale", 0.0),
        ("step", -1.0),
        ("momentum", 1.5),
        ("in_chop_prob", -0.1),
        ("in_chop_prob", 1.1),
        ("out_chop_prob", 2.0),
        ("buffer_granularity", -1.0),
        ("auto_granularity", -1.0),
        ("auto_momentum", 1.1),
        ("tail_weightening", 0.0),
        ("buffer_cap", -1.0),
        ("gamma", math.nan),
        ("transfer_columns", 1),
        ("units_in_mbatch", "yes"),
    ],
)
def test_values_out_of_range_are_refused_when_given_and_when_assigned(field: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=rf"DynamicTransferCompound\.{field}\b"):
        DynamicTransferCompound(**{field: value})
    device = DynamicTransferCompound()
    with pytest.raises(ConfigError, match=rf"DynamicTransferCompound\.{field}\b"):
        setattr(device, field, value)


def test_an_unknown_field_is_refused_with_the_nearest_that_exists() -> None:
    with pytest.raises(ConfigError, match=r"'transfer_evry'.*'transfer_every'"):
        TransferCompound(transfer_evry=1.0)  # type: ignore[call-arg]


def test_a_tile_keeps_its_own_copy_of_the_configuration() -> None:
    device = compound(TransferCompound, transfer_update=EXACT)
    tile: AnalogTile = tile_of((1, 1), device, rate=1.0)
    device.scale_transfer_lr = False
    device.transfer_every = 0.0
    put(tile, {"hidden_weights_0": 0.4})
    pass_time(tile)
    close(slow(tile), 0.4)
