"""Train lengths and line scales, against hand-worked numbers."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from ohmgrad.configs import ConstantStepDevice, SingleRPUConfig
from ohmgrad.engine.draws import Draws
from ohmgrad.engine.lengths import Lengths, pulse_lengths
from ohmgrad.engine.plan import make_lines
from ohmgrad.engine.samples import Samples
from ohmgrad.errors import TileError
from ohmgrad.parameters.update import UpdateParameters
from ohmgrad.tile import AnalogTile

G = 0.001
UNMANAGED = {"update_management": False, "update_bl_management": False}


def lengths(x, d, lr: float, granularity: float = G, **up) -> Lengths:
    rows_x, rows_d = torch.tensor([x], dtype=torch.float32), torch.tensor([d], dtype=torch.float32)
    rate = torch.tensor([lr], dtype=torch.float64)
    return pulse_lengths(rows_x, rows_d, rate, granularity, UpdateParameters(**up))


def expected_pulses(x, d, lr: float, **up) -> Tensor:
    """Mean number of pulses of every cell, ``[out, in]``: slots times both firing probabilities."""
    plan = lengths(x, d, lr, **up)
    p_x = (torch.tensor(x).abs() * plan.b).clamp(max=1.0)
    p_d = (torch.tensor(d).abs() * plan.a).clamp(max=1.0)
    return int(plan.bl) * torch.outer(p_d, p_x)


@pytest.mark.parametrize(
    ("lr", "up", "pulses"),
    [
        (0.1, {}, (10, 20)),
        (1.0, {}, (15.5, 31)),
        (0.1, UNMANAGED, (10.0, 11.135)),
        (0.1, {**UNMANAGED, "fixed_bl": False}, (10, 20)),
        (0.1, {"um_grad_scale": 0.5}, (5, 10)),
        # Saturation is judged with the length in use, 1000 here; nothing is clipped at desired_bl.
        (1.0, {"update_bl_management": False, "fixed_bl": False}, (100, 200)),
    ],
)
def test_mean_pulses_of_the_worked_example(lr: float, up: dict, pulses: tuple[float, float]) -> None:
    assert expected_pulses((0.5, -1.0), (0.2,), lr, **up)[0].tolist() == pytest.approx(pulses, rel=1e-4)


def test_trains_have_the_mean_pulses_of_the_worked_example() -> None:
    count = 4000
    x, d = torch.tensor([[0.5, -1.0]]).expand(count, 2), torch.full((count, 1), 0.2)
    rate, up = torch.full((count,), 0.1, dtype=torch.float64), UpdateParameters()
    trains = make_lines(Samples.of(x, d, rate), pulse_lengths(x, d, rate, G, up), up, Draws(5, "cpu"), 0, 0)
    coincide = (trains.x & trains.d).long()
    pulses = sum((coincide >> slot) & 1 for slot in range(31)).double()
    assert abs(float(pulses[:, 0].mean()) - 10) <= 4 * math.sqrt(5 / count)  # 20 slots at probability 1/2
    assert (pulses[:, 1] == 20).all()
    assert ((trains.x ^ trains.d < 0) == torch.tensor([False, True])).all()  # column 0 down, column 1 up


def test_update_bl_management_takes_no_more_slots_than_the_strongest_cross_point_needs() -> None:
    plan = lengths((0.5, -1.0), (0.2,), 0.1)
    assert (plan.bl.item(), plan.a.item(), plan.b.item()) == pytest.approx((20, 5, 1))


def test_a_strong_gradient_saturates_on_its_own_lines_only() -> None:
    plan = lengths((0.5, -1.0), (0.2,), 1.0)
    assert (plan.bl.item(), plan.a.item(), plan.b.item()) == pytest.approx((31, 1 / 0.031, 1))


def test_without_management_both_scales_are_equal() -> None:
    plan = lengths((0.5, -1.0), (0.2,), 0.1, **UNMANAGED)
    scale = math.sqrt(0.1 / (G * 31))
    assert (plan.bl.item(), plan.a.item(), plan.b.item()) == pytest.approx((31, scale, scale))
    assert scale == pytest.approx(1.796, abs=5e-4)


def test_a_high_rate_lengthens_trains_that_are_not_fixed() -> None:
    plan = lengths((0.5, -1.0), (0.2,), 0.1, **UNMANAGED, fixed_bl=False)
    assert (plan.bl.item(), plan.a.item(), plan.b.item()) == (100, 1, 1)
    low = lengths((0.5, -1.0), (0.2,), 0.031, **UNMANAGED, fixed_bl=False)
    assert (low.bl.item(), low.a.item()) == pytest.approx((31, 1.0))


def test_update_bl_management_implies_update_management() -> None:
    implied = lengths((0.5, -1.0), (0.2,), 0.1, update_management=False)
    assert (implied.bl, implied.a, implied.b) == (20, pytest.approx(5), pytest.approx(1))


@pytest.mark.parametrize("k", [1, 2, 7, 30, 31])
@pytest.mark.parametrize("granularity", [0.001, 0.0016, 0.1, 3e-5])
def test_a_whole_number_of_wanted_pulses_needs_as_many_slots(k: int, granularity: float) -> None:
    assert lengths((1.0, 0.3), (1.0,), k * granularity, granularity).bl == k
    assert lengths((0.1, 0.03), (0.1,), k * granularity / 0.01, granularity).bl == k


@pytest.mark.parametrize("up", [{}, {"update_bl_management": False}, UNMANAGED, {**UNMANAGED, "fixed_bl": False}])
@pytest.mark.parametrize(
    ("x", "d", "lr"), [((0.0, 0.0), (1.0,), 0.1), ((1.0, 0.5), (0.0,), 0.1), ((1.0, 1.0), (1.0,), 0)]
)
def test_nothing_to_multiply_means_no_pulses(x, d, lr: float, up: dict) -> None:
    assert (expected_pulses(x, d, lr, **up) == 0.0).all()


@given(
    x=st.lists(st.floats(-2.0, 2.0, width=32), min_size=1, max_size=4),
    d=st.lists(st.floats(-2.0, 2.0, width=32), min_size=1, max_size=4),
    lr=st.floats(1e-4, 10.0),
    um_grad_scale=st.sampled_from([1.0, 1.5]),
    managed=st.booleans(),
)
def test_mean_pulses_are_the_gradient_wherever_nothing_saturates(x, d, lr, um_grad_scale, managed) -> None:
    if max(map(abs, x)) * max(map(abs, d)) < 1e-6:
        return
    up = {"um_grad_scale": um_grad_scale} if managed else {"update_bl_management": False}
    k = lr * max(map(abs, x)) * max(map(abs, d)) / G
    pulses, ideal = expected_pulses(x, d, lr, **up), lr * torch.outer(torch.tensor(d), torch.tensor(x)).abs() / G
    assert (pulses <= ideal * (1 + 1e-4) + 1e-6).all()
    assert (pulses <= 31.0).all()
    if k * um_grad_scale <= 31:
        torch.testing.assert_close(pulses, ideal, rtol=1e-4, atol=1e-5)


def test_every_sample_has_its_own_length_and_rate() -> None:
    x, d = torch.tensor([[1.0], [1.0], [0.5], [0.0]]), torch.tensor([[1.0], [1.0], [0.5], [1.0]])
    rate = torch.tensor([0.005, 0.02, 0.02, 0.02], dtype=torch.float64)
    assert pulse_lengths(x, d, rate, G, UpdateParameters()).bl.tolist() == [5, 20, 5, 0]


@pytest.mark.parametrize("up", [{}, {"update_bl_management": False}])
@pytest.mark.parametrize("huge", [1e8, 1e11, 1e30, 3e38])
def test_a_huge_finite_gradient_saturates(huge: float, up: dict) -> None:
    pulses = expected_pulses((0.5, -1.0), (huge, huge / 2, 0.0), 1.0, **up)
    assert pulses.flatten().tolist() == pytest.approx([15.5, 31.0, 15.5, 31.0, 0.0, 0.0])
    tile = AnalogTile(3, 2, SingleRPUConfig(device=ConstantStepDevice(), update=UpdateParameters(**up)))
    tile.set_learning_rate(1.0)
    tile.update(torch.tensor([0.5, -1.0]), torch.tensor([huge, -huge / 2, 0.0]))
    counts = tile.pulse_counts()[0].total
    assert counts[:2, 1].tolist() == [31, 31]
    assert (counts[:2, 0] > 0).all()
    assert counts[2].tolist() == [0, 0]


def test_a_huge_input_and_a_huge_gradient_saturate_together() -> None:
    pulses = expected_pulses((1.5e38, -3e38, 0.0), (3e38, 0.0), 1.0)
    assert pulses.flatten().tolist() == pytest.approx([15.5, 31.0, 0.0, 0.0, 0.0, 0.0], rel=1e-4)


def test_the_tiniest_gradient_is_silent_rather_than_wrong() -> None:
    assert (expected_pulses((1e-40, 0.0), (1e-40,), 1.0) <= 1e-6).all()


@pytest.mark.parametrize("rate", [-0.1, -math.inf, math.inf, math.nan])
def test_a_negative_or_endless_learning_rate_is_rejected_before_it_is_kept(rate: float) -> None:
    tile = AnalogTile(2, 2)
    tile.set_learning_rate(0.25)
    with pytest.raises(TileError, match=f"learning rate {rate}"):
        tile.set_learning_rate(rate)
    assert tile.get_learning_rate() == 0.25
