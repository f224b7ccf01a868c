"""A model that torch has compiled computes, learns and remembers what it does without, bit for bit."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from builders import RULES, perfect, rule
from ohmgrad import AnalogLinear, AnalogSGD, AnalogTile
from ohmgrad.configs import (
    BoundManagementType,
    InferenceRPUConfig,
    IOParameters,
    NoiseManagementType,
    RPUConfig,
    WeightModifierParameter,
    WeightModifierType,
    WeightRemapParameter,
    WeightRemapType,
)
from ohmgrad.nn import AnalogConv2d, AnalogGRUCell, AnalogRNN

pytestmark = [  # what the compiler of torch says of torch
    pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*autograd.function.Function.*instantiated:DeprecationWarning"),
]
Model = tuple[nn.Module, tuple[int, ...]]


def noisy(**mapping: Any) -> RPUConfig:
    config = rule("sgd")
    config.mapping = config.mapping.replaced(**mapping)
    return config


def ranged() -> RPUConfig:
    config = noisy(weight_scaling_omega=0.4, learn_out_scaling=True)
    config.pre_post.input_range.enable = True
    config.pre_post.input_range.init_from_data = 2
    return config


def clipping() -> RPUConfig:
    config = rule("sgd")
    config.forward = IOParameters(
        out_bound=0.2, bound_management=BoundManagementType.NONE, noise_management=NoiseManagementType.NONE
    )
    return config


def for_a_chip() -> RPUConfig:
    return InferenceRPUConfig(
        modifier=WeightModifierParameter(type=WeightModifierType.ADD_NORMAL, std_dev=0.1),
        remap=WeightRemapParameter(type=WeightRemapType.CHANNELWISE_SYMMETRIC),
    )


class Twice(nn.Module):
    """The same product two times, of which each has noise of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = AnalogLinear(5, 4, rpu_config=noisy())

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x) + self.layer(x)


class States(nn.Module):
    """What a recurrent network gives, without its states."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn = AnalogRNN(AnalogGRUCell, 5, 4, rpu_config=noisy(), num_layers=2, bidir=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.rnn(x)[0]


def mlp(config: RPUConfig) -> nn.Module:
    return nn.Sequential(AnalogLinear(5, 6, rpu_config=config), nn.Tanh(), AnalogLinear(6, 4, rpu_config=config))


MODELS: dict[str, Callable[[], Model]] = {
    "linear": lambda: (mlp(noisy()), (3, 5)),
    "leading dimensions": lambda: (mlp(noisy()), (2, 3, 5)),
    "exact": lambda: (mlp(perfect(noisy())), (3, 5)),
    "several tiles": lambda: (mlp(noisy(max_input_size=3, max_output_size=2)), (3, 5)),
    "analog bias": lambda: (mlp(noisy(digital_bias=False)), (3, 5)),
    "scales and range": lambda: (mlp(ranged()), (3, 5)),
    "clipped outputs": lambda: (mlp(clipping()), (3, 5)),
    "training for a chip": lambda: (mlp(for_a_chip()), (3, 5)),
    "convolution": lambda: (
        nn.Sequential(AnalogConv2d(2, 3, 3, padding=1, rpu_config=noisy()), nn.ReLU(), nn.Flatten()),
        (3, 2, 4, 4),
    ),
    "recurrent": lambda: (States(), (4, 3, 5)),
    "twice": lambda: (Twice(), (3, 5)),
}


def same_twice(make: Callable[[], Model]) -> tuple[nn.Module, nn.Module, tuple[int, ...]]:
    torch.manual_seed(1)
    torch.compiler.reset()
    model, shape = make()
    return model, copy.deepcopy(model), shape


def train(model: nn.Module, forward: Callable[[Tensor], Tensor], shape: tuple[int, ...]) -> list[Tensor]:
    """Outputs and input gradients of some steps."""
    optimizer, found = AnalogSGD(model.parameters(), lr=0.1), []
    for step in range(3):
        x = torch.randn(shape, generator=torch.Generator().manual_seed(step)).requires_grad_(step > 0)
        y = forward(x)
        optimizer.zero_grad()
        y.square().sum().backward()
        optimizer.step()
        found += [y.detach(), *([] if x.grad is None else [x.grad])]
    return found


def assert_equal(model: nn.Module, compiled: nn.Module, backend: str, shape: tuple[int, ...]) -> None:
    forward = torch.compile(compiled, fullgraph=True, backend=backend)
    for wanted, found in zip(train(model, model, shape), train(compiled, forward, shape), strict=True):
        assert torch.equal(found, wanted)
    state = compiled.state_dict()
    assert all(torch.equal(state[name], value) for name, value in model.state_dict().items())


@pytest.mark.parametrize("name", MODELS)
def test_a_compiled_model_trains_to_the_same_bits(name: str) -> None:
    model, compiled, shape = same_twice(MODELS[name])
    assert_equal(model, compiled, "aot_eager", shape)


@pytest.mark.parametrize("name", RULES)
def test_every_rule_learns_in_a_compiled_model(name: str) -> None:
    model, compiled, shape = same_twice(lambda: (mlp(rule(name)), (3, 5)))
    assert_equal(model, compiled, "aot_eager", shape)


def test_the_compiler_of_torch_keeps_the_bits_of_products_and_updates() -> None:
    model, compiled, shape = same_twice(lambda: (AnalogLinear(5, 4, rpu_config=noisy()), (3, 5)))
    assert_equal(model, compiled, "inductor", shape)


def test_in_evaluation_a_compiled_model_draws_noise_like_any_other() -> None:
    model, compiled, shape = same_twice(MODELS["twice"])
    forward = torch.compile(compiled, fullgraph=True, backend="aot_eager")
    x = torch.ones(shape)
    with torch.no_grad():
        outputs = [(model(x), forward(x)) for _ in range(3)]
    for wanted, found in outputs:
        assert torch.equal(found, wanted)
    assert not torch.equal(outputs[0][1], outputs[1][1])


def test_a_frozen_layer_of_a_compiled_model_remembers_nothing() -> None:
    model, compiled, shape = same_twice(MODELS["linear"])
    for each in (model, compiled):
        each[2].weight.requires_grad_(False)
    assert_equal(model, compiled, "aot_eager", shape)
    torch.compile(compiled, fullgraph=True, backend="aot_eager")(torch.ones(shape)).sum().backward()
    assert [len(layer.tile._trace) for layer in (compiled[0], compiled[2])] == [1, 0]


def test_a_compiled_model_and_its_copy_have_tiles_of_their_own() -> None:
    _, compiled, shape = same_twice(MODELS["linear"])
    twin = copy.deepcopy(compiled)
    x = torch.ones(shape)
    wanted = torch.compile(compiled, fullgraph=True, backend="aot_eager")(x)
    assert torch.equal(torch.compile(twin, fullgraph=True, backend="aot_eager")(x), wanted)
    for name, value in twin.state_dict().items():
        assert torch.equal(compiled.state_dict()[name], value)


def test_a_bare_tile_is_compiled_too() -> None:
    model, compiled, shape = same_twice(lambda: (AnalogTile(4, 5, noisy()), (3, 5)))
    assert_equal(model, compiled, "aot_eager", shape)


def test_equal_layers_are_compiled_once_each_on_its_own() -> None:
    torch.compiler.reset()
    torch.manual_seed(2)
    model = nn.Sequential(*(AnalogLinear(4, 4, rpu_config=noisy()) for _ in range(12)))
    compiled = copy.deepcopy(model)
    for layer in compiled:
        layer.compile(fullgraph=True, backend="aot_eager")  # torch gives up after 8 times
    for wanted, found in zip(train(model, model, (3, 4)), train(compiled, compiled, (3, 4)), strict=True):
        assert torch.equal(found, wanted)


def test_what_leaves_the_process_is_refused() -> None:
    with pytest.raises(Exception, match="cannot be exported"):
        torch.export.export(mlp(noisy()), (torch.ones(3, 5),))
