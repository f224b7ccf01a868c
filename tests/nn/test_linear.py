"""An analog linear layer is a linear layer wherever the device and the converters are perfect."""

from __future__ import annotations

import copy
import io
import math
import pickle
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from builders import RULES, perfect, rule, steady
from ohmgrad import AnalogLinear, AnalogSGD
from ohmgrad.configs import (
    BoundManagementType,
    ConstantStepDevice,
    IdealDevice,
    IOParameters,
    NoiseManagementType,
    RPUConfig,
    SingleRPUConfig,
    SoftBoundsDevice,
)


def ideal() -> RPUConfig:
    return perfect(SingleRPUConfig(device=IdealDevice()))


def twins(bias: bool = True) -> tuple[nn.Linear, AnalogLinear]:
    """A digital and an analog layer with the same weights."""
    torch.manual_seed(4)
    digital, analog = nn.Linear(5, 3, bias=bias), AnalogLinear(5, 3, bias=bias, rpu_config=ideal())
    analog.tile.set_weights(digital.weight.detach())
    if bias:
        assert analog.bias is not None
        analog.bias.data.copy_(digital.bias.data)
    return digital, analog


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("leading", [(), (7,), (0,), (2, 3)])
def test_forward_and_backward_are_those_of_a_linear_layer(leading: tuple[int, ...], bias: bool) -> None:
    digital, analog = twins(bias)
    x = torch.randn(*leading, 5)
    inputs = [x.clone().requires_grad_(), x.clone().requires_grad_()]
    outputs = [layer(one) for layer, one in zip((digital, analog), inputs, strict=True)]
    torch.testing.assert_close(outputs[1], outputs[0])
    for output in outputs:
        (output**2).sum().backward()
    torch.testing.assert_close(inputs[1].grad, inputs[0].grad)
    if bias:
        torch.testing.assert_close(analog.bias.grad, digital.bias.grad)
    assert analog.weight.grad is None


@pytest.mark.parametrize("bias", [True, False])
def test_training_is_that_of_a_linear_layer(bias: bool) -> None:
    models = [nn.Sequential(layer, nn.Tanh()) for layer in twins(bias)]
    optimizers = [torch.optim.SGD(models[0].parameters(), lr=0.1), AnalogSGD(models[1].parameters(), lr=0.1)]
    for step in range(20):
        x = torch.randn(8, 5, generator=torch.Generator().manual_seed(step))
        for model, optimizer in zip(models, optimizers, strict=True):
            optimizer.zero_grad()
            nn.functional.mse_loss(model(x), x[:, :3]).backward()
            optimizer.step()
    torch.testing.assert_close(models[1][0].tile.get_weights(), models[0][0].weight.detach())
    if bias:
        torch.testing.assert_close(models[1][0].bias, models[0][0].bias)


def test_a_deep_model_of_analog_layers_is_a_deep_model() -> None:
    digital = nn.Sequential(nn.Linear(5, 6), nn.ReLU(), nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 2))
    analog = nn.Sequential(
        AnalogLinear(5, 6, rpu_config=ideal()), nn.ReLU(),
        AnalogLinear(6, 4, rpu_config=ideal()), nn.ReLU(), nn.Linear(4, 2),
    )  # fmt: skip
    for there, here in zip(digital, analog, strict=True):
        if isinstance(here, AnalogLinear):
            here.tile.set_weights(there.weight.detach())
            here.bias.data.copy_(there.bias.data)
        elif isinstance(here, nn.Linear):
            here.load_state_dict(there.state_dict())
    optimizers = [torch.optim.SGD(digital.parameters(), lr=0.2), AnalogSGD(analog.parameters(), lr=0.2)]
    x, y = torch.randn(16, 5), torch.randn(16, 2)
    for _ in range(10):
        for model, optimizer in zip((digital, analog), optimizers, strict=True):
            optimizer.zero_grad()
            nn.functional.mse_loss(model(x), y).backward()
            optimizer.step()
    torch.testing.assert_close(analog(x), digital(x))


def test_a_layer_used_twice_learns_from_both_uses() -> None:
    torch.manual_seed(4)
    digital, analog = nn.Linear(4, 4), AnalogLinear(4, 4, rpu_config=ideal())
    analog.tile.set_weights(digital.weight.detach())
    analog.bias.data.copy_(digital.bias.data)
    optimizers = [torch.optim.SGD(digital.parameters(), lr=0.1), AnalogSGD(analog.parameters(), lr=0.1)]
    x = torch.randn(6, 4)
    for layer, optimizer in zip((digital, analog), optimizers, strict=True):
        layer(torch.tanh(layer(x))).square().sum().backward()
        optimizer.step()
    torch.testing.assert_close(analog.tile.get_weights(), digital.weight.detach())


# Made like a linear layer


def test_initial_weights_are_those_of_a_linear_layer() -> None:
    layer = AnalogLinear(100, 200, rpu_config=ideal())
    for values in (layer.tile.get_weights(), layer.bias.detach()):
        assert values.abs().max() <= 0.1
        assert values.std().item() == pytest.approx(0.1 / math.sqrt(3), rel=0.1)


def test_initial_weights_lie_within_the_bounds_of_the_cells() -> None:
    torch.manual_seed(0)
    layer = AnalogLinear(2, 300, rpu_config=SingleRPUConfig(device=SoftBoundsDevice(w_max=0.1, w_min=-0.1)))
    hidden = layer.tile.get_hidden_parameters()
    weights = layer.tile.get_weights()
    assert ((weights >= hidden["min_bound"]) & (weights <= hidden["max_bound"])).all()
    assert (weights == hidden["max_bound"]).any()


def test_parameters_are_the_visible_weight_and_the_bias() -> None:
    layer = AnalogLinear(5, 3)
    assert [name for name, _ in layer.named_parameters()] == ["bias", "matrix.blocks.0.tile.weight"]
    assert [name for name, _ in AnalogLinear(5, 3, bias=False).named_parameters()] == ["matrix.blocks.0.tile.weight"]
    assert layer.weight is layer.tile.weight
    assert layer.weight.shape == (3, 5)
    assert "in_features=5, out_features=3, bias=True" in repr(layer)


def test_the_same_seed_makes_the_same_layer() -> None:
    layers = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        layers.append(AnalogLinear(5, 3))
    assert torch.equal(layers[0].weight, layers[1].weight)
    assert not torch.equal(layers[0].weight, layers[2].weight)


def test_the_visible_weight_can_be_read_like_any_parameter() -> None:
    layer = AnalogLinear(5, 3)
    assert torch.equal(layer.weight.detach(), layer.tile.get_weights())
    assert layer.weight.norm() > 0
    assert nn.utils.parameters_to_vector(layer.parameters()).shape == (18,)
    assert sum(parameter.numel() for parameter in layer.parameters()) == 18


def test_reset_parameters_starts_anew() -> None:
    layer = AnalogLinear(5, 3, rpu_config=rule("ttv2"))
    layer.tile.update(torch.randn(9, 5), torch.randn(9, 3))
    before = layer.tile.get_weights()
    layer.reset_parameters()
    assert not torch.equal(layer.tile.get_weights(), before)
    assert not layer.tile.get_hidden_parameters()["hidden_weights_0"].any()


# Modes of PyTorch


def test_without_gradients_nothing_is_kept() -> None:
    layer = AnalogLinear(5, 3, rpu_config=perfect(SingleRPUConfig(device=steady(ConstantStepDevice))))
    optimizer = AnalogSGD(layer.parameters(), lr=0.1)
    before = layer.tile.get_weights()
    for context in (torch.no_grad(), torch.inference_mode()):
        with context:
            assert not layer(torch.randn(4, 5)).requires_grad
    layer(torch.randn(4, 5))  # a forward pass that is never differentiated
    optimizer.step()
    assert torch.equal(layer.tile.get_weights(), before)


def test_evaluation_keeps_the_noise_of_the_periphery() -> None:
    layer = AnalogLinear(5, 3).eval()
    x = torch.ones(5)
    assert not torch.equal(layer(x), layer(x))
    quiet = AnalogLinear(5, 3, rpu_config=SingleRPUConfig(forward=IOParameters(out_noise=0.0))).eval()
    assert torch.equal(quiet(x), quiet(x))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_converted_model_keeps_its_cells(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 5), AnalogLinear(5, 3, rpu_config=ideal())).to(dtype)
    layer = model[1]
    assert (layer.bias.dtype, layer.weight.dtype) == (dtype, torch.float32)
    before = layer.tile.get_weights()
    y = model(torch.randn(4, 6, dtype=dtype))
    assert y.dtype == dtype
    y.float().square().sum().backward()
    AnalogSGD(model.parameters(), lr=0.1).step()
    assert not torch.equal(layer.tile.get_weights(), before)
    assert layer.weight.dtype == torch.float32


def test_a_moved_model_goes_on() -> None:
    torch.manual_seed(0)
    models = [nn.Sequential(AnalogLinear(5, 3, rpu_config=rule("ttv3", gamma=0.1)))]
    models.append(copy.deepcopy(models[0]).to("cpu"))
    optimizers = [AnalogSGD(model.parameters(), lr=0.1) for model in models]
    models[1].cpu()
    assert torch.equal(one_step(models[0], optimizers[0]), one_step(models[1], optimizers[1]))


def one_step(model: nn.Module, optimizer: torch.optim.Optimizer) -> Tensor:
    x = torch.randn(4, 5, generator=torch.Generator().manual_seed(3))
    for _ in range(3):
        optimizer.zero_grad()
        model(x).square().sum().backward()
        optimizer.step()
    return model[0].tile.get_weights()


# Copies of whole models


def saved(model: nn.Module) -> nn.Module:
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


def reloaded(model: nn.Module) -> nn.Module:
    file = io.BytesIO()
    torch.save(model.state_dict(), file)
    file.seek(0)
    other = nn.Sequential(AnalogLinear(5, 3, rpu_config=model[0].tile.rpu_config))
    other.load_state_dict(torch.load(file, weights_only=True))
    return other


@pytest.mark.parametrize(
    "way", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model)), saved, reloaded],
    ids=["deepcopy", "pickle", "torch.save", "state_dict"],
)  # fmt: skip
@pytest.mark.parametrize("name", RULES)
def test_a_copied_model_trains_on_as_the_original_does(name: str, way: Any) -> None:
    torch.manual_seed(5)
    model = nn.Sequential(AnalogLinear(5, 3, rpu_config=rule(name)))
    one_step(model, AnalogSGD(model.parameters(), lr=0.2))
    other = way(model)
    expected = one_step(model, AnalogSGD(model.parameters(), lr=0.2))
    assert torch.equal(one_step(other, AnalogSGD(other.parameters(), lr=0.2)), expected)


def test_a_model_and_its_optimizer_are_copied_together() -> None:
    torch.manual_seed(5)
    model = nn.Sequential(AnalogLinear(5, 3, rpu_config=rule("ttv2")))
    optimizer = AnalogSGD(model.parameters(), lr=0.2)
    one_step(model, optimizer)
    other, other_optimizer = copy.deepcopy((model, optimizer))
    before = model[0].tile.get_weights()
    changed = one_step(other, other_optimizer)
    assert not torch.equal(changed, before)
    assert torch.equal(model[0].tile.get_weights(), before)
    assert torch.equal(one_step(model, optimizer), changed)


# What the output converter clips


def clipping(managed: bool, **io: Any) -> AnalogLinear:
    """One input; three outputs with weights 3, -3 and 0.5; a converter that clips at 1."""
    forward = IOParameters(
        inp_res=0.0,
        out_res=0.0,
        out_noise=0.0,
        out_bound=1.0,
        noise_management=NoiseManagementType.ABS_MAX if managed else NoiseManagementType.NONE,
        bound_management=BoundManagementType.ITERATIVE if managed else BoundManagementType.NONE,
        **io,
    )
    config = SingleRPUConfig(device=IdealDevice(), forward=forward, backward=IOParameters(is_perfect=True))
    layer = AnalogLinear(1, 3, bias=False, rpu_config=config)
    layer.tile.set_weights(torch.tensor([[3.0], [-3.0], [0.5]]))
    return layer


def gradient_of_input(layer: AnalogLinear, x: float) -> float:
    given = torch.tensor([[x]], requires_grad=True)
    layer(given).sum().backward()
    assert given.grad is not None
    return given.grad.item()


def test_no_gradient_comes_back_from_an_output_that_was_clipped() -> None:
    layer = clipping(managed=False)
    assert gradient_of_input(layer, 1.0) == pytest.approx(0.5)  # 3 and -3 are clipped at both ends
    assert gradient_of_input(layer, 0.1) == pytest.approx(0.5)  # 3 - 3 + 0.5
    layer.tile.set_weights(torch.tensor([[3.0], [1.0], [0.5]]))
    assert gradient_of_input(layer, 0.25) == pytest.approx(4.5)
    assert gradient_of_input(layer, 0.5) == pytest.approx(1.5)
    assert gradient_of_input(layer, 1.0) == pytest.approx(1.5)  # 1 meets the bound, which clips nothing


def test_an_output_that_bound_management_saved_gives_its_gradient() -> None:
    layer = clipping(managed=True)
    assert gradient_of_input(layer, 30.0) == pytest.approx(0.5)
    layer.tile.set_weights(torch.tensor([[3.0], [1.0], [0.5]]))
    assert gradient_of_input(layer, 30.0) == pytest.approx(4.5)  # large, but not clipped in the last round
    assert gradient_of_input(clipping(managed=True, max_bm_factor=0), 30.0) == pytest.approx(0.5)


def test_a_perfect_product_clips_nothing() -> None:
    layer = clipping(managed=False)
    layer.tile.rpu_config.forward.is_perfect = True
    layer.tile.set_weights(torch.tensor([[3.0], [1.0], [0.5]]))
    assert gradient_of_input(layer, 100.0) == pytest.approx(4.5)


def test_the_weights_learn_from_the_whole_gradient() -> None:
    layer = clipping(managed=False)
    optimizer = AnalogSGD(layer.named_parameters(), lr=0.1)
    layer(torch.ones(1, 1)).sum().backward()
    optimizer.step()
    torch.testing.assert_close(layer.tile.get_weights(), torch.tensor([[2.9], [-3.1], [0.4]]))
