"""What a network learns from, and what it is measured on."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Samples:
    """Training and evaluation samples.

    ``x`` [samples, features], or images [samples, channels, height, width], in [-1, 1]; ``y`` [samples] class numbers.
    """

    x_train: Tensor
    y_train: Tensor
    x_eval: Tensor
    y_eval: Tensor

    @property
    def features(self) -> int:
        """Number of inputs."""
        return self.x_train[0].numel()

    @property
    def classes(self) -> int:
        """Number of classes."""
        return int(self.y_train.max()) + 1
