"""What an array keeps for its next replay never outlives the tensors that it was made of."""

from __future__ import annotations

import copy
import io
from collections.abc import Callable

import pytest
import torch

from ohmgrad.configs import SingleRPUConfig, SoftBoundsDevice
from ohmgrad.tile import AnalogTile


def new_tile() -> AnalogTile:
    torch.manual_seed(0)
    tile = AnalogTile(5, 5, SingleRPUConfig(device=SoftBoundsDevice()))
    tile.set_learning_rate(0.1)
    return tile


def train(tile: AnalogTile, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    tile.update(torch.randn(3, 5, generator=generator), torch.randn(3, 5, generator=generator))


def other_memory(tile: AnalogTile) -> AnalogTile:
    for buffer in tile.buffers():
        buffer.data = buffer.data.clone()
    tile._show()
    return tile


def other_layout(tile: AnalogTile) -> AnalogTile:
    for buffer in tile.buffers():
        if buffer.ndim == 2:
            buffer.data = buffer.data.t().contiguous().t()
    tile._show()
    return tile


def turned_in_place(tile: AnalogTile) -> AnalogTile:
    """All memory stays where it is, but means something else: what was there is put right by hand."""
    for buffer in tile.buffers():
        if buffer.ndim == 2:
            values = buffer.clone()
            buffer.t_()
            buffer.copy_(values)
    tile._show()
    return tile


def assigned(tile: AnalogTile) -> AnalogTile:
    state = {name: value.clone() for name, value in tile.state_dict().items()}
    tile.load_state_dict(state, assign=True)
    return tile


def shared(tile: AnalogTile) -> AnalogTile:
    tile.share_memory()
    return tile


def saved(tile: AnalogTile) -> AnalogTile:
    file = io.BytesIO()
    torch.save(tile, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


@pytest.mark.parametrize(
    "change", [other_memory, other_layout, turned_in_place, assigned, shared, saved, copy.deepcopy, lambda t: t.cpu()]
)
def test_an_update_reaches_the_cells_wherever_they_have_gone(change: Callable[[AnalogTile], AnalogTile]) -> None:
    tile, expected = new_tile(), new_tile()
    for each in (tile, expected):
        train(each, 1)
    before = tile.get_weights()
    tile = change(tile)
    assert torch.equal(tile.get_weights(), before)
    for each in (tile, expected):
        train(each, 2)
    assert not torch.equal(tile.get_weights(), before)
    for name, value in expected.state_dict().items():
        assert torch.equal(tile.state_dict()[name], value), name
    assert torch.equal(tile.get_weights(), expected.get_weights())


def test_a_copy_does_not_train_the_original() -> None:
    tile = new_tile()
    train(tile, 1)
    before = tile.get_weights()
    train(copy.deepcopy(tile), 2)
    assert torch.equal(tile.get_weights(), before)


def test_a_device_that_is_changed_later_is_taken_as_it_is_now() -> None:
    tile, quiet = new_tile(), new_tile()
    train(tile, 1)
    train(quiet, 1)
    quiet.rule.all_arrays()[0].device_config.dw_min_std = 0.0
    train(tile, 2)
    train(quiet, 2)
    assert not torch.equal(tile.get_weights(), quiet.get_weights())
