"""Recurrent networks of analog cells are those of torch wherever the tiles are perfect."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from builders import perfect, rule
from ohmgrad import AnalogSGD, ConfigError, TileError
from ohmgrad.configs import IdealDevice, RPUConfig, SingleRPUConfig, SoftBoundsDevice
from ohmgrad.nn import (
    AnalogGRUCell,
    AnalogLSTMCell,
    AnalogLSTMCellCombinedWeight,
    AnalogRNN,
    AnalogVanillaRNNCell,
    convert_to_analog,
    convert_to_digital,
)

IN, HIDDEN, TIMES, SAMPLES = 3, 4, 6, 5
CELLS = [AnalogVanillaRNNCell, AnalogLSTMCell, AnalogLSTMCellCombinedWeight, AnalogGRUCell]


def exact(**mapping: Any) -> RPUConfig:
    config = perfect(SingleRPUConfig(device=IdealDevice()))
    config.mapping = config.mapping.replaced(**mapping)
    return config


def torch_layers() -> list[nn.RNNBase]:
    torch.manual_seed(1)
    kinds: list[tuple[Any, dict[str, Any]]] = [
        (nn.RNN, {}),
        (nn.RNN, {"nonlinearity": "relu", "bias": False}),
        (nn.LSTM, {}),
        (nn.LSTM, {"bias": False, "batch_first": True}),
        (nn.GRU, {}),
    ]
    more: list[dict[str, Any]] = [{}, {"num_layers": 2, "bidirectional": True}]
    return [kind(IN, HIDDEN, **fields, **further) for kind, fields in kinds for further in more]


def parts(state: Tensor | tuple[Tensor, Tensor]) -> list[Tensor]:
    return [state] if isinstance(state, Tensor) else list(state)


@pytest.mark.parametrize("digital", torch_layers(), ids=str)
@pytest.mark.parametrize("digital_bias", [True, False], ids=["digital bias", "analog bias"])
def test_exact_cells_train_as_those_of_torch(digital: nn.RNNBase, digital_bias: bool) -> None:
    digital = copy.deepcopy(digital)
    analog = convert_to_analog(digital, exact(digital_bias=digital_bias))
    torch.manual_seed(2)
    x = torch.randn(TIMES, SAMPLES, IN)
    ways = [(digital, torch.optim.SGD(digital.parameters(), lr=0.1)), (analog, AnalogSGD(analog.parameters(), lr=0.1))]
    for step in range(4):
        found: list[list[Tensor]] = []
        for model, optimizer in ways:
            given = x.clone().requires_grad_()
            y, last = model(given)
            optimizer.zero_grad()
            (y.square().mean() + sum(part.sin().mean() for part in parts(last))).backward()
            optimizer.step()
            found.append([y, *parts(last), given.grad])
        for here, there in zip(*found, strict=True):
            torch.testing.assert_close(here, there, rtol=1e-6, atol=1e-6, msg=lambda text, step=step: f"{step}: {text}")
    for name, value in convert_to_digital(analog).state_dict().items():
        torch.testing.assert_close(value, digital.state_dict()[name], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("digital", torch_layers(), ids=str)
def test_states_that_are_given_are_those_of_torch(digital: nn.RNNBase) -> None:
    analog = convert_to_analog(digital, exact())
    layers = digital.num_layers * (2 if digital.bidirectional else 1)
    h, c = torch.randn(2, layers, SAMPLES, HIDDEN)
    batched = torch.randn(SAMPLES, TIMES, IN) if digital.batch_first else torch.randn(TIMES, SAMPLES, IN)
    lone = torch.randn(TIMES, IN)
    for x, cut in ((batched, lambda part: part), (lone, lambda part: part[:, 0].contiguous())):
        state = (cut(h), cut(c)) if isinstance(digital, nn.LSTM) else cut(h)
        (y, last), (wanted, wanted_last) = analog(x, state), digital(x, state)
        torch.testing.assert_close(y, wanted)
        for here, there in zip(parts(last), parts(wanted_last), strict=True):
            torch.testing.assert_close(here, there)


def test_an_lstm_with_one_array_is_the_one_with_two() -> None:
    torch.manual_seed(3)
    two, one = (
        AnalogRNN(kind, IN, HIDDEN, rpu_config=exact()) for kind in (AnalogLSTMCell, AnalogLSTMCellCombinedWeight)
    )
    (w_ih, b_ih), (w_hh, b_hh) = two.cells()[0].weight_ih.get_weights(), two.cells()[0].weight_hh.get_weights()
    one.cells()[0].weight.set_weights(torch.cat([w_ih, w_hh], 1), b_ih + b_hh)
    x = torch.randn(TIMES, SAMPLES, IN)
    torch.testing.assert_close(one(x)[0], two(x)[0])


@pytest.mark.parametrize("kind", CELLS)
@pytest.mark.parametrize("bidir", [False, True], ids=["forward", "both ways"])
def test_a_sequence_may_be_cut_where_its_state_is_handed_on(kind: Any, bidir: bool) -> None:
    torch.manual_seed(4)
    rnn = AnalogRNN(kind, IN, HIDDEN, rpu_config=exact(), num_layers=2, bidir=bidir)
    x = torch.randn(TIMES, SAMPLES, IN)
    y, states = rnn(x)
    assert y.shape == (TIMES, SAMPLES, HIDDEN * (1 + bidir))
    assert len(states) == 2
    again, _ = rnn(x, rnn.get_zero_state(SAMPLES))
    torch.testing.assert_close(again, y)
    if not bidir:
        first, between = rnn(x[:2])
        second, last = rnn(x[2:], between)
        torch.testing.assert_close(torch.cat([first, second]), y)
        for here, there in zip(last, states, strict=True):
            for part, wanted in zip(parts(here), parts(there), strict=True):
                torch.testing.assert_close(part, wanted)


@pytest.mark.parametrize("kind", CELLS)
def test_a_cell_alone_does_what_a_sequence_of_one_does(kind: Any) -> None:
    torch.manual_seed(5)
    rnn = AnalogRNN(kind, IN, HIDDEN, rpu_config=exact())
    x, cell = torch.randn(1, SAMPLES, IN), rnn.cells()[0]
    y, state = cell(x[0], cell.get_zero_state(SAMPLES))
    wanted, (last,) = rnn(x)
    torch.testing.assert_close(y, wanted[0])
    torch.testing.assert_close(parts(state), parts(last))


@pytest.mark.parametrize("kind", CELLS)
def test_analog_cells_learn_a_sequence(kind: Any) -> None:
    torch.manual_seed(6)
    rnn = AnalogRNN(kind, 1, 8, rpu_config=rule("sgd", SoftBoundsDevice(dw_min=0.002)))
    out = nn.Linear(8, 1)
    optimizer = AnalogSGD([*rnn.parameters(), *out.parameters()], lr=0.1)
    wave = torch.sin(torch.arange(41.0) / 3)[:, None, None]
    losses = []
    for _ in range(100):
        optimizer.zero_grad()
        loss = (out(rnn(wave[:-1])[0]) - wave[1:]).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.4 * losses[0]
    assert all(int(counts.up.sum()) > 0 for tile in rnn.analog_tiles() for counts in tile.pulse_counts()[:1])


def test_initial_weights_are_those_of_torch_or_of_xavier() -> None:
    torch.manual_seed(7)
    rnn = AnalogRNN(AnalogLSTMCell, 50, 40, rpu_config=exact())
    for layer in (rnn.cells()[0].weight_ih, rnn.cells()[0].weight_hh):
        weight, bias = layer.get_weights()
        for values in (weight, bias):
            assert values.abs().max() <= 40**-0.5
            assert values.abs().max() > 0.9 * 40**-0.5
    rnn.reset_parameters(xavier=True)
    weight, bias = rnn.cells()[0].weight_ih.get_weights()
    assert weight.abs().max() == pytest.approx((6 / (50 + 160)) ** 0.5, rel=0.01)
    assert not bias.any()


def test_dropout_acts_between_layers_in_training_only() -> None:
    rnn = AnalogRNN(AnalogGRUCell, IN, HIDDEN, rpu_config=exact(), num_layers=2, dropout=1.0)
    one = AnalogRNN(AnalogGRUCell, IN, HIDDEN, rpu_config=exact(), dropout=1.0)
    x, y = torch.randn(2, TIMES, SAMPLES, IN)
    assert torch.equal(rnn(x)[0], rnn(y)[0])  # nothing of the input is left
    assert not torch.equal(rnn.eval()(x)[0], rnn(y)[0])
    assert not torch.equal(one(x)[0], one(y)[0])


def test_what_does_not_fit_is_refused() -> None:
    rnn = AnalogRNN(AnalogVanillaRNNCell, IN, HIDDEN, rpu_config=exact(), num_layers=2, bidir=True)
    for shape in ((SAMPLES, IN), (TIMES, SAMPLES, IN + 1), (0, SAMPLES, IN)):
        with pytest.raises(TileError, match=r"\[times, samples, 3\]"):
            rnn(torch.zeros(shape))
    with pytest.raises(TileError, match="1 states given"):
        rnn(torch.zeros(TIMES, SAMPLES, IN), [torch.zeros(SAMPLES, HIDDEN)])
    with pytest.raises(TileError, match="Give a list of two"):
        rnn(torch.zeros(TIMES, SAMPLES, IN), [torch.zeros(SAMPLES, HIDDEN)] * 2)
    with pytest.raises(ConfigError, match="num_layers = 0"):
        AnalogRNN(AnalogVanillaRNNCell, IN, HIDDEN, num_layers=0)
    with pytest.raises(ConfigError, match="proj_size=2"):
        convert_to_analog(nn.LSTM(IN, HIDDEN, proj_size=2), exact())
    layer = convert_to_analog(nn.LSTM(IN, HIDDEN), exact())
    packed = nn.utils.rnn.pack_sequence([torch.zeros(3, IN), torch.zeros(2, IN)])
    with pytest.raises(TileError, match="pad the sequences"):
        layer(packed)
    with pytest.raises(TileError, match=r"\[\(1, 5, 4\), \(1, 5, 4\)\] needed"):
        layer(torch.zeros(TIMES, SAMPLES, IN), (torch.zeros(2, SAMPLES, HIDDEN), torch.zeros(2, SAMPLES, HIDDEN)))


@pytest.mark.parametrize("digital", torch_layers(), ids=str)
def test_states_of_other_shapes_are_refused_and_not_spread(digital: nn.RNNBase) -> None:
    analog = convert_to_analog(digital, exact())
    layers = digital.num_layers * (2 if digital.bidirectional else 1)
    x = torch.randn(2, 2, IN)
    one, right, lone = torch.zeros(layers, 1, HIDDEN), torch.zeros(layers, 2, HIDDEN), torch.zeros(layers, HIDDEN)
    is_lstm = isinstance(digital, nn.LSTM)
    for given, state in ((x, one), (x, lone), (x[0], right)):
        with pytest.raises(TileError, match="needed"):
            analog(given, (state, state) if is_lstm else state)
    with pytest.raises(TileError, match="needed"):
        analog(x, right if is_lstm else (right, right))
    with pytest.raises(TileError, match="needed"):
        analog.rnn(x, [torch.zeros(1, HIDDEN)] * digital.num_layers if not digital.bidirectional else [[one, one]] * 2)


def test_a_converted_layer_is_asked_what_a_layer_of_torch_is_asked() -> None:
    digital = nn.LSTM(IN, HIDDEN, num_layers=2, dropout=0.1, batch_first=True, bidirectional=True)
    for parameter in (digital.bias_ih_l0, digital.weight_hh_l1):
        parameter.requires_grad_(False)
    analog = convert_to_analog(digital, exact())
    analog.flatten_parameters()
    for name in ("input_size", "hidden_size", "num_layers", "bias", "batch_first", "dropout", "bidirectional", "mode"):
        assert getattr(analog, name) == getattr(digital, name)
    analog(input=torch.zeros(2, 3, IN))
    trained = {name: each.requires_grad for name, each in digital.named_parameters()}
    assert {name: each.requires_grad for name, each in convert_to_digital(analog).named_parameters()} == trained
