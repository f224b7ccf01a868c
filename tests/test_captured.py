"""A whole training step asks the device for nothing, and may be recorded and repeated blindly.

The updates of all rules by themselves are in test_no_sync.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from builders import RULES, rule
from ohmgrad.configs import (
    InferenceRPUConfig,
    RPUConfig,
    RuntimeParameter,
    SingleRPUConfig,
    SoftBoundsDevice,
    WeightClipParameter,
    WeightClipType,
    WeightModifierParameter,
    WeightModifierType,
)
from ohmgrad.testing.common import INTERPRETED, a_batch, assert_same_bits, everything, make_tile
from ohmgrad.tile import AnalogTile
from tape import recorded

SIZE = (3, 4)
SOFT = SoftBoundsDevice(dw_min=0.02)


CONFIGS: dict[str, RPUConfig] = {
    **{name: rule(name, SOFT) for name in RULES if name != "mrl"},  # a chain, as there is one in test_no_sync.py
    "half the memory": SingleRPUConfig(device=SOFT, runtime=RuntimeParameter(parameter_dtype="bfloat16")),
    "implicit cells": SingleRPUConfig(device=SOFT, runtime=RuntimeParameter(implicit_cells=True)),
}


def training_step(tile: AnalogTile, x: Tensor, d: Tensor) -> Callable[[], None]:
    """Forward, backward and update."""

    def step() -> None:
        tile.forward(x)
        tile.backward(d)
        tile.update(x, d)

    return step


@pytest.mark.parametrize("name", CONFIGS)
def test_a_recorded_step_repeated_blindly_is_training(name: str) -> None:
    """The program decides nothing from step to step: with the memory of one step, the device goes on alone."""
    x, d = a_batch(2, SIZE)
    tile, alone = (make_tile(CONFIGS[name], SIZE, INTERPRETED) for _ in range(2))
    for each in (tile, alone):
        training_step(each, x, d)()
    tape = recorded(alone, training_step(alone, x, d))  # a step of its own
    training_step(tile, x, d)()
    for _ in range(3):
        tape.play()
        training_step(tile, x, d)()
    assert_same_bits(everything(alone), everything(tile), name)


def test_a_recorded_step_disturbs_weights_anew_each_time_it_is_repeated() -> None:
    config = InferenceRPUConfig(
        modifier=WeightModifierParameter(
            type=WeightModifierType.DISCRETIZE_ADD_NORMAL, std_dev=0.1, res=0.1, sto_round=True, pdrop=0.1
        ),
        clip=WeightClipParameter(type=WeightClipType.LAYER_GAUSSIAN),
    )
    x, d = a_batch(2, SIZE)
    tile, alone = (make_tile(config, SIZE, INTERPRETED) for _ in range(2))

    def step_of(tile: AnalogTile, results: list[Tensor]) -> Callable[[], None]:
        def step() -> None:
            results[:] = [tile.forward(x), tile.backward(d)]
            tile.update(x, d)
            tile.post_update_step()

        return step

    results: list[Tensor] = []
    repeated: list[Tensor] = []
    step, other = step_of(tile, results), step_of(alone, repeated)
    step()
    other()
    tape = recorded(alone, other)
    step()
    for _ in range(3):
        tape.play()
        step()
    assert_same_bits(everything(alone), everything(tile), "training for a chip")
    for found, wanted in zip(repeated, results, strict=True):
        assert torch.equal(found, wanted)
    assert torch.equal(alone.modifier.modified, tile.modifier.modified)


@pytest.mark.parametrize("name", CONFIGS)
def test_every_step_takes_the_same_launches(name: str) -> None:
    """Whether or not a transfer is due."""
    x, d = a_batch(2, SIZE)
    tile = make_tile(CONFIGS[name], SIZE, INTERPRETED)
    training_step(tile, x, d)()  # the first of all makes what the others use
    first, *others = (recorded(tile, training_step(tile, x, d)).names for _ in range(3))
    assert all(names == first for names in others)


class Transfers(TorchDispatchMode):
    """Refuses work between the memory of the host and that of a device."""

    def __torch_dispatch__(self, function: Any, _: Any, arguments: Any = (), options: Any = None) -> Any:
        result = function(*arguments, **(options or {}))
        places = {leaf.device.type for leaf in tree_leaves((arguments, options, result)) if isinstance(leaf, Tensor)}
        assert len(places) <= 1, f"{function} copies between {' and '.join(places)}"
        return result


@pytest.mark.parametrize("name", CONFIGS)
def test_an_update_copies_nothing_between_host_and_device(name: str) -> None:
    """On tensors that have no values, nor memory: asking for any is an error in itself."""
    tile = make_tile(CONFIGS[name], SIZE, INTERPRETED).to("meta")
    step = training_step(tile, *(each.to("meta") for each in a_batch(2, SIZE)))
    step()  # the first of all makes what the others use
    with torch.no_grad(), Transfers():
        step()
