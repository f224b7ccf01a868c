"""Few states on digits: the rules of Li et al. 2026 in their cells, and residual rules that nobody has compared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from ohmgrad.configs import SoftBoundsDevice
from ohmgrad.lab.cells import make_cell
from ohmgrad.lab.recipes import Choice, LogRange, Recipe, Scale, transfer_rule
from ohmgrad.lab.studies.digits import ON_MNIST, DigitsStudy, Training, recipes, shown
from ohmgrad.lab.studies.study import QUESTION, At, Claim, Panel, Results, Trial

_THEIRS = Training(epochs=200, batch=8, settings=6, seeds=1)
_RATE = LogRange(0.1, 3.0)
_SCHEDULE = {"gamma": 0.5, "transfer_every": 16, "transfer_lr": 0.1}
"""Of Li et al. on MNIST: periods of 2, 10, 50, ... batches of 8."""


def _chain(count: int) -> Recipe:
    """So many tiles with that schedule."""
    build = transfer_rule("mrl", count)
    return Recipe(
        f"mrl{count}", f"{count} tiles", lambda device, knobs: build(device, {**_SCHEDULE, **knobs}), {"lr": _RATE}
    )


class FewStates(DigitsStudy):
    """Table 1 of Li et al."""

    name = "digits-few-states"
    title = "Chains of tiles, TTv2 and mixed precision where a cell has 4 or 10 states"
    paper = "J. Li et al., AISTATS 2026 (arXiv 2510.02516), Table 1"
    setting = (
        _THEIRS.network
        + (
            "Cells have soft bounds at 1, steps of 0.5 (4 states) or 0.2 (10), and vary by 30 %; products are perfect. "
            "Tiles have no warm start; gamma is 0.5, and they are read every 2, 10, 50, ... batches and written at "
            "rates of 0.1, 0.12, 0.144, ..., as in the paper on MNIST. Rates do not fall. Searched are learning rates, "
            "and periods and gains of TTv1 and TTv2. "
        )
        + _THEIRS.search
    )
    source = (
        "printed, but of LeNet-5 on MNIST (10 states) and F-MNIST (4 states): other data and another network, shown "
        "for the order only"
    )
    coordinates = ("states",)
    series: ClassVar[dict[str, str]] = {
        "ttv1": "TTv1",
        "ttv2": "TTv2",
        "mrl3": "3 tiles",
        "mrl4": "4 tiles",
        "mrl6": "6 tiles",
        "mp": "mixed precision",
    }
    recipes: ClassVar[Mapping[str, Recipe]] = {
        **recipes("ttv1", "ttv2", "mp", lr=_RATE),
        **{recipe.name: recipe for recipe in map(_chain, (3, 4, 6))},
    }
    training = _THEIRS
    core_minutes = 26.0
    differences = (
        "With 4 states the chains have the order of the paper. With 10, a sixth tile costs 2 %: the slowest of its "
        "transfers happens 28 times in this training, which is less than once for every column. TTv2 is above the "
        "chains, not below: its period and gain were searched here, while those of the chains are the paper's, and in "
        "so small a network each of the columns of A is read often. With short periods chains swing: with one search "
        "for all settings and trainings of 12 epochs, more tiles were worse."
    )
    perfect = True
    PRINTED: ClassVar[dict[float, list[float]]] = {
        4.0: [10.01, 47.51, 68.09, 73.35, 75.11, 75.61],
        10.0: [78.65, 95.43, 95.07, 97.10, 98.53, 99.13],
    }

    def device(self, at: At) -> Any:
        """See :meth:`DigitsStudy.device`."""
        return SoftBoundsDevice(dw_min=2.0 / at[0], w_max=1.0, w_min=-1.0)

    def searched_at(self, at: At) -> tuple[str, At]:
        """See :meth:`DigitsStudy.searched_at`."""
        return self.name, at

    def trials(self, quick: bool) -> list[Trial]:
        """See :meth:`Study.trials`."""
        return self.trials_at([(10.0,)], 1, epochs=20) if quick else self.trials_at([(4.0,), (10.0,)], 2)

    def published(self, series: str, at: At) -> float | None:
        """See :meth:`Study.published`."""
        return self.PRINTED[at[0]][list(self.series).index(series)]

    def claims(self, results: Results) -> list[Claim]:
        """See :meth:`Study.claims`."""
        claims = []
        for (states,) in results.places("mp"):
            value = {name: results.mean(name, states) for name in self.series}
            tiles = [value[name] for name in ("mrl3", "mrl4", "mrl6")]
            claims += [
                Claim(
                    f"with {states:g} states, more tiles are more accurate (3 < 4 < 6)",
                    ", ".join(f"{accuracy:.1f}" for accuracy in tiles),
                    tiles == sorted(tiles),
                ),
                Claim(
                    f"with {states:g} states, TTv1 is below every other rule, and mixed precision above",
                    shown(results, (states,)),
                    min(value, key=lambda name: value[name]) == "ttv1"
                    and max(value, key=lambda name: value[name]) == "mp",
                ),
                Claim(
                    f"with {states:g} states, 4 tiles are above TTv2",
                    f"{value['mrl4']:.1f} and {value['ttv2']:.1f} %",
                    value["mrl4"] > value["ttv2"],
                ),
            ]
        return claims

    def panels(self, results: Results) -> list[Panel]:
        """See :meth:`Study.panels`."""
        return panels_over_states(results)


_OURS = Training(epochs=40, settings=6, seeds=1)
_RANGES: dict[str, Scale] = {
    "lr": LogRange(0.1, 10.0), "transfer_every": Choice((1, 2, 5, 10)), "transfer_lr": LogRange(0.002, 0.2),
    "gamma": LogRange(0.03, 0.5),
}  # fmt: skip


class ResidualRules(DigitsStudy):
    """What no paper compares."""

    name = "digits-residual"
    title = "Four residual rules on cells of few states"
    paper = "Ours: no paper has compared these rules"
    setting = (
        _OURS.network
        + (
            "Cells are those of the comparison: soft bounds at 1, few states, 30 % variation in everything, asymmetry "
            "included; converters have 7 and 9 bits, reads are noisy. RLv2 has one beta for its gain and its leak, and "
            "tiles are each read a fifth as often as the one before. E-RIDER has a buffer, as in digits-reference. "
            "Searched are learning rates, periods, gains and gammas. "
        )
        + _OURS.search
    )
    source = "there are none"
    differences = (
        "E-RIDER behind its buffer is ahead with 10 and 40 states, and level with RLv2 with 4: of the four it alone "
        "takes out what the symmetric points of the cells differ by. Chains of tiles are last; they need symmetric "
        "points at 0, and time. A search of 6 settings over four hyperparameters is no last word."
    )
    coordinates = ("states",)
    series: ClassVar[dict[str, str]] = {
        "rlv2": "RLv2",
        "mrl": "4 tiles (MRL)",
        "e-rider-buffered": "E-RIDER, buffered",
        "rttv3": "residual TTv3",
    }
    recipes: ClassVar[Mapping[str, Recipe]] = recipes(*series, **_RANGES)
    training = _OURS
    core_minutes = 5.0

    def device(self, at: At) -> Any:
        """See :meth:`DigitsStudy.device`."""
        return make_cell("soft-bounds", int(at[0]))

    def searched_at(self, at: At) -> tuple[str, At]:
        """See :meth:`DigitsStudy.searched_at`."""
        return self.name, at

    def trials(self, quick: bool) -> list[Trial]:
        """See :meth:`Study.trials`."""
        return self.trials_at([(10.0,)], 1, epochs=20) if quick else self.trials_at([(4.0,), (10.0,), (40.0,)], 3)

    def claims(self, results: Results) -> list[Claim]:
        """See :meth:`Study.claims`: there is nothing to claim, but which is best can be asked."""
        claims = []
        for (states,) in results.places("rlv2"):
            value = {name: results.mean(name, states) for name in self.series}
            first, second = sorted(value, key=lambda name: -value[name])[:2]
            claims.append(
                Claim(
                    f"{QUESTION}with {states:g} states, one rule is above all others by more than its own spread",
                    shown(results, (states,)),
                    self._lowest(results, first, states) > self._highest(results, second, states),
                )
            )
        return claims

    def _lowest(self, results: Results, series: str, states: float) -> float:
        line = results.line(series, 0, states=states)
        return min(line.low) if line else 0.0

    def _highest(self, results: Results, series: str, states: float) -> float:
        line = results.line(series, 0, states=states)
        return max(line.high) if line else 0.0

    def panels(self, results: Results) -> list[Panel]:
        """See :meth:`Study.panels`."""
        return panels_over_states(results)


def panels_over_states(results: Results) -> list[Panel]:
    """Accuracy over the states, and the way there."""
    states = sorted({at[0] for name in results.study.series for at in results.places(name)})
    curves = [
        Panel(f"{count:g} states", "epochs", results.study.measure, results.curves(count), markers=False)
        for count in states
    ]
    known = any(results.study.published(name, (count,)) for name in results.study.series for count in states)
    title = f"last epochs {ON_MNIST}" if known else "last epochs"
    return [Panel(title, "states", results.study.measure, results.lines(0)), *curves]
