"""Records what happens inside analog layers while they train: residual, saturation, buffers, wear, symmetric points."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from ohmgrad.analysis.inside import Inside
from ohmgrad.analysis.sinks import Writer, sink_of
from ohmgrad.errors import ConfigError
from ohmgrad.nn.base import named_analog_layers

if TYPE_CHECKING:
    from typing_extensions import Self

_ORDER = ("residual", "saturation", "fill", "pulses", "pulses_per_step", "distance", "flipped", "sweeps", "phase")


def kind_of(column: str) -> str:
    """The quantity of a column, without the number of the array."""
    return column.rstrip("0123456789").rstrip("_")


def _place(column: str) -> tuple[int, str]:
    return _ORDER.index(kind_of(column)), column


class Recorder:
    r"""Records the analog layers of a model in every ``every``-th step of an optimizer, each in a row.

    Columns, where they have a meaning for a layer (its tiles together; array k in the order of the rule, 0 the one that
    gradients reach):

    - ``step`` (of the optimizer, the first is 1) and ``layer``, by its name in the model,
    - ``residual``: :math:`\lVert W - \gamma_C C \rVert_F / \lVert W \rVert_F`, the share of the visible weight that
      all arrays but the last contribute (:math:`\gamma S \circ A`; less the reference in RIDER; :math:`\alpha A B` in
      the low-rank rule),
    - ``saturation_k``: the share of the cells of array k that are within 2 % of their range of one of their bounds,
    - ``fill``: the root mean square of the buffer :math:`H` (of :math:`\chi` in mixed precision), in units of its
      threshold,
    - ``pulses_k`` that array k received since it was made (resets too), and ``pulses_per_step_k`` since the last row,
    - ``distance``: the root mean square of the distance of array 0 from its symmetric points, over the cells that have
      one. For single cells the points are worked out once, in the first row; parameters of cells that are set by hand
      later do not count,
    - ``flipped``: the share of the lines whose chopper is flipped, and ``sweeps`` since the rule began,
    - ``phase`` of the warm start.

    Training is the same to the last bit, and costs something only in the steps that are recorded; there, a GPU is
    waited for. What was recorded is in ``rows``, and goes where ``to`` says as it comes: a file that ends in ``.csv``,
    written row by row; a folder of TensorBoard, which must be installed; or an object with the methods ``add_scalar``
    and ``flush`` of its ``SummaryWriter``. It is closed by :meth:`close`, or used in a ``with`` block.

    A file that exists is kept, and rows are added to it, if its columns are the same. How many steps there were is the
    state of a recorder: saved with the model, it lets a run that is resumed count on. What was recorded between the
    checkpoint and the crash stays, so that these steps stand there twice, last as they were in the end.

    :param model: with analog layers; :param optimizer: any of torch that steps them.
    :raises ConfigError: if the model has no analog layer, ``every`` is below 1, the optimizer is none of torch,
        a file has other columns, or TensorBoard is missing.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        every: int = 10,
        to: str | Path | Writer | None = None,
    ) -> None:
        if every < 1:
            raise ConfigError(f"Recorder: every = {every}. Give a number of steps, at least 1.")
        if not isinstance(optimizer, torch.optim.Optimizer):
            raise ConfigError(
                f"Recorder: optimizer = {optimizer!r}. Give the optimizer that steps the model, such as AnalogSGD."
            )
        self._layers = {name or "model": Inside(layer.tiles) for name, layer in named_analog_layers(model)}
        if not self._layers:
            raise ConfigError("Recorder: the model has no analog layer. Give one that has, or convert it.")
        self.every, self.steps = every, 0
        self._measured = 0  # the step from which pulses are counted
        self.rows: list[dict[str, Any]] = []
        self._sink = sink_of(to, self.columns)
        self._hook = optimizer.register_step_post_hook(self._after_step)

    @property
    def columns(self) -> list[str]:
        """All columns, in order."""
        names = [name for layer in self._layers.values() for name in layer.columns]
        return ["step", "layer", *sorted(dict.fromkeys(names), key=_place)]

    def column(self, layer: str, name: str) -> list[float]:
        """A quantity of a layer over the rows; NaN where it has no meaning.

        :raises ConfigError: if there is no such layer or column.
        """
        for what, given, known in (("layer", layer, list(self._layers)), ("column", name, self.columns)):
            if given not in known:
                raise ConfigError(f"Recorder: no {what} {given!r}. There are: {', '.join(known)}.")
        return [float(row.get(name, math.nan)) for row in self.rows if row["layer"] == layer]

    @torch.no_grad()
    def _after_step(self, *_: Any) -> None:
        self.steps += 1
        if self.steps % self.every:
            return
        for name, layer in self._layers.items():
            row = {"step": self.steps, "layer": name, **layer.measure(self.steps - self._measured)}
            self.rows.append(row)
            if self._sink is not None:
                self._sink.write(row)
        self._measured = self.steps

    def state_dict(self) -> dict[str, Any]:
        """How many steps there were."""
        return {"steps": self.steps}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on counting the steps of a run that :meth:`state_dict` was saved in; load the model, too.

        :raises ConfigError: if it is no such state.
        """
        steps = state_dict.get("steps")
        if not isinstance(steps, int) or steps < 0:
            raise ConfigError(f"Recorder: a state with steps = {steps!r}. Give one that Recorder.state_dict() gave.")
        self.steps = self._measured = steps

    def close(self) -> None:
        """Record no more; ``rows`` stay."""
        self._hook.remove()
        if self._sink is not None:
            self._sink.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def plot(self, path: str | Path) -> Path:
        """Draw the columns over the steps, a line for each layer, as PNG; gives the path."""
        from ohmgrad.analysis.plots.recorder import draw_recorder

        draw_recorder(self, Path(path))
        return Path(path)
