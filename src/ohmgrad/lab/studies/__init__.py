"""Published results that can be computed again without any download; see :class:`~ohmgrad.lab.studies.study.Study`."""

from __future__ import annotations

import difflib

from ohmgrad.errors import ConfigError
from ohmgrad.lab.studies.correlation import Detection
from ohmgrad.lab.studies.rasch_2024 import WeightProgramming
from ohmgrad.lab.studies.rasch_2024_symmetry import Symmetry
from ohmgrad.lab.studies.rasch_2024_traces import ConstantGradient
from ohmgrad.lab.studies.study import Study
from ohmgrad.lab.studies.wu_2024 import Bound, LearningRate, NoiseAndBound
from ohmgrad.lab.studies.wu_2025 import ShiftedSymmetryPoint

_STUDIES: tuple[Study, ...] = (
    ConstantGradient(),
    WeightProgramming(),
    Symmetry(),
    LearningRate(),
    Bound(),
    NoiseAndBound(),
    ShiftedSymmetryPoint(),
    Detection(),
)

STUDIES: dict[str, Study] = {study.name: study for study in _STUDIES}
"""Every study by its name."""


def find_study(name: str) -> Study:
    """The study of a name.

    :raises ConfigError: if there is none.
    """
    if name in STUDIES:
        return STUDIES[name]
    close = difflib.get_close_matches(name, STUDIES, n=1, cutoff=0.4)
    hint = f"Did you mean {close[0]}?" if close else f"There are: {', '.join(STUDIES)}."
    raise ConfigError(f"There is no study {name!r}. {hint} `ohmgrad reproduce` lists all.")
