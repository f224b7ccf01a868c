"""What comes after training, by the names of aihwkit."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ohmgrad import inference as native
from ohmgrad.compat.tiles import AnalogTile
from ohmgrad.inference.programmed import ProgrammedTile


class PCMLikeNoiseModel(native.PCMLikeNoiseModel):
    """Phase-change memory, see :class:`ohmgrad.inference.PCMLikeNoiseModel`; a pair of cells holds a weight."""

    def __init__(self, g_max: float | None = None, g_converter: Any = None, **fields: Any) -> None:
        known = {name: value for name, value in fields.items() if name in type(self).model_fields and value is not None}
        super().__init__(g_max=25.0 if g_max is None else g_max, **known)


class SinglePairConductanceConverter:
    """How a weight becomes two conductances; what ohmgrad does anyway."""

    def __init__(self, g_max: float | None = None, g_min: float | None = None) -> None:
        self.g_max, self.g_min = 25.0 if g_max is None else g_max, 0.0 if g_min is None else g_min


class InferenceTile(AnalogTile):
    """A tile of a configuration for inference: exact digital updates, then programmed and drifting cells."""

    def program_weights(self, *_: Any, noise_model: Any = None, **__: Any) -> None:
        """Program what was trained into the cells of a new chip."""
        trained = self.__dict__.setdefault("trained", self.block.tile)
        config = trained.rpu_config
        model = noise_model or getattr(config, "noise_model", None) or native.PCMLikeNoiseModel()
        compensation = getattr(config, "drift_compensation", None)
        block: Any = self.block
        block.tile = ProgrammedTile(trained, model, compensation, None, int(torch.randint(2**62, ())), 0)

    def drift_weights(self, delta_t: float = 0.0) -> None:
        """Let the cells be so many seconds old; programmed, if they were not."""
        if "trained" not in self.__dict__:
            self.program_weights()
        tile: Any = self.block.tile
        tile.drift(delta_t)

    @property
    def alpha(self) -> Tensor:
        """By what outputs are multiplied to make up for drift."""
        tile: Any = self.block.tile
        return tile.compensation if isinstance(tile, ProgrammedTile) else torch.ones(1)

    @property
    def drift_baseline(self) -> Tensor | None:
        """What the compensation measured after programming."""
        tile: Any = self.block.tile
        return tile.baseline if isinstance(tile, ProgrammedTile) else None


class TorchInferenceTile(InferenceTile):
    """The same."""


@torch.no_grad()
def program_analog_weights(model: nn.Module, noise_model: Any = None) -> None:
    """Program all tiles of a model for inference."""
    for each in model.modules():
        if isinstance(each, InferenceTile):
            each.program_weights(noise_model=noise_model)


@torch.no_grad()
def drift_analog_weights(model: nn.Module, t_inference: float = 0.0) -> None:
    """Let all tiles of a model be so many seconds old."""
    for each in model.modules():
        if isinstance(each, InferenceTile):
            each.drift_weights(t_inference)
