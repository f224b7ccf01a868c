"""Rasch et al. 2024: what learning rules make of cells that are more and more symmetric."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from ohmgrad.lab.studies.rasch_2024 import PAPER, RULES, cells, rule_on, weight_errors
from ohmgrad.lab.studies.study import At, Claim, Outcome, Panel, Results, Step, Study, Trial

STATES = 100.0
INDICES = (1.0, 5.0, 10.0, 15.0, 25.0)
READ_BY_EYE: dict[str, dict[float, float]] = {
    "sgd": {5.0: 4.1, 10.0: 4.1, 15.0: 4.1, 25.0: 4.1},
    "ttv2": {10.0: 5.7, 15.0: 7.4, 25.0: 9.6},
    "ttv3": {5.0: 5.2, 10.0: 10.3, 15.0: 12.7, 25.0: 17.3},
    "ttv4": dict.fromkeys(INDICES, 1.2),
}


class Symmetry(Study):
    """Figure 6."""

    name = "rasch2024-fig6"
    title = "Weight error against the symmetry of the cells"
    paper = PAPER + ", Fig. 6"
    setting = (
        "The problem of Fig. 4 without offset of the reference, and with the step of 100 states: but the bounds of "
        "all cells are wider by a factor, the symmetry index, so that up and down steps differ less (and there are "
        "more states). The paper does not state in full what it widens, nor the learning rates: they are "
        "those of our Fig. 4."
    )
    source = "read by eye from the figure"
    measure = "weight error (%)"
    coordinates = ("symmetry",)
    series: ClassVar[dict[str, str]] = RULES
    core_minutes = 15.0
    differences = (
        "SGD gains, and TTv2 and c-TTv2 lose, as in the paper; but both lose less, and AGAD is not spared. Presumably "
        "A, with little decay, oscillates against C, at a strength that follows from learning rates that we do not "
        "know. If only the bounds of A are widened, c-TTv2 loses about twice as much as TTv2, as in the paper."
    )

    def trials(self, quick: bool) -> list[Trial]:
        """See :meth:`Study.trials`."""
        length, places = (3000, INDICES[::4]) if quick else (20000, INDICES)
        return [
            self.trial(rule, (index,), seed, length // 4 if rule == "sgd" else length)  # which is fast
            for seed in range(1 if quick else 3)
            for index in places
            for rule in RULES
        ]

    def run(self, trial: Trial) -> Iterator[Step | Outcome]:
        """See :meth:`Study.run`."""
        (index,) = trial.at
        fast, slow = (cells(STATES, 0.0, spread, bound=index) for spread in (0.3, 0.0))
        config, rate = rule_on(trial.series, fast, slow, 0.01 * 20000 / trial.length)
        yield from weight_errors(config, rate, trial)

    def published(self, series: str, at: At) -> float | None:
        """See :meth:`Study.published`."""
        return READ_BY_EYE[series].get(at[0])

    def claims(self, results: Results) -> list[Claim]:
        """See :meth:`Study.claims`."""
        low, high = INDICES[0], INDICES[-1]
        least, most = ({rule: results.mean(rule, index) for rule in RULES} for index in (low, high))
        agad = [results.mean("ttv4", *at) for at in results.places("ttv4")]

        def change(rule: str) -> str:
            return f"from {least[rule]:.1f} to {most[rule]:.1f} %"

        return [
            Claim(
                "analog SGD gains from symmetry: its error falls to less than a half",
                change("sgd"),
                most["sgd"] < 0.5 * least["sgd"],
            ),
            Claim(
                "TTv2 loses by it, as A must decay to its symmetric point: its error rises more than threefold",
                change("ttv2"),
                most["ttv2"] > 3.0 * least["ttv2"],
            ),
            Claim(
                "c-TTv2 loses more than TTv2",
                f"{change('ttv3')}; TTv2 {change('ttv2')}",
                most["ttv3"] > max(most["ttv2"], 3.0 * least["ttv3"]),
            ),
            Claim(
                "AGAD does not depend on it",
                f"{min(agad):.1f} to {max(agad):.1f} %",
                max(agad) < 1.5 * min(agad),
            ),
        ]

    def panels(self, results: Results) -> list[Panel]:
        """See :meth:`Study.panels`."""
        places = [at[0] for at in results.places("ttv4")]
        ends = [
            Panel(f"symmetry {index:g}", "inputs", self.measure, results.curves(index), log_y=True, markers=False)
            for index in (places[0], places[-1])
        ]
        return [Panel("at the end", "symmetry index", self.measure, results.lines(0), log_y=True), *ends]
