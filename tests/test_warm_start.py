"""The driver of the warm start finds plateaus and moves all tiles of a model together."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn

from ohmgrad import AnalogLinear
from ohmgrad.algorithms.multi_tile import MultiTileTransfer
from ohmgrad.configs import ConstantStepDevice, MultiTileTransferCompound, SoftBoundsDevice, UnitCellRPUConfig
from ohmgrad.errors import OptimizerError
from ohmgrad.optim import AnalogSGD, WarmStart


def layer(count: int, warm_start: bool = True) -> AnalogLinear:
    rule = MultiTileTransferCompound.of(ConstantStepDevice(), count, warm_start=warm_start)
    return AnalogLinear(2, 2, rpu_config=UnitCellRPUConfig(device=rule))


def phases_after(losses: list[float], start: WarmStart) -> list[int]:
    seen = []
    for loss in losses:
        start.step(loss)
        seen.append(start.phase)
    return seen


def test_one_rise_ends_an_early_phase() -> None:
    assert phases_after([3.0, 2.0, 2.5, 2.4, 2.4, 2.6, 2.7], WarmStart(layer(4))) == [0, 0, 1, 1, 1, 2, 3]


def test_late_phases_end_with_two_rises_among_five_evaluations() -> None:
    start = WarmStart(layer(7))
    phases_after([1.0, 2.0, 3.0, 4.0, 5.0], start)
    assert start.phase == 4
    far = [4.0, 4.1, 4.0, 3.9, 3.8, 3.7, 3.8]  # the second rise is six evaluations behind the first
    assert phases_after(far, start) == [4] * 7
    assert phases_after([3.7, 3.6, 3.5, 3.6], start) == [4, 4, 4, 5]
    assert not start.finished


def test_a_warm_start_ends_with_the_nested_schedule() -> None:
    start = WarmStart(layer(2))
    start.step(1.0)
    assert (start.phase, start.finished) == (0, False)
    start.step(1.5)
    assert (start.phase, start.finished) == (1, True)
    start.step(2.0)
    assert (start.phase, start.finished) == (1, True)


def test_all_tiles_move_together_and_short_chains_wait() -> None:
    model = nn.Sequential(layer(4), layer(2), layer(3, warm_start=False), nn.Linear(2, 2))
    start = WarmStart(model)
    phases_after([1.0, 2.0, 3.0], start)
    assert [int(model[k].tile.algorithm_state()["phase"]) for k in (0, 1)] == [2, 1]
    assert (start.phase, start.finished) == (2, False)


def test_a_state_that_was_saved_goes_on() -> None:
    model, losses = layer(7), [1.0, 2.0, 3.0, 4.0, 5.0, 5.1, 5.0]
    start = WarmStart(model)
    phases_after(losses, start)
    other = layer(7)
    again = WarmStart(other)
    other.load_state_dict(model.state_dict())
    again.load_state_dict(start.state_dict())
    assert again.phase == 4
    for each in (start, again):
        assert phases_after([4.9, 5.0], each) == [4, 5]


def test_weights_that_are_set_begin_anew() -> None:
    model = layer(2)
    start = WarmStart(model)
    phases_after([1.0, 2.0], start)
    model.set_weights(torch.zeros(2, 2), torch.zeros(2))
    assert (start.phase, start.finished) == (0, False)


def test_the_first_epochs_of_a_training_loop() -> None:
    torch.manual_seed(0)
    rule = MultiTileTransferCompound.of(SoftBoundsDevice(dw_min=0.1), 3, transfer_lr=0.02, warm_start=True)
    model = AnalogLinear(2, 2, bias=False, rpu_config=UnitCellRPUConfig(device=rule))
    optimizer, start = AnalogSGD(model.parameters(), lr=0.1), WarmStart(model)
    x = torch.randn(20, 2)
    y = x @ torch.tensor([[0.3, -0.2], [0.1, 0.4]])
    for _ in range(30):
        optimizer.zero_grad()
        loss = (model(x) - y).square().mean()
        loss.backward()
        optimizer.step()
        start.step(loss.detach())
    assert start.finished


@pytest.mark.parametrize(
    ("model", "found"),
    [
        (nn.Linear(2, 2), "has no tile with a warm start"),
        (layer(3, False), "has multi-tile rules, but none with a warm start"),
    ],
)
def test_a_model_without_a_warm_start_is_refused(model: nn.Module, found: str) -> None:
    with pytest.raises(OptimizerError, match=f"{found}.*warm_start=True"):
        WarmStart(model)


def test_a_loss_that_is_not_finite_is_refused() -> None:
    with pytest.raises(OptimizerError, match=r"loss = nan\. Give a finite number"):
        WarmStart(layer(2)).step(torch.tensor(torch.nan))


@pytest.mark.parametrize("loss", ["a", torch.ones(2), None])
def test_a_loss_is_one_number(loss: Any) -> None:
    with pytest.raises(OptimizerError, match=r"WarmStart\.step: loss = .*Give the mean loss"):
        WarmStart(layer(2)).step(loss)


@pytest.mark.parametrize("state", [{}, {"losses": 1.0}, {"losses": ["a"]}])
def test_a_state_of_something_else_is_refused(state: dict[str, Any]) -> None:
    start = WarmStart(layer(2))
    start.step(1.0)
    with pytest.raises(OptimizerError, match=r"Give a state that WarmStart\.state_dict\(\) gave"):
        start.load_state_dict(state)
    assert start.state_dict() == {"losses": [1.0]}


def learn(model: AnalogLinear, updates: int) -> None:
    model.tile.set_learning_rate(0.01)
    for _ in range(updates):
        model.tile.update(torch.ones(1, 2), torch.ones(1, 2))


def test_a_warm_start_that_nobody_drives_warns_once() -> None:
    model = layer(3)
    learn(model, 999)
    with pytest.warns(UserWarning, match=r"learned from 1000 batches, and no WarmStart ends its phases"):
        learn(model, 1)
    learn(model, 1001)  # without a further one
    learn(layer(2), 1001)  # a chain of two has nothing to wait for


def test_phases_may_be_ended_by_hand() -> None:
    model = layer(3)
    (rule,) = (module for module in model.modules() if isinstance(module, MultiTileTransfer))
    learn(model, 999)
    rule.next_phase()
    learn(model, 999)
    assert int(rule.known("phase")) == 1


def test_a_warm_start_that_is_driven_may_take_its_time_but_its_copy_has_no_driver() -> None:
    model = layer(3)
    WarmStart(model)
    learn(model, 1000)
    with pytest.warns(UserWarning, match="no WarmStart ends its phases"):
        learn(copy.deepcopy(model), 1000)
