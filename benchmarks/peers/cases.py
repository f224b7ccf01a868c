"""What is compared, and what is asked of it: every case and every goal of ``make bench-peers``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

OURS, THEIRS = NAMES = ("ohmgrad", "aihwkit")
DEVICES = ("constant_step", "linear_step", "soft_bounds", "exp_step", "pow_step")
MIXED = "mixed_precision"
OTHER_DEVICES = ("soft_bounds_reference", "pow_step_reference", "piecewise_step")
RULES = ("ttv1", "ttv2", "ttv3", "ttv4")
SUBJECTS = (*DEVICES, *RULES)
TRAINED = ("sgd", *RULES)
SIZES = (64, 128, 256, 512, 1024, 2048)
BATCHES = (1, 10, 64)
DENSITIES = (0.05, 0.3, 1.0, 5.0)
PERCEPTRON, LENET, WIDE = "784-256-128-10", "lenet", "1024-1024-1024"


@dataclass(frozen=True)
class Case:
    """One thing that both libraries do."""

    kind: str
    """``update``, ``forward``, ``backward``, ``train``, ``memory``, ``import``, ``first`` or ``first_empty``."""
    subject: str
    """Device or rule; circuits (``ideal``, ``default``) of a product; network and rule of a training step."""
    size: int = 0
    """Lines of a square array; 0 where networks have several."""
    batch: int = 0
    density: float = 0.0
    """Pulses that a cell is to receive from one sample; 0 where a rule decides."""

    @property
    def name(self) -> str:
        """The case in words, one line."""
        return f"{self.kind} {self.load}"

    @property
    def load(self) -> str:
        """All but the kind."""
        words = [self.subject, f"{self.size} x {self.size}" if self.size else ""]
        words += [f"batch {self.batch}" if self.batch else "", f"density {self.density:g}" if self.density else ""]
        return ", ".join(filter(None, words))

    @property
    def is_checked(self) -> bool:
        """Whether both libraries have to give the same results."""
        return self.kind in ("update", "forward", "backward", "train")

    @property
    def effort(self) -> float:
        """Seconds that it takes, roughly: for the time left."""
        if self.kind == "update":
            return 2 + self.size**2 * self.batch / 16.8e6 * (3 + 2 * self.density)
        if self.kind == "train":
            return {WIDE: 25.0, LENET: 12.0}.get(self.subject.split()[0], 4 + self.batch / 10)
        return {"memory": 20.0, "first": 25.0, "first_empty": 60.0, "import": 25.0}.get(self.kind, 3.0)


@dataclass(frozen=True)
class Goal:
    """What some cases have to reach: a ratio of the reference's time or memory to ours, or a time of ours."""

    title: str
    cases: tuple[Case, ...]
    ratio: float = 0.0
    """At least; 0 if the goal is a time."""
    seconds: float = 0.0
    """At most; 0 if the goal is a ratio."""


def updates(subjects: tuple[str, ...], size: int, batch: int, density: float) -> tuple[Case, ...]:
    """The same update for several devices or rules."""
    return tuple(Case("update", subject, size, batch, density) for subject in subjects)


def steps(network: str, batch: int, rules: tuple[str, ...] = TRAINED) -> tuple[Case, ...]:
    """The same training step for several rules."""
    return tuple(Case("train", f"{network} {rule}", batch=batch) for rule in rules)


CALL = Case("update", "soft_bounds", 1, 1, 0.3)
"""Next to nothing to do: what a call takes by itself."""
FAST, SLOW = tuple(s for s in SUBJECTS if s not in ("exp_step", "pow_step")), ("exp_step", "pow_step")
MEMORY = tuple(Case("memory", rule, 2048) for rule in ("soft_bounds", "ttv3"))
GOALS = (
    Goal("update at density 0.3: constant, linear, soft bounds, TTv1 to TTv4", updates(FAST, 512, 64, 0.3), 10),
    Goal("update at density 0.3: exponential, power", updates(SLOW, 512, 64, 0.3), 6),
    Goal("update at density 5", updates(SUBJECTS, 512, 64, 5.0), 5),
    Goal("update of one sample, 64 x 64", updates(SUBJECTS, 64, 1, 0.3), 1),
    Goal("overhead of a call, under 30 us", (CALL,), seconds=30e-6),
    Goal("training step, 1024-1024-1024, batch 32, every rule", steps(WIDE, 32), 4),
    Goal("training step, perceptron, batch 64, every rule", steps(PERCEPTRON, 64), 2),
    Goal("training step, perceptron, batch 1, every rule", steps(PERCEPTRON, 1), 1),
    Goal("forward with default periphery", (Case("forward", "default", 512, 64),), 1.5),
    Goal("memory for each cell, at most half", MEMORY, 2),
)


def goal_of(case: Case) -> Goal | None:
    """The goal that a case belongs to."""
    return next((goal for goal in GOALS if case in goal.cases), None)


def cases(full: bool = False, only: str = "") -> list[Case]:
    """The cases of a run: those of the goals and one of everything else, or the whole grid; ``only`` is in the name."""
    chosen = dict.fromkeys(_full() if full else _usual())
    return [case for case in chosen if only in case.name]


def _usual() -> Iterator[Case]:
    yield from (case for goal in GOALS for case in goal.cases if case.kind == "update")
    yield from updates(OTHER_DEVICES, 512, 64, 0.3)
    yield Case("update", MIXED, 512, 64)
    yield from _products((512,), (64,))
    yield from steps(WIDE, 32)
    for batch in BATCHES:
        yield from steps(PERCEPTRON, batch)
    yield from steps(LENET, 8)
    yield from MEMORY
    yield from (Case("memory", f"{case.subject} implicit", case.size) for case in MEMORY)
    yield from (Case(kind, "soft_bounds", 64, 1) for kind in ("first", "first_empty"))
    yield Case("import", "all")


def _full() -> Iterator[Case]:
    yield from _usual()
    for size in SIZES:
        for batch in BATCHES:
            for density in DENSITIES:
                yield from updates((*SUBJECTS, *OTHER_DEVICES), size, batch, density)
            yield Case("update", MIXED, size, batch)
    yield from _products(SIZES, BATCHES)
    yield from (Case("memory", subject, 2048) for subject in SUBJECTS)


def _products(sizes: tuple[int, ...], batches: tuple[int, ...]) -> Iterator[Case]:
    for size in sizes:
        for batch in batches:
            for kind in ("forward", "backward"):
                yield from (Case(kind, circuits, size, batch) for circuits in ("default", "ideal"))
