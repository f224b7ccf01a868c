"""Xiao et al. 2026: how many pulses zero-shifting takes, and a mean that needs none."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import torch
from torch import Tensor

from ohmgrad.analysis.symmetric_points import SymmetricPointTracker, array_of, symmetric_points
from ohmgrad.analysis.zero_shift import shifted
from ohmgrad.configs import IOParameters, SoftBoundsDevice
from ohmgrad.lab.pool import JobError
from ohmgrad.lab.studies.linear import REPORTS, rms
from ohmgrad.lab.studies.study import Claim, Outcome, Panel, Results, Step, Study, Trial
from ohmgrad.lab.studies.wu_2024 import floors, steepness
from ohmgrad.presets import build_config
from ohmgrad.tile import AnalogTile

PAPER = "Q. Xiao et al., arXiv 2602.21321 (2026)"
SIZE = 32
VARIATION: dict[str, Any] = dict.fromkeys(("dw_min_dtod", "w_max_dtod", "w_min_dtod"), 0.3) | {"up_down_dtod": 0.1}


def cells(dw_min: float, noise: float, seed: int) -> AnalogTile:
    """An array of soft-bounds cells at 0, each with a symmetric point of its own."""
    torch.manual_seed(seed)
    device = SoftBoundsDevice(dw_min=dw_min, dw_min_std=noise, w_max=1.0, w_min=-1.0, **VARIATION)
    return AnalogTile(SIZE, SIZE, build_config("sgd", device, IOParameters(is_perfect=True)))


def shifting(tile: AnalogTile, growth: float = 1.05) -> Iterator[tuple[int, Tensor]]:
    """Pulses in turns, without an end: yields their number, and where the cells stand in the mean of the last two.

    :param growth: how much longer each part is than all before.
    """
    array, draws, done = array_of(tile, 0), tile._draws(), 0
    while True:
        more = 2 * max(1, round(done * (growth - 1.0) / 2.0))
        estimate = shifted(array, more, draws)
        done += more
        yield done, estimate


class ZeroShifting(Study):
    """Figure 1."""

    name = "rider-fig1"
    title = "Zero-shifting takes a number of pulses that grows as one over the step"
    paper = PAPER + ", Fig. 1"
    setting = (
        f"Cells of an array of {SIZE} x {SIZE} (the paper: 512 x 512) with soft bounds at 1 receive single pulses, up "
        "and down in turns, until the mean distance from their symmetric points is 1 % of the bound. The paper does "
        "not state how cells vary: here bounds and steps by 30 %, asymmetry by 10 %, so that the symmetric points of "
        "cells that start at 0 are 8 % away. Steps are exact, or noisy by 30 %. No numbers of the figure are known to "
        "us but the one in the claims."
    )
    source = "one number in the text"
    measure = "pulses for 1 %"
    coordinates = ("step",)
    series: ClassVar[dict[str, str]] = {"exact": "exact steps", "noisy": "steps with 30 % noise"}
    core_minutes = 1.0
    STEPS: ClassVar[tuple[float, ...]] = (8e-6, 4e-5, 2e-4, 1e-3, 5e-3)
    GOAL: ClassVar[float] = 0.01
    MOST: ClassVar[float] = 7.0
    """Pulses of a trial, in units of one over the step: more than twice as many as exact steps take."""

    def trials(self, quick: bool) -> list[Trial]:
        """See :meth:`Study.trials`."""
        steps, seeds = (self.STEPS[2:5], 1) if quick else (self.STEPS, 2)
        return [
            self.trial(name, (step,), seed, round(self.MOST / step))
            for seed in range(seeds)
            for step in steps
            for name in self.series
            if name == "exact" or step < 3e-3  # the noise of larger steps alone is more than the goal
        ]

    def run(self, trial: Trial) -> Iterator[Step | Outcome]:
        """See :meth:`Study.run`."""
        (step,) = trial.at
        tile = cells(step, 0.3 if trial.series == "noisy" else 0.0, trial.seed)
        points = symmetric_points(tile)
        pulses, errors = [0.0], [float((tile.get_weights() - points).abs().mean())]
        for done, weights in shifting(tile):
            pulses.append(float(done))
            errors.append(float((weights - points).abs().mean()))
            if len(errors) % 10 == 0:
                yield Step(done, f"error {100.0 * errors[-1]:.2f} %")
            if done >= trial.length:
                break
        first = next((k for k, error in enumerate(errors) if error <= self.GOAL), None)
        if first is None:
            raise JobError(f"{trial.title}: the error is {errors[-1]:.3f} after {done} pulses, above {self.GOAL}.")
        share = (errors[first - 1] - self.GOAL) / (errors[first - 1] - errors[first])
        value = pulses[first - 1] + (pulses[first] - pulses[first - 1]) * share
        yield Outcome(value, [n * step for n in pulses[1:]], [100.0 * error for error in errors[1:]])

    def claims(self, results: Results) -> list[Claim]:
        """See :meth:`Study.claims`."""
        slope = steepness(*floors(results, "exact"))
        counts = {name: results.mean(name, 1e-3) for name in self.series}
        slower = [results.mean("noisy", *at) / results.mean("exact", *at) for at in results.places("noisy")]
        return [
            Claim(
                "the pulses for 1 % grow as one over the step: a slope of the logarithms of -1, with exact steps",
                f"{slope:.3f} from {results.places('exact')[0][0]:g} to {results.places('exact')[-1][0]:g}",
                abs(slope + 1.0) < 0.1,
            ),
            Claim(
                "with steps of 0.001 these are more than 2000",
                f"{counts['exact']:.0f}; with noise {counts['noisy']:.0f}",
                all(count > 2000.0 for count in counts.values()),
            ),
            Claim(
                "(ours) noise of the steps matters only where these are large: below 0.0005 it costs less than 15 %",
                ", ".join(f"{ratio:.2f}" for ratio in slower) + " times as many, from small steps to large",
                all(r < 1.15 for r, at in zip(slower, results.places("noisy"), strict=True) if at[0] < 5e-4),
            ),
        ]

    def panels(self, results: Results) -> list[Panel]:
        """See :meth:`Study.panels`."""
        curves = [
            Panel(
                f"step {at[0]:g}", "pulses x step", "error (%)", results.curves(*at), log_y=True, markers=False,
            )
            for at in results.places("noisy")
            if at[0] in (2e-4, 1e-3)
        ]  # fmt: skip
        return [Panel("", "step", self.measure, results.lines(0), log_x=True, log_y=True), *curves]


class RunningMean(Study):
    """What the reference of RIDER rests on."""

    name = "rider-mean"
    title = "The running mean lies nearer to the symmetric points than the weights do"
    paper = PAPER + ", the lemma that RIDER rests on"
    setting = (
        f"The gradients of an array of {SIZE} x {SIZE} are noise: products of normal inputs and normal errors, at a "
        "learning rate of 0.02. Cells have soft bounds at 1, steps of 0.01 and the variation of rider-fig1. Their "
        "weights P come to the symmetric points and fluctuate there; Q is their running mean with the weight eta. The "
        "error is the root mean square distance, over the second half of 6000 inputs."
    )
    source = "there are none: the paper proves it"
    measure = "error (%)"
    coordinates = ("eta",)
    series: ClassVar[dict[str, str]] = {"p": "weights P", "q": "running mean Q"}
    core_minutes = 1.0
    ETAS: ClassVar[tuple[float, ...]] = (0.003, 0.01, 0.03, 0.1, 0.3)

    def trials(self, quick: bool) -> list[Trial]:
        """See :meth:`Study.trials`."""
        etas, seeds = (self.ETAS[1::2], 1) if quick else (self.ETAS, 3)
        return [self.trial(name, (eta,), seed, 6000) for seed in range(seeds) for eta in etas for name in self.series]

    def run(self, trial: Trial) -> Iterator[Step | Outcome]:
        """See :meth:`Study.run`."""
        tile = cells(0.01, 0.3, trial.seed)
        tile.set_learning_rate(0.02)
        tracker, points = SymmetricPointTracker(tile, eta=trial.at[0]), symmetric_points(tile)
        random, squares, steps, errors = torch.Generator().manual_seed(trial.seed), [], [], []
        every = max(1, trial.length // REPORTS)
        for step in range(1, trial.length + 1):
            x, d = torch.randn(2, 1, SIZE, generator=random)
            tile.update(x, d)
            tracker.step()
            if step % 10 == 0:
                error = rms((tile.get_weights() if trial.series == "p" else tracker.estimate) - points)
                if step > trial.length // 2:
                    squares.append(error**2)
            if step % every == 0:
                steps.append(float(step))
                errors.append(100.0 * error)
                yield Step(step, f"{self.measure} {errors[-1]:.2f}")
        yield Outcome(100.0 * float(sum(squares) / len(squares)) ** 0.5, steps, errors)

    def claims(self, results: Results) -> list[Claim]:
        """See :meth:`Study.claims`."""
        etas = [at[0] for at in results.places("q")]
        ratios = [results.mean("q", eta) / results.mean("p", eta) for eta in etas]
        said = ", ".join(f"{ratio:.2f}" for ratio in ratios)
        return [
            Claim("Q is nearer than P, whatever eta is", f"{said} times as far", all(ratio < 1.0 for ratio in ratios)),
            Claim(
                "the smaller eta, the nearer",
                ", ".join(f"{results.mean('q', eta):.2f} %" for eta in etas),
                ratios == sorted(ratios),
            ),
        ]

    def panels(self, results: Results) -> list[Panel]:
        """See :meth:`Study.panels`."""
        curves = [
            Panel(f"eta = {eta:g}", "inputs", self.measure, results.curves(eta), markers=False) for eta in (0.01, 0.1)
        ]
        return [Panel("", "eta", self.measure, results.lines(0), log_x=True), *curves]
