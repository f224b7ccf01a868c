"""Next-value prediction of a sine with analog recurrent networks."""

import math

import torch
from torch import nn
from torch.nn import MSELoss

from aihwkit.nn import (
    AnalogGRUCell,
    AnalogLinear,
    AnalogLSTMCell,
    AnalogLSTMCellCombinedWeight,
    AnalogRNN,
    AnalogSequential,
    AnalogVanillaRNNCell,
)
from aihwkit.optim import AnalogSGD
from aihwkit.simulator.configs.configs import SingleRPUConfig
from aihwkit.simulator.configs.devices import ConstantStepDevice
from aihwkit.simulator.parameters import IOParameters

torch.manual_seed(5)

SEQ, BATCH, HIDDEN = 12, 16, 10


def rpu():
    return SingleRPUConfig(
        device=ConstantStepDevice(dw_min=0.001),
        forward=IOParameters(out_noise=0.01),
        backward=IOParameters(out_noise=0.01),
    )


class Net(AnalogSequential):
    """A recurrent analog network with an analog decoder."""

    def __init__(self, cell, **kwargs):
        super().__init__()
        self.rnn = AnalogRNN(cell, 1, HIDDEN, bias=True, rpu_config=rpu(), xavier=False, **kwargs)
        width = HIDDEN * (2 if kwargs.get("bidir") else 1)
        self.decoder = AnalogLinear(width, 1, rpu_config=rpu())

    def forward(self, x, states):
        out, states = self.rnn(x, states)
        return self.decoder(out), states


def batch():
    phase = torch.rand(BATCH) * 2 * math.pi
    t = torch.arange(SEQ + 1).view(-1, 1) * 0.5
    wave = torch.sin(t + phase).unsqueeze(-1)
    return wave[:-1], wave[1:]


def run(cell, steps, lr=0.1, **kwargs):
    model = Net(cell, **kwargs)
    opt = AnalogSGD(model.parameters(), lr=lr)
    opt.regroup_param_groups(model)
    history = []
    for _ in range(steps):
        x, y = batch()
        states = model.rnn.get_zero_state(BATCH)
        opt.zero_grad()
        pred, states = model(x, states)
        loss = MSELoss()(pred, y)
        loss.backward()
        nn.utils.clip_grad_norm_([p for p in model.parameters() if p.grad is not None], 5.0)
        opt.step()
        history.append(loss.item())
    assert pred.shape == (SEQ, BATCH, 1)
    return sum(history[:3]) / 3, sum(history[-5:]) / 5, states


a0, a1, st = run(AnalogLSTMCell, 100, lr=0.3)
assert len(st) == 1 and len(st[0]) == 2 and st[0][0].shape == (BATCH, HIDDEN)
b0, b1, st = run(AnalogGRUCell, 80, lr=0.2)
assert st[0].shape == (BATCH, HIDDEN)
assert a1 < 0.5 * a0, (a0, a1)
assert b1 < 0.5 * b0, (b0, b1)
_, _, st = run(AnalogVanillaRNNCell, 2, num_layers=2, dropout=0.1)
assert len(st) == 2
run(AnalogLSTMCellCombinedWeight, 2, bidir=True)
print(f"lstm: LSTM {a0:.3f} -> {a1:.3f}, GRU {b0:.3f} -> {b1:.3f}")
