"""What follows from the settings of an analog product, worked out once and not for every product."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ohmgrad.engine.constants import Constants
from ohmgrad.engine.management import repeats, starts_worst_case
from ohmgrad.engine.periphery import Periphery
from ohmgrad.parameters.enums import AnalogMVType
from ohmgrad.parameters.io import IOParameters


class Settings(NamedTuple):
    """Of :class:`IOParameters` and a number of input lines."""

    constants: Constants
    single: Constants
    """The same in single precision, for compiled kernels."""
    is_plain: bool
    """Whether the array gives the product and nothing else."""
    is_uneven: bool
    """Whether negative inputs read other weights."""
    tries: int
    """How often bound management may repeat."""
    restarts: bool
    """Whether the first repetition takes the scale of the worst case."""

    @staticmethod
    def of(io: IOParameters, lines: int, periphery: Periphery | None) -> Settings:
        """Those of some settings, which may have been changed since they were last asked for."""

        def work_out() -> Settings:
            is_uneven = io.w_read_asymmetry_dtod > 0.0 and io.mv_type is not AnalogMVType.ONE_PASS
            c = Constants.of(io, lines)
            single = Constants(*(None if value is None else np.float32(value) for value in c))  # type: ignore[arg-type]
            is_plain = c.ir_drop is None and c.w_min is None and c.w_noise is None
            return Settings(c, single, is_plain, is_uneven, repeats(io), starts_worst_case(io))

        return work_out() if periphery is None else periphery.settings.of((lines, *vars(io).values()), work_out)
