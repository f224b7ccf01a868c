"""Wrappers that train copies of a model in parallel say that they cannot train analog weights."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from builders import rule
from ohmgrad import AnalogLinear, AnalogSGD, TileError


@pytest.fixture
def _group(tmp_path: Path) -> Iterator[None]:
    """A group of one process."""
    distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    yield
    distributed.destroy_process_group()


def model_of() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 4), AnalogLinear(4, 3, rpu_config=rule("ttv3")))


def test_data_parallel_would_train_copies() -> None:
    # torch.nn.parallel.replicate asks every module for a copy; it needs two GPUs.
    copies = (module._replicate_for_data_parallel() for module in model_of().modules())
    with pytest.raises(TileError, match=r"4 inputs, 3 outputs.*DataParallel would train copies"):
        list(copies)


@pytest.mark.usefixtures("_group")
def test_distributed_data_parallel_has_no_gradient_to_share() -> None:
    wrapped = DistributedDataParallel(model_of())
    with pytest.raises(TileError, match=r"DistributedDataParallel shares gradients.*layer\.freeze\(\)"):
        wrapped(torch.ones(2, 4))


@pytest.mark.usefixtures("_group")
def test_what_is_digital_can_be_trained_in_parallel_beside_frozen_analog_weights() -> None:
    model = model_of()
    model[1].weight.requires_grad_(False)
    before, wrapped = model[1].tile.get_weights(), DistributedDataParallel(model)
    optimizer = AnalogSGD(wrapped.parameters(), lr=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        wrapped(torch.ones(2, 4)).square().sum().backward()
        optimizer.step()
    assert torch.equal(model[1].tile.get_weights(), before)
    with torch.no_grad():
        assert wrapped(torch.ones(2, 4)).shape == (2, 3)
