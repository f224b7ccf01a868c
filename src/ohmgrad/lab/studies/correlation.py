"""Whether a learning rule finds the correlation between inputs and gradients."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from typing import ClassVar

import torch
from torch import Tensor

from ohmgrad.configs import IOParameters, SoftBoundsReferenceDevice
from ohmgrad.lab.studies.linear import REPORTS
from ohmgrad.lab.studies.study import Claim, Outcome, Panel, Results, Step, Study, Trial
from ohmgrad.presets import build_config
from ohmgrad.tile import AnalogTile

SIZE = 5


def correlated(tile: AnalogTile, correlation: float, vectors: int, batch: int, seed: int) -> Iterator[int]:
    r"""Update with :math:`x = -X` and :math:`d = \alpha X + (1 - |\alpha|)\,Y`; yields the number of vectors done.

    X and Y are normal and independent: the diagonal of W is driven by :math:`\alpha`, all other elements by nothing.
    """
    random = torch.Generator().manual_seed(seed)
    every = max(1, vectors // batch // REPORTS)
    for step in range(1, vectors // batch + 1):
        x, y = torch.randn(2, batch, SIZE, generator=random)
        tile.update(-x, correlation * x + (1.0 - abs(correlation)) * y)
        if step % every == 0 or step == vectors // batch:
            yield step * batch


def diagonal(values: Tensor) -> float:
    """Mean of the elements that are driven."""
    return float(values.diagonal().float().mean())


class Detection(Study):
    """The smallest task there is, for every rule."""

    name = "correlation-detection"
    title = "Every learning rule finds a correlation"
    paper = "example 26 of the IBM Analog Hardware Acceleration Kit, as described"
    setting = (
        "A tile of 5 x 5 is updated with 5000 pairs of an input and a gradient that are correlated on the diagonal, "
        "by -0.4 to 0.4 (the example: 0.4). Cells have soft bounds and 20 states, vary by 30 %, and are read against "
        "their symmetric points; the learning rate is 0.1, everything else as the definition of the rule has it. The "
        "weight is the mean of the diagonal, averaged over the last fifth."
    )
    source = "there are none: the example draws traces"
    measure = "weight of the diagonal"
    coordinates = ("correlation",)
    series: ClassVar[dict[str, str]] = {
        "sgd": "analog SGD",
        "ttv1": "TTv1",
        "ttv2": "TTv2",
        "ttv3": "c-TTv2",
        "ttv4": "AGAD",
    }
    core_minutes = 2.0
    CORRELATIONS: ClassVar[tuple[float, ...]] = (-0.4, -0.2, -0.1, 0.0, 0.1, 0.2, 0.4)

    def trials(self, quick: bool) -> list[Trial]:
        """See :meth:`Study.trials`."""
        places = (-0.4, -0.1, 0.0, 0.1, 0.4) if quick else self.CORRELATIONS
        return [
            self.trial(rule, (at,), seed, 5000)
            for seed in range(1 if quick else 12)
            for at in places
            for rule in self.series
        ]

    def run(self, trial: Trial) -> Iterator[Step | Outcome]:
        """See :meth:`Study.run`."""
        cells = SoftBoundsReferenceDevice(
            dw_min=0.1, w_max=1.0, w_min=-1.0, w_max_dtod=0.3, w_min_dtod=0.3, subtract_symmetry_point=True
        )
        torch.manual_seed(trial.seed)
        tile = AnalogTile(SIZE, SIZE, build_config(trial.series, cells, IOParameters(is_perfect=True)))
        tile.set_learning_rate(0.1)
        steps, weights = [0.0], [diagonal(tile.get_weights())]
        for step in correlated(tile, trial.at[0], trial.length, 10, trial.seed):
            steps.append(float(step))
            weights.append(diagonal(tile.get_weights()))
            yield Step(step, f"{self.measure} {weights[-1]:.2f}")
        yield Outcome(statistics.fmean(weights[-len(weights) // 5 :]), steps, weights)

    def claims(self, results: Results) -> list[Claim]:
        """See :meth:`Study.claims`."""
        places = [at[0] for at in results.places("sgd")]
        weight = {rule: {c: results.mean(rule, c) for c in places} for rule in self.series}
        signs = [weight[rule][c] * c for rule in self.series for c in places if c]
        rest = max((abs(weight[rule][0.0]), rule) for rule in self.series)
        rises = [
            all(abs(row[near]) < abs(row[far]) for near, far in ((0.1, 0.4), (-0.1, -0.4))) for row in weight.values()
        ]
        return [
            Claim(
                "every rule gives the diagonal the sign of the correlation",
                f"{sum(sign > 0.0 for sign in signs)} of {len(signs)} rules and correlations",
                all(sign > 0.0 for sign in signs),
            ),
            Claim(
                "every rule gives a larger weight to a correlation of 0.4 than of 0.1, in both directions",
                f"{sum(rises)} of {len(rises)} rules",
                all(rises),
            ),
            Claim(
                "without correlation the weight stays near zero",
                f"at most {rest[0]:.2f} ({self.series[rest[1]]})",
                rest[0] < 0.15,
            ),
        ]

    def panels(self, results: Results) -> list[Panel]:
        """See :meth:`Study.panels`."""
        curves = [
            Panel(f"correlation {c:g}", "inputs", self.measure, results.curves(c), markers=False) for c in (0.1, 0.4)
        ]
        return [Panel("after 5000 inputs", "correlation", self.measure, results.lines(0)), *curves]
