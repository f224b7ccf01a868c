"""When the warm start of multi-tile residual learning goes on to its next phase."""

from __future__ import annotations

import math
from typing import Any

from torch import nn

from ohmgrad.algorithms.multi_tile import MultiTileTransfer
from ohmgrad.errors import OptimizerError

PATIENT_FROM = 4
"""The first phase in which one rise of the loss is not enough."""
WINDOW, RISES = 5, 2
"""From there on: so many of the last evaluations have to be rises."""


class WarmStart:
    """Moves the multi-tile arrays of a model from phase to phase of their warm start, when the loss is on a plateau.

    It is used like a scheduler of torch: ``step(loss)`` once for every evaluation, such as an epoch, with the loss of
    the model there. The loss is on a plateau in phases 0 to 3 if it is above that of the evaluation before, later if
    this was so in at least 2 of the last 5 evaluations. What a new phase compares with first is the loss that ended
    the one before. (Li et al., AISTATS 2026, algorithm 1.)

    The phase itself is state of the tiles, and saved with the model; the losses are state of this object.

    It moves the tiles of the model that it was given, not those of a copy: make another one for
    ``copy.deepcopy(model)``, and load its state.

    :param model: with tiles of :class:`~ohmgrad.configs.MultiTileTransferCompound` whose ``warm_start`` is set.
    :raises OptimizerError: if it has none.
    """

    def __init__(self, model: nn.Module) -> None:
        rules = [module for module in model.modules() if isinstance(module, MultiTileTransfer)]
        self._rules = [rule for rule in rules if rule.config.warm_start]
        if not self._rules:
            found = "multi-tile rules, but none" if rules else "no tile"
            raise OptimizerError(
                f"WarmStart: the model has {found} with a warm start. Configure its layers with"
                " MultiTileTransferCompound(..., warm_start=True)."
            )
        for rule in self._rules:
            rule.is_driven = True
        self._losses: list[float] = []

    @property
    def finished(self) -> bool:
        """Whether all tiles follow the nested schedule."""
        return not any(rule.is_warming_up for rule in self._rules)

    @property
    def phase(self) -> int:
        """The phase that the tiles are in: that of the one furthest behind, or the last one of all if finished."""
        phases = [int(rule.known("phase")) for rule in self._rules if rule.is_warming_up]
        return min(phases) if phases else max(rule.last_phase for rule in self._rules)

    def step(self, loss: float) -> None:
        """After an evaluation: go on to the next phase, if the loss is on a plateau.

        :param loss: a number, or a tensor that holds one.
        :raises OptimizerError: if it is no number, or not finite.
        """
        value = _number(loss, "WarmStart.step: loss", "Give the mean loss of the evaluation, a number.")
        if not math.isfinite(value):
            raise OptimizerError(f"WarmStart.step: loss = {value}. Give a finite number; lower the learning rate.")
        if self.finished:
            return
        self._losses = [*self._losses[-WINDOW:], value]
        if self._is_on_plateau():
            for rule in self._rules:
                rule.next_phase()
            self._losses = [value]

    def _is_on_plateau(self) -> bool:
        pairs = zip(self._losses[:-1], self._losses[1:], strict=True)
        rises = [later > earlier for earlier, later in pairs]
        return sum(rises) >= RISES if self.phase >= PATIENT_FROM else rises[-1:] == [True]

    def state_dict(self) -> dict[str, Any]:
        """The losses that the next one is compared with."""
        return {"losses": list(self._losses)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on with losses that :meth:`state_dict` gave; load the model, too.

        :raises OptimizerError: if it is no such state.
        """
        losses, remedy = state_dict.get("losses"), "Give a state that WarmStart.state_dict() gave."
        if not isinstance(losses, list):
            raise OptimizerError(f"WarmStart: a state with losses = {losses!r}. {remedy}")
        self._losses = [_number(loss, "WarmStart: a state with a loss", remedy) for loss in losses]


def _number(given: Any, what: str, remedy: str) -> float:
    try:
        return float(given)
    except (TypeError, ValueError, RuntimeError):  # the last from a tensor of several numbers
        raise OptimizerError(f"{what} = {given!r}. {remedy}") from None
