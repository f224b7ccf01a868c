"""Models in half precision and regions of autocast: activations are halved, cells and all that happens to them not."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import Tensor, nn

from builders import RULES, perfect, rule
from ohmgrad import AnalogLinear, AnalogSGD, AnalogTile
from ohmgrad.configs import IdealDevice, IOParameters, RPUConfig, SingleRPUConfig
from ohmgrad.errors import TileError
from ohmgrad.optim import AnalogAdam

HALVES = pytest.mark.parametrize("half", [torch.bfloat16, torch.float16], ids=["bfloat16", "float16"])
BY_RULE = pytest.mark.parametrize("name", ["ideal", *RULES, "noisy reads"])


def config(name: str) -> RPUConfig:
    if name == "noisy reads":  # which are products inside an update
        return rule("ttv1", transfer_forward=IOParameters(inp_noise=0.1))
    return perfect(SingleRPUConfig(device=IdealDevice())) if name == "ideal" else rule(name)


def layer_of(name: str = "sgd", bias: bool = True) -> AnalogLinear:
    torch.manual_seed(1)
    return AnalogLinear(33, 5, bias=bias, rpu_config=config(name))


def random(*shape: int, seed: int = 3) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def cells(tile: AnalogTile) -> dict[str, Tensor]:
    return {**tile.get_hidden_parameters(), "w": tile.get_weights()}


def everything(tile: AnalogTile) -> dict[str, Tensor]:
    return {**tile.state_dict(), **tile.algorithm_state(), **cells(tile)}


def assert_same(first: AnalogTile, second: AnalogTile) -> None:
    expected = everything(second)
    assert [name for name, value in everything(first).items() if not torch.equal(value, expected[name])] == []


# Models in half precision


@HALVES
@BY_RULE
def test_a_model_in_half_precision_trains_and_its_cells_stay_in_single(name: str, half: torch.dtype) -> None:
    layer = layer_of(name).to(half)
    types = {key: value.dtype for key, value in layer_of(name).tile.state_dict().items()}
    optimizer = AnalogSGD(layer.parameters(), lr=0.1)
    before, bias = cells(layer.tile), layer.bias.detach().clone()
    for seed in range(4):
        optimizer.zero_grad()
        x = random(6, 33, seed=seed).to(half).requires_grad_()
        y = layer(x)
        y.square().sum().backward()
        optimizer.step()
    assert (y.dtype, x.grad.dtype, layer.bias.dtype, layer.weight.dtype) == (half, half, half, torch.float32)
    assert {key: value.dtype for key, value in layer.tile.state_dict().items()} == types
    assert not torch.equal(layer.bias, bias)
    assert any(not torch.equal(value, before[key]) for key, value in cells(layer.tile).items())


@HALVES
@pytest.mark.parametrize("optimizer", [AnalogSGD, AnalogAdam])
def test_a_model_of_layers_in_half_precision_learns_a_task(optimizer: type[AnalogSGD], half: torch.dtype) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        AnalogLinear(5, 8, rpu_config=config("ideal")), nn.Tanh(), AnalogLinear(8, 1, rpu_config=config("ideal"))
    ).to(half)
    steps = optimizer(model.parameters(), lr=0.05)
    x = torch.randn(64, 5).to(half)
    y = (x[:, :1] - x[:, 1:2]).tanh()
    losses = []
    for _ in range(60):
        steps.zero_grad()
        loss = nn.functional.mse_loss(model(x), y)
        loss.backward()
        steps.step()
        losses.append(loss.item())
    assert losses[-1] < 0.4 * losses[0]


@HALVES
@BY_RULE
def test_half_numbers_teach_what_the_same_numbers_in_single_precision_do(name: str, half: torch.dtype) -> None:
    halved, single = layer_of(name).tile, layer_of(name).tile
    x, d = random(7, 33).to(half), random(7, 5, seed=4).to(half)
    halved.update(x, d)
    single.update(x.float(), d.float())
    assert_same(halved, single)
    assert torch.equal(halved(x), single(x.float()).to(half))
    assert torch.equal(halved.backward(d), single.backward(d.float()).to(half))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_what_waits_for_a_step_keeps_its_type_and_is_a_copy(dtype: torch.dtype) -> None:
    tile, other = layer_of().tile, layer_of().tile
    x = random(6, 33).to(dtype).requires_grad_()
    tile(x).backward(random(6, 5).to(dtype))
    ((kept_x, kept_d),) = tile._trace
    assert (kept_x.dtype, kept_d.dtype) == (dtype, dtype)
    assert not kept_x.requires_grad
    with torch.no_grad():
        other(x)
        other.backward(random(6, 5).to(dtype))
    other.update(x, random(6, 5).to(dtype))
    x.data.zero_()
    tile.learn()
    assert_same(tile, other)


def test_batches_of_several_types_are_one_step() -> None:
    tile, other = layer_of("ideal").tile, layer_of("ideal").tile
    x, d = random(6, 33).bfloat16(), random(6, 5).bfloat16()
    tile.remember(x[:2], d[:2])
    tile.remember(x[2:4].float(), d[2:4].half().float())
    tile.remember(x[4:].double(), d[4:])
    tile.learn()
    other.update(x, torch.cat([d[:2].float(), d[2:4].half().float(), d[4:].float()]))
    assert_same(tile, other)


def test_a_gradient_too_large_for_float16_is_told_as_such() -> None:
    layer = layer_of().half()
    before = layer.tile.get_weights()
    loss = layer(torch.ones(2, 33, dtype=torch.float16)).float().sum() * 1e6
    with pytest.raises(TileError, match=r"the gradient is infinite in places \(float16 ends at 65504: bfloat16 does"):
        loss.backward()
    layer.tile.learn()
    assert torch.equal(layer.tile.get_weights(), before)
    layer.bfloat16()(torch.ones(2, 33, dtype=torch.bfloat16)).float().sum().mul(1e6).backward()


def test_other_types_are_not_told_about_float16() -> None:
    for dtype in (torch.float32, torch.bfloat16):
        with pytest.raises(TileError, match=r"the input is infinite in places\. Look"):
            layer_of().tile(torch.full((1, 33), math.inf, dtype=dtype))


# Autocast


@HALVES
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("bias", [True, False])
def test_a_layer_in_a_region_has_the_types_of_a_digital_one(bias: bool, dtype: torch.dtype, half: torch.dtype) -> None:
    digital = nn.Linear(33, 5, bias=bias)
    x = [random(6, 33).to(dtype).requires_grad_() for _ in range(2)]
    layer = layer_of("ideal", bias)
    if dtype == torch.float64:  # which autocast leaves alone
        digital = digital.double()
    with torch.autocast("cpu", half):
        y = [digital(x[0]), layer(x[1])]
    for one in y:
        one.backward(torch.ones_like(one))
    assert y[0].dtype == y[1].dtype
    assert x[0].grad.dtype == x[1].grad.dtype == dtype
    assert layer.weight.dtype == torch.float32
    if bias:
        assert layer.bias.grad.dtype == layer.bias.dtype == torch.float32


@HALVES
def test_a_layer_in_a_region_takes_its_input_in_half_precision(half: torch.dtype) -> None:
    layer, other, x = layer_of("ideal", bias=False), layer_of("ideal", bias=False), random(6, 33)
    with torch.autocast("cpu", half):
        y = layer(x)
    assert torch.equal(y, other(x.to(half)))
    y.sum().backward()
    ((kept, _),) = layer.tile._trace
    assert kept.dtype == half


@HALVES
@BY_RULE
def test_a_region_changes_nothing_inside_a_tile(name: str, half: torch.dtype) -> None:
    inside, outside = layer_of(name).tile, layer_of(name).tile
    for seed in range(4):
        x, d = random(6, 33, seed=seed).to(half), random(6, 5, seed=10 + seed).to(half)
        with torch.autocast("cpu", half):
            seen = [inside(x), inside.backward(d)]
            inside.update(x, d)
            inside.post_update_step()
        expected = [outside(x), outside.backward(d)]
        outside.update(x, d)
        outside.post_update_step()
        assert all(map(torch.equal, seen, expected))
    assert_same(inside, outside)


@HALVES
@BY_RULE
def test_a_step_within_a_region_is_a_step_outside(name: str, half: torch.dtype) -> None:
    layers = [layer_of(name), layer_of(name)]
    for layer, everywhere in zip(layers, (True, False), strict=True):
        optimizer = AnalogSGD(layer.parameters(), lr=0.1)
        for seed in range(3):
            optimizer.zero_grad()
            with torch.autocast("cpu", half):
                loss = layer(random(6, 33, seed=seed)).float().square().sum()
            with torch.autocast("cpu", half, enabled=everywhere):
                loss.backward()
                optimizer.step()
    assert_same(layers[0].tile, layers[1].tile)


def test_a_region_inside_a_region_that_is_switched_off_is_no_region() -> None:
    layer, x = layer_of("ideal"), random(6, 33)
    other = copy.deepcopy(layer)
    with torch.autocast("cpu", torch.bfloat16), torch.autocast("cpu", enabled=False):
        y = layer(x)
    assert torch.equal(y, other(x))


def test_a_model_trains_in_a_region_of_bfloat16() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 8), nn.Tanh(), AnalogLinear(8, 1, rpu_config=config("ideal")))
    optimizer = AnalogSGD(model.named_parameters(), lr=0.1)
    x = torch.randn(64, 5)
    y = (x[:, :1] - x[:, 1:2]).tanh()
    losses = []
    for _ in range(60):
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            loss = nn.functional.mse_loss(model(x).float(), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.4 * losses[0]
