"""One training run, from a job to a record, told epoch by epoch."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ohmgrad.algorithms.transfer import Transfer
from ohmgrad.analysis.cost import Cost, cost
from ohmgrad.analysis.meter import Meter
from ohmgrad.errors import TileError
from ohmgrad.lab import tasks
from ohmgrad.lab.cells import make_cell
from ohmgrad.lab.fields import configure
from ohmgrad.lab.recipes import RECIPES
from ohmgrad.lab.samples import Samples
from ohmgrad.lab.settings import Setting
from ohmgrad.nn import named_analog_tiles
from ohmgrad.optim import AnalogSGD
from ohmgrad.tile import AnalogTile

EVALUATED_AT_ONCE = 1000
"""Samples that are evaluated together."""


@dataclass(frozen=True)
class Job:
    """One training run: with equal jobs, runs are equal bit for bit."""

    algorithm: str
    seed: int
    task: str
    device: str
    states: int
    epochs: int
    batch_size: int
    knobs: dict[str, float]
    held_out: str = "test"
    data: str = tasks.DATA
    """Folder of the images, for tasks that need one."""
    label: str = ""
    """Name of the run among others."""

    @classmethod
    def of(cls, setting: Setting, algorithm: str, seed: int, knobs: dict[str, float], **more: Any) -> Job:
        """The run of one algorithm and seed in a setting."""
        shared = {name: getattr(setting, name) for name in ("task", "data", "device", "states", "epochs", "batch_size")}
        return cls(algorithm=algorithm, seed=seed, knobs=knobs, **shared, **more)

    @property
    def title(self) -> str:
        """The run in words."""
        return self.label or f"{RECIPES[self.algorithm].title}, seed {self.seed}"

    @property
    def length(self) -> int:
        """See :class:`ohmgrad.lab.pool.Job`."""
        return self.epochs

    def run(self) -> Iterator[Epoch | dict[str, Any]]:
        """See :func:`train`."""
        return train(self)

    @property
    def heading(self) -> str:
        """See :class:`ohmgrad.lab.pool.Job`."""
        return "accuracy      time"

    def outcome(self, record: dict[str, Any]) -> str:
        """See :class:`ohmgrad.lab.pool.Job`."""
        text = f"{100 * record['epochs'][-1]['accuracy']:6.1f} %  {record['seconds']:6.1f} s"
        return text + ("  diverged" if record["diverged"] else "")


@dataclass(frozen=True)
class Epoch:
    """The state of a run after an epoch (0: before training)."""

    number: int
    accuracy: float
    """Share of right answers on the held-out samples."""
    loss: float
    """Cross entropy on the held-out samples (nats)."""
    train_loss: float
    """Mean cross entropy over the training samples during the epoch (nats)."""
    pulses_a: int
    """Pulses that the fast arrays received so far."""
    pulses_c: int
    """Pulses that the slow arrays, or the only ones, received so far."""

    @property
    def done(self) -> int:
        """See :class:`ohmgrad.lab.pool.Progress`."""
        return self.number

    @property
    def note(self) -> str:
        """See :class:`ohmgrad.lab.pool.Progress`."""
        return f"epoch {self.number}, {100 * self.accuracy:.1f} %"


def train(job: Job) -> Iterator[Epoch | dict[str, Any]]:
    """Run a job: yields an :class:`Epoch` after each, and at last the record (JSON values).

    A run that diverges (a loss that is no longer a number) ends early; its record says so.
    """
    recipe, task = RECIPES[job.algorithm], tasks.TASKS[job.task]
    samples = tasks.load(task, job.held_out, job.data)
    config = configure(recipe, make_cell(job.device, job.states), job.knobs)
    _warm_up(task, samples, config, job)
    torch.manual_seed(job.seed)
    model = task.network(samples, config)
    optimizer, meter = AnalogSGD(model.named_parameters(), lr=job.knobs["lr"]), Meter(model)
    order = torch.Generator().manual_seed(job.seed)
    history = [_measure(0, model, samples, math.nan, recipe.arrays)]
    started, diverged = time.perf_counter(), False
    for number in range(1, job.epochs + 1):
        try:
            mean = train_epoch(model, optimizer, samples, job.batch_size, order)
            epoch = _measure(number, model, samples, mean, recipe.arrays)
        except (TileError, FloatingPointError):
            diverged = True
            break
        history.append(epoch)
        yield epoch
    seconds = time.perf_counter() - started
    _, first = next(named_analog_tiles(model))
    yield {
        "job": asdict(job),
        "config": config.describe(),
        "epochs": [_plain(epoch) for epoch in history],
        "diverged": diverged,
        "cost": _cost_of_sample(cost(model, meter)),
        "layer": {name: _rounded(matrix) for name, matrix in arrays_of(first).items()},
        "seconds": round(seconds, 3),
    }


def record_of(job: Job) -> dict[str, Any]:
    """The record of a run, without the telling."""
    *_, record = train(job)
    assert isinstance(record, dict)
    return record


def arrays_of(tile: AnalogTile) -> dict[str, Tensor]:
    """The arrays of a tile, [out, in] each: ``A`` (fast), ``C`` (slow) and ``W`` (visible).

    Of A, the signs of the choppers are undone, and a digital reference is subtracted. A tile without a fast array has
    ``W`` alone. Of more than two arrays, A is the first and C the last; of low-rank Tiki-taka, A is the product of the
    two narrow ones.
    """
    hidden, rule = tile.get_hidden_parameters(), tile.rule
    names = [name for name in hidden if name.startswith("hidden_weights_")]
    arrays = {"W": tile.get_weights()}
    if len(names) > 1:
        fast, slow = hidden[names[0]].clone(), hidden[names[-1]]
        if fast.shape != slow.shape:
            fast = fast @ hidden[names[1]]
        if isinstance(rule, Transfer):
            if (reference := rule.zero_of(0)) is not None:
                fast -= reference
            if (sign := rule.sign(0)) is not None:
                fast *= sign
        arrays = {"A": fast, "C": slow, **arrays}
    return {name: matrix.detach() for name, matrix in arrays.items()}


def train_epoch(
    model: nn.Module, optimizer: torch.optim.Optimizer, samples: Samples, batch: int, order: torch.Generator
) -> float:
    """Train on every sample once, in random order; gives the mean loss.

    :raises FloatingPointError: if it is no longer a number.
    """
    total = 0.0
    for chosen in torch.randperm(len(samples.y_train), generator=order).split(batch):
        loss = nn.functional.cross_entropy(model(samples.x_train[chosen]), samples.y_train[chosen])
        total += _finite(loss) * len(chosen)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return total / len(samples.y_train)


@torch.no_grad()
def evaluated(model: nn.Module, samples: Samples) -> tuple[float, float]:
    """Share of right answers on the held-out samples, and cross entropy (nats).

    :raises FloatingPointError: if the loss is no longer a number.
    """
    model.eval()
    answers = torch.cat([model(part) for part in samples.x_eval.split(EVALUATED_AT_ONCE)])
    loss = _finite(nn.functional.cross_entropy(answers, samples.y_eval))
    accuracy = float((answers.argmax(dim=1) == samples.y_eval).float().mean())
    model.train()
    return accuracy, loss


def _measure(number: int, model: nn.Module, samples: Samples, train_loss: float, arrays: int) -> Epoch:
    accuracy, loss = evaluated(model, samples)
    counts = [tile.pulse_counts() for _, tile in named_analog_tiles(model)] if arrays else []
    fast = sum(int(layer[0].total.sum()) for layer in counts) if arrays > 1 else 0
    slow = sum(int(layer[-1].total.sum()) for layer in counts)
    return Epoch(number, round(accuracy, 6), loss, train_loss, fast, slow)


def _cost_of_sample(found: Cost) -> dict[str, float | None]:
    """Time and energy of a sample, of which a convolution makes several vectors and the last layer one; and storage."""
    samples = min((row.traffic.vectors for row in found.rows), default=0.0)

    def of(name: str) -> float | None:
        known = [(getattr(row, name), row.traffic.vectors) for row in found.rows if getattr(row, name) is not None]
        return sum(value * vectors for value, vectors in known) / samples if known and samples else None

    return {"latency": of("latency"), "energy": of("energy"), "storage": found.storage}


def _finite(loss: Tensor) -> float:
    value = loss.item()
    if not math.isfinite(value):
        raise FloatingPointError("the loss is not a number")
    return value


def _warm_up(task: tasks.Task, samples: Samples, config: Any, job: Job) -> None:
    """Train a throw-away network for one batch, so that compilation is not in the seconds of the run."""
    model = task.network(samples, config)
    optimizer = AnalogSGD(model.named_parameters(), lr=job.knobs["lr"])
    nn.functional.cross_entropy(model(samples.x_train[:8]), samples.y_train[:8]).backward()
    optimizer.step()


def _plain(epoch: Epoch) -> dict[str, Any]:
    return {
        name: None if isinstance(value, float) and math.isnan(value) else value for name, value in asdict(epoch).items()
    }


def _rounded(matrix: Tensor) -> list[list[float]]:
    return [[float(f"{value:.4g}") for value in row] for row in matrix.tolist()]
