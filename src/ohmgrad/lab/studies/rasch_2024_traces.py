"""Rasch et al. 2024: what reaches C if the gradient never changes, and the reference of A is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import torch

from ohmgrad.configs import IOParameters, UpdateParameters
from ohmgrad.lab.studies.correlation import SIZE, correlated, diagonal
from ohmgrad.lab.studies.rasch_2024 import PAPER, RULES, cells
from ohmgrad.lab.studies.study import Claim, Line, Outcome, Panel, Results, Step, Study, Trial
from ohmgrad.presets import build_config
from ohmgrad.tile import AnalogTile

OFFSET, CORRELATION = -0.8, 0.4
GROUPS = {CORRELATION: "correlated", 0.0: "uncorrelated"}


class ConstantGradient(Study):
    """Figure 3."""

    name = "rasch2024-fig3"
    title = "What a wrong reference of A does to a constant gradient"
    paper = PAPER + ", Fig. 3"
    setting = (
        "A tile of 5 x 5 is updated with inputs and gradients of a constant correlation (here 0.4, which the paper "
        "leaves open) on the diagonal. Cells have soft bounds and 40 states, and vary by 30 %; A is read against its "
        "symmetric points, exactly or with an offset of -0.8. The traces are all pulses that the buffer has sent to C, "
        "up minus down: the summed buffer, which unlike C has no bounds. The mean over the elements with a "
        "correlation (the diagonal), and over those of a tile without any."
    )
    source = "the statements of the text; no numbers"
    measure = "pulses to C for 1000 inputs"
    coordinates = ("offset", "correlation")
    series: ClassVar[dict[str, str]] = {rule: RULES[rule] for rule in ("ttv2", "ttv3", "ttv4")}
    core_minutes = 1.0

    def trials(self, quick: bool) -> list[Trial]:
        """See :meth:`Study.trials`."""
        return [
            self.trial(rule, (offset, correlation), seed, 10000)
            for seed in range(1 if quick else 5)
            for offset in (0.0, OFFSET)
            for correlation in GROUPS
            for rule in self.series
        ]

    def run(self, trial: Trial) -> Iterator[Step | Outcome]:
        """See :meth:`Study.run`."""
        offset, correlation = trial.at
        slow = cells(40.0, 0.0).replaced(up_down_dtod=0.3)
        config = build_config(
            trial.series, slow, IOParameters(is_perfect=True), UpdateParameters(desired_bl=5), fast_lr=1.0,
            transfer_every=5.0, auto_granularity=200.0,
        )  # fmt: skip
        config.device.unit_cell_devices = [slow.replaced(reference_mean=offset), slow]
        torch.manual_seed(trial.seed)
        tile = AnalogTile(SIZE, SIZE, config)
        tile.set_learning_rate(0.1)
        steps, sums = [0.0], [0.0]
        for step in correlated(tile, correlation, trial.length, 5, trial.seed):
            pulses = tile.pulse_counts()[1]
            steps.append(float(step))
            sums.append(diagonal(pulses.up - pulses.down))
            yield Step(step, f"{sums[-1]:.0f} pulses")
        yield Outcome(1000.0 * sums[-1] / steps[-1], steps, sums)

    def claims(self, results: Results) -> list[Claim]:
        """See :meth:`Study.claims`."""
        mean = results.mean
        rate = {
            rule: {at: mean(rule, *at) for at in ((o, c) for o in (0.0, OFFSET) for c in GROUPS)}
            for rule in self.series
        }
        right, wrong, still = (0.0, CORRELATION), (OFFSET, CORRELATION), (OFFSET, 0.0)
        trace = results.curve("ttv2", *still)
        halves = _halves(trace) if trace else (0.0, 0.0)
        chopped, agad = rate["ttv3"], rate["ttv4"]
        return [
            Claim(
                "without offset every rule sends pulses of the right sign, and less than a tenth of them where "
                "nothing is correlated",
                "; ".join(
                    f"{self.series[rule]} {rate[rule][right]:.1f} and {abs(rate[rule][0.0, 0.0]):.1f}"
                    for rule in self.series
                ),
                all(abs(rate[rule][0.0, 0.0]) < 0.1 * rate[rule][right] for rule in self.series),
            ),
            Claim(
                "with the offset TTv2 runs at a wrong rate, which is constant: also where nothing is correlated",
                f"{rate['ttv2'][still]:.1f} for 1000 inputs where it should be 0; {halves[0]:.1f} in the first half, "
                f"{halves[1]:.1f} in the second",
                abs(rate["ttv2"][still]) > 0.5 * rate["ttv2"][right] and abs(halves[0] - halves[1]) < 0.2 * halves[0],
            ),
            Claim(
                "c-TTv2 runs at the right rate in the mean",
                f"{chopped[wrong]:.1f} instead of {chopped[right]:.1f}, and {chopped[still]:.1f} instead of 0",
                abs(chopped[wrong] / chopped[right] - 1.0) < 0.2 and abs(chopped[still]) < 0.2 * chopped[right],
            ),
            Claim(
                "AGAD does not notice the offset, once it has learned its reference",
                f"{agad[wrong]:.1f} instead of {agad[right]:.1f}, and {agad[still]:.1f} instead of 0",
                abs(agad[wrong] / agad[right] - 1.0) < 0.1 and abs(agad[still]) < 0.1 * agad[right],
            ),
        ]

    def panels(self, results: Results) -> list[Panel]:
        """See :meth:`Study.panels`."""
        panels = []
        for correlation, group in GROUPS.items():
            lines = results.lines(0, correlation=correlation)
            panels.append(Panel(group, "offset of the reference", self.measure, lines))
            for offset in (0.0, OFFSET):
                curves = results.curves(offset, correlation)
                title = f"{group}, offset {offset:g}"
                panels.append(Panel(title, "inputs", "pulses to C, summed", curves, markers=False))
        return panels


def _halves(trace: Line) -> tuple[float, float]:
    """Rates for 1000 inputs in the first and the second half of a trace."""
    middle, end = len(trace.x) // 2, len(trace.x) - 1
    first = trace.y[middle] / trace.x[middle]
    second = (trace.y[end] - trace.y[middle]) / (trace.x[end] - trace.x[middle])
    return 1000.0 * first, 1000.0 * second
