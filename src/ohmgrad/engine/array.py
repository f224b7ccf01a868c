"""One crossbar array of cells: its state as tensors, and every operation on it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ohmgrad.devices.base import PulsedDevice
from ohmgrad.engine.draws import Draws, Stream
from ohmgrad.engine.operations import choose_columns, fresh_noise
from ohmgrad.engine.plan import Trains, make_trains, pulse_lengths
from ohmgrad.engine.replay import Cells, Events, bind_law, replay
from ohmgrad.parameters.enums import PulseType
from ohmgrad.parameters.update import UpdateParameters


@dataclass
class _Sampler:
    """Cell-to-cell variation of one array, addressed by row, column and purpose."""

    draws: Draws
    stream: int
    shape: tuple[int, int]

    def normal(self, purpose: int) -> Tensor:
        return self.draws.normal(self.stream, torch.arange(self.shape[0]), self.shape[1], purpose)

    def uniform(self, purpose: int) -> Tensor:
        return self.draws.uniform(self.stream, torch.arange(self.shape[0]), self.shape[1], purpose)


class CellArray(nn.Module):
    """The cells of one device at every cross point of a tile.

    Buffers, each ``[out, in]``: ``weight`` (what reading gives), ``persistent_weights`` (what pulses move; only with
    write noise), ``pulses`` (how many pulses each cell has received), and the parameters of the cells by the names of
    their device. Scalars: ``samples`` (rank-1 updates seen) and ``operations`` (redraws of all write noise).

    :param device: configuration of the cells.
    :param out_size: rows; :param in_size: columns.
    :param index: which array of the tile this is; it separates the random streams.
    :param columns_are_slices: whether transfers read columns (True) or rows; the memory layout follows.
    :param draws: random numbers of the tile.
    """

    weight: Tensor
    persistent_weights: Tensor | None
    pulses: Tensor
    samples: Tensor
    operations: Tensor

    def __init__(
        self, device: PulsedDevice, out_size: int, in_size: int, index: int, columns_are_slices: bool, draws: Draws
    ) -> None:
        super().__init__()
        device.check()
        self.device_config = device
        self.index = index
        self.columns_are_slices = columns_are_slices
        shape = (out_size, in_size)
        own = Draws(device.construction_seed, draws.compiled) if device.construction_seed else draws
        cells = device.sample(_Sampler(own, Stream.CELLS.of(index), shape))
        self.parameter_names = tuple(cells)
        self.law = bind_law(device, self.parameter_names)
        for name, value in cells.items():
            self.register_buffer(name, self._laid_out(value))
        zeros = torch.zeros(shape, dtype=torch.float32)
        self.register_buffer("weight", self._laid_out(zeros))
        self.register_buffer("persistent_weights", self._laid_out(zeros) if device.write_noise > 0.0 else None)
        self.register_buffer("pulses", self._laid_out(zeros.to(torch.int32)))
        self.register_buffer("samples", torch.zeros((), dtype=torch.int64))
        self.register_buffer("operations", torch.zeros((), dtype=torch.int64))
        states = ("weight",) if self.persistent_weights is None else ("weight", "persistent_weights")
        self.kernel_buffers = (*states, "pulses", *self.law.cell)
        self.set(zeros, draws)

    def _laid_out(self, value: Tensor) -> Tensor:
        """A copy whose slices are contiguous in memory."""
        by_slice = self.by_slice(value).clone(memory_format=torch.contiguous_format)
        return self.by_slice(by_slice)

    def by_slice(self, value: Tensor) -> Tensor:
        """An ``[out, in]`` tensor of this array as ``[slices, lanes]`` (a view)."""
        return value.t() if self.columns_are_slices else value

    @property
    def state(self) -> Tensor:
        """What pulses move: the persistent weight if there is one, else the weight."""
        return self.weight if self.persistent_weights is None else self.persistent_weights

    # --- pulses ------------------------------------------------------------------------------------------------------

    def update(
        self,
        x: Tensor,
        d: Tensor,
        rate: Tensor,
        up: UpdateParameters,
        draws: Draws,
        events: Events | None = None,
        x_signs: Tensor | None = None,
        d_signs: Tensor | None = None,
    ) -> Tensor:
        r"""Apply :math:`-\lambda_n d_n x_n^T` for every sample n in turn, by pulses (or exactly, within the bounds).

        :param x: ``[n, in]``; :param d: ``[n, out]``; :param rate: float64 ``[n]``.
        :param events: reads during the batch, their ``words`` counted in samples.
        :param x_signs: lines whose sign is flipped (choppers), bool ``[n, in]``; :param d_signs: ``[n, out]``.
        :returns: the slices that were read, ``[E, lanes]``.
        """
        events = Events.none() if events is None else events
        first = int(self.samples)
        self.samples += x.shape[0]
        if up.pulse_type is not PulseType.STOCHASTIC_COMPRESSED:
            signed_x = x if x_signs is None else torch.where(x_signs, -x, x)
            signed_d = d if d_signs is None else torch.where(d_signs, -d, d)
            return self._update_exactly(signed_x, signed_d, rate, up, draws, events)
        lengths = pulse_lengths(x, d, rate, self.device_config.weight_granularity, up)
        trains = make_trains(x, d, lengths, up, draws, self.index, first, x_signs, d_signs)
        return self._replay(trains, events, draws)

    def _replay(self, trains: Trains, events: Events, draws: Draws) -> Tensor:
        slices, lanes = (trains.x, trains.d) if self.columns_are_slices else (trains.d, trains.x)
        for name in self.kernel_buffers:  # a module may be loaded with tensors of another layout
            tensor = self._buffers[name]  # a dictionary is faster than an attribute of a module
            if tensor is not None and not self.by_slice(tensor).is_contiguous():
                self._buffers[name] = self._laid_out(tensor)
        cells = Cells(
            state=self.by_slice(self.state),
            apparent=None if self.persistent_weights is None else self.by_slice(self.weight),
            pulses=self.by_slice(self.pulses),
            parameters=tuple(
                self.by_slice(value) for value in map(self._buffers.get, self.law.cell) if value is not None
            ),
            law=self.law,
            noisy=self.device_config.is_noisy,
            write_noise=self.device_config.write_noise,
            columns_are_slices=self.columns_are_slices,
            pulse_stream=Stream.PULSE.of(self.index),
            write_stream=Stream.WRITE.of(self.index),
        )
        in_words = Events(events.slices, events.words * trains.words_per_sample, events.resets, events.values)
        return replay(cells, slices.t(), lanes, in_words, draws)

    def _update_exactly(
        self, x: Tensor, d: Tensor, rate: Tensor, up: UpdateParameters, draws: Draws, events: Events
    ) -> Tensor:
        """Floating-point updates sample by sample; NONE_WITH_DEVICE keeps every cell within its bounds."""
        read = x.new_empty(len(events.slices), self.by_slice(self.weight).shape[1])
        order = sorted(range(len(events.slices)), key=lambda e: (int(events.words[e]), e))
        position = 0
        for n in range(len(x) + 1):
            while position < len(order) and events.words[order[position]] == n:
                e = order[position]
                s = int(events.slices[e])
                read[e] = self.by_slice(self.weight)[s]
                if events.resets[e]:
                    assert events.values is not None
                    self.by_slice(self.state)[s] = events.values[e]
                    self.by_slice(self.pulses)[s] += 1
                    self._redraw(draws)
                position += 1
            if n < len(x) and rate[n] > 0.0:
                self.state.add_(torch.outer(d[n], x[n]), alpha=-float(rate[n]))
                if up.pulse_type is PulseType.NONE_WITH_DEVICE:
                    self._bound()
                self._redraw(draws)
        return read

    # --- operations on all cells -------------------------------------------------------------------------------------

    def set(self, weights: Tensor, draws: Draws) -> None:
        """Set the weights ``[out, in]``, within the bounds of the cells, with write noise if the device asks for it."""
        self.state.copy_(weights)
        self._bound()
        if self.persistent_weights is not None:
            self.weight.copy_(self.persistent_weights)
            if getattr(self.device_config, "apply_write_noise_on_set", False):
                self._redraw(draws)

    def decay(self, alpha: float, draws: Draws) -> None:
        r"""One step of decay: :math:`v \leftarrow (v - r)(1 + \alpha (L - 1)) + r`, within the bounds."""
        target = self.get_buffer("reset_bias")
        self.state.sub_(target).mul_(1.0 + alpha * (self.get_buffer("decay_scales") - 1.0)).add_(target)
        self._bound()
        self._redraw(draws)

    def diffuse(self, draws: Draws) -> None:
        r"""One step of the random walk: :math:`v \leftarrow v + R \xi`, within the bounds."""
        self.state.add_(self.get_buffer("diffusion_rates") * self._noise(Stream.DIFFUSE, draws))
        self._bound()
        self._redraw(draws)

    def clip(self, limit: float, draws: Draws) -> None:
        """Clip to the bounds of the cells and, unless ``limit`` is negative, to ``[-limit, limit]``."""
        self._bound()
        if limit >= 0.0:
            self.state.clamp_(-limit, limit)
        self._redraw(draws)

    def reset_columns(self, columns: Tensor, probability: float, draws: Draws) -> None:
        r"""Set cells of some columns to :math:`r + \sigma_r \xi`, each with a probability."""
        coins = Stream.RESET_COIN.of(self.index)
        selected = choose_columns(self.operations, coins, self.weight, columns, probability, draws)
        self.state.copy_(torch.where(selected, self.reset_values(self._noise(Stream.RESET, draws)), self.state))
        self.pulses.add_(selected)  # a reset is a programming event: it wears the cell
        self._redraw(draws)

    def reset_values(self, noise: Tensor, slices: Tensor | None = None) -> Tensor:
        r"""Where a reset leads: :math:`r + \sigma_r \xi`, within the bounds.

        :param noise: standard normal, for all cells ``[out, in]``, or for some slices ``[n, lanes]``.
        """
        target, lower, upper = (self.get_buffer(name) for name in ("reset_bias", "min_bound", "max_bound"))
        if slices is not None:
            target, lower, upper = (self.by_slice(value)[slices] for value in (target, lower, upper))
        return torch.clamp(target + self.device_config.reset_std * noise, lower, upper)

    def _bound(self) -> None:
        torch.clamp(self.state, self.get_buffer("min_bound"), self.get_buffer("max_bound"), out=self.state)

    def _noise(self, stream: Stream, draws: Draws) -> Tensor:
        """Fresh standard normal numbers for an operation on all cells."""
        return fresh_noise(self.operations, stream.of(self.index), self.weight, draws)

    def _redraw(self, draws: Draws) -> None:
        """New write noise on all apparent weights."""
        if self.persistent_weights is not None:
            noise = self._noise(Stream.REWRITE, draws)
            self.weight.copy_(self.persistent_weights + self.device_config.write_noise * noise)

    # --- hidden parameters -------------------------------------------------------------------------------------------

    def hidden_names(self) -> list[str]:
        """Names of the hidden parameters, in order."""
        common = [name for name in COMMON_NAMES if name in self.parameter_names]
        own = [name for name in self.parameter_names if name not in COMMON_NAMES]
        return [*common, *(["persistent_weights"] if self.persistent_weights is not None else []), *own]


COMMON_NAMES = (
    "max_bound",
    "min_bound",
    "dwmin_up",
    "dwmin_down",
    "decay_scales",
    "diffusion_rates",
    "reset_bias",
)
"""Parameters that every pulsed cell has."""
