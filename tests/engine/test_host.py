"""Buffers that stay in the processor's memory."""

from __future__ import annotations

import copy
import io
import pickle

import pytest
import torch
from torch import Tensor, nn

from ohmgrad.engine.host import HostModule


class Counting(HostModule):
    """A counter that the program reads, and an array that it does not."""

    counter: Tensor
    array: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_host_buffer("counter", torch.tensor(3))
        self.register_buffer("array", torch.ones(2))


class Elsewhere(torch.Tensor):
    """A tensor that is not in the processor's memory, as far as anyone can see."""

    def cpu(self) -> Tensor:  # type: ignore[override]
        return self.as_subclass(Tensor).clone()


def elsewhere(value: Tensor) -> Tensor:
    return value.clone().as_subclass(Elsewhere)


def test_what_the_program_reads_stays_when_all_else_moves() -> None:
    module = Counting()
    assert module.to("meta") is module
    assert module.array.is_meta
    assert module.counter.device.type == "cpu"
    assert int(module.counter) == 3


def test_a_module_within_another_is_moved_in_the_same_way() -> None:
    outer = nn.Sequential(nn.ModuleDict({"inner": Counting()}), nn.Linear(2, 2)).to("meta")
    assert int(outer[0]["inner"].counter) == 3
    assert outer[0]["inner"].array.is_meta
    assert outer[1].weight.is_meta


def test_it_keeps_its_type_when_the_module_changes_its_own() -> None:
    module = Counting().double()
    assert module.array.dtype == torch.float64
    assert module.counter.dtype == torch.int64


def test_it_is_saved_and_loaded_in_its_place_among_the_others() -> None:
    module, other = Counting(), Counting()
    module.counter.fill_(7)
    assert list(module.to("meta").state_dict()) == ["counter", "array"]
    other.load_state_dict({"counter": module.counter, "array": torch.zeros(2)})
    assert int(other.counter) == 7


def test_it_comes_back_when_it_is_assigned_from_elsewhere() -> None:
    module = Counting()
    module.load_state_dict({"counter": elsewhere(torch.tensor(7)), "array": elsewhere(torch.ones(2))}, assign=True)
    assert type(module.array) is Elsewhere
    assert type(module.counter) is Tensor
    assert int(module.counter) == 7


def test_it_comes_back_when_a_whole_module_is_loaded_elsewhere() -> None:
    module = Counting()
    state = {**vars(module), "_buffers": {name: elsewhere(value) for name, value in module._buffers.items()}}
    loaded = Counting.__new__(Counting)
    loaded.__setstate__(state)
    assert type(loaded.array) is Elsewhere
    assert type(loaded.counter) is Tensor


@pytest.mark.parametrize("way", ["deepcopy", "pickle", "torch.save"])
def test_a_copy_knows_what_stays(way: str) -> None:
    module = Counting()
    if way == "torch.save":
        file = io.BytesIO()
        torch.save(module, file)
        file.seek(0)
        other = torch.load(file, weights_only=False)
    else:
        other = copy.deepcopy(module) if way == "deepcopy" else pickle.loads(pickle.dumps(module))
    other.counter += 1
    assert (int(module.counter), int(other.to("meta").counter)) == (3, 4)


def test_it_is_shared_between_processes_like_any_buffer() -> None:
    assert Counting().share_memory().counter.is_shared()


def test_what_was_loaded_comes_back_from_wherever_a_module_was_unpickled() -> None:
    module = Counting()
    module.load_state_dict({"counter": torch.tensor(5), "array": torch.ones(2)})
    state = module.__dict__ | {"_loaded": {name: elsewhere(value) for name, value in module._loaded.items()}}
    again, old = Counting.__new__(Counting), Counting.__new__(Counting)
    again.__setstate__(state)
    assert type(again.counted_here("counter")) is Tensor
    assert int(again.counted_here("counter")) == 3
    old.__setstate__({name: value for name, value in state.items() if name != "_loaded"})
    assert int(old.counted_here("counter")) == 5
