"""Every rule in a whole model, saved, copied or moved in every way, goes on to the same bits."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from builders import RULES, printed_by_new_process, rule
from ohmgrad import AnalogLinear
from ohmgrad.configs import InferenceRPUConfig, RPUConfig, SoftBoundsDevice, WeightModifierParameter, WeightModifierType
from ohmgrad.files import load_checkpoint, save_checkpoint
from ohmgrad.nn import AnalogConv1d, AnalogGRUCell, AnalogRNN
from ohmgrad.optim import AnalogOptimizer

NAMES = (*RULES, "for a chip")
ORDERS = ("optimizer before", "optimizer after")
Run = tuple[nn.Module, torch.optim.Optimizer]


def config_of(name: str) -> RPUConfig:
    """A rule on cells that remember and forget, with scales, a range of inputs, and layers on several tiles."""
    if name == "for a chip":
        disturbed = WeightModifierParameter(type=WeightModifierType.ADD_NORMAL, std_dev=0.1)
        config: RPUConfig = InferenceRPUConfig(modifier=disturbed)
    else:
        config = rule(name, SoftBoundsDevice(dw_min=0.02, write_noise_std=0.3, diffusion=1e-3, lifetime=100.0))
    config.mapping = config.mapping.replaced(
        max_input_size=5, weight_scaling_omega=0.4, weight_scaling_lr_compensation=True, learn_out_scaling=True
    )
    config.pre_post.input_range.enable = True
    config.pre_post.input_range.init_from_data = 3
    return config


class Model(nn.Module):
    """A convolution, a recurrent layer, and a linear layer with analog and one with digital weights."""

    def __init__(self, name: str) -> None:
        super().__init__()
        config = config_of(name)
        self.convolution = AnalogConv1d(2, 3, 3, padding=1, rpu_config=config)
        self.recurrent = AnalogRNN(AnalogGRUCell, 3, 4, rpu_config=config)
        self.linear = AnalogLinear(4, 3, rpu_config=config)
        self.digital = nn.Linear(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        y, _ = self.recurrent(self.convolution(x).relu().permute(2, 0, 1))
        return self.digital(self.linear(y[-1]).tanh())


def optimizer_of(model: nn.Module) -> torch.optim.Optimizer:
    return AnalogOptimizer(torch.optim.AdamW, model.named_parameters(), lr=0.05)


def start(name: str, seed: int = 3) -> Run:
    torch.manual_seed(seed)
    model = Model(name)
    return model, optimizer_of(model)


def go(run: Run, first: int, last: int) -> Run:
    model, optimizer = run
    for step in range(first, last):
        x = torch.randn(4, 2, 5, generator=torch.Generator().manual_seed(step))
        optimizer.zero_grad()
        model(x).square().sum().backward()
        optimizer.step()
    return run


def end(run: Run) -> dict[str, Tensor]:
    go(run, 4, 7)
    return {**run[0].state_dict(), "y": run[0](torch.ones(1, 2, 5)).detach()}


def by_state_dict(run: Run, order: str, name: str, folder: Path) -> Run:
    states = copy.deepcopy((run[0].state_dict(), run[1].state_dict()))
    model, optimizer = start(name, seed=99)
    model.load_state_dict(states[0])
    optimizer = optimizer if order == "optimizer before" else optimizer_of(model)
    optimizer.load_state_dict(states[1])
    return model, optimizer


def by_file(run: Run, order: str, name: str, folder: Path, ending: str = "pt") -> Run:
    path = folder / f"{name}.{ending}"
    save_checkpoint(path, model=run[0], optimizer=run[1])
    return from_file(path, order, name)


def from_file(path: Path, order: str, name: str) -> Run:
    model, optimizer = start(name, seed=99)
    if order == "optimizer before":
        load_checkpoint(path, model=model, optimizer=optimizer)
        return model, optimizer
    state = load_checkpoint(path, model=model)["optimizer"]
    optimizer = optimizer_of(model)
    optimizer.load_state_dict(state)
    return model, optimizer


def by_safetensors(run: Run, order: str, name: str, folder: Path) -> Run:
    return by_file(run, order, name, folder, "safetensors")


def by_copy(run: Run, order: str, name: str, folder: Path) -> Run:
    return with_order(copy.deepcopy(run), order)


def by_pickle(run: Run, order: str, name: str, folder: Path) -> Run:
    return with_order(pickle.loads(pickle.dumps(run)), order)


def by_moving(run: Run, order: str, name: str, folder: Path) -> Run:
    model, optimizer = copy.deepcopy(run)
    return with_order((model.to("cpu").cpu().to(torch.device("cpu")), optimizer), order)


def by_memory_that_comes_later(run: Run, order: str, name: str, folder: Path) -> Run:
    with torch.device("meta"):
        model = Model(name)
    model.to_empty(device="cpu").load_state_dict(run[0].state_dict())
    optimizer = optimizer_of(model)
    optimizer.load_state_dict(copy.deepcopy(run[1].state_dict()))
    return model, optimizer


def with_order(run: Run, order: str) -> Run:
    """The same run, or with an optimizer that is made now."""
    if order == "optimizer before":
        return run
    optimizer = optimizer_of(run[0])
    optimizer.load_state_dict(run[1].state_dict())
    return run[0], optimizer


WAYS = [by_state_dict, by_file, by_safetensors, by_copy, by_pickle, by_moving, by_memory_that_comes_later]


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
@pytest.mark.parametrize("name", NAMES)
def test_a_model_goes_on_to_the_same_bits(name: str, way: Callable[..., Run], order: str, tmp_path: Path) -> None:
    run = go(start(name), 0, 4)
    other = way(run, order, name, tmp_path)
    expected, found = end(run), end(other)
    assert list(found) == list(expected)
    assert [key for key, value in expected.items() if not torch.equal(found[key], value)] == []


def resume_all(folder: Path) -> None:
    """What the new process does: go on from every file, and say which did not end as it should have."""
    for name in NAMES:
        expected = torch.load(folder / f"{name}-end.pt")
        for order in ORDERS:
            found = end(from_file(folder / f"{name}.pt", order, name))
            if any(not torch.equal(found[key], value) for key, value in expected.items()):
                print(f"{name}, {order}")
    print("done")


def test_a_new_process_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    for name in NAMES:
        run = go(start(name), 0, 4)
        save_checkpoint(tmp_path / f"{name}.pt", model=run[0], optimizer=run[1])
        torch.save(end(run), tmp_path / f"{name}-end.pt")
    printed, errors = printed_by_new_process("test_matrix", tmp_path)
    assert printed == ["done"], errors
