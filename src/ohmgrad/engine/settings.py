"""What follows from the settings of an analog product, worked out once and not for every product."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ohmgrad.engine.constants import Constants
from ohmgrad.engine.management import repeats, starts_worst_case
from ohmgrad.engine.periphery import Periphery
from ohmgrad.parameters.enums import AnalogMVType, NoiseManagementType
from ohmgrad.parameters.io import IOParameters


class Settings(NamedTuple):
    """Of :class:`IOParameters` and a number of input lines."""

    constants: Constants
    input_converter: tuple[Any, ...]
    """What the compiled converter of the inputs takes of them, in single precision,"""
    input_draws: int
    """and how many random numbers it needs for each input."""
    output_converter: tuple[Any, ...]
    output_draws: int
    """The same for the outputs."""
    has_circuits: bool
    """Whether the outputs have circuits of their own, see :func:`ohmgrad.engine.converters.output_circuits`."""
    is_plain: bool
    """Whether the array gives the product and nothing else."""
    is_usual: bool
    """Whether it is read in one pass, with noise management by the largest input, and gives the product only."""
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
            inputs = True if io.inp_sto_round and c.inp_per_unit is not None else None
            outputs = True if io.out_sto_round and c.out_per_unit is not None else None
            circuits = io.out_nonlinearity, io.slope_calibration, io.out_noise_std
            is_plain = c.ir_drop is None and c.w_min is None and c.w_noise is None
            by_largest = io.noise_management is NoiseManagementType.ABS_MAX
            return Settings(
                constants=c,
                input_converter=(single.inp_per_unit, inputs, single.inp_bound, single.inp_noise, single.inp_negative),
                input_draws=(inputs is not None) + (c.inp_noise is not None),
                output_converter=(
                    *(single.out_negative, single.out_noise, single.out_per_unit),
                    *(outputs, single.out_bound, io.bm_test_negative_bound),
                ),
                output_draws=(outputs is not None) + (c.out_noise is not None),
                has_circuits=any(strength > 0.0 for strength in circuits),
                is_plain=is_plain,
                is_usual=is_plain and by_largest and io.mv_type is AnalogMVType.ONE_PASS,
                is_uneven=is_uneven,
                tries=repeats(io),
                restarts=starts_worst_case(io),
            )

        return work_out() if periphery is None else periphery.settings.of((lines, *vars(io).values()), work_out)
