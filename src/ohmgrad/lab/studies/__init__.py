"""Published results that can be computed again without any download; see :class:`~ohmgrad.lab.studies.study.Study`."""

from __future__ import annotations

from ohmgrad.errors import ConfigError, suggestion
from ohmgrad.lab.studies.correlation import Detection
from ohmgrad.lab.studies.digits_cells import CycleNoise, Responses
from ohmgrad.lab.studies.digits_reference import References
from ohmgrad.lab.studies.digits_states import FewStates, ResidualRules
from ohmgrad.lab.studies.li_2026 import Gammas, Tiles
from ohmgrad.lab.studies.rasch_2024 import WeightProgramming
from ohmgrad.lab.studies.rasch_2024_symmetry import Symmetry
from ohmgrad.lab.studies.rasch_2024_traces import ConstantGradient
from ohmgrad.lab.studies.study import Study
from ohmgrad.lab.studies.wu_2024 import Bound, LearningRate, NoiseAndBound
from ohmgrad.lab.studies.wu_2025 import ShiftedSymmetryPoint
from ohmgrad.lab.studies.xiao_2026 import RunningMean, ZeroShifting

_STUDIES: tuple[Study, ...] = (
    ConstantGradient(),
    WeightProgramming(),
    Symmetry(),
    LearningRate(),
    Bound(),
    NoiseAndBound(),
    ShiftedSymmetryPoint(),
    Tiles(),
    Gammas(),
    ZeroShifting(),
    RunningMean(),
    Detection(),
    FewStates(),
    Responses(),
    CycleNoise(),
    References(),
    ResidualRules(),
)

STUDIES: dict[str, Study] = {study.name: study for study in _STUDIES}
"""Every study by its name."""


def find_study(name: str) -> Study:
    """The study of a name.

    :raises ConfigError: if there is none.
    """
    if name in STUDIES:
        return STUDIES[name]
    raise ConfigError(f"There is no study {name!r}. {suggestion(name, STUDIES)} `ohmgrad reproduce` lists all.")
