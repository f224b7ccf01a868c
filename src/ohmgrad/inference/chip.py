"""Models whose analog tiles are programmed, and the time that passes for all of them."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from itertools import count

import torch
from torch import nn

from ohmgrad.configs import InferenceRPUConfig
from ohmgrad.errors import ConfigError, TileError
from ohmgrad.inference.programmed import ProgrammedTile
from ohmgrad.parameters.drift_compensation import GlobalDriftCompensation
from ohmgrad.parameters.memory_noise import NoiseModel, PCMLikeNoiseModel
from ohmgrad.tile import AnalogTile

DEFAULT_NOISE = PCMLikeNoiseModel()
DEFAULT_COMPENSATION = GlobalDriftCompensation()
"""What is assumed of a memory, and done about its drift, unless the configuration of a tile says. Tiles keep copies."""


@torch.inference_mode(False)  # there, what it makes could not be changed later
@torch.no_grad()
def program(
    model: nn.Module,
    noise_model: NoiseModel = DEFAULT_NOISE,
    drift_compensation: GlobalDriftCompensation | None = DEFAULT_COMPENSATION,
    seed: int | None = None,
    inplace: bool = False,
    w_max: float | None = None,
) -> nn.Module:
    """A model for evaluation whose analog weights were programmed into the cells of a chip; 0 seconds ago.

    What is digital in it stays as it is, and could still be trained.

    :param noise_model: what becomes of conductances; :param drift_compensation: of the outputs; None: nothing. If they
        are not given: what the :class:`~ohmgrad.configs.InferenceRPUConfig` of a tile says, or else phase-change
        memory, and compensation.
    :param seed: of the chip; None: one from torch's generator. Equal seeds give equal bits.
    :param inplace: change the model itself; else it stays as it is, and can be trained on.
    :param w_max: the weight of the cells that has the largest conductance; None: the largest of each tile.
    :raises TileError: if there is nothing to program, or it is programmed already.
    :raises ConfigError: if the seed or ``w_max`` is out of range.
    """
    if w_max is not None and not 0.0 < w_max < float("inf"):
        raise ConfigError(f"program: w_max = {w_max}. Give a positive number, or None for the largest weight.")
    seed = checked_seed(seed)
    if isinstance(model, AnalogTile):
        raise TileError("program: the model is a single tile. Give a model or a layer that has it.")
    if not any(isinstance(module, AnalogTile) for module in model.modules()):
        if any(isinstance(module, ProgrammedTile) for module in model.modules()):
            raise TileError("program: the model is programmed already. Give the one that it was made of.")
        raise TileError("program: the model has no analog tile. Make it of analog layers, or use convert_to_analog.")
    chip = model if inplace else copy.deepcopy(model)
    is_default = noise_model is DEFAULT_NOISE, drift_compensation is DEFAULT_COMPENSATION
    noise_model, drift_compensation = copy.deepcopy(noise_model), copy.deepcopy(drift_compensation)
    done: dict[AnalogTile, ProgrammedTile] = {}
    index = count()
    for module in list(chip.modules()):
        for name, tile in list(module._modules.items()):
            if isinstance(tile, AnalogTile):
                if tile not in done:
                    memory, compensation = noise_model, drift_compensation
                    if isinstance(tile.rpu_config, InferenceRPUConfig):
                        memory = tile.rpu_config.noise_model if is_default[0] else memory
                        compensation = tile.rpu_config.drift_compensation if is_default[1] else compensation
                    done[tile] = ProgrammedTile(tile, memory, compensation, w_max, seed, next(index))
                module._modules[name] = done[tile]
    return chip.eval()


def drift(model: nn.Module, seconds: float) -> None:
    """Let a programmed model be so old, and measure what is to be compensated. The time before does not matter.

    :param seconds: since the first read after programming.
    :raises TileError: if the time is negative or not finite, or the model is not programmed.
    """
    for _, tile in programmed_tiles(model):
        tile.drift(seconds)


def programmed_tiles(model: nn.Module) -> list[tuple[str, ProgrammedTile]]:
    """The tiles of a programmed model by name.

    :raises TileError: if there are none.
    """
    tiles = list(_tiles(model))
    if not tiles:
        raise TileError("The model has no programmed tile. Make one with ohmgrad.inference.program(model).")
    return tiles


def checked_seed(seed: int | None, span: int = 1) -> int:
    """The first of so many seeds, one after the other.

    :raises ConfigError: if they are out of range.
    """
    if seed is None:
        return int(torch.randint(2**62, (), device="cpu"))
    if not 0 <= seed <= 2**63 - span:
        raise ConfigError(f"Seed {seed}. Give a whole number from 0 to {2**63 - span}.")
    return int(seed)


def _tiles(model: nn.Module) -> Iterator[tuple[str, ProgrammedTile]]:
    return ((name, module) for name, module in model.named_modules() if isinstance(module, ProgrammedTile))
