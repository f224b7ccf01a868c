"""The networks of the tasks, as the papers train them, with analog weights and digital biases."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from ohmgrad.lab.samples import Samples
from ohmgrad.nn import AnalogLinear, convert_to_analog

Network = Callable[[Samples, Any], nn.Module]
"""From samples and a configuration to a model of their sizes."""


def perceptron(hidden: int) -> Network:
    """``inputs - hidden (tanh) - classes``."""

    def build(samples: Samples, config: Any) -> nn.Module:
        return nn.Sequential(
            AnalogLinear(samples.features, hidden, bias=True, rpu_config=config),
            nn.Tanh(),
            AnalogLinear(hidden, samples.classes, bias=True, rpu_config=config),
        )

    return build


def lenet(samples: Samples, config: Any) -> nn.Module:
    """LeNet-5 with 16 and 32 filters of 5 x 5, then ``inputs - 128 - classes``; all of it analog.

    Nothing is padded: images of 28 x 28 shrink to 24, 12, 8 and 4, so that there are 512 inputs, 32 x 4 x 4.
    """
    channels, side = samples.x_train.shape[1:3]
    left = ((side - 4) // 2 - 4) // 2
    digital = nn.Sequential(
        nn.Conv2d(channels, 16, 5), nn.Tanh(), nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 5), nn.Tanh(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(32 * left * left, 128), nn.Tanh(), nn.Linear(128, samples.classes),
    )  # fmt: skip
    return convert_to_analog(digital, config, inplace=True)


class Residual(nn.Module):
    """Two convolutions of 3 x 3 and a way around them."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.inner = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs),
        )  # fmt: skip
        same = inputs == outputs and stride == 1
        self.around = (
            nn.Identity()
            if same
            else nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
        )

    def forward(self, x: Tensor) -> Tensor:
        """Activations ``[n, inputs, h, w]`` to ``[n, outputs, h / stride, w / stride]``."""
        y: Tensor = self.inner(x) + self.around(x)
        return y.relu()


def resnet(width: int = 64) -> Network:
    """ResNet-18 for images of 32 x 32; the last two of its four stages and the last layer are analog (Li et al. 2026).

    :param width: channels of the first stage, 64 in the papers.
    """

    def build(samples: Samples, config: Any) -> nn.Module:
        stages = [
            nn.Sequential(Residual(before, after, stride), Residual(after, after, 1))
            for before, after, stride in ((1, 1, 1), (1, 2, 2), (2, 4, 2), (4, 8, 2))
            for before, after in [(before * width, after * width)]
        ]
        stem = nn.Sequential(
            nn.Conv2d(samples.x_train.shape[1], width, 3, 1, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()
        )
        last = nn.Linear(8 * width, samples.classes)
        model = nn.Sequential(stem, *stages, nn.AdaptiveAvgPool2d(1), nn.Flatten(), last)
        return convert_to_analog(model, config, exclude=["0", "1", "2"], inplace=True)

    return build
