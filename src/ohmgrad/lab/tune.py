"""The search for hyperparameters: the same small budget for every algorithm, on the training part alone.

A search has two rounds. First every algorithm gets the same number of trials, spread evenly over its ranges
(Latin hypercube), one seed each. Then its best few are trained with more seeds, and the best mean wins. The score is
the accuracy on a validation slice of the training part, averaged over the last epochs; the test part is not touched.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from ohmgrad.errors import ConfigError
from ohmgrad.lab.recipes import RECIPES, Space
from ohmgrad.lab.settings import RULES, Setting, require_agreement
from ohmgrad.lab.storage import read_json, versions, write_json
from ohmgrad.lab.training import Job

WHAT = "Hyperparameters found by `ohmgrad tune`; scores are validation accuracies."
"""What a file of a search says of itself."""
FINALISTS = 3
"""Trials of an algorithm that reach the second round."""
LAST_EPOCHS = 3
"""Epochs whose accuracy is averaged to a score."""
SEARCH_SEED = 1
"""Seed of the trials' hyperparameters."""
TUNED_FOR = ("task", "device", "states", "batch_size")
"""What hyperparameters are tuned for: where it is another one, they may be poor."""


@dataclass
class Trial:
    """Hyperparameters of an algorithm and the score they reached with every seed that was tried."""

    algorithm: str
    number: int
    knobs: dict[str, float]
    scores: dict[str, float]

    @property
    def mean(self) -> float:
        """Mean score over the seeds that were tried."""
        return statistics.fmean(self.scores.values())


class Search:
    """A search in a file, which is written again after every training run.

    :param setting: task, device, states, batch size and epochs of every trial; its number of seeds is that of the
        second round.
    :param trials: trials of every algorithm in the first round.
    :param path: the file.
    """

    def __init__(self, setting: Setting, trials: int, path: Path) -> None:
        self.setting, self.path = setting, path
        self.trials = [trial for name in setting.algorithms for trial in draw_trials(name, trials)]
        self.seconds = 0.0

    @classmethod
    def start(cls, setting: Setting, trials: int, path: Path, overwrite: bool = False) -> Search:
        """A new search.

        :raises ConfigError: the file exists and ``overwrite`` is not set, or it is a folder.
        """
        _require_file(path)
        if path.exists() and not overwrite:
            raise ConfigError(
                f"{path} exists: go on with it (--resume), replace it (--overwrite) or choose another file (--out)."
            )
        search = cls(setting, trials, path)
        search.write()
        return search

    @classmethod
    def resume(cls, path: Path, given: Mapping[str, Any]) -> Search:
        """The search in a file, with its scores; whatever is ``given`` must agree with it.

        :raises ConfigError: there is none, or it is contradicted.
        """
        _require_file(path)
        known = read_json(path) if path.exists() else None
        if not isinstance(known, dict) or known.get("what") != WHAT:
            raise ConfigError(f"{path} holds no search to go on with. Leave out --resume, or name its file (--out).")
        setting, trials = Setting.from_plain(known["setting"]), known["trials_per_algorithm"]
        setting.require_agreement(given, f"search in {path}", "file")
        require_agreement(given, {"trials": trials}, f"search in {path}", "file")
        search = cls(setting, trials, path)
        search._take_over(known)
        return search

    def first_round(self) -> list[Job]:
        """What is left of the first round: one seed for every trial."""
        return [self._job(trial, 0) for trial in self.trials if "0" not in trial.scores]

    def second_round(self) -> list[Job]:
        """What is left of the second round, once the first is complete: more seeds for the best of every algorithm."""
        return [
            self._job(trial, seed)
            for name in self.setting.algorithms
            for trial in finalists(list(self._of(name)))
            for seed in range(1, self.setting.seeds)
            if str(seed) not in trial.scores
        ]

    def best(self, algorithm: str) -> Trial:
        """The winner of an algorithm: the highest mean score among those with most seeds, then the lowest number."""
        return winner(list(self._of(algorithm)))

    def save(self, job: Job, record: Mapping[str, Any], seconds: float = 0.0) -> None:
        """Note the score of a finished run and write the file."""
        trial = next(t for t in self.trials if t.algorithm == job.algorithm and t.knobs == job.knobs)
        trial.scores[str(job.seed)] = score(record)
        self.seconds += seconds
        self.write()

    def write(self) -> None:
        """Write everything known so far."""
        complete = not self.first_round() and not self.second_round()
        write_json(
            self.path,
            {
                "what": WHAT,
                "setting": self.setting.plain(),
                "trials_per_algorithm": len(self.trials) // len(self.setting.algorithms),
                "finalists": FINALISTS,
                "complete": complete,
                "wall_seconds": round(self.seconds, 1),
                "versions": versions(),
                "best": {name: self.best(name).knobs for name in self.setting.algorithms},
                "scores": {
                    name: round(self.best(name).mean, 6) for name in self.setting.algorithms if self.best(name).scores
                },
                "spaces": {name: plain_space(RECIPES[name].space) for name in self.setting.algorithms},
                "trials": [vars(trial) for trial in self.trials],
            },
        )

    def _of(self, algorithm: str) -> Iterator[Trial]:
        return (trial for trial in self.trials if trial.algorithm == algorithm)

    def _job(self, trial: Trial, seed: int) -> Job:
        return validation_job(self.setting, trial, seed)

    def _take_over(self, known: Mapping[str, Any]) -> None:
        drawn = [(trial.algorithm, trial.number, trial.knobs) for trial in self.trials]
        kept = [(trial["algorithm"], trial["number"], trial["knobs"]) for trial in known["trials"]]
        if drawn != kept:
            raise ConfigError(
                f"{self.path} holds trials that this version of ohmgrad would not draw. Choose another file (--out)."
            )
        for trial, old in zip(self.trials, known["trials"], strict=True):
            trial.scores = dict(old["scores"])
        self.seconds = known["wall_seconds"]


def _require_file(path: Path) -> None:
    if path.is_dir():
        raise ConfigError(f"{path} is a folder, but --out of tune is a file, such as tuned.json. Name one.")


def draw_trials(algorithm: str, count: int) -> list[Trial]:
    """Hyperparameters of ``count`` trials, spread evenly over every range of the algorithm."""
    random = np.random.default_rng([SEARCH_SEED, list(RECIPES).index(algorithm)])
    drawn = spread(RECIPES[algorithm].space, count, random)
    return [Trial(algorithm, number, knobs, {}) for number, knobs in enumerate(drawn)]


def spread(space: Space, count: int, random: np.random.Generator) -> list[dict[str, float]]:
    """``count`` points of a space, of which every part of every range has as many (Latin hypercube)."""
    shares = np.stack([(random.permutation(count) + random.random(count)) / count for _ in space], axis=1)
    return [{name: scale.at(share) for (name, scale), share in zip(space.items(), row, strict=True)} for row in shares]


def finalists(trials: Sequence[Trial], count: int = FINALISTS) -> list[Trial]:
    """The trials that reach the second round: the best of the first, where each was trained with seed 0."""
    return sorted(trials, key=lambda trial: -trial.scores["0"])[:count]


def winner(trials: Sequence[Trial]) -> Trial:
    """The highest mean score among those with most seeds, then the lowest number."""
    return max(trials, key=lambda trial: (len(trial.scores), trial.mean if trial.scores else 0.0, -trial.number))


def validation_job(setting: Setting, trial: Trial, seed: int) -> Job:
    """The run that scores a trial with a seed."""
    label = f"{RECIPES[trial.algorithm].title}, trial {trial.number}, seed {seed}"
    return Job.of(setting, trial.algorithm, seed, trial.knobs, held_out="validation", label=label)


def score(record: Mapping[str, Any]) -> float:
    """Mean accuracy of the last epochs; 0 for a run that diverged."""
    if record["diverged"]:
        return 0.0
    return round(statistics.fmean(epoch["accuracy"] for epoch in record["epochs"][-LAST_EPOCHS:]), 6)


def recorded() -> dict[str, Any]:
    """The search whose outcome is part of the package: what ``ohmgrad compare`` uses unless told otherwise."""
    with resources.as_file(resources.files("ohmgrad.lab") / "tuned.json") as path:
        return read_tuned(path)


def read_tuned(path: Path) -> dict[str, Any]:
    """What a file says that ``ohmgrad tune`` or ``ohmgrad sweep`` wrote.

    :returns: among others ``best``, the winner's hyperparameters of every algorithm, and ``setting``, with
        :data:`TUNED_FOR`.
    :raises ConfigError: the file holds something else.
    """
    content = read_json(path)
    if fault := _fault(content):
        raise ConfigError(f"{path} is no outcome of a search: {fault}. Name a file that `ohmgrad tune` wrote.")
    return dict(content)


def _fault(content: Any) -> str:
    """What is wrong with the outcome of a search; empty if nothing is."""
    for part in ("best", "setting"):
        if not isinstance(content, dict) or not isinstance(content.get(part), dict):
            return f"it has no {part!r}"
    for algorithm, knobs in content["best"].items():
        if not isinstance(knobs, dict) or not all(map(_is_number, knobs.values())):
            return f"the hyperparameters of {algorithm} are {knobs}, not finite numbers by name"
    for name in TUNED_FOR:
        if not RULES[name].holds(content["setting"].get(name)):
            return f"its {name} is {content['setting'].get(name)!r}, not {RULES[name].allowed}"
    return ""


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def plain_space(space: Space) -> dict[str, Any]:
    """A space as JSON values."""
    return {name: {type(scale).__name__: vars(scale)} for name, scale in space.items()}
