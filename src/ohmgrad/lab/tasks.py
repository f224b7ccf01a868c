"""Small classification tasks that come with scikit-learn, split once and for all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

TEST_SHARE = 0.2
"""Share of the samples that no training and no tuning ever sees."""
SPLIT_SEED = 2024
"""Seed of both splits: every run of every algorithm sees the same samples."""


@dataclass(frozen=True)
class Task:
    """A data set and the network that learns it: ``inputs - hidden (tanh) - classes``."""

    name: str
    hidden: int
    loader: str
    """Name of the loading function in :mod:`sklearn.datasets`."""


TASKS = {  # 8 x 8 pixels of handwritten digits; 30 features of cell nuclei; 13 chemical features of wines
    task.name: task
    for task in (
        Task("digits", 32, "load_digits"),
        Task("breast-cancer", 16, "load_breast_cancer"),
        Task("wine", 8, "load_wine"),
    )
}
"""Every task by name."""


@dataclass(frozen=True)
class Samples:
    """Training and evaluation samples: ``x`` [samples, features] in [-1, 1], ``y`` [samples] class numbers."""

    x_train: Tensor
    y_train: Tensor
    x_eval: Tensor
    y_eval: Tensor

    @property
    def features(self) -> int:
        """Number of inputs."""
        return self.x_train.shape[1]

    @property
    def classes(self) -> int:
        """Number of classes."""
        return int(self.y_train.max()) + 1


def load(task: Task, held_out: str) -> Samples:
    """The samples of a task.

    :param held_out: ``"test"``: train on the training part, evaluate on the test part. ``"validation"``: the
        training part alone, split again in the same proportion; the test part is not touched. This is what
        tuning uses.

    Features are scaled to [0, 1] (digits) or to [-1, 1] (the others) by their range in the training part.
    """
    from sklearn import datasets
    from sklearn.model_selection import train_test_split

    def split(x: Any, y: Any) -> Any:
        return train_test_split(x, y, test_size=TEST_SHARE, stratify=y, random_state=SPLIT_SEED)

    x, y = getattr(datasets, task.loader)(return_X_y=True)
    x_train, x_eval, y_train, y_eval = split(x, y)
    if held_out == "validation":
        x_train, x_eval, y_train, y_eval = split(x_train, y_train)
    if task.name == "digits":
        low, high, bottom = 0.0, 16.0, 0.0
    else:
        low, high, bottom = x_train.min(axis=0), x_train.max(axis=0), -1.0

    def scaled(values: Any) -> Tensor:
        unit = np.clip((values - low) / (high - low), 0.0, 1.0)
        return torch.tensor(bottom + (1.0 - bottom) * unit, dtype=torch.float32)

    return Samples(scaled(x_train), torch.tensor(y_train), scaled(x_eval), torch.tensor(y_eval))
