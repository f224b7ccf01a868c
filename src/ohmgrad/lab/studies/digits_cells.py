"""Responses and noise of cells on digits, after Wu et al. 2025."""

from __future__ import annotations

from typing import Any, ClassVar

from ohmgrad.configs import ExponentialResponseDevice, PowerResponseDevice
from ohmgrad.lab.studies.digits import SAME, SEARCHED, DigitsStudy
from ohmgrad.lab.studies.study import At, Claim, Panel, Results, Trial

PAPER = "Z. Wu, Q. Xiao, T. Gokmen, O. Fagbohungbe and T. Chen, NeurIPS 2025 (arXiv 2502.06309)"
POWER, EXPONENTIAL = 0.0, 1.0
"""The response as a coordinate."""
HOME: At = (POWER, 0.5, 0.7)
"""Where the settings were searched: analog SGD trains there in the paper."""


class Responses(DigitsStudy):
    """The table of responses."""

    name = "digits-response"

    def device(self, at: At) -> Any:
        """See :meth:`DigitsStudy.device`."""
        response, gamma_res, tau = at
        kind = ExponentialResponseDevice if response == EXPONENTIAL else PowerResponseDevice
        return kind(gamma_res=gamma_res, tau=tau, dw_min=2.0 * tau / 1200.0)

    def searched_at(self, at: At) -> tuple[str, At]:
        """See :meth:`DigitsStudy.searched_at`."""
        return self.name, HOME
    series: ClassVar[dict[str, str]] = {"sgd": "analog SGD", "rl": "residual learning"}
