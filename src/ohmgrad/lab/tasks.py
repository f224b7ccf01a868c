"""What is learned: small data sets that come with scikit-learn, and images that a user has in a folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ohmgrad.lab.image_files import cifar, mnist
from ohmgrad.lab.networks import Network, lenet, perceptron, resnet
from ohmgrad.lab.samples import Samples

TEST_SHARE = 0.2
"""Share of the samples that is held out where the data set does not say which."""
SPLIT_SEED = 2024
"""Seed of all splits: every run of every algorithm sees the same samples."""
DATA = "data"
"""Folder in which images are looked for."""

Part = tuple[Any, Any]
"""Inputs and class numbers."""


@dataclass(frozen=True)
class Task:
    """A data set and the network that learns it."""

    name: str
    network: Network
    read: Callable[[Path], tuple[Part, Part | None]]
    """From a folder to the training and the test part; None: all samples are in one."""
    span: tuple[float, float] | None = None
    """Range of the inputs, which becomes :attr:`scaled`; None: that of every feature in the training part."""
    scaled: tuple[float, float] = (-1.0, 1.0)


def _bundled(loader: str) -> Callable[[Path], tuple[Part, None]]:
    """A data set of scikit-learn."""

    def read(_: Path) -> tuple[Part, None]:
        from sklearn import datasets

        return getattr(datasets, loader)(return_X_y=True), None

    return read


TASKS = {  # 8 x 8 pixels of handwritten digits; 30 features of cell nuclei; 13 chemical features of wines; images
    task.name: task
    for task in (
        Task("digits", perceptron(32), _bundled("load_digits"), (0.0, 16.0), (0.0, 1.0)),
        Task("breast-cancer", perceptron(16), _bundled("load_breast_cancer")),
        Task("wine", perceptron(8), _bundled("load_wine")),
        Task("mnist", lenet, lambda folder: mnist(folder, "MNIST"), (0.0, 255.0), (0.0, 1.0)),
        Task("fashion-mnist", lenet, lambda folder: mnist(folder, "FashionMNIST"), (0.0, 255.0), (0.0, 1.0)),
        Task("cifar10", resnet(), lambda folder: cifar(folder, 10), (0.0, 255.0)),
        Task("cifar100", resnet(), lambda folder: cifar(folder, 100), (0.0, 255.0)),
    )
}
"""Every task by name."""


def load(task: Task, held_out: str, folder: Path | str = DATA) -> Samples:
    """The samples of a task.

    :param held_out: ``"test"``: train on the training part, evaluate on the test part. ``"validation"``: the
        training part alone, split again; the test part is not touched. This is what tuning uses.
    :param folder: where images are.
    :raises ConfigError: if files of images are missing or damaged.
    """
    from sklearn.model_selection import train_test_split

    def split(x: Any, y: Any) -> tuple[Part, Part]:
        x_train, x_eval, y_train, y_eval = train_test_split(
            x, y, test_size=TEST_SHARE, stratify=y, random_state=SPLIT_SEED
        )
        return (x_train, y_train), (x_eval, y_eval)

    training, test = task.read(Path(folder))
    if test is None:
        training, test = split(*training)
    if held_out == "validation":
        training, test = split(*training)
    low, high = task.span or (training[0].min(axis=0), training[0].max(axis=0))
    bottom, top = task.scaled

    def scaled(values: Any) -> Tensor:
        unit = np.clip((values - low) / (high - low), 0.0, 1.0)
        return torch.tensor(bottom + (top - bottom) * unit, dtype=torch.float32)

    (x_train, y_train), (x_eval, y_eval) = training, test
    return Samples(scaled(x_train), torch.tensor(y_train), scaled(x_eval), torch.tensor(y_eval))
