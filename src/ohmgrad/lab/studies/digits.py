"""Results of papers on the digits of scikit-learn: a small data set that needs no download, for orderings alone."""

from __future__ import annotations

import statistics
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from typing import Any, ClassVar

import torch

from ohmgrad.algorithms.transfer import TransferCompound
from ohmgrad.configs import IOParameters, RPUConfig
from ohmgrad.errors import TileError
from ohmgrad.lab import tasks
from ohmgrad.lab.recipes import GAMMA, LR, RECIPES, TRANSFER, Knobs, Recipe, Scale, transfer_rule
from ohmgrad.lab.storage import read_json
from ohmgrad.lab.studies.study import At, Outcome, Results, Step, Study, Trial
from ohmgrad.lab.training import evaluated, train_epoch
from ohmgrad.optim import AnalogSGD

LAST = 3
"""So many epochs count at the end of a training."""
ON_MNIST = "(the paper: on MNIST)"
"""In the titles of panels with numbers of a paper, which are of other data."""


@dataclass(frozen=True)
class Training:
    """How long networks are trained, and how much is searched before."""

    epochs: int = 12
    batch: int = 32
    settings: int = 10
    """How many are tried."""
    seeds: int = 2
    """Of the best settings; with 1, none is tried again."""

    @property
    def network(self) -> str:
        """What is trained, in words."""
        return (
            "The network is 64 - 32 - 10 with tanh, trained on 1437 digits of scikit-learn (8 x 8 pixels) for "
            f"{self.epochs} epochs in batches of {self.batch}; the value is the accuracy on the 360 others, averaged "
            f"over the last {LAST} epochs. "
        )

    @property
    def search(self) -> str:
        """Where the hyperparameters are from, in words."""
        return f"A search tried {self.settings} settings of every rule, on a part of the training digits."


SHORT = Training()


BUFFERED = Recipe(
    "e-rider-buffered",
    "E-RIDER, buffered",
    transfer_rule("ttv4", auto_scale=False, visible_beyond_reference=True),
    {**LR, **TRANSFER, **GAMMA},
)
"""E-RIDER as its authors' settings describe it: what is read goes through the buffer and the threshold of AGAD."""


def recipes(*names: str, **ranges: Scale) -> dict[str, Recipe]:
    """Recipes of the comparison and the buffered E-RIDER by name, with other ranges of settings that they have."""
    known = {**RECIPES, BUFFERED.name: BUFFERED}
    return {
        name: replace(known[name], space={knob: ranges.get(knob, scale) for knob, scale in known[name].space.items()})
        for name in names
    }


def perfected(config: Any) -> Any:
    """The configuration with perfect products and reads."""
    config.forward, config.backward = IOParameters(is_perfect=True), IOParameters(is_perfect=True)
    if isinstance(config.device, TransferCompound):
        config.device.transfer_forward = IOParameters(is_perfect=True)
    return config


def accuracies(
    config: RPUConfig, lr: float, seed: int, epochs: int, batch: int, held_out: str = "test"
) -> Iterator[float]:
    """Train a network; yields the accuracy in percent after every epoch, 0 if the loss is no longer a number."""
    task = tasks.TASKS["digits"]
    samples = tasks.load(task, held_out)
    torch.manual_seed(seed)
    model = task.network(samples, config)
    optimizer = AnalogSGD(model.named_parameters(), lr=lr)
    order = torch.Generator().manual_seed(seed)
    for epoch in range(epochs):
        try:
            train_epoch(model, optimizer, samples, batch, order)
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
    """A study that trains networks on digits; its series are keys of its recipes."""

    measure = "accuracy (%)"
    recipes: ClassVar[Mapping[str, Recipe]]
    training: ClassVar[Training] = SHORT
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
        config: RPUConfig = self.recipes[series].build(self.device(at), knobs)
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
        course = accuracies(config, knobs["lr"], trial.seed, trial.length, self.training.batch)
        for epoch, accuracy in enumerate(course, start=1):
            values.append(accuracy)
            yield Step(epoch, f"{accuracy:.1f} %")
        yield Outcome(last(values), [float(k + 1) for k in range(len(values))], values)

    def trials_at(self, places: list[At], seeds: int, epochs: int = 0) -> list[Trial]:
        """Every series at every place; so many epochs instead of those of the training, if not 0."""
        length = epochs or self.training.epochs
        return [self.trial(name, at, seed, length) for seed in range(seeds) for at in places for name in self.series]


def place_name(at: At) -> str:
    """A place as a key of JSON."""
    return " ".join(f"{value:g}" for value in at)


def shown(results: Results, at: At) -> str:
    """Every series at a place, in words."""
    names = results.study.series
    return ", ".join(f"{names[name]} {results.mean(name, *at):.1f}" for name in names if results.has(name, *at))
