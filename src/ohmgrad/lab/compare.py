"""A comparison of algorithms in a folder: one JSON file for every finished run, so it can stop and go on."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ohmgrad.errors import ConfigError
from ohmgrad.lab.cells import make_cell
from ohmgrad.lab.fields import configure
from ohmgrad.lab.recipes import RECIPES
from ohmgrad.lab.settings import Setting
from ohmgrad.lab.storage import begin, begun, read_json, versions, write_json
from ohmgrad.lab.training import Job
from ohmgrad.lab.tune import TUNED_FOR

KIND = "comparison"
Record = dict[str, Any]


@dataclass(frozen=True)
class Row:
    """One algorithm of the summary; means over its finished runs."""

    algorithm: str
    title: str
    runs: int
    accuracy: float
    """Mean test accuracy after the last epoch."""
    spread: float | None
    """Sample standard deviation of that accuracy over seeds; None with fewer than two runs."""
    pulses_a: float | None
    """Pulses sent to the fast arrays; None if there are none."""
    pulses_c: float | None
    """Pulses sent to the slow arrays, or to the only ones; None for floating point."""
    latency: float | None
    """Nanoseconds of the updates of all layers for a sample, see :mod:`ohmgrad.analysis.cost`; None: floating point, or
    a run from before this was counted."""
    energy: float | None
    """Nanojoules for a sample, by a published figure for one weight."""
    storage: float | None
    """Bytes of digital storage."""
    seconds: float
    """Wall-clock seconds of a run, on one thread."""
    diverged: int
    """Runs whose loss stopped being a number."""


@dataclass(frozen=True)
class Comparison:
    """A setting, the tuned settings of every algorithm, and the folder of the results."""

    setting: Setting
    knobs: Mapping[str, dict[str, float]]
    tuned_for: Mapping[str, Any]
    """What the knobs were tuned for: task, device, states, batch size."""
    folder: Path

    @classmethod
    def start(cls, setting: Setting, tuned: Mapping[str, Any], folder: Path, overwrite: bool = False) -> Comparison:
        """A new comparison.

        :param tuned: content of a tuning file (:mod:`ohmgrad.lab.tune`).
        :raises ConfigError: the folder holds an earlier comparison and ``overwrite`` is not set, or something else; or
            the tuning file lacks an algorithm, or has values that do not fit it.
        """
        begun(folder, KIND, resume=False, overwrite=overwrite)
        knobs, tuned_for = _knobs_of(setting, tuned), {name: tuned["setting"][name] for name in TUNED_FOR}
        content = {"setting": setting.plain(), "knobs": knobs, "tuned_for": tuned_for, "versions": versions()}
        begin(folder, KIND, content, "runs", "summary.json")
        return cls(setting, knobs, tuned_for, folder)

    @classmethod
    def resume(cls, folder: Path, given: Mapping[str, Any], tuned: Mapping[str, Any] | None = None) -> Comparison:
        """The comparison in a folder; whatever is ``given`` must agree with it, and a tuning file too.

        :raises ConfigError: there is none, or it is contradicted.
        """
        plain = begun(folder, KIND, resume=True, overwrite=False)
        setting = Setting.from_plain(plain["setting"])
        setting.require_agreement(given, f"comparison in {folder}")
        if tuned is not None and _knobs_of(setting, tuned) != plain["knobs"]:
            raise ConfigError(
                f"--tuned contradicts the comparison in {folder}, which has other hyperparameters. Leave it out, or "
                "choose another folder (--out)."
            )
        return cls(setting, plain["knobs"], plain["tuned_for"], folder)

    @property
    def title(self) -> str:
        """Task, device and length in one line."""
        setting = self.setting
        return (
            f"{setting.task}, {setting.device} cells with {setting.states} states, {setting.epochs} epochs, "
            f"batch size {setting.batch_size}"
        )

    @property
    def jobs(self) -> list[Job]:
        """Every run, seed by seed, so that an early stop leaves all algorithms with equally many."""
        setting = self.setting
        return [
            Job.of(setting, algorithm, seed, dict(self.knobs[algorithm]))
            for seed in range(setting.seeds)
            for algorithm in setting.algorithms
        ]

    def path(self, job: Job) -> Path:
        """Where the record of a run is kept."""
        return self.folder / "runs" / f"{job.algorithm}-seed{job.seed}.json"

    def remaining(self) -> list[Job]:
        """Runs without a record."""
        return [job for job in self.jobs if not self.path(job).exists()]

    def save(self, job: Job, record: Record) -> None:
        """Keep the record of a finished run."""
        write_json(self.path(job), record | {"versions": versions()})

    def records(self, algorithm: str) -> list[Record]:
        """Records of the finished runs of an algorithm, seed by seed."""
        return [
            read_json(self.path(job)) for job in self.jobs if job.algorithm == algorithm and self.path(job).exists()
        ]

    def rows(self) -> Iterator[Row]:
        """The summary of every algorithm that has a finished run."""
        for algorithm in self.setting.algorithms:
            if records := self.records(algorithm):
                yield _row(algorithm, records)

    def write_summary(self) -> None:
        """Write ``summary.json``: the rows beside setting, tuned settings and versions."""
        write_json(
            self.folder / "summary.json",
            {
                "setting": self.setting.plain(),
                "knobs": dict(self.knobs),
                "tuned_for": dict(self.tuned_for),
                "finished_runs": len(self.jobs) - len(self.remaining()),
                "all_runs": len(self.jobs),
                "algorithms": [vars(row) for row in self.rows()],
                "versions": versions(),
            },
        )


def _knobs_of(setting: Setting, tuned: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """The hyperparameters of every algorithm of a setting, of which each can be run."""
    if missing := [name for name in setting.algorithms if name not in tuned["best"]]:
        raise ConfigError(f"The tuning file knows nothing of {', '.join(missing)}. Tune them: ohmgrad tune.")
    knobs = {name: dict(tuned["best"][name]) for name in setting.algorithms}
    for name, values in knobs.items():
        if setting.gamma is not None and "gamma" in RECIPES[name].space:
            values["gamma"] = setting.gamma
        configure(RECIPES[name], make_cell(setting.device, setting.states), values)
    return knobs


def _row(algorithm: str, records: list[Record]) -> Row:
    last = [record["epochs"][-1] for record in records]
    accuracies = [epoch["accuracy"] for epoch in last]
    arrays = RECIPES[algorithm].arrays
    return Row(
        algorithm=algorithm,
        title=RECIPES[algorithm].title,
        runs=len(records),
        accuracy=statistics.fmean(accuracies),
        spread=statistics.stdev(accuracies) if len(accuracies) > 1 else None,
        pulses_a=statistics.fmean(epoch["pulses_a"] for epoch in last) if arrays > 1 else None,
        pulses_c=statistics.fmean(epoch["pulses_c"] for epoch in last) if arrays > 0 else None,
        latency=_mean_cost(records, "latency"),
        energy=_mean_cost(records, "energy"),
        storage=_mean_cost(records, "storage"),
        seconds=statistics.fmean(record["seconds"] for record in records),
        diverged=sum(record["diverged"] for record in records),
    )


def _mean_cost(records: list[Record], name: str) -> float | None:
    known = [record["cost"][name] for record in records if record.get("cost", {}).get(name) is not None]
    return statistics.fmean(known) if known else None
