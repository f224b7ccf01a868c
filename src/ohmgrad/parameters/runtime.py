"""Parameters of how a simulation is run: what it takes, in time and memory."""

from typing import Literal

from ohmgrad.parameters.base import Config


class RuntimeParameter(Config):
    """How a tile computes."""

    implementation: Literal["auto", "reference", "cpu", "gpu"] = "auto"
    """``"reference"``: plain torch operations, the definition of every kernel, on any device. ``"cpu"``:
    compiled for the processor. ``"gpu"``: compiled by Triton; on the processor its interpreter runs it, slowly, to look
    for mistakes. ``"auto"``: the fastest that exists for the device the tile is on."""
    implicit_cells: bool = False
    """Work out the sampled parameters of cells from seed and position whenever they are needed, instead of storing
    them: an array takes less memory, and an update more time. Nothing else changes. Cells whose parameters cannot be
    followed to the seed, or were set by hand, are stored."""
    parameter_dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    """Precision in which the parameters of cells are stored. They are rounded to it once, and the rounded numbers are
    the parameters: ``"bfloat16"`` changes each by up to 1/512 of it, ``"float16"`` by up to 1/4096. Weights, the
    share that decay leaves, and all that is computed are in single precision."""
