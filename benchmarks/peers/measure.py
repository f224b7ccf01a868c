"""One case in both libraries: measured in turns, and checked."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from peers.cases import NAMES, OURS, THEIRS, Case
from peers.figures import Spread, differences, spread
from peers.link import Link, WorkerError, fresh

PAUSE = 0.005
"""Seconds between two turns: the threads of the one before have gone to sleep."""
ROUND = 0.06
"""Seconds that the calls of a turn take together, if one does not take more."""
REPEATS = {"train": 4}
USUAL_REPEATS = 12
"""Independent repetitions that are compared; three times as many, if those seem to differ."""
PROCESSES = {"first_empty": 1, "memory": 2}
USUAL_PROCESSES = 3
"""Fresh processes of which the median is taken."""


@dataclass
class Result:
    """What came out for a case: seconds of a call, or bytes of a cell."""

    case: Case
    values: dict[str, Spread] = field(default_factory=dict)
    """By library."""
    density: dict[str, float] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    """In what the two differ, or what failed: then there is no ratio."""

    @property
    def ratio(self) -> float | None:
        """How many times the reference takes what we take."""
        if self.problems or len(self.values) < len(NAMES):
            return None
        return self.values[THEIRS].median / self.values[OURS].median


@contextmanager
def links() -> Iterator[dict[str, Link]]:
    """Both workers, ended at the end."""
    both = {name: Link(name) for name in NAMES}
    try:
        yield both
    finally:
        for link in both.values():
            link.close()


def measured(case: Case, both: dict[str, Link], seconds: float) -> Result:
    """Measure and check a case.

    :param seconds: that the measuring may take; there are at least five rounds.
    """
    result = Result(case)
    try:
        if case.kind in _FRESH:
            turns: dict[str, list[float]] = {name: [] for name in NAMES}
            for _ in range(PROCESSES.get(case.kind, USUAL_PROCESSES)):
                for name in NAMES:
                    turns[name].append(_FRESH[case.kind](case, name))
            result.values = {name: spread(values) for name, values in turns.items()}
        else:
            _measure(result, both, seconds)
            result.problems = _check(case, both)
            for link in both.values():
                link.ask("drop")
    except WorkerError as error:
        result.problems.append(f"failed: {error}")
    return result


def _measure(result: Result, both: dict[str, Link], seconds: float) -> None:
    rate, counts, of_round = None, {}, 0.0
    with TemporaryDirectory() as folder:
        for name in NAMES:  # ours first: it draws the cells and finds the learning rate
            shared = str(Path(folder) / "cells.pt")
            told = both[name].ask("prepare", case=asdict(result.case), shared=shared, rate=rate)
            rate, result.density[name] = told["rate"], told["density"]
            counts[name] = max(1, min(50, int(ROUND / told["seconds"])))
            of_round += counts[name] * told["seconds"]
    turns: dict[str, list[float]] = {name: [] for name in NAMES}
    for _ in range(max(5, min(25, int(seconds / of_round)))):
        for name in NAMES:
            time.sleep(PAUSE)
            turns[name].append(statistics.median(both[name].ask("measure", count=counts[name])))
    result.values = {name: spread(values) for name, values in turns.items()}


def _check(case: Case, both: dict[str, Link]) -> list[str]:
    """In what the two differ. What seems to differ is looked at again, with other random numbers."""
    repeats = REPEATS.get(case.kind, USUAL_REPEATS)
    for seed, count in ((10, repeats), (20, 3 * repeats)):
        ours, theirs = (both[name].ask("check", repeats=count, seed=seed) for name in (OURS, THEIRS))
        found = differences(ours, theirs)
        if not found:
            return []
    return [str(each) for each in found]


def _memory(case: Case, name: str) -> float:
    """Bytes for each cell: of a large tile, less those of a tiny one."""
    tiny = 8
    most = fresh(name, "memory", case.subject, case.size) - fresh(name, "memory", case.subject, tiny)
    return most / (case.size**2 - tiny**2)


def _with_empty_cache(case: Case, name: str) -> float:
    with TemporaryDirectory() as folder:
        return fresh(name, "first", case.subject, case.size, XDG_CACHE_HOME=folder)


_FRESH: dict[str, Callable[[Case, str], float]] = {
    "import": lambda case, name: fresh(name, "import", case.subject, case.size),
    "first": lambda case, name: fresh(name, "first", case.subject, case.size),
    "first_empty": _with_empty_cache,
    "memory": _memory,
}
