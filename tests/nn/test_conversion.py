"""Whole models become analog and digital again, and do what they did."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import prune

from builders import perfect, rule
from ohmgrad import AnalogLinear, AnalogSGD, ConfigError
from ohmgrad.configs import IdealDevice, RPUConfig, SingleRPUConfig, SoftBoundsDevice
from ohmgrad.nn import (
    AnalogConv2d,
    AnalogSequential,
    convert_to_analog,
    convert_to_digital,
    named_analog_layers,
    named_analog_tiles,
)


def exact() -> RPUConfig:
    return perfect(SingleRPUConfig(device=IdealDevice()))


class Residual(nn.Module):
    """Two convolutions with batch normalisation around a shortcut."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first, self.second = (nn.Conv2d(channels, channels, 3, padding=1, bias=False) for _ in range(2))
        self.norms = nn.ModuleList(nn.BatchNorm2d(channels) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        y = self.norms[0](self.first(x)).relu()
        return (self.norms[1](self.second(y)) + x).relu()


class Attention(nn.Module):
    """Self-attention from linear layers, as in models of language."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.query, self.key, self.value, self.out = (nn.Linear(width, width) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        return self.out(nn.functional.scaled_dot_product_attention(self.query(x), self.key(x), self.value(x)))


def resnet() -> tuple[nn.Module, Tensor]:
    torch.manual_seed(1)
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3), Residual(4), Residual(4), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)
    )
    return model, torch.randn(6, 3, 8, 8)


def transformer() -> tuple[nn.Module, Tensor]:
    torch.manual_seed(1)
    block = nn.Sequential(nn.LayerNorm(8), Attention(8), nn.LayerNorm(8), nn.Linear(8, 16), nn.GELU(), nn.Linear(16, 2))
    return block, torch.randn(6, 5, 8)


def train(model: nn.Module, x: Tensor, steps: int = 5) -> list[float]:
    optimizer = AnalogSGD(model.named_parameters(), lr=0.05)
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = (model(x) - 0.5).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize("make", [resnet, transformer])
def test_a_converted_model_learns_as_the_original_does(make: Any) -> None:
    digital, x = make()
    analog = convert_to_analog(digital, exact())
    assert not any(type(module) in (nn.Linear, nn.Conv2d) for module in analog.modules())
    expected, found = train(digital, x), train(analog, x)
    assert found == pytest.approx(expected, rel=1e-4)
    back = convert_to_digital(analog)
    assert [type(a) for a in back.modules()] == [type(a) for a in digital.modules()]
    for name, value in digital.state_dict().items():
        torch.testing.assert_close(back.state_dict()[name], value, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(back.eval()(x), analog.eval()(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("make", [resnet, transformer])
def test_a_converted_model_trains_on_real_cells(make: Any) -> None:
    digital, x = make()
    torch.manual_seed(2)
    losses = train(convert_to_analog(digital, rule("ttv3", SoftBoundsDevice(dw_min=0.002))), x, 30)
    assert losses[-1] < 0.7 * losses[0]


def test_the_original_stays_as_it_is_unless_it_is_to_be_changed() -> None:
    model, _ = resnet()
    analog = convert_to_analog(model, exact())
    assert analog is not model
    assert isinstance(model[5], nn.Linear)
    assert convert_to_analog(model, exact(), inplace=True) is model
    assert isinstance(model[5], AnalogLinear)
    assert isinstance(convert_to_analog(nn.Linear(2, 2), exact()), AnalogLinear)


def test_names_patterns_and_classes_choose_the_configuration() -> None:
    model, _ = resnet()
    other, third = rule("ttv1"), rule("ttv2")
    analog = convert_to_analog(
        model, exact(), {"5": None, "1.*": other, "*.second": None, nn.Conv2d: third}, exclude=["2"]
    )
    assert type(analog[5]) is nn.Linear
    assert type(analog[0].tile.rpu_config.device) is type(third.device)
    assert type(analog[1].second.tile.rpu_config.device) is type(other.device)  # the first name that fits
    assert type(analog[2].first) is nn.Conv2d
    for wrong in ({"special": {"six": None}}, {"exclude": ["six"]}):
        with pytest.raises(ConfigError, match="no module is called 'six'"):
            convert_to_analog(model, exact(), **wrong)


def test_a_layer_in_two_places_stays_one_and_derived_classes_stay_what_they_are() -> None:
    class Own(nn.Linear):
        pass

    shared = nn.Linear(3, 3)
    analog = convert_to_analog(nn.Sequential(shared, nn.Tanh(), shared, Own(3, 3)), exact())
    assert analog[0] is analog[2]
    assert isinstance(analog[0], AnalogLinear)
    assert type(analog[3]) is Own


def test_mode_and_frozen_layers_are_kept() -> None:
    model, _ = resnet()
    model[0].weight.requires_grad_(False)
    model.eval()
    analog = convert_to_analog(model, exact())
    assert not any(module.training for module in analog.modules())
    assert not analog[0].tile.weight.requires_grad
    assert analog[5].tile.weight.requires_grad
    assert not convert_to_digital(analog)[0].weight.requires_grad


def test_an_encoder_of_torch_does_not_pass_its_analog_layers_by() -> None:
    torch.manual_seed(3)
    encoder = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, dropout=0.0).eval()
    analog, x = convert_to_analog(encoder, exact()), torch.randn(2, 3, 8)
    with torch.no_grad():
        torch.testing.assert_close(analog(x), encoder(x), rtol=1e-4, atol=1e-5)
    assert int(analog.linear1.tile.forward_vectors) == 6
    assert isinstance(analog.linear1, AnalogLinear)
    assert not isinstance(analog.linear1, AnalogConv2d)


def test_modules_tell_the_analog_layers_and_tiles_in_them() -> None:
    config = exact()
    config.mapping.max_input_size = 3
    model = AnalogSequential(AnalogLinear(5, 4, rpu_config=config), nn.ReLU(), nn.Linear(4, 2))
    assert [name for name, _ in model.named_analog_layers()] == ["0"]
    assert list(model.analog_layers()) == [model[0]]
    assert [name for name, _ in model.named_analog_tiles()] == ["0.matrix.blocks.0.tile", "0.matrix.blocks.1.tile"]
    assert list(model.analog_tiles()) == model[0].tiles == list(model[0].analog_tiles())
    assert model.analog_tile_count() == 2
    plain = nn.ModuleList(model)
    assert [layer for _, layer in named_analog_layers(plain)] == [model[0]]
    assert [tile for _, tile in named_analog_tiles(plain)] == model[0].tiles


def test_hooks_of_a_layer_go_with_it() -> None:
    model, seen = nn.Sequential(nn.Linear(4, 3)), []
    model[0].register_forward_hook(lambda *_: seen.append("after"))
    model[0].register_forward_pre_hook(lambda *_: seen.append("before"))
    convert_to_analog(model, exact())(torch.ones(1, 4))
    assert seen == ["before", "after"]


def test_a_layer_that_would_lose_something_is_refused() -> None:
    pruned = nn.Sequential(nn.Linear(4, 3))
    prune.l1_unstructured(pruned[0], "weight", 2)
    with pytest.raises(ConfigError, match=r"0 has 'weight_orig', of a pruning"):
        convert_to_analog(pruned, exact(), inplace=True)
    tied = nn.ModuleDict({"embedding": nn.Embedding(5, 4), "decoder": nn.Linear(4, 5, bias=False)})
    tied["decoder"].weight = tied["embedding"].weight
    with pytest.raises(ConfigError, match="'decoder' shares a parameter with 'embedding'"):
        convert_to_analog(tied, exact())
    convert_to_analog(tied, exact(), exclude=["decoder"])
    with pytest.raises(ConfigError, match="no module is a Conv2d"):
        convert_to_analog(nn.Sequential(nn.Linear(2, 2)), exact(), special={nn.Conv2d: None})


@pytest.mark.filterwarnings("ignore:.*nested tensors is in prototype stage:UserWarning")  # in that of torch
def test_an_encoder_with_padding_is_evaluated() -> None:
    torch.manual_seed(3)
    encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), 2).eval()
    analog = convert_to_analog(encoder, exact()).eval()
    x, padding = torch.randn(2, 5, 8), torch.tensor([[False] * 5, [False] * 3 + [True] * 2])
    with torch.no_grad():
        found, wanted = analog(x, src_key_padding_mask=padding), encoder(x, src_key_padding_mask=padding)
    torch.testing.assert_close(found[0], wanted[0])
    torch.testing.assert_close(found[1, :3], wanted[1, :3])
