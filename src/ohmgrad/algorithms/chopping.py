"""What all rules with choppers have in common: the signs in which the fast array is stored, and when they flip."""

from __future__ import annotations

import math
from typing import cast

import torch
from pydantic import Field
from torch import Tensor

from ohmgrad.algorithms.choppers import Choppers, chop
from ohmgrad.algorithms.schedule import Reads, Signs
from ohmgrad.algorithms.transfer import Transfer, TransferCompound
from ohmgrad.devices.base import require
from ohmgrad.engine.draws import Draws
from ohmgrad.engine.site import Site
from ohmgrad.engine.threads import serial
from ohmgrad.parameters.base import Config


class ChopperParameters(Config):
    r"""When choppers flip.

    A compound inherits this beside :class:`TransferCompound`. Choppers :math:`c_{in}[s], c_{out}[i] \in \{+1, -1\}` for
    slices and lanes (columns and rows, or the reverse with ``transfer_columns=False``) flip the sign in which A is
    stored: :math:`S = c_{out} c_{in}^T`.
    """

    in_chop_prob: float = Field(default=0.1, ge=0.0, le=1.0)
    """Probability that the chopper of a slice flips after the slice was read, p; 0: never."""
    in_chop_random: bool = True
    """Flip at random; else regularly, in every n-th sweep."""
    out_chop_prob: float = Field(default=0.0, ge=0.0, le=1.0)
    """Probability that the chopper of a lane flips after a sweep."""


def check_chopping(config: TransferCompound) -> None:
    """Raise :class:`~ohmgrad.errors.ConfigError` if a compound does not read its slices as choppers need it."""
    name, n = type(config).__name__, len(config.unit_cell_devices)
    require(n == 2, f"{name}.unit_cell_devices has {n} devices. Give exactly 2: A and C.")
    require(
        config.n_reads_per_transfer == 1,
        f"{name}.n_reads_per_transfer = {config.n_reads_per_transfer}. Chopped rules read 1 slice at a time.",
    )
    require(not config.random_selection, f"{name}.random_selection = True. Chopped rules read slices in order.")


class ChoppingTransfer(Transfer):
    """The choppers of a rule whose configuration has :class:`ChopperParameters`; inherited first."""

    in_chopper: Tensor
    out_chopper: Tensor
    in_chopper_switched: Tensor
    transfer_counter: Tensor

    def __init__(self, config: TransferCompound, site: Site) -> None:
        super().__init__(config, site)
        for name, size in (("in_chopper", self.slices), ("out_chopper", self.lanes)):
            self.register_buffer(name, torch.zeros(size, dtype=torch.bool))
        self.register_buffer("in_chopper_switched", torch.zeros(self.slices, dtype=torch.bool))
        self.register_counter("transfer_counter")

    @property
    def chopping(self) -> ChopperParameters:
        """When the choppers flip."""
        return cast(ChopperParameters, self.config)

    def sweeps_per_phase(self) -> int:
        r"""Sweeps between two regular flips, :math:`\max(\lceil 1/p \rceil, 2)`."""
        probability = self.chopping.in_chop_prob
        return max(math.ceil(1.0 / probability), 2) if probability > 0.0 else 2

    def plan_signs(self, k: int, reads: Reads, positions: Tensor, samples: int, draws: Draws) -> Signs:
        """Flips of the lines of A for every sample; plans the flips of the batch."""
        if k > 0:
            return Signs()
        config = self.chopping
        choppers = Choppers(
            self.known("in_chopper"),
            self.known("out_chopper"),
            self.known("in_chopper_switched"),
            self.known("transfer_counter"),
            chance=config.in_chop_prob,
            phase=0 if config.in_chop_random else self.sweeps_per_phase(),
            lane_chance=config.out_chop_prob,
            columns=self.config.transfer_columns,
        )
        return chop(choppers, reads, positions, samples, draws)

    def sign(self, k: int) -> Tensor | None:
        r"""Signs in which A is stored, :math:`S = c_{out} c_{in}^T` ``[out, in]``."""
        if k > 0:
            return None
        c_in, c_out = (self.known(name).float().mul_(-2.0).add_(1.0) for name in ("in_chopper", "out_chopper"))
        signs = torch.empty(self.slices, self.lanes, dtype=torch.float32, device=c_in.device)
        for whole, part in serial(signs, c_in[:, None]):
            torch.mul(part, c_out, out=whole)
        return signs.t() if self.config.transfer_columns else signs

    def set_weights(self, weights: Tensor, draws: Draws) -> None:
        """As without choppers; these, and the sweep counter, start anew."""
        for tensor in (self.in_chopper, self.out_chopper, self.in_chopper_switched, self.transfer_counter):
            tensor.zero_()
        super().set_weights(weights, draws)

    def state(self) -> dict[str, Tensor]:
        """See :meth:`Rule.state`."""
        names = ("in_chopper", "out_chopper", "transfer_counter")
        return super().state() | {name: self.get_buffer(name) for name in names}
