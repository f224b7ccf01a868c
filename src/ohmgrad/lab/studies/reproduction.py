"""A study in a folder: one JSON file for every finished trial, so it can stop and go on."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ohmgrad.errors import ConfigError
from ohmgrad.lab.storage import begin, begun, read_json, versions, write_json
from ohmgrad.lab.studies.study import QUESTION, Claim, Results, Study, Trial

KIND = "reproduction"
DESCRIPTION = ("title", "paper", "setting", "source", "differences", "core_minutes")
"""What ``results.json`` says of the study itself."""


@dataclass(frozen=True)
class Reproduction:
    """A study, how it is run, and the folder of the results."""

    study: Study
    quick: bool
    folder: Path

    @classmethod
    def start(cls, study: Study, quick: bool, folder: Path, resume: bool, overwrite: bool) -> Reproduction:
        """Begin, or go on with what the folder holds.

        :raises ConfigError: the folder holds another reproduction, or one and neither ``resume`` nor ``overwrite`` is
            set, or nothing to go on with.
        """
        content = {"study": study.name, "quick": quick}
        found = begun(folder, KIND, resume, overwrite)
        if not resume:
            begin(folder, KIND, content, "trials", "results.json")
        elif (other := {name: found.get(name) for name in content}) != content:
            raise ConfigError(f"{folder} holds {other}, not {content}. Choose another folder (--out).")
        return cls(study, quick, folder)

    @property
    def trials(self) -> list[Trial]:
        """Every trial, seed by seed, so that an early stop leaves all places with equally many."""
        return sorted(self.study.trials(self.quick), key=lambda trial: trial.seed)

    def path(self, trial: Trial) -> Path:
        """Where the record of a trial is kept."""
        return self.folder / "trials" / trial.file_name

    def remaining(self) -> list[Trial]:
        """Trials without a record."""
        return [trial for trial in self.trials if not self.path(trial).exists()]

    def save(self, trial: Trial, record: dict[str, Any]) -> None:
        """Keep the record of a finished trial."""
        write_json(self.path(trial), record)

    def results(self) -> Results:
        """What is finished."""
        return Results(self.study, [read_json(self.path(t)) for t in self.trials if self.path(t).exists()])

    def write_results(self) -> Path:
        """Write ``results.json``: the panels with the paper's numbers, the claims and what they were computed with."""
        study, results, path = self.study, self.results(), self.folder / "results.json"
        claims = study.claims(results)
        content = {
            "study": study.name,
            **{name: getattr(study, name) for name in DESCRIPTION},
            "quick": self.quick,
            "seeds": len({record["seed"] for record in results.records}),
            "trials": len(results.records),
            "seconds": round(sum(record["seconds"] for record in results.records), 1),
            "panels": [asdict(panel) for panel in study.panels(results)],
            "claims": [asdict(claim) for claim in claims],
            "verdict": verdict(claims, self.quick),
            "versions": versions(),
        }
        write_json(path, content)
        return path


def verdict(claims: list[Claim], quick: bool = False) -> str:
    """What the claims come to, in a line; a ``quick`` version neither reproduces anything nor fails to."""
    held = sum(claim.holds for claim in claims)
    if not claims:
        return "no claim was computed"
    if quick:
        return f"small version: {held} of {len(claims)} claims hold"
    if all(claim.text.startswith(QUESTION) for claim in claims):
        return f"there is no paper to reproduce: {held} of {len(claims)} questions have the answer yes"
    if held == len(claims):
        return f"reproduced: {held} of {len(claims)} claims hold"
    return f"not reproduced in full: {held} of {len(claims)} claims hold"
