"""Wrong references on digits, after Xiao et al. 2026."""

from __future__ import annotations

from typing import Any, ClassVar

from ohmgrad.lab.studies.digits import ON_MNIST, SAME, SEARCHED, DigitsStudy
from ohmgrad.lab.studies.study import At, Claim, Panel, Results, Trial
from ohmgrad.presets import device_class

MIDDLE: At = (0.2, 0.4)
"""Where the settings were searched: in the middle of the table."""
MEANS, STDS = (0.0, 0.4), (0.05, 0.4, 1.0)


class References(DigitsStudy):
    """The table of a fully connected network."""

    name = "digits-reference"
    title = "Wrong references on cells of 4 to 5 states"
    paper = "Q. Xiao et al., arXiv 2602.21321 (2026), table of the fully connected network"
    setting = SAME + (
        "Cells are those measured on a hafnium oxide array (4 to 5 states), read against their symmetric points plus "
        "an offset, which is normal with the given mean and standard deviation; converters have 7 and 9 bits, reads "
        "are noisy. "
    ) + SEARCHED + " It was made at the mean 0.2 and the standard deviation 0.4, and serves all places."  # fmt: skip
    source = (
        "printed, but of a fully connected network on MNIST: other data, shown for the order only; which axis of its "
        "table is the mean was inferred"
    )
    coordinates = ("mean", "std")
    series: ClassVar[dict[str, str]] = {"ttv2": "TTv2", "ttv4": "AGAD", "erider": "E-RIDER"}
    core_minutes = 1.0
    differences = (
        "AGAD hardly depends on the reference and TTv2 does, as in the paper, but TTv2 is ahead where the reference is "
        "nearly right, and E-RIDER is behind AGAD everywhere. The settings that its authors give name a granularity, a "
        "threshold and a momentum, which belong to a digital buffer between the two arrays; their algorithm as "
        "printed, and ours, writes what it reads at once, in steps of a quarter of the range here, so that the noise "
        "of the reads is written as well. Its best setting has the lowest rate of transfers in the range. A search of "
        "rates ten times lower came to 44 instead of 36 % of the validation digits. On cells of more states it learns "
        "(see digits-residual)."
    )
    PRINTED: ClassVar[dict[str, list[list[float]]]] = {
        "ttv2": [[90.26, 85.98, 79.20], [72.00, 67.85, 57.79]],
        "ttv4": [[92.59, 92.48, 91.37], [92.55, 92.06, 90.43]],
        "erider": [[95.45, 95.34, 93.86], [96.07, 96.23, 95.14]],
    }

    def device(self, at: At) -> Any:
        """See :meth:`DigitsStudy.device`."""
        mean, std = at
        return device_class("ReRamArrayHfO2")().replaced(reference_mean=mean, reference_std=std)

    def searched_at(self, at: At) -> tuple[str, At]:
        """See :meth:`DigitsStudy.searched_at`."""
        return self.name, MIDDLE

    def trials(self, quick: bool) -> list[Trial]:
        """See :meth:`Study.trials`."""
        places: list[At] = [(mean, std) for mean in MEANS for std in STDS]
        return self.trials_at(places[2:4] if quick else places, 1 if quick else 2)

    def published(self, series: str, at: At) -> float | None:
        """See :meth:`Study.published`."""
        return self.PRINTED[series][MEANS.index(at[0])][STDS.index(at[1])]

    def claims(self, results: Results) -> list[Claim]:
        """See :meth:`Study.claims`."""
        places = results.places("ttv2")
        value = {name: [results.mean(name, *at) for at in places] for name in self.series}
        over_ttv2 = [b - a for a, b in zip(value["ttv2"], value["ttv4"], strict=True)]
        over_agad = [b - a for a, b in zip(value["ttv4"], value["erider"], strict=True)]
        spread = {name: max(row) - min(row) for name, row in value.items()}
        return [
            Claim("AGAD is above TTv2 at every place", _by(over_ttv2), min(over_ttv2) > 0.0),
            Claim("E-RIDER is above AGAD at every place", _by(over_agad), min(over_agad) > 0.0),
            Claim(
                "TTv2 depends on the reference by more than three times as much as either of the two",
                ", ".join(f"{title} {spread[name]:.1f} %" for name, title in self.series.items()),
                spread["ttv2"] > 3.0 * max(spread["ttv4"], spread["erider"]),
            ),
        ]

    def panels(self, results: Results) -> list[Panel]:
        """See :meth:`Study.panels`."""
        return [
            Panel(
                f"mean {mean:g} {ON_MNIST}",
                "standard deviation of the reference",
                self.measure,
                results.lines(1, mean=mean),
            )
            for mean in sorted({at[0] for at in results.places("ttv2")})
        ]


def _by(gaps: list[float]) -> str:
    return f"by {min(gaps):.1f} to {max(gaps):.1f} %"
