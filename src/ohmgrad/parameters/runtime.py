"""Parameters of how a simulation is run: they change the time it takes, not what it gives."""

from typing import Literal

from ohmgrad.parameters.base import Config


class RuntimeParameter(Config):
    """How a tile computes."""

    implementation: Literal["auto", "reference", "cpu", "gpu"] = "auto"
    """``"reference"``: plain torch operations, the definition of every kernel, on any device. ``"cpu"``:
    compiled for the processor. ``"gpu"``: compiled by Triton; on the processor its interpreter runs it, slowly, to look
    for mistakes. ``"auto"``: the fastest that exists for the device the tile is on."""
