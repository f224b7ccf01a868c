"""What a published result is made of: trials, the paper's numbers, claims that are computed, and curves to draw."""

from __future__ import annotations

import statistics
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

At = tuple[float, ...]
"""Where a trial stands: one number for each of the coordinates of its study."""


@dataclass(frozen=True)
class Step:
    """How far a trial has come."""

    done: int
    note: str = ""


@dataclass(frozen=True)
class Outcome:
    """What a trial gives: one number, and the curve that led to it, if there is one."""

    value: float
    x: Sequence[float] = ()
    y: Sequence[float] = ()


@dataclass(frozen=True)
class Trial:
    """One run of a study; equal trials give equal outcomes."""

    study: Study
    series: str
    """Key of what is compared, such as a learning rule."""
    at: At
    seed: int
    length: int
    """Steps, as the progress counts them."""

    @property
    def title(self) -> str:
        """The trial in words."""
        names = self.study.coordinates
        where = [f"{name} {value:g}" for name, value in zip(names, self.at, strict=True)]
        return ", ".join([self.study.series[self.series], *where, f"seed {self.seed}"])

    @property
    def file_name(self) -> str:
        """A name for the file of its record."""
        return "-".join([self.series, *(f"{value:g}" for value in self.at), f"seed{self.seed}.json"])

    def run(self) -> Iterator[Step | dict[str, Any]]:
        """Do it: yields steps, and at last the record (JSON values)."""
        started = time.perf_counter()
        for news in self.study.run(self):
            if isinstance(news, Step):
                yield news
            else:
                yield {
                    "series": self.series,
                    "at": list(self.at),
                    "seed": self.seed,
                    "value": news.value,
                    "x": list(news.x),
                    "y": list(news.y),
                    "seconds": round(time.perf_counter() - started, 3),
                }

    @property
    def heading(self) -> str:
        """See :class:`ohmgrad.lab.pool.Job`."""
        return f"{self.study.measure:>{self._width}}      time"

    def outcome(self, record: dict[str, Any]) -> str:
        """See :class:`ohmgrad.lab.pool.Job`."""
        return f"{record['value']:>{self._width}.3g}  {record['seconds']:6.1f} s"

    @property
    def _width(self) -> int:
        """Of the column of values, below what they measure."""
        return max(10, len(self.study.measure))


QUESTION = "(a question) "
"""How a claim begins that nobody has made, but whose answer is of interest."""


@dataclass(frozen=True)
class Claim:
    """A statement of the paper, and whether the numbers bear it out."""

    text: str
    measured: str
    holds: bool


@dataclass(frozen=True)
class Line:
    """What one series does along an axis; ``published`` are the paper's values at the same places, where it has any."""

    series: str
    title: str
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] = ()
    high: Sequence[float] = ()
    published: Sequence[float | None] = ()


@dataclass(frozen=True)
class Panel:
    """Lines that are drawn, and tabulated, together."""

    title: str
    x_label: str
    y_label: str
    lines: Sequence[Line]
    log_x: bool = False
    log_y: bool = False
    markers: bool = True
    """Every place was measured by itself; else it is a curve."""
    joined: bool = True
    """Places are joined by lines."""


def present(lines: Iterable[Line | None]) -> list[Line]:
    """The lines that there are."""
    return [line for line in lines if line is not None]


class Study(ABC):
    """One published result. Stateless: everything about a run stands in its trial."""

    name: ClassVar[str]
    """On the command line."""
    title: ClassVar[str]
    paper: ClassVar[str]
    setting: ClassVar[str]
    """What is done, in a few sentences: what the paper says, and what it leaves open."""
    source: ClassVar[str]
    """How the paper's numbers were taken: printed there, or read by eye from a figure."""
    measure: ClassVar[str]
    """What a value is, with its unit."""
    coordinates: ClassVar[tuple[str, ...]]
    """Names of the numbers in :attr:`Trial.at`."""
    series: ClassVar[Mapping[str, str]]
    """What is compared: titles by key."""
    core_minutes: ClassVar[float]
    """What the full setting took on one core, as a promise of how long it takes."""
    differences: ClassVar[str] = ""
    """Where the numbers are not the paper's, and why, as far as it was found out."""

    @abstractmethod
    def trials(self, quick: bool) -> list[Trial]:
        """Every trial; ``quick``: so few and so short ones that they end within a minute."""

    @abstractmethod
    def run(self, trial: Trial) -> Iterator[Step | Outcome]:
        """Do a trial: yields steps, and at last the outcome."""

    @abstractmethod
    def claims(self, results: Results) -> list[Claim]:
        """What the paper says, computed on what was measured; claims on what was not measured are left out."""

    @abstractmethod
    def panels(self, results: Results) -> list[Panel]:
        """What is drawn and tabulated."""

    def published(self, series: str, at: At) -> float | None:
        """The paper's number; None if it has none there."""
        return None

    def trial(self, series: str, at: At, seed: int, length: int) -> Trial:
        """One trial of this study."""
        return Trial(self, series, at, seed, length)


@dataclass
class Results:
    """The records of the finished trials of a study."""

    study: Study
    records: Sequence[Mapping[str, Any]]
    _values: dict[tuple[str, At], list[float]] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        for record in self.records:
            self._values.setdefault((record["series"], tuple(record["at"])), []).append(record["value"])

    def has(self, series: str, *at: float) -> bool:
        """Whether there is a value."""
        return (series, at) in self._values

    def mean(self, series: str, *at: float) -> float:
        """Mean over the seeds."""
        return statistics.fmean(self._values[series, at])

    def places(self, series: str) -> list[At]:
        """Where a series has values, in order."""
        return sorted(at for name, at in self._values if name == series)

    def line(self, series: str, axis: int, **fixed: float) -> Line | None:
        """The values of a series along one coordinate, where the others have the given values; None: there are none.

        :param axis: index of the coordinate; :param fixed: values of other coordinates by name.
        """
        wanted = {self.study.coordinates.index(name): value for name, value in fixed.items()}
        places = [at for at in self.places(series) if all(at[k] == value for k, value in wanted.items())]
        if not places:
            return None
        values = [self._values[series, at] for at in places]
        return Line(
            series,
            self.study.series[series],
            [at[axis] for at in places],
            [statistics.fmean(some) for some in values],
            [min(some) for some in values],
            [max(some) for some in values],
            [self.study.published(series, at) for at in places],
        )

    def lines(self, axis: int, **fixed: float) -> list[Line]:
        """:meth:`line` of every series that has values there."""
        return present(self.line(series, axis, **fixed) for series in self.study.series)

    def curves(self, *at: float) -> list[Line]:
        """:meth:`curve` of every series that has one there."""
        return present(self.curve(series, *at) for series in self.study.series)

    def curve(self, series: str, *at: float, title: str = "") -> Line | None:
        """The mean curve of the trials at a place, from the lowest to the highest of them; None: there is none."""
        runs = [r for r in self.records if (r["series"], tuple(r["at"])) == (series, at) and r["x"]]
        if not runs:
            return None
        columns = list(zip(*(run["y"] for run in runs), strict=True))
        return Line(
            series,
            title or self.study.series[series],
            runs[0]["x"],
            [statistics.fmean(column) for column in columns],
            [min(column) for column in columns],
            [max(column) for column in columns],
        )
