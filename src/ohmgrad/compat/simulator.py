"""The cells of a tile, by the names that the compiled part of aihwkit has for them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from ohmgrad.compat.errors import TileModuleError
from ohmgrad.tile import AnalogTile as Cells

_DEVICE = "rpu.rpu_device."


class SimulatorTile:
    """The cells of a tile by the names of aihwkit; what else they have goes by the names of ohmgrad."""

    def __init__(self, cells: Cells) -> None:
        self.cells = cells

    def get_x_size(self) -> int:
        """Columns, an analog bias included."""
        return self.cells.weight.shape[1]

    def get_d_size(self) -> int:
        """Rows."""
        return self.cells.weight.shape[0]

    def get_meta_parameters(self) -> SimpleNamespace:
        """The configuration by the names that it has there."""
        config = self.cells.rpu_config
        numbers = {name: getattr(config.device, name) for name in type(config.device).model_fields}
        io = {"forward_io": config.forward, "backward_io": config.backward, "update": config.update}
        return SimpleNamespace(**{**numbers, **io})

    def get_hidden_parameter_names(self) -> list[str]:
        """The names of hidden parameters, in their order."""
        return list(self.cells.get_hidden_parameters())

    def get_hidden_parameters(self) -> Tensor:
        """All hidden parameters ``[n, out, in]``.

        :raises TileModuleError: if the arrays of the rule have shapes of their own.
        """
        values = list(self.cells.get_hidden_parameters().values())
        if len({value.shape for value in values}) > 1:
            rule = type(self.cells.rpu_config.device).__name__
            raise TileModuleError(
                f"{self.cells.label}: the arrays of {rule} have shapes of their own, so their parameters make no one"
                " tensor. Ask the tile for them by name: analog_tile.get_hidden_parameters()."
            )
        return torch.stack(values) if values else torch.empty(0)

    def set_hidden_parameters(self, values: Tensor) -> None:
        """Restore what :meth:`get_hidden_parameters` gave."""
        names = self.get_hidden_parameter_names()
        if names:
            self.cells.set_hidden_parameters(dict(zip(names, values, strict=True)))

    def dump_extra(self) -> dict[str, list[float]]:
        """The state of the rule by name, as lists."""
        state = {_DEVICE + name: value.flatten().tolist() for name, value in self.cells.algorithm_state().items()}
        return {"rpu.learning_rate": [self.cells.get_learning_rate()], **state}

    @torch.no_grad()
    def load_extra(self, extra: dict[str, Any], strict: bool = False) -> None:
        """Set the state of the rule; what :meth:`dump_extra` has not is left.

        :raises TileModuleError: if ``strict`` and something is missing.
        """
        state = self.cells.rule.state()
        missing = [name for name in ["rpu.learning_rate", *(_DEVICE + name for name in state)] if name not in extra]
        if strict and missing:
            raise TileModuleError(f"load_extra: nothing is given for {', '.join(missing)}.")
        for name, value in state.items():
            given = torch.as_tensor(extra.get(_DEVICE + name, value), device=value.device)
            value.copy_(given.reshape(value.shape))
        if "rpu.learning_rate" in extra:
            self.cells.set_learning_rate(*extra["rpu.learning_rate"])
        self.cells._show(anew=True)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.cells, name)


class AnalogSimulatorTile(SimulatorTile):
    """Cells that are not digital."""
