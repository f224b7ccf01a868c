"""Stochastic gradient descent on one array: by pulses, or exactly."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ohmgrad.algorithms.base import Rule, SingleArrayRule
from ohmgrad.cells.base import Device
from ohmgrad.devices.ideal import ExactDevice, IdealDevice
from ohmgrad.engine.draws import Draws, Stream
from ohmgrad.engine.drift import Drifter
from ohmgrad.engine.kept import Filled
from ohmgrad.engine.operations import choose_columns, fresh_noise
from ohmgrad.engine.samples import Samples
from ohmgrad.engine.site import Site
from ohmgrad.errors import TileError
from ohmgrad.parameters.update import UpdateParameters


class PulsedSGD(SingleArrayRule):
    r"""Plain analog SGD (Gokmen and Vlasov 2016).

    1. For every sample in turn, :math:`W \leftarrow \mathrm{pulsed}(W,\ -\lambda\, d\, x^T)`.
    """

    def __init__(self, device: Device, site: Site) -> None:
        longer = site.out_size > site.in_size  # the longer side makes the lanes of the kernel
        super().__init__(device, site.sliced(columns=longer))
        self._rates = Filled()

    def update(self, x: Tensor, d: Tensor, rate: float, up: UpdateParameters, draws: Draws) -> None:
        """See :meth:`Rule.update`."""
        rates = self._rates.of(rate, x.shape[0], torch.float64, x)
        self.array.update(Samples.of(x, d, rates), up, draws)


class ExactSGD(Rule):
    r"""Floating-point SGD, :math:`W \leftarrow W - \lambda \sum_n d_n x_n^T`: no pulses, bounds or variation.

    It serves :class:`~ohmgrad.devices.ideal.IdealDevice`,
    :class:`~ohmgrad.devices.ideal.FloatingPointDevice` and, with ``pulse_type=NONE``, any device.
    """

    weight: Tensor
    operations: Tensor

    def __init__(self, device: ExactDevice, site: Site) -> None:
        super().__init__()
        self.device_config = device
        self.arrays = nn.ModuleList()
        self.register_buffer("weight", torch.zeros(site.shape, dtype=torch.float32))
        self.register_counter("operations")
        self.drifter = Drifter(device.drift, self.weight) if device.drift.nu > 0.0 else None

    def update(self, x: Tensor, d: Tensor, rate: float, up: UpdateParameters, draws: Draws) -> None:
        """See :meth:`Rule.update`."""
        self.weight.addmm_(d.t(), x, alpha=-rate)

    def visible(self) -> Tensor:
        """The weight."""
        return self.weight

    def set_weights(self, weights: Tensor, draws: Draws) -> None:
        """See :meth:`Rule.set_weights`."""
        self.weight.copy_(weights)

    def decays(self) -> bool:
        """Whether the weights decay with time."""
        return self.device_config.lifetime > 0.0

    def diffuses(self) -> bool:
        """Whether the weights diffuse with time."""
        return self.device_config.diffusion > 0.0

    def _noise(self, stream: Stream, draws: Draws) -> Tensor:
        return fresh_noise(self.operations, stream.of(0), self.weight, draws)

    def decay(self, alpha: float, draws: Draws) -> None:
        r"""Multiply by :math:`1 - \alpha / \mathrm{lifetime}`."""
        lifetime = self.device_config.lifetime
        if lifetime > 0.0:
            self.weight.mul_(1.0 - alpha / lifetime if lifetime > 1.0 else 1.0 - alpha)

    def diffuse(self, draws: Draws) -> None:
        """One step of the random walk."""
        if self.device_config.diffusion > 0.0:
            self.weight.add_(self._noise(Stream.DIFFUSE, draws), alpha=self.device_config.diffusion)

    def drift(self, delta_t: float, draws: Draws) -> None:
        """One power law for all weights."""
        if self.drifter is not None:
            self.weight.copy_(self.drifter.drifted(self.weight, self.device_config.drift.nu, delta_t, None))
            self.drifter.left(self.weight)

    def clip(self, limit: float, draws: Draws) -> None:
        """Clip to ``[-limit, limit]``, unless ``limit`` is negative."""
        if limit >= 0.0:
            self.weight.clamp_(-limit, limit)

    def reset_columns(self, columns: Tensor, probability: float, draws: Draws) -> None:
        """Set some columns to ``reset_std`` times noise, each cell with a probability."""
        if not isinstance(self.device_config, IdealDevice):
            raise TileError("A tile of floating-point weights has no cells to reset. Use set_weights.")
        coins = Stream.RESET_COIN.of(0)
        selected = choose_columns(self.operations, coins, self.weight, columns, probability, draws)
        values = self.device_config.reset_std * self._noise(Stream.RESET, draws)
        self.weight.copy_(torch.where(selected, values, self.weight))
