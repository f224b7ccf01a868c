"""One crossbar array of cells: its state as tensors, and every operation on it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor

from ohmgrad.devices.base import PulsedDevice
from ohmgrad.engine.cell_parameters import CellParameters
from ohmgrad.engine.draws import Draws, Stream
from ohmgrad.engine.drift import Drifter
from ohmgrad.engine.exact import ExactUpdates, replay_exactly
from ohmgrad.engine.implicit import GREATEST, LEAST
from ohmgrad.engine.kept import Kept, places_of
from ohmgrad.engine.operations import choose_columns, fresh_noise
from ohmgrad.engine.plan import Lines
from ohmgrad.engine.replay import Cells, Events, bind_law, compiled, replay
from ohmgrad.engine.samples import Plan
from ohmgrad.engine.site import Site


class PulseCounts(NamedTuple):
    """What the cells of an array have received, each int32 ``[out, in]``."""

    up: Tensor
    """Pulses that raise the weight."""
    down: Tensor
    """Pulses that lower it."""
    resets: Tensor

    @property
    def total(self) -> Tensor:
        """All of them: the wear of the cells."""
        return self.up + self.down + self.resets


class CellArray(CellParameters):
    """The cells of one device at every cross point of a tile.

    Buffers, each ``[out, in]``: ``weight`` (what reading gives), ``persistent_weights`` (what pulses move; only with
    write noise), ``pulses`` (how many pulses and resets each cell has received), ``raised`` and ``resets`` (how many of
    them were up pulses, and resets), and the parameters of the cells by the names of their device, unless they are
    implicit. Scalars: ``samples`` (rank-1 updates seen) and ``operations`` (noisy ones on all cells).

    :param device: configuration of the cells.
    :param cells: their parameters, if they are not to be sampled.
    """

    weight: Tensor
    persistent_weights: Tensor | None
    pulses: Tensor
    raised: Tensor
    resets: Tensor
    operations: Tensor

    def __init__(self, device: PulsedDevice, site: Site, cells: dict[str, Tensor] | None = None) -> None:
        super().__init__(device, site, cells)
        self.law = bind_law(device, self.parameter_names)
        self._kept: Kept[Cells] = Kept()
        zeros = torch.zeros(site.shape, dtype=torch.float32)
        self.register_buffer("weight", self._laid_out(zeros))
        self.register_buffer("persistent_weights", self._laid_out(zeros) if device.write_noise > 0.0 else None)
        for name in ("pulses", "raised", "resets"):
            self.register_buffer(name, torch.zeros_like(self.weight, dtype=torch.int32))
        self.register_counter("operations")
        self.drifter = Drifter(device.drift, self.weight) if device.drift.nu > 0.0 else None
        states = ("weight",) if self.persistent_weights is None else ("weight", "persistent_weights")
        self.kernel_buffers = (*states, "pulses", "raised", *self.law.cell)
        self.set(zeros, site.draws)

    def mirrored(self, site: Site) -> CellArray:
        """Cells that do down what these do up, one for each of these."""
        device = self.device_config
        return CellArray(device.mirrored(), site, device.mirrored_cells(self.cell_values()))

    def visible(self) -> Tensor:
        """See :meth:`Array.visible`."""
        return self.known("weight")

    @property
    def weight_granularity(self) -> float:
        """See :attr:`Array.weight_granularity`."""
        return self.device_config.weight_granularity

    def cells(self) -> list[CellArray]:
        """See :meth:`Array.cells`."""
        return [self]

    @property
    def state(self) -> Tensor:
        """What pulses move: the persistent weight if there is one, else the weight."""
        return self.weight if self.persistent_weights is None else self.persistent_weights

    # --- pulses ------------------------------------------------------------------------------------------------------

    def replay(self, plan: Plan, events: Events, draws: Draws) -> Tensor:
        """See :meth:`Array.replay`."""
        if events.numbers is not None:
            events = replace(events, values=self._reset_values_of(events, draws))
        if type(plan) is ExactUpdates:  # to ask if it is an instance of an abstract class is slow
            read = replay_exactly(self, plan, events, draws)
        else:
            read = self._replay_pulses(cast(Lines, plan), events, draws)
        if events.numbers is not None:
            wear = events.resets[:, None].expand_as(read).to(self.resets.dtype)
            self.by_slice(self.resets).index_add_(0, events.slices, wear)
        return read

    def _replay_pulses(self, lines: Lines, events: Events, draws: Draws) -> Tensor:
        cells = self._seen_by(draws)
        if lines.words_per_sample > 1:
            events = replace(events, words=events.words * lines.words_per_sample)
        on_processor = draws.implementation == "cpu"
        x, d = lines.arrays() if on_processor else (lines.x, lines.d)
        slices, lanes = (x, d) if self.columns_are_slices else (d, x)
        if on_processor:
            return compiled().replay(cells, slices, lanes, lines.skips(), events, draws)
        return replay(cells, slices.t(), lanes, lines.skips(), events, draws)

    def _seen_by(self, draws: Draws) -> Cells:
        """The cells as a replay sees them: compiled for the processor, the same object as long as nothing changes."""
        device, tensors = self.device_config, self._buffers  # a dictionary is faster than an attribute of a module
        noises = device.is_noisy, device.write_noise
        if draws.implementation != "cpu":
            return self._laid_out_for(draws, *noises)
        places, origin = places_of([tensors[name] for name in self.kernel_buffers]), tensors["cells_origin"]
        key = noises, places, None if origin is None else int(origin[0])
        return self._kept.of(key, lambda: self._laid_out_for(draws, *noises))

    def _laid_out_for(self, draws: Draws, noisy: bool, write_noise: float) -> Cells:
        for name in self.kernel_buffers:  # a module may be loaded with tensors of another layout
            tensor = self._buffers[name]
            if tensor is not None and not self.by_slice(tensor).is_contiguous():
                self._buffers[name] = self._laid_out(tensor)
        return Cells(
            state=self.by_slice(self.state),
            apparent=None if self.persistent_weights is None else self.by_slice(self.weight),
            pulses=self.by_slice(self.pulses),
            raised=self.by_slice(self.raised),
            parameters=tuple(
                self.by_slice(value) for value in map(self._buffers.get, self.law.cell) if value is not None
            ),
            sampling=self.sampling(self.law.cell, draws),
            law=self.law,
            noisy=noisy,
            write_noise=write_noise,
            columns_are_slices=self.columns_are_slices,
            pulse_stream=Stream.PULSE.of(self.index),
            write_stream=Stream.WRITE.of(self.index),
        )

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> CellArray:
        self._kept.forget()  # it holds the memory that the tensors may leave
        super()._apply(fn, recurse)
        return self

    def _load_from_state_dict(self, *arguments: Any) -> None:
        self._kept.forget()
        super()._load_from_state_dict(*arguments)

    def pulse_counts(self) -> PulseCounts:
        """What the cells have received since they were made."""
        up, resets = self.raised.clone(), self.resets.clone()
        return PulseCounts(up, self.pulses - up - resets, resets)

    # --- operations on all cells -------------------------------------------------------------------------------------

    def set(self, weights: Tensor, draws: Draws) -> None:
        """Set the weights ``[out, in]``, within the bounds of the cells, with write noise if the device asks for it."""
        self.state.copy_(weights)
        self.bound()
        if self.persistent_weights is not None:
            self.weight.copy_(self.persistent_weights)
            if getattr(self.device_config, "apply_write_noise_on_set", False):
                self.redraw(draws)

    def decay(self, alpha: float, draws: Draws) -> None:
        r"""One step of decay: :math:`v \leftarrow (v - r)(1 + \alpha (L - 1)) + r`, within the bounds."""
        if self.device_config.lifetime == 0.0:
            return
        target, scales = self.values_of(("reset_bias", "decay_scales"))
        self.state.sub_(target).mul_(1.0 + alpha * (scales - 1.0)).add_(target)
        self.bound()
        self.redraw(draws)

    def diffuse(self, draws: Draws) -> None:
        r"""One step of the random walk: :math:`v \leftarrow v + R \xi`, within the bounds."""
        if self.device_config.diffusion == 0.0:
            return
        (rates,) = self.values_of(("diffusion_rates",))
        self.state.add_(rates * self._noise(Stream.DIFFUSE, draws))
        self.bound()
        self.redraw(draws)

    def drift(self, delta_t: float, draws: Draws) -> None:
        """See :meth:`Array.drift`."""
        if self.drifter is None:
            return
        (nu,), drift, noise = self.values_of(("drift_nu",)), self.device_config.drift, None
        if drift.nu_std > 0.0:
            noise = self._noise(Stream.DRIFT_EXPONENT, draws)
        self.state.copy_(self.drifter.drifted(self.state, nu, delta_t, noise))
        if drift.w_noise_std > 0.0:
            self.state.add_(self._noise(Stream.DRIFT_WEIGHT, draws), alpha=drift.w_noise_std)
        self.bound()
        self.drifter.left(self.state)
        self.redraw(draws)

    def clip(self, limit: float, draws: Draws) -> None:
        """Clip to the bounds of the cells and, unless ``limit`` is negative, to ``[-limit, limit]``."""
        self.bound()
        if limit >= 0.0:
            self.state.clamp_(-limit, limit)
        self.redraw(draws)

    def reset_columns(self, columns: Tensor, probability: float, draws: Draws) -> None:
        """See :meth:`Array.reset_columns`."""
        coins = Stream.RESET_COIN.of(self.index)
        self.reset_cells(choose_columns(self.operations, coins, self.weight, columns, probability, draws), draws)

    def reset_cells(self, selected: Tensor, draws: Draws) -> None:
        r"""Set the cells that ``selected`` (bool ``[out, in]``) marks to :math:`r + \sigma_r \xi`."""
        self.state.copy_(torch.where(selected, self.reset_values(self._noise(Stream.RESET, draws)), self.state))
        self.pulses.add_(selected)  # a reset is a programming event: it wears the cell
        self.resets.add_(selected)
        self.redraw(draws)

    def reset_values(self, noise: Tensor, slices: Tensor | None = None) -> Tensor:
        r"""Where a reset leads: :math:`r + \sigma_r \xi`, within the bounds.

        :param noise: standard normal, for all cells ``[out, in]``, or for some slices ``[n, lanes]``.
        """
        target, lower, upper = self.values_of(("reset_bias", LEAST, GREATEST), slices)
        return torch.clamp(target + self.device_config.reset_std * noise, lower, upper)

    def _reset_values_of(self, events: Events, draws: Draws) -> Tensor:
        """What the slices that are read are reset to, ``[E, lanes]``."""
        assert events.numbers is not None
        lanes = self.by_slice(self.weight).shape[1]
        noise = draws.normal(Stream.RESET.of(self.index, 1), events.numbers, lanes)
        return self.reset_values(noise, events.slices)

    def bound(self) -> None:
        """Bring every cell within its bounds."""
        torch.clamp(self.state, *self.limits(), out=self.state)

    def _noise(self, stream: Stream, draws: Draws, happens: Tensor | None = None) -> Tensor:
        """Fresh standard normal numbers for an operation on all cells; ``happens``: see :func:`fresh_noise`."""
        return fresh_noise(self.operations, stream.of(self.index), self.weight, draws, happens)

    def redraw(self, draws: Draws, happens: Tensor | None = None) -> None:
        """New write noise on all apparent weights; ``happens``: a truth value on the device, None: it does."""
        if self.persistent_weights is not None:
            noise = self._noise(Stream.REWRITE, draws, happens)
            drawn = self.persistent_weights + self.device_config.write_noise * noise
            self.weight.copy_(drawn if happens is None else torch.where(happens, drawn, self.weight))

    # --- hidden parameters -------------------------------------------------------------------------------------------

    def hidden(self) -> OrderedDict[str, Tensor]:
        """See :meth:`Array.hidden`."""
        cells = self.hidden_cells()
        hidden = OrderedDict((name, cells.pop(name)) for name in COMMON_NAMES if name in cells)
        if self.persistent_weights is not None:
            hidden["persistent_weights"] = self.persistent_weights
        hidden.update(cells)
        return hidden


COMMON_NAMES = (
    "max_bound",
    "min_bound",
    "dwmin_up",
    "dwmin_down",
    "decay_scales",
    "diffusion_rates",
    "reset_bias",
    "drift_nu",
)
"""Parameters that every pulsed cell has."""
