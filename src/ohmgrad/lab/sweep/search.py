"""A search in a folder: Optuna proposes hyperparameters, one run scores them, and the best are looked at closely.

Proposals are scored like those of :mod:`ohmgrad.lab.tune`: one run with seed 0, on the validation slice of the training
part. The best three are trained with more seeds, the best mean wins, and only the winner sees the test part.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ohmgrad.errors import ConfigError
from ohmgrad.lab.cells import make_cell
from ohmgrad.lab.fields import configure
from ohmgrad.lab.pool import Source
from ohmgrad.lab.recipes import RECIPES, Choice, LinearRange, LogRange, Scale, WholeRange
from ohmgrad.lab.settings import Setting, require_agreement
from ohmgrad.lab.storage import SETTING, begin, begun, read_json, versions, write_json
from ohmgrad.lab.training import Job
from ohmgrad.lab.tune import Trial, finalists, plain_space, score, spread, validation_job, winner
from ohmgrad.lab.vary import space_of
from ohmgrad.presets.code import as_python

if TYPE_CHECKING:
    import optuna

KIND = "search"
JOURNAL = "journal.log"
"""Optuna's record of the proposals and their scores; the name of its study is that of the rule."""

FIRST = 10
"""Proposals that are spread evenly over all ranges, before the scores say where to look."""


@dataclass(frozen=True)
class Ending:
    """The winner on the test part."""

    accuracies: Sequence[float]
    """After the last epoch, seed by seed."""

    @property
    def mean(self) -> float:
        """Over the seeds."""
        return statistics.fmean(self.accuracies)

    @property
    def spread(self) -> float | None:
        """Sample standard deviation over the seeds; None with fewer than two."""
        return statistics.stdev(self.accuracies) if len(self.accuracies) > 1 else None


class Sweep:
    """The search for one rule.

    Every proposal is drawn with a seed of its own, from ``seed`` and its number: with one worker it depends on
    these and on the scores before it alone, so that a search which was stopped goes on as if it had not been.

    :param setting: one algorithm, task, device, states, batch size, epochs; ``seeds`` for the finalists and the test.
    :param vary: ranges beside those of the recipe, as of :func:`ohmgrad.lab.vary.space_of`.
    :param trials: proposals in total.
    """

    def __init__(self, setting: Setting, vary: Sequence[str], trials: int, seed: int, folder: Path) -> None:
        (self.algorithm,) = setting.algorithms
        self.recipe = RECIPES[self.algorithm]
        self.setting, self.vary, self.wanted, self.seed, self.folder = setting, list(vary), trials, seed, folder
        self.space = space_of(self.recipe, make_cell(setting.device, setting.states), vary)
        self.study = _study(folder / JOURNAL, self.algorithm)
        self._running: dict[int, optuna.Trial] = {}
        self._first = spread(self.space, FIRST, np.random.default_rng(seed))
        self._forget_unfinished()

    @classmethod
    def start(
        cls, setting: Setting, vary: Sequence[str], trials: int, seed: int, folder: Path, overwrite: bool = False
    ) -> Sweep:
        """A new search.

        :raises ConfigError: the folder holds an earlier search and ``overwrite`` is not set, or something else; or a
            range says nothing, or does not fit the rule.
        """
        begun(folder, KIND, resume=False, overwrite=overwrite)
        (algorithm,) = setting.algorithms
        space_of(RECIPES[algorithm], make_cell(setting.device, setting.states), vary)  # before anything is removed
        content = {"setting": setting.plain(), "vary": list(vary), "trials": trials, "seed": seed}
        begin(folder, KIND, content, "runs", "results.json", JOURNAL)
        return cls(setting, vary, trials, seed, folder)

    @classmethod
    def resume(cls, folder: Path, given: Mapping[str, Any]) -> Sweep:
        """The search in a folder; whatever is ``given`` must agree with it, but ``trials`` may be more.

        :raises ConfigError: there is none, or it is contradicted.
        """
        plain = begun(folder, KIND, resume=True, overwrite=False)
        setting, what = Setting.from_plain(plain["setting"]), f"search in {folder}"
        rest = {"rule": setting.algorithms[0], "vary": tuple(plain["vary"]), "seed": plain["seed"]}
        require_agreement(given, rest, what, "folder")
        setting.require_agreement(given, what)
        trials = given.get("trials", plain["trials"])
        if trials < plain["trials"]:
            raise ConfigError(f"--trials {trials}: the {what} has {plain['trials']}. Give as many, or more.")
        write_json(folder / SETTING, plain | {"trials": trials})
        return cls(setting, plain["vary"], trials, plain["seed"], folder)

    def _forget_unfinished(self) -> None:
        """What waited or ran when a search was stopped is proposed again."""
        import optuna

        states = optuna.trial.TrialState
        while any(trial.state == states.WAITING for trial in self.study.get_trials(deepcopy=False)):
            self.study.ask()
        for trial in self.study.get_trials(deepcopy=False, states=(states.RUNNING,)):
            self.study.tell(trial.number, state=states.FAIL)

    @property
    def subtitle(self) -> str:
        """Task, device and length in a line."""
        setting = self.setting
        return (
            f"{setting.task}, {setting.device} cells with {setting.states} states, {setting.epochs} epochs, batch size "
            f"{setting.batch_size}; {len(self.trials)} proposals"
        )

    @property
    def trials(self) -> list[Trial]:
        """The scored proposals by their numbers, with the scores of all seeds that were tried."""
        import optuna

        found = [
            Trial(
                self.algorithm, known.user_attrs["number"], known.user_attrs["knobs"], {"0": float(known.value or 0.0)}
            )
            for known in self.study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,))
        ]
        for trial in found:
            for seed in range(1, self.setting.seeds):
                if (path := self._path(self._validation(trial, seed), trial)).exists():
                    trial.scores[str(seed)] = score(read_json(path))
        return sorted(found, key=lambda trial: trial.number)

    def first_round(self) -> Source[Job]:
        """What is left of the proposals; each is made when a worker is free."""
        return Source(self._propose, max(0, self.wanted - len(self.trials)), self.setting.epochs)

    def second_round(self) -> list[Job]:
        """What is left of the finalists' runs."""
        return [
            self._validation(trial, seed)
            for trial in finalists(self.trials)
            for seed in range(1, self.setting.seeds)
            if str(seed) not in trial.scores
        ]

    def last_round(self) -> list[Job]:
        """What is left of the winner's runs, which are scored on the test part."""
        return [job for job in self._tests() if not self._path(job, self.best).exists()]

    def keep_proposal(self, job: Job, record: Mapping[str, Any]) -> None:
        """Tell Optuna the score of a run of the first round."""
        self.study.tell(self._running.pop(_number(job)), score(record))

    def keep(self, job: Job, record: Mapping[str, Any]) -> None:
        """Keep the record of a run of the later rounds."""
        trial = next(trial for trial in self.trials if trial.number == _number(job))
        write_json(self._path(job, trial), {**record, "versions": versions()})

    @property
    def best(self) -> Trial:
        """The winner so far."""
        return winner(self.trials)

    def ending(self) -> Ending | None:
        """How the winner does on the test part; None before the last round is complete."""
        if not self.trials or self.last_round():
            return None
        records = (read_json(self._path(job, self.best)) for job in self._tests())
        return Ending([record["epochs"][-1]["accuracy"] for record in records])

    def python(self) -> list[str]:
        """The lines of Python that make configuration and optimizer of the winner."""
        cell, knobs = make_cell(self.setting.device, self.setting.states), self.best.knobs
        lines = as_python(configure(self.recipe, cell, knobs))
        optimizer = f"optimizer = AnalogSGD(model.parameters(), lr={knobs['lr']})"
        return ["from ohmgrad import AnalogSGD", *lines, optimizer]

    def importances(self) -> dict[str, float]:
        """The share of every hyperparameter in the variance of the scores (fANOVA), largest first; empty if unknown."""
        import optuna

        if len(self.trials) < 4 or len({trial.scores["0"] for trial in self.trials}) == 1:
            return {}
        evaluator = optuna.importance.FanovaImportanceEvaluator(seed=self.seed)
        found = optuna.importance.get_param_importances(self.study, evaluator=evaluator)
        return {name: float(share) for name, share in found.items()}

    def write_results(self) -> Path:
        """Write ``results.json``, which is also a file for ``ohmgrad compare --tuned``."""
        path, ending, trials = self.folder / "results.json", self.ending(), self.trials
        content: dict[str, Any] = {
            "what": "Hyperparameters found by `ohmgrad sweep`; scores are validation accuracies.",
            "setting": self.setting.plain(),
            "vary": self.vary,
            "seed": self.seed,
            "complete": ending is not None and len(trials) >= self.wanted,
            "versions": self.versions(),
            "best": {self.algorithm: self.best.knobs},
            "python": self.python(),
            "scores": {self.algorithm: round(self.best.mean, 6)},
            "test": None if ending is None else vars(ending) | {"mean": ending.mean, "spread": ending.spread},
            "importances": self.importances(),
            "spaces": {self.algorithm: plain_space(self.space)},
            "trials": [vars(trial) for trial in trials],
        }
        write_json(path, content)
        return path

    def versions(self) -> dict[str, str]:
        """Those of every result, and that of Optuna."""
        return {**versions(), "optuna": metadata.version("optuna")}

    def _propose(self) -> Job:
        import optuna

        taken = {trial.number for trial in self.trials} | self._running.keys()
        number = next(k for k in range(len(taken) + 1) if k not in taken)
        seed = int(np.random.SeedSequence([self.seed, number]).generate_state(1)[0])
        # several at once: those that run count as if they would turn out badly, which keeps proposals apart
        self.study.sampler = optuna.samplers.TPESampler(n_startup_trials=FIRST, seed=seed, constant_liar=True)
        if number < FIRST:
            self.study.enqueue_trial(self._first[number])
        asked = self.study.ask()
        knobs = {name: _suggest(asked, name, scale) for name, scale in self.space.items()}
        asked.set_user_attr("number", number)
        asked.set_user_attr("knobs", knobs)
        self._running[number] = asked
        return self._validation(Trial(self.algorithm, number, knobs, {}), 0)

    def _validation(self, trial: Trial, seed: int) -> Job:
        return validation_job(self.setting, trial, seed)

    def _tests(self) -> Iterator[Job]:
        best = self.best
        for seed in range(self.setting.seeds):
            label = f"{self.recipe.title}, trial {best.number}, seed {seed}, test part"
            yield Job.of(self.setting, self.algorithm, seed, best.knobs, label=label)

    def _path(self, job: Job, trial: Trial) -> Path:
        return self.folder / "runs" / f"trial{trial.number}-{job.held_out}-seed{job.seed}.json"


def _number(job: Job) -> int:
    """The number of the trial that a job belongs to; its label says it."""
    return int(job.label.partition("trial ")[2].partition(",")[0])


def _study(path: Path, name: str) -> optuna.Study:
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    backend = JournalFileBackend(
        str(path), lock_obj=JournalFileOpenLock(str(path))
    )  # its usual lock is a symbolic link
    storage = JournalStorage(backend)
    return optuna.create_study(storage=storage, study_name=name, direction="maximize", load_if_exists=True)


def _suggest(trial: optuna.Trial, name: str, scale: Scale) -> float:
    """A value of a setting; numbers of three digits, as `ohmgrad tune` has them."""
    if isinstance(scale, Choice):
        value = trial.suggest_categorical(name, scale.values)
        assert isinstance(value, int | float)
        return value
    if isinstance(scale, WholeRange):
        return trial.suggest_int(name, scale.low, scale.high, log=scale.log)
    assert isinstance(scale, LogRange | LinearRange)
    value = trial.suggest_float(name, scale.low, scale.high, log=isinstance(scale, LogRange))
    return min(max(float(f"{value:.3g}"), scale.low), scale.high)
