"""Numbers that are not finite where nothing waits to know: the error comes late, and nothing is damaged."""

from __future__ import annotations

import copy
import math
import pickle
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from builders import RULES, rule
from ohmgrad import AnalogLinear, AnalogSGD, AnalogTile
from ohmgrad.configs import IOParameters, NoiseManagementType
from ohmgrad.engine import watch
from ohmgrad.engine.watch import Watch
from ohmgrad.errors import TileError

BAD = pytest.mark.parametrize(
    ("bad", "word"), [(math.nan, "NaN"), (math.inf, "infinite"), (-math.inf, "infinite")], ids=["NaN", "inf", "-inf"]
)
BY_RULE = pytest.mark.parametrize("name", sorted({*RULES} - {"mrl", "lrtt"}))  # the tile masks, whatever the rule
LATE = r"It was noticed late.*nothing was learned from that batch"


def tile_of(name: str = "sgd", **io: Any) -> AnalogTile:
    torch.manual_seed(1)
    config = rule(name, implementation="gpu")
    config.forward = config.forward.replaced(**io)
    return AnalogTile(3, 4, config)


def everything(tile: AnalogTile) -> dict[str, Tensor]:
    seen = {**tile.state_dict(), **tile.get_hidden_parameters(), **tile.algorithm_state(), "w": tile.get_weights()}
    return {name: value.clone() for name, value in seen.items()}


def spoilt(shape: tuple[int, ...], bad: float) -> Tensor:
    values = torch.ones(shape)
    values[-1, 1] = bad
    return values


class Slow:
    """A messenger whose message arrives when it is told."""

    def __init__(self) -> None:
        self.sent: list[list[float]] = []
        self.is_there = False

    def send(self, values: Tensor) -> None:
        assert not self.sent or self.is_there, "one message is under way already"
        self.sent.append(values.tolist())
        self.is_there = False

    def arrived(self) -> Sequence[float] | None:
        return self.sent[-1] if self.is_there else None


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Slow:
    messenger = Slow()
    monkeypatch.setattr(watch, "_messenger", lambda _: messenger)
    return messenger


# The cells


@BAD
@BY_RULE
def test_a_bad_batch_is_learned_from_as_if_it_were_zeros(name: str, bad: float, word: str) -> None:
    for x, d in ((spoilt((5, 4), bad), torch.ones(5, 3)), (torch.ones(5, 4), spoilt((5, 3), bad))):
        tile, other = tile_of(name), tile_of(name)
        for one in (tile, other):
            one.update(torch.randn(3, 4, generator=torch.Generator().manual_seed(2)), torch.ones(3, 3))
        tile.update(x, d)
        other.update(torch.zeros(5, 4), torch.zeros(5, 3))
        expected = everything(other)
        assert all(torch.equal(value, expected[key]) for key, value in everything(tile).items())


@BAD
def test_cells_that_only_gradients_reach_stay_as_they_are(bad: float, word: str) -> None:
    tile = tile_of()
    before, (counts,) = tile.get_weights(), tile.pulse_counts()
    tile.update(spoilt((5, 4), bad), torch.ones(5, 3))
    assert torch.equal(tile.get_weights(), before)
    assert torch.equal(tile.pulse_counts()[0].total, counts.total)


@BAD
def test_a_product_of_a_bad_batch_is_nan_even_where_converters_would_hide_it(bad: float, word: str) -> None:
    tile = tile_of(noise_management=NoiseManagementType.NONE)
    assert tile(spoilt((2, 4), bad)).isnan().all()
    other = tile_of()
    assert other.backward(spoilt((2, 3), bad)).isnan().all()


@BAD
def test_a_bad_batch_does_not_reach_the_running_average_of_inputs(bad: float, word: str) -> None:
    tile = tile_of(noise_management=NoiseManagementType.AVERAGE_ABS_MAX)
    for first in (False, True):
        if first:
            tile(torch.ones(3, 4))
        before = tile.average_input.clone()
        tile(spoilt((2, 4), bad))
        assert torch.equal(tile.average_input, before)
        with pytest.raises(TileError, match=LATE):
            tile.check()


def test_training_may_follow_an_evaluation_in_inference_mode() -> None:
    tile = tile_of()
    with torch.inference_mode():
        tile(torch.ones(2, 4))
    x = torch.ones(2, 4, requires_grad=True)
    tile(x).sum().backward()
    tile.learn()
    assert tile.pulse_counts()[0].total.any()


def test_messages_arrive_in_the_memory_of_the_host_whatever_the_default_device(monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda, "Event", lambda: None)
    empty = torch.empty
    monkeypatch.setattr(torch, "empty", lambda *size, pin_memory=False, **options: empty(*size, **options))
    with torch.device("meta"):
        assert watch._Pinned(torch.zeros(2))._copy.device.type == "cpu"


# The error


@BAD
def test_the_next_product_or_update_names_what_was_bad(bad: float, word: str) -> None:
    x, d = spoilt((2, 4), bad), spoilt((2, 3), bad)
    good_x, good_d = torch.ones(2, 4), torch.ones(2, 3)
    for first, what in (
        (lambda tile: tile(x), "input"),
        (lambda tile: tile.backward(d), "gradient"),
        (lambda tile: tile.update(x, good_d), "input"),
        (lambda tile: tile.update(good_x, d), "gradient"),
    ):
        for following in (
            lambda tile: tile(good_x),
            lambda tile: tile.backward(good_d),
            lambda tile: tile.update(good_x, good_d),
        ):
            tile = tile_of()
            first(tile)
            before = everything(tile)
            with pytest.raises(
                TileError, match=rf"^analog layer \(4 inputs, 3 outputs\): the {what} is {word} in places\. .*{LATE}"
            ):
                following(tile)
            assert all(torch.equal(value, before[key]) for key, value in everything(tile).items())
            following(tile)  # it is raised once


def test_all_that_was_bad_is_named() -> None:
    tile = tile_of()
    tile.update(spoilt((2, 4), math.inf), spoilt((2, 3), math.nan))
    with pytest.raises(TileError, match="the input is infinite in places, the gradient is NaN in places"):
        tile.check()


def test_one_can_ask_at_once() -> None:
    tile = tile_of()
    tile.check()
    tile(torch.ones(2, 4))
    tile.check()
    tile(spoilt((2, 4), math.nan))
    with pytest.raises(TileError, match="the input is NaN"):
        tile.check()
    tile.check()


def test_an_empty_batch_is_nothing_bad() -> None:
    tile = tile_of()
    assert tile(torch.zeros(0, 4)).shape == (0, 3)
    tile.update(torch.zeros(0, 4), torch.zeros(0, 3))
    tile.check()


def test_float16_is_told_from_other_reasons() -> None:
    tile = tile_of()
    tile.backward(spoilt((2, 3), math.inf).half())
    with pytest.raises(TileError, match=r"the gradient is infinite in places \(float16 ends at 65504: bfloat16"):
        tile.check()


def test_training_goes_on_after_a_late_error_as_if_the_batch_had_been_zeros() -> None:
    tile, other = tile_of(), tile_of()
    tile.update(spoilt((2, 4), math.nan), torch.ones(2, 3))
    other.update(torch.zeros(2, 4), torch.zeros(2, 3))
    with pytest.raises(TileError):
        tile.check()
    for one in (tile, other):
        one.update(torch.ones(4, 4), torch.ones(4, 3))
    assert torch.equal(tile.get_weights(), other.get_weights())


def test_an_optimizer_raises_before_anything_steps() -> None:
    torch.manual_seed(2)
    model = nn.Sequential(nn.Linear(4, 4), AnalogLinear(4, 3, rpu_config=rule("sgd", implementation="gpu")))
    optimizer = AnalogSGD(model.named_parameters(), lr=0.1)
    model(torch.ones(2, 4)).sum().backward()
    with torch.no_grad():
        model[1](torch.full((2, 4), math.nan))
    digital, weights = model[0].weight.clone(), model[1].tile.get_weights()
    with pytest.raises(TileError, match=r"layer '1' \(4 inputs, 3 outputs\): the input is NaN"):
        optimizer.step()
    assert torch.equal(model[0].weight, digital)
    optimizer.step()  # the gradients are still there
    assert not torch.equal(model[0].weight, digital)
    assert not torch.equal(model[1].tile.get_weights(), weights)


def test_a_step_with_bad_gradients_leaves_the_cells_of_all_layers_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "_messenger", lambda _: Slow())  # the program is ahead of the device
    torch.manual_seed(2)
    config = rule("sgd", implementation="gpu")
    model = nn.Sequential(AnalogLinear(4, 6, rpu_config=config), nn.Tanh(), AnalogLinear(6, 3, rpu_config=config))
    optimizer = AnalogSGD(model.named_parameters(), lr=0.1)
    before = [model[0].tile.get_weights(), model[2].tile.get_weights()]
    (model(torch.ones(2, 4)) * math.nan).sum().backward()
    optimizer.step()
    for layer, weights in zip((model[0], model[2]), before, strict=True):
        assert torch.equal(layer.tile.get_weights(), weights)
        with pytest.raises(TileError, match="the gradient is NaN"):
            layer.tile.check()


# What travels


def test_nothing_is_raised_until_the_message_has_arrived(slow: Slow) -> None:
    tile = tile_of()
    tile(spoilt((2, 4), math.nan))
    tile(torch.ones(2, 4))
    tile.update(torch.ones(2, 4), torch.ones(2, 3))
    slow.is_there = True
    with pytest.raises(TileError, match="the input is NaN"):
        tile.backward(torch.ones(2, 3))
    tile.backward(torch.ones(2, 3))


def test_what_was_noted_while_a_message_was_under_way_goes_with_the_next(slow: Slow) -> None:
    tile = tile_of()
    tile(torch.ones(2, 4))
    tile(spoilt((2, 4), math.nan))
    assert slow.sent == [[1.0, 0.0]]
    slow.is_there = True
    tile(torch.ones(2, 4))  # the first message is good, and the second sets out
    assert len(slow.sent) == 2
    slow.is_there = True
    with pytest.raises(TileError, match="the input is NaN"):
        tile(torch.ones(2, 4))


def test_who_asks_at_once_is_not_told_again_by_a_message_under_way(slow: Slow) -> None:
    tile = tile_of()
    tile(spoilt((2, 4), math.nan))
    with pytest.raises(TileError):
        tile.check()
    slow.is_there = True
    tile(torch.ones(2, 4))
    tile.check()


def test_nothing_is_asked_or_sent_while_a_graph_is_captured(slow: Slow, monkeypatch: pytest.MonkeyPatch) -> None:
    tile = tile_of()
    monkeypatch.setattr(watch, "is_captured", lambda _: True)
    tile(spoilt((2, 4), math.nan))
    tile(torch.ones(2, 4))
    tile.check()
    assert slow.sent == []
    monkeypatch.setattr(watch, "is_captured", lambda _: False)
    with pytest.raises(TileError, match="the input is NaN"):
        tile.check()


class Reads(TorchDispatchMode):
    """Counts how often a value is brought from a tensor to the program."""

    count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += func in (torch.ops.aten._local_scalar_dense.default, torch.ops.aten.is_nonzero.default)
        return func(*args, **(kwargs or {}))


def test_looking_at_a_batch_reads_nothing_from_the_device(slow: Slow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slow, "send", lambda values: None)
    record, x = Watch(), torch.ones(2, 4)
    with Reads() as reads:
        for _ in range(3):
            sound = record.note(input=x, gradient=x)
            torch.where(sound, x, 0.0)
            assert record.report(wait=False) is None
    assert reads.count == 0
    with Reads() as reads:
        bool(sound)
    assert reads.count > 0


@pytest.mark.parametrize("way", [copy.deepcopy, lambda tile: pickle.loads(pickle.dumps(tile))])
def test_a_copy_has_a_clean_record(way: Any) -> None:
    tile = tile_of()
    tile(spoilt((2, 4), math.nan))
    way(tile).check()
    with pytest.raises(TileError):
        tile.check()


def test_in_the_processors_memory_nothing_is_late() -> None:
    torch.manual_seed(1)
    tile = AnalogTile(3, 4, rule("sgd"))
    with pytest.raises(TileError, match=r"the input is NaN in places\. Look for its cause before this layer\.$"):
        tile(spoilt((2, 4), math.nan))
    tile.check()


def test_perfect_products_are_watched_too() -> None:
    torch.manual_seed(1)
    config = rule("sgd", implementation="gpu")
    config.forward = IOParameters(is_perfect=True)
    tile = AnalogTile(3, 4, config)
    assert tile(spoilt((2, 4), math.inf)).isnan().all()
