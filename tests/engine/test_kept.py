"""What arrays and rules keep for their next update never outlives the tensors that it was made of."""

from __future__ import annotations

import copy
import io
from collections.abc import Callable

import pytest
import torch

from ohmgrad.configs import DynamicTransferCompound, RPUConfig, SingleRPUConfig, SoftBoundsDevice, UnitCellRPUConfig
from ohmgrad.engine.kept import Filled
from ohmgrad.tile import AnalogTile


def plain() -> RPUConfig:
    return SingleRPUConfig(device=SoftBoundsDevice())


def transferred() -> RPUConfig:
    cells = [SoftBoundsDevice(), SoftBoundsDevice()]
    return UnitCellRPUConfig(device=DynamicTransferCompound(unit_cell_devices=cells, gamma=0.1, transfer_every=1.0))


def new_tile(config: Callable[[], RPUConfig] = plain) -> AnalogTile:
    torch.manual_seed(0)
    tile = AnalogTile(5, 5, config())
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
@pytest.mark.parametrize("config", [plain, transferred])
def test_an_update_reaches_the_cells_wherever_they_have_gone(
    change: Callable[[AnalogTile], AnalogTile], config: Callable[[], RPUConfig]
) -> None:
    tile, expected = new_tile(config), new_tile(config)
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


def test_a_kept_vector_that_someone_wrote_to_is_made_anew() -> None:
    kept, like = Filled(), torch.zeros(1)
    for mode in (torch.no_grad, torch.inference_mode):
        with mode():
            vector = kept.of(0.5, 3, torch.float64, like)
            assert kept.of(0.5, 3, torch.float64, like) is vector
            vector.mul_(2.0)
            assert torch.equal(kept.of(0.5, 3, torch.float64, like), torch.full((3,), 0.5, dtype=torch.float64))
