"""Wu et al. 2024: the error that analog SGD does not get rid of, on least squares."""

from __future__ import annotations

import statistics
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import log10, sqrt
from typing import ClassVar

import torch

from ohmgrad.configs import IOParameters, LinearResponseDevice, UpdateParameters
from ohmgrad.lab.studies.linear import REPORTS, half_square
from ohmgrad.lab.studies.study import At, Claim, Outcome, Panel, Results, Step, Study, Trial
from ohmgrad.presets import build_config
from ohmgrad.tile import AnalogTile

PAPER = "Z. Wu, T. Gokmen, M. J. Rasch and T. Chen, NeurIPS 2024 (arXiv 2406.12774)"
DIMENSION, ROWS, TARGET = 40, 100, 0.45
SEEDS = (0, 1, 2)
COMMON = (
    "Least squares in 40 dimensions from 100 normal rows, towards a normal target (standard deviation 0.45), with "
    "normal noise; the linear response with the bound tau, and weights that start at 0. The floor is the mean loss "
    "over the last quarter of the iterations. "
)
SCALED = COMMON + (
    "Noise is on every element of the gradient, and the loss is half the mean square of the residual over the "
    "dimension, as in a later script of the authors. "
)


@dataclass(frozen=True)
class Problem:
    """What the paper varies."""

    rate: float
    tau: float
    dw_min: float
    slots: int
    """Longest train of pulses."""
    spread: float
    """Standard deviation of the inputs."""
    noise: float
    """Standard deviation of what is added to an element of the gradient, or to the residual of a row."""
    start: float = 0.0
    by_row: bool = False
    """Noise is in the residuals, and every row sends pulses of its own; else their mean does."""


def descended(problem: Problem, digital: bool, steps: int, seed: int) -> Iterator[tuple[int, float]]:
    """Gradient descent, by pulses or exact: yields iterations and the loss before each."""
    random = torch.Generator().manual_seed(seed)
    rows = problem.spread * torch.randn(ROWS, DIMENSION, generator=random)
    target = TARGET * torch.randn(1, DIMENSION, generator=random)
    weights, one = torch.full((1, DIMENSION), problem.start), torch.ones(1, 1)
    device = LinearResponseDevice(tau=problem.tau, dw_min=problem.dw_min)
    pulses = UpdateParameters(desired_bl=problem.slots)
    torch.manual_seed(seed)
    tile = AnalogTile(1, DIMENSION, build_config("sgd", device, IOParameters(is_perfect=True), pulses))
    tile.set_learning_rate(problem.rate)
    tile.set_weights(weights)
    for step in range(steps):
        if not digital:
            weights = tile.get_weights()
        yield step, half_square(rows, weights, target)
        residual = (weights - target) @ rows.t()
        noise = problem.noise * torch.randn(1, ROWS if problem.by_row else DIMENSION, generator=random)
        if problem.by_row:
            residual, noise = residual + noise, torch.zeros(())
        gradient = residual @ rows / ROWS + noise
        if digital:
            weights = weights - problem.rate * gradient
        elif problem.by_row:
            tile.update(rows, residual.t() / ROWS)
        else:
            tile.update(gradient, one)


class LeastSquares(Study):
    """What the three figures share; a study says which problem a trial is."""

    measure = "loss"
    source = "read by eye from the figure"
    series: ClassVar[dict[str, str]] = {"fp": "digital SGD", "sgd": "analog SGD"}

    scale: ClassVar[float] = 1.0 / DIMENSION
    """Of the loss."""

    @abstractmethod
    def problem(self, trial: Trial) -> Problem:
        """The problem of a trial."""

    def run(self, trial: Trial) -> Iterator[Step | Outcome]:
        """See :meth:`Study.run`."""
        steps, losses, last = [], [], []
        every = max(1, trial.length // REPORTS)
        for step, loss in descended(self.problem(trial), trial.series == "fp", trial.length, trial.seed):
            loss = self.scale * loss
            if step >= 3 * trial.length // 4:
                last.append(loss)
            if step % every == 0:
                steps.append(float(step))
                losses.append(loss)
                yield Step(step, f"{self.measure} {loss:.1e}")
        yield Outcome(statistics.fmean(last), steps, losses)

    def curves(self, results: Results, name: str, places: Sequence[float]) -> list[Panel]:
        """The loss over the iterations at some places."""
        return [
            Panel(f"{name} = {place:g}", "iterations", self.measure, results.curves(place), log_y=True, markers=False)
            for place in places
        ]


class LearningRate(LeastSquares):
    """Figure 1."""

    name = "wu2024-fig1"
    title = "The floor of analog SGD does not fall with the learning rate"
    paper = PAPER + ", Fig. 1"
    setting = COMMON + (
        "Here 2500 iterations at the rate alpha, noise of 0.01 / 40, tau = 3, steps of 1e-4, up to 800 slots. The "
        "paper does not say where the noise enters, nor how its loss is scaled. It is read so that the numbers agree: "
        "noise is in the residual of every row, every row sends pulses of its own, and the loss is half the mean "
        "square."
    )
    coordinates = ("rate",)
    core_minutes = 1.0
    differences = (
        "The analog floors are a third to a quarter of the paper's. If the noise is put on the mean gradient, and "
        "that alone sends pulses, they are another fifty times lower; that they do not fall with the rate stays."
    )
    scale = 1.0
    RATES: ClassVar[tuple[float, ...]] = (0.03, 0.05, 0.1, 0.2)
    READ: ClassVar[dict[str, list[float]]] = {
        "fp": [2e-10, 4e-10, 7e-10, 1.5e-9],
        "sgd": [1e-5, 1e-5, 1e-5, 1e-5],
    }

    def trials(self, quick: bool) -> list[Trial]:
        """See :meth:`Study.trials`."""
        places, seeds = (self.RATES[::3], SEEDS[:1]) if quick else (self.RATES, SEEDS)
        return [self.trial(name, (rate,), seed, 2500) for seed in seeds for rate in places for name in self.series]

    def problem(self, trial: Trial) -> Problem:
        """See :meth:`LeastSquares.problem`."""
        return Problem(trial.at[0], 3.0, 1e-4, 800, 1.0, 0.01 / DIMENSION, by_row=True)

    def published(self, series: str, at: At) -> float | None:
        """See :meth:`Study.published`."""
        return self.READ[series][self.RATES.index(at[0])]

    def claims(self, results: Results) -> list[Claim]:
        """See :meth:`Study.claims`."""
        rates, digital = floors(results, "fp")
        _, analog = floors(results, "sgd")
        ratios = {
            name: [results.mean(name, rate) / (self.published(name, (rate,)) or 1.0) for rate in rates]
            for name in self.series
        }
        slope = steepness(rates, digital)
        return [
            Claim(
                "the floor of digital SGD is proportional to the learning rate",
                f"slope {slope:.2f} of the logarithms",
                0.85 < slope < 1.15,
            ),
            Claim(
                "that of analog SGD does not fall with it",
                f"{analog[0]:.1e} at a rate of {rates[0]:g}, {analog[-1]:.1e} at {rates[-1]:g}",
                analog[0] > 0.8 * analog[-1],
            ),
            *(
                Claim(
                    f"every floor of {self.series[name]} is within a factor of {factor:g} of the paper's",
                    f"ratios from {min(some):.2f} to {max(some):.2f}",
                    within(some, factor),
                )
                for (name, some), factor in zip(ratios.items(), (1.5, 3.0), strict=True)
            ),
        ]

    def panels(self, results: Results) -> list[Panel]:
        """See :meth:`Study.panels`."""
        rates = [at[0] for at in results.places("sgd")]
        lines = results.lines(0)
        floor = Panel("floor", "learning rate alpha", self.measure, lines, log_x=True, log_y=True)
        return [floor, *self.curves(results, "alpha", rates)]


class Bound(LeastSquares):
    """Figure 3."""

    name = "wu2024-fig3"
    title = "The floor of analog SGD falls with the bound of the cells"
    paper = PAPER + ", Fig. 3"
    setting = SCALED + (
        "Here inputs of standard deviation 0.5, alpha = 0.03, 300 states whatever tau is, up to 300 slots, and "
        "8000 iterations (which the paper does not state). Its noise of 0.1 is read as a standard deviation, "
        "since as a variance it would put the digital floor at ten times the paper's: so the digital floor agrees "
        "by choice, the analog ones do not."
    )
    coordinates = ("tau",)
    core_minutes = 1.0
    differences = (
        "The analog floors fall a little less steeply with tau than the paper's. With the same small step for every "
        "tau they fall as steeply: here the steps of 300 states grow with tau, and add to the floor."
    )
    TAUS: ClassVar[tuple[float, ...]] = (1.0, 1.5, 2.0, 2.5)
    READ: ClassVar[dict[str, list[float]]] = {
        "fp": [7e-5, 7e-5, 7e-5, 7e-5],
        "sgd": [1.1e-3, 6e-4, 4e-4, 3e-4],
    }

    def trials(self, quick: bool) -> list[Trial]:
        """See :meth:`Study.trials`."""
        length, places, seeds = (4000, self.TAUS[::3], SEEDS[:1]) if quick else (8000, self.TAUS, SEEDS)
        return [self.trial(name, (tau,), seed, length) for seed in seeds for tau in places for name in self.series]

    def problem(self, trial: Trial) -> Problem:
        """See :meth:`LeastSquares.problem`."""
        (tau,) = trial.at
        return Problem(0.03, tau, 2.0 * tau / 300, 300, 0.5, 0.1)

    def published(self, series: str, at: At) -> float | None:
        """See :meth:`Study.published`."""
        return self.READ[series][self.TAUS.index(at[0])]

    def claims(self, results: Results) -> list[Claim]:
        """See :meth:`Study.claims`."""
        taus, analog = floors(results, "sgd")
        _, digital = floors(results, "fp")
        theirs = [self.published("sgd", (tau,)) or 0.0 for tau in taus]
        ratios = [a / b for a, b in zip(analog, theirs, strict=True)]
        return [
            Claim(
                "the floor falls with the bound tau",
                ", ".join(f"{value:.1e}" for value in analog),
                analog == sorted(analog, reverse=True),
            ),
            Claim(
                "and stays above that of digital SGD",
                f"{min(a / b for a, b in zip(analog, digital, strict=True)):.1f} times at least",
                all(a > b for a, b in zip(analog, digital, strict=True)),
            ),
            Claim(
                "every analog floor is within a factor of 2 of the paper's",
                f"ratios from {min(ratios):.2f} to {max(ratios):.2f}",
                within(ratios, 2.0),
            ),
        ]

    def panels(self, results: Results) -> list[Panel]:
        """See :meth:`Study.panels`."""
        taus = [at[0] for at in results.places("sgd")]
        floor = Panel("floor", "bound tau", self.measure, results.lines(0), log_y=True)
        return [floor, *self.curves(results, "tau", [taus[0], taus[-1]])]


class NoiseAndBound(LeastSquares):
    """Figure 4."""

    name = "wu2024-fig4"
    title = "The floor of analog SGD over noise, bound and start"
    paper = PAPER + ", Fig. 4"
    setting = SCALED + (
        "Here tau from 2 to 50, and noise of variance 0.001 to 1; inputs and alpha as for Fig. 3, 6000 iterations, "
        "but steps of 1e-4, so that they do not hide the floor. Some weights start at 1 instead. No numbers of the "
        "figure are compared, but what it shows."
    )
    differences = (
        "The largest noise leaves the range of the statements: at tau = 2 the pull towards zero, noise over tau, is "
        "as strong as the curvature, and the floor saturates; at large tau there is hardly any pull, and it is the "
        "damping by the response that puts the floor below the digital one. Up to a variance of 0.1 it falls with tau "
        "throughout."
    )
    source = "the statements of the figure; no numbers"
    coordinates = ("tau", "noise variance")
    series: ClassVar[dict[str, str]] = {
        "sgd": "analog SGD from 0",
        "far": "analog SGD from 1",
        "fp": "digital SGD",
    }
    core_minutes = 4.0
    TAUS: ClassVar[tuple[float, ...]] = (2.0, 3.0, 5.0, 10.0, 20.0, 50.0)
    VARIANCES: ClassVar[tuple[float, ...]] = (0.001, 0.01, 0.1, 1.0)

    def trials(self, quick: bool) -> list[Trial]:
        """See :meth:`Study.trials`."""
        taus, variances = (self.TAUS[::5], self.VARIANCES[:3:2]) if quick else (self.TAUS, self.VARIANCES)
        return [
            self.trial(name, (tau, variance), seed, 6000)
            for seed in SEEDS[: 1 if quick else 2]
            for variance in variances
            for tau in taus
            for name in self.series
        ]

    def problem(self, trial: Trial) -> Problem:
        """See :meth:`LeastSquares.problem`."""
        tau, variance = trial.at
        return Problem(0.03, tau, 1e-4, 1000, 0.5, sqrt(variance), start=1.0 if trial.series == "far" else 0.0)

    def claims(self, results: Results) -> list[Claim]:
        """See :meth:`Study.claims`."""
        taus = sorted({at[0] for at in results.places("sgd")})
        variances = sorted({at[1] for at in results.places("sgd")})
        slopes = [steepness(variances, [results.mean("sgd", tau, v) for v in variances]) for tau in taus]
        rows = [[results.mean("sgd", tau, v) for tau in taus] for v in variances]
        gains = [row[0] / row[-1] for row in rows]
        starts = [results.mean("far", *at) / results.mean("sgd", *at) for at in results.places("sgd")]
        return [
            Claim(
                "the floor is proportional to the variance of the noise",
                f"slopes from {min(slopes):.2f} to {max(slopes):.2f} of the logarithms, over the bounds",
                all(0.75 < slope < 1.25 for slope in slopes),
            ),
            Claim(
                "it falls with the bound tau, whatever the noise",
                f"from tau = {taus[0]:g} to {taus[-1]:g} by a factor of {min(gains):.1f} to {max(gains):.1f}",
                all(row == sorted(row, reverse=True) for row in rows),
            ),
            Claim(
                "it does not depend on where the weights start",
                f"ratios from {min(starts):.2f} to {max(starts):.2f}",
                all(0.9 < ratio < 1.1 for ratio in starts),
            ),
        ]

    def panels(self, results: Results) -> list[Panel]:
        """See :meth:`Study.panels`."""
        variances = sorted({at[1] for at in results.places("sgd")})
        tau = min(at[0] for at in results.places("sgd"))
        over_tau = [
            Panel(
                f"noise variance {v:g}", "bound tau", self.measure, results.lines(0, **{"noise variance": v}),
                log_x=True, log_y=True,
            )
            for v in variances
        ]  # fmt: skip
        lines = results.lines(1, tau=tau)
        return [Panel(f"tau = {tau:g}", "noise variance", self.measure, lines, log_x=True, log_y=True), *over_tau]


def floors(results: Results, series: str) -> tuple[list[float], list[float]]:
    """Where a series of one coordinate was measured, and its means."""
    places = [at[0] for at in results.places(series)]
    return places, [results.mean(series, place) for place in places]


def within(ratios: Sequence[float], factor: float) -> bool:
    """Whether no ratio is off by more than a factor."""
    return max(*ratios, *(1.0 / ratio for ratio in ratios)) <= factor


def steepness(x: Sequence[float], y: Sequence[float]) -> float:
    """Slope of the logarithm of y over that of x, by least squares."""
    return statistics.linear_regression([log10(value) for value in x], [log10(value) for value in y]).slope
