"""Results of papers on the digits of scikit-learn: a small data set that needs no download, for orderings alone."""

from __future__ import annotations

import statistics
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from importlib import resources
from typing import Any, ClassVar

import torch

from ohmgrad.algorithms.transfer import TransferCompound
from ohmgrad.configs import IOParameters, RPUConfig
from ohmgrad.errors import TileError
from ohmgrad.lab import tasks
from ohmgrad.lab.recipes import GAMMA, RECIPES, TRANSFER, Knobs, LogRange, Recipe, Space
from ohmgrad.lab.storage import read_json
from ohmgrad.lab.studies.study import At, Outcome, Results, Step, Study, Trial
from ohmgrad.lab.training import evaluated, train_epoch
from ohmgrad.optim import AnalogSGD
from ohmgrad.presets import build_config

EPOCHS, BATCH, LAST = 12, 32, 3
"""Length of every training, and how many epochs count at its end."""
_NAMES = ("sgd", "ttv1", "rl", "ttv2", "rttv3", "ttv4")
SAME = (
    "The network is 64 - 32 - 10 with tanh, trained on 1437 digits of scikit-learn (8 x 8 pixels) for 12 epochs in "
    "batches of 32; the value is the accuracy on the 360 others, averaged over the last 3 epochs. "
)
ON_MNIST = "(the paper: on MNIST)"
"""In the titles of panels with numbers of a paper, which are of other data."""
SEARCHED = (
    "Learning rates and periods are from a search of 10 settings for every rule, on a part of the training digits."
)


def _together(rule: str, n_devices: int | None = None, **fixed: Any) -> Any:
    """A rule of several arrays whose settings mean the same as those of :data:`~ohmgrad.lab.recipes.RECIPES`."""

    def build(device: Any, knobs: Knobs) -> RPUConfig:
        named: dict[str, Any] = {name: value for name, value in knobs.items() if name != "lr"}
        if rule == "rlv2":  # one beta for both
            named["leak"] = named["transfer_lr"]
        return build_config(
            rule, device, n_devices=n_devices, units_in_mbatch=False, fast_lr=1.0, scale_fast_lr=True,
            scale_transfer_lr=False, **named, **fixed,
        )  # fmt: skip

    return build


_LR: Space = {"lr": LogRange(0.03, 10.0)}
"""A batch is longer than in the comparison, and its loss is a mean: so rates are three times as high."""
_TWO: Space = {**_LR, **TRANSFER}
_RESIDUAL: Space = {**_TWO, **GAMMA}
_TILES: Space = {**_TWO, "gamma": LogRange(0.1, 0.7)}  # where the sweep of Li et al. learns
RULES: dict[str, Recipe] = {
    **{name: replace(RECIPES[name], space={**RECIPES[name].space, **_LR}) for name in _NAMES},
    **{
        recipe.name: recipe
        for recipe in (
            Recipe("mp", "mixed precision", lambda device, knobs: build_config("mp", device), _LR, arrays=1),
            *(
                Recipe(f"mrl{n}", f"{n} tiles", _together("mrl", n, period_growth=2.0, transfer_lr_growth=1.2), _TILES)
                for n in (3, 4, 6)
            ),
            Recipe("rlv2", "RLv2", _together("rlv2"), _RESIDUAL),
            Recipe("erider", "E-RIDER", _together("e-rider"), _RESIDUAL),
        )
    },
}
"""The rules of the studies; those with a fast array search the same ranges."""


def perfected(config: Any) -> Any:
    """The configuration with perfect products and reads."""
    config.forward, config.backward = IOParameters(is_perfect=True), IOParameters(is_perfect=True)
    if isinstance(config.device, TransferCompound):
        config.device.transfer_forward = IOParameters(is_perfect=True)
    return config


def accuracies(config: RPUConfig, lr: float, seed: int, epochs: int, held_out: str = "test") -> Iterator[float]:
    """Train a network; yields the accuracy in percent after every epoch, 0 if the loss is no longer a number."""
    task = tasks.TASKS["digits"]
    samples = tasks.load(task, held_out)
    torch.manual_seed(seed)
    model = task.network(samples, config)
    optimizer = AnalogSGD(model.named_parameters(), lr=lr)
    order = torch.Generator().manual_seed(seed)
    for epoch in range(epochs):
        try:
            train_epoch(model, optimizer, samples, BATCH, order)
            accuracy, _ = evaluated(model, samples)
        except (TileError, FloatingPointError):
            yield from [0.0] * (epochs - epoch)
            return
        yield 100.0 * accuracy


def last(values: list[float]) -> float:
    """Mean over the epochs that count."""
    return statistics.fmean(values[-LAST:])


@cache
def found() -> Mapping[str, Any]:
    """What the searches found: ``found()[study][place][series]``."""
    with resources.as_file(resources.files("ohmgrad.lab.studies") / "digits_tuned.json") as path:
        searches: Mapping[str, Any] = read_json(path)["searches"]
    return searches


class DigitsStudy(Study):
    """A study that trains networks on digits; its series are keys of :data:`RULES`."""

    measure = "accuracy (%)"
    perfect: ClassVar[bool] = False
    """Whether products are perfect; else converters have 7 and 9 bits, and reads are noisy."""

    @abstractmethod
    def device(self, at: At) -> Any:
        """The cells."""

    @abstractmethod
    def searched_at(self, at: At) -> tuple[str, At]:
        """The search that the settings of a place are from: the name of its study, and the place."""

    def config(self, series: str, at: At, knobs: Knobs) -> RPUConfig:
        """The configuration of a series at a place."""
        config: RPUConfig = RULES[series].build(self.device(at), knobs)
        return perfected(config) if self.perfect else config

    def knobs(self, series: str, at: At) -> Knobs:
        """What the search found."""
        study, place = self.searched_at(at)
        best: Knobs = found()[study][place_name(place)][series]["best"]
        return best

    def run(self, trial: Trial) -> Iterator[Step | Outcome]:
        """See :meth:`Study.run`."""
        knobs, values = self.knobs(trial.series, trial.at), []
        config = self.config(trial.series, trial.at, knobs)
        for epoch, accuracy in enumerate(accuracies(config, knobs["lr"], trial.seed, trial.length), start=1):
            values.append(accuracy)
            yield Step(epoch, f"{accuracy:.1f} %")
        yield Outcome(last(values), [float(k + 1) for k in range(len(values))], values)

    def trials_at(self, places: list[At], seeds: int, epochs: int = EPOCHS) -> list[Trial]:
        """Every series at every place."""
        return [self.trial(name, at, seed, epochs) for seed in range(seeds) for at in places for name in self.series]


def place_name(at: At) -> str:
    """A place as a key of JSON."""
    return " ".join(f"{value:g}" for value in at)


def shown(results: Results, at: At) -> str:
    """Every series at a place, in words."""
    names = results.study.series
    return ", ".join(f"{names[name]} {results.mean(name, *at):.1f}" for name in names if results.has(name, *at))
