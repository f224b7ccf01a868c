"""Search the hyperparameters of the studies on digits, with the same budget for every rule of a study.

Every rule gets as many settings, spread evenly over its ranges, and one seed for each; where the study says so, the
best get one more, and the best mean wins. A score is the mean accuracy of the last epochs on a slice of the training
part; the test part is not touched. As a program, it does what is missing in ``digits_tuned.json``, and writes it after
every rule::

    python tools/digits_search.py
"""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ohmgrad.lab.storage import read_json, versions, write_json
from ohmgrad.lab.studies import digits
from ohmgrad.lab.studies.digits_cells import HOME, Responses
from ohmgrad.lab.studies.digits_reference import MIDDLE, References
from ohmgrad.lab.studies.digits_states import FewStates, ResidualRules
from ohmgrad.lab.studies.study import At
from ohmgrad.lab.tune import Trial, finalists, spread, winner

PATH = Path(digits.__file__).with_name("digits_tuned.json")
FINALISTS = 2
"""Settings of a rule that are tried with more seeds, where a study has any."""
SEARCHES: tuple[tuple[digits.DigitsStudy, tuple[At, ...]], ...] = (
    (FewStates(), ((10.0,), (4.0,))),
    (Responses(), (HOME,)),
    (References(), (MIDDLE,)),
    (ResidualRules(), ((10.0,), (4.0,), (40.0,))),
)


def search(study: digits.DigitsStudy, at: At, series: str) -> dict[str, Any]:
    """The winner of a rule at a place, and all that was tried."""
    training, random = study.training, np.random.default_rng(list(series.encode()))
    drawn = spread(study.recipes[series].space, training.settings, random)
    tried = [Trial(series, number, knobs, {}) for number, knobs in enumerate(drawn)]

    def score(trial: Trial, seed: int) -> None:
        config, lr = study.config(series, at, trial.knobs), trial.knobs["lr"]
        course = digits.accuracies(config, lr, seed, training.epochs, training.batch, "validation")
        trial.scores[str(seed)] = round(digits.last(list(course)), 3)

    for trial in tried:
        score(trial, 0)
    for trial in finalists(tried, FINALISTS):
        for seed in range(1, training.seeds):
            score(trial, seed)
    best = winner(tried)
    trials = [{"knobs": trial.knobs, "scores": list(trial.scores.values())} for trial in tried]
    return {"best": best.knobs, "score": round(best.mean, 3), "trials": trials}


def main() -> None:
    """Do what is missing."""
    known = read_json(PATH)["searches"] if PATH.exists() else {}
    with ProcessPoolExecutor(initializer=torch.set_num_threads, initargs=(1,)) as pool:
        running = {}
        for study, places in SEARCHES:
            for at in places:
                there = known.setdefault(study.name, {}).setdefault(digits.place_name(at), {})
                for series in study.series:
                    if series not in there:
                        running[pool.submit(search, study, at, series)] = (study.name, there, series)
        for future in as_completed(running):
            name, there, series = running[future]
            there[series] = future.result()
            print(name, series, there[series]["score"], there[series]["best"], flush=True)
            what = "Hyperparameters found by tools/digits_search.py; scores are validation accuracies (%)."
            write_json(PATH, {"what": what, "versions": versions(), "searches": known})


if __name__ == "__main__":
    main()
