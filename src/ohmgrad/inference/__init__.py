"""After training: a model on a chip whose cells are programmed with errors, drift, and are read with noise."""

from ohmgrad.inference.chip import drift, program, programmed_tiles
from ohmgrad.inference.evaluation import Evaluation, evaluate
from ohmgrad.inference.programmed import ProgrammedTile
from ohmgrad.parameters.drift_compensation import GlobalDriftCompensation
from ohmgrad.parameters.memory_noise import NoiseModel, PCMLikeNoiseModel

__all__ = [
    "Evaluation",
    "GlobalDriftCompensation",
    "NoiseModel",
    "PCMLikeNoiseModel",
    "ProgrammedTile",
    "drift",
    "evaluate",
    "program",
    "programmed_tiles",
]
