"""Wrong references on digits, after Xiao et al. 2026."""

from __future__ import annotations

from typing import Any, ClassVar

from ohmgrad.lab.studies.digits import SAME, SEARCHED, DigitsStudy, shown
from ohmgrad.lab.studies.study import At, Claim, Panel, Results, Trial
from ohmgrad.presets import device_class

MIDDLE: At = (0.2, 0.4)
"""Where the settings were searched: in the middle of the table."""


class References(DigitsStudy):
    """The tables of E-RIDER."""

    name = "digits-reference"
    coordinates = ("mean", "standard deviation")
    series: ClassVar[dict[str, str]] = {"ttv2": "TTv2", "ttv4": "AGAD", "erider": "E-RIDER"}

    def device(self, at: At) -> Any:
        """See :meth:`DigitsStudy.device`."""
        mean, std = at
        return device_class("ReRamArrayHfO2")(reference_mean=mean, reference_std=std)

    def searched_at(self, at: At) -> tuple[str, At]:
        """See :meth:`DigitsStudy.searched_at`."""
        return self.name, MIDDLE
