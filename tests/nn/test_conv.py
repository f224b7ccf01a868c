"""Analog convolutions are those of torch wherever the device and the converters are perfect."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from builders import perfect, rule
from ohmgrad import AnalogSGD, TileError
from ohmgrad.configs import IdealDevice, MappingParameter, RPUConfig, SingleRPUConfig
from ohmgrad.nn import AnalogConv1d, AnalogConv2d, AnalogConv3d

KINDS: dict[int, tuple[Any, Any]] = {
    1: (nn.Conv1d, AnalogConv1d),
    2: (nn.Conv2d, AnalogConv2d),
    3: (nn.Conv3d, AnalogConv3d),
}
ARGUMENTS: list[dict[str, Any]] = [
    {"kernel_size": 3},
    {"kernel_size": 1, "bias": False},
    {"kernel_size": 3, "stride": 2, "padding": 1},
    {"kernel_size": 3, "padding": "same", "dilation": 2},
    {"kernel_size": 2, "padding": "valid"},
    {"kernel_size": 2, "groups": 2},
    {"kernel_size": 3, "groups": 4, "padding": 1},
    *({"kernel_size": 3, "padding": 2, "padding_mode": mode} for mode in ("reflect", "replicate", "circular")),
]


def exact(**mapping: Any) -> RPUConfig:
    return perfect(SingleRPUConfig(device=IdealDevice(), mapping=MappingParameter(**mapping)))


def image(dimensions: int, count: int = 2) -> Tensor:
    return torch.randn(count, 4, *range(5, 5 + dimensions), generator=torch.Generator().manual_seed(1))


def train(layer: nn.Module, x: Tensor, steps: int = 4) -> None:
    optimizer = (torch.optim.SGD if isinstance(layer, tuple(k[0] for k in KINDS.values())) else AnalogSGD)(
        layer.parameters(), lr=0.02
    )
    for _ in range(steps):
        optimizer.zero_grad()
        (layer(x) - 0.5).square().mean().backward()
        optimizer.step()


@pytest.mark.parametrize("dimensions", [1, 2, 3])
@pytest.mark.parametrize("arguments", ARGUMENTS, ids=str)
@pytest.mark.parametrize("mapping", [{}, {"max_input_size": 5, "max_output_size": 3}, {"digital_bias": False}], ids=str)
def test_a_convolution_gives_and_learns_what_that_of_torch_does(
    dimensions: int, arguments: dict[str, Any], mapping: dict[str, Any]
) -> None:
    torch.manual_seed(0)
    kind, analog_kind = KINDS[dimensions]
    digital = kind(4, 8, **arguments)
    analog = analog_kind.from_digital(digital, exact(**mapping))
    inputs = [image(dimensions).requires_grad_() for _ in range(2)]
    outputs = [layer(x) for layer, x in zip((digital, analog), inputs, strict=True)]
    torch.testing.assert_close(outputs[1], outputs[0], rtol=1e-5, atol=1e-5)
    for y in outputs:
        y.square().sum().backward()
    torch.testing.assert_close(inputs[1].grad, inputs[0].grad, rtol=1e-4, atol=1e-4)
    train(digital, image(dimensions))
    analog.zero_grad()
    for tile in analog.tiles:
        tile.forget()
    train(analog, image(dimensions))
    back = analog.to_digital()
    assert type(back) is kind
    torch.testing.assert_close(back.weight, digital.weight, rtol=1e-5, atol=1e-6)
    if digital.bias is not None:
        torch.testing.assert_close(back.bias, digital.bias, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dimensions", [1, 2, 3])
def test_a_new_convolution_begins_as_that_of_torch(dimensions: int) -> None:
    weights = []
    for kind in KINDS[dimensions]:
        torch.manual_seed(5)
        layer = kind(4, 2, 3, **({} if kind is KINDS[dimensions][0] else {"rpu_config": exact()}))
        weights.append(layer.weight.shape if kind is KINDS[dimensions][0] else layer.get_weights()[0].shape)
    assert weights[0] == weights[1]


def test_an_image_may_come_alone_and_sizes_may_change() -> None:
    layer = AnalogConv3d(4, 2, 2, rpu_config=exact())
    one = image(3)
    torch.testing.assert_close(layer(one[0]), layer(one)[0])
    for shape in ((4, 6, 2), (6, 4, 2)):
        assert layer(torch.randn(1, 4, *shape)).shape == (1, 2, *(size - 1 for size in shape))


def test_every_patch_of_an_image_is_a_sample_for_the_pulses() -> None:
    torch.manual_seed(2)
    layer = AnalogConv2d(1, 3, 2, bias=False, rpu_config=rule("sgd"))
    optimizer = AnalogSGD(layer.named_parameters(), lr=0.1)
    layer(torch.ones(1, 1, 4, 4)).sum().backward()
    ((x, d),) = layer.tile._trace
    assert x.shape == (9, 4)
    assert d.shape == (9, 3)
    optimizer.step()
    assert layer.tile.pulse_counts()[0].total.sum() > 0


def test_what_does_not_fit_is_an_error() -> None:
    with pytest.raises(ValueError, match="divisible by groups"):
        AnalogConv2d(3, 4, 2, groups=2)
    layer = AnalogConv2d(3, 4, 2, rpu_config=exact())
    with pytest.raises(TileError, match=r"Give \[n, 3\] and 2 dimensions"):
        layer(torch.zeros(1, 2, 5, 5))
    with pytest.raises(TileError, match="the input has shape"):
        layer(torch.zeros(5, 5))
    assert "kernel_size=(2, 2)" in repr(layer)
