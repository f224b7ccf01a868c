"""Analog products of small matrices, for the tests of their parts."""

import torch

from ohmgrad.engine.draws import Draws, Stream
from ohmgrad.engine.mvm import mvm
from ohmgrad.engine.periphery import Direction, Periphery
from ohmgrad.parameters.io import IOParameters

FORWARD, BACKWARD = Stream.FORWARD.of(0), Stream.BACKWARD.of(0)


def quiet(**fields):
    """Everything that is random or coarse switched off, unless asked for."""
    return IOParameters(**{"out_noise": 0.0, "inp_res": 0.0, "out_res": 0.0, **fields})


def circuits(weight, io, draws):
    """The circuits around a matrix."""
    return Periphery(io, *weight.shape, draws, Direction.FORWARD.stream())


def product(weight, x, io, implementation="reference", drawn=None, **more):
    """The product of some vectors; ``drawn`` replaces drawn values."""
    x = torch.as_tensor(x, dtype=torch.float32)
    weight = torch.as_tensor(weight, dtype=torch.float32)
    draws = Draws(7, implementation)
    periphery = circuits(weight, io, draws)
    periphery.set_values(drawn or {})
    return mvm(weight, x, io, draws, FORWARD, torch.arange(len(x)), periphery=periphery, **more)


def identity_product(x, io, **more):
    """What the periphery makes of inputs that the array passes on unchanged."""
    return product(torch.eye(len(x[0])), x, io, **more)
