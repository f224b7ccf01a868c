"""The parameters of the cells of an array: stored, in single or half precision, or implicit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from warnings import warn

import torch
from torch import Tensor

from ohmgrad.devices.base import PulsedDevice
from ohmgrad.engine.base_array import Array
from ohmgrad.engine.draws import Draws, Stream
from ohmgrad.engine.implementation import choose
from ohmgrad.engine.implicit import GREATEST, LEAST, CellSampler, ImplicitCells, Sampling, in_blocks, recipe_of
from ohmgrad.engine.site import Site
from ohmgrad.engine.tracing import Untraceable
from ohmgrad.errors import ConfigError


class CellParameters(Array):
    """What an array knows of its cells.

    Stored, the parameters are buffers ``[out, in]`` by the names of the device. Of implicit cells there is only
    ``cells_origin``, int64 ``[2]``: the seed that they follow from, and the digest of how. Its presence says in which
    of both ways an array, or a saved state, has its cells.

    :param device: configuration of the cells.
    :param cells: their parameters, if they are not to be sampled.
    """

    weight: Tensor
    cells_origin: Tensor | None

    def __init__(self, device: PulsedDevice, site: Site, cells: dict[str, Tensor] | None = None) -> None:
        super().__init__(next(site.indices), site.columns_are_slices)
        device.check()
        self.device_config = device
        self.shape, self.has_bias, self.implementation = site.shape, site.has_bias, site.draws.implementation
        self.parameter_dtype: torch.dtype = getattr(torch, site.runtime.parameter_dtype)
        smallest = torch.finfo(self.parameter_dtype).smallest_normal
        if device.dw_min < smallest:
            raise ConfigError(
                f"{type(device).__name__}.dw_min = {device.dw_min:g}, but {self.parameter_dtype} holds numbers below"
                f" {smallest:.1e} with few digits or none. Give runtime.parameter_dtype='bfloat16', or 'float32'."
            )
        self.implicit: ImplicitCells | None = None
        """How the parameters follow from addresses; None if they are to be stored."""
        self.stored_because = ""
        """Why they are stored, where they were asked to be implicit."""
        own = site.seeded(device.construction_seed).draws
        if site.runtime.implicit_cells:
            try:
                self.implicit = self._followed(mirrored=cells is not None)
            except Untraceable as reason:
                self.stored_because = str(reason)
                warn(f"implicit_cells: the cells of {type(device).__name__} are stored, since {reason}", stacklevel=2)
        if self.implicit is not None:
            self.parameter_names = self.implicit.recipe.names
            self._imply(torch.tensor([own.signed_key, self.implicit.recipe.digest]))
            return
        if cells is None:
            rows, columns = self.shape
            stream = Stream.CELLS.of(self.index)
            draw = CellSampler(own, stream, torch.arange(rows), columns, self.has_bias)
            own_way = not type(device).sample.__module__.startswith("ohmgrad.")  # which may look at all cells at once
            cells = in_blocks(device.sample, draw, self.columns_are_slices, whole=own_way)
            self.parameter_names = tuple(cells)
            self._keep([self._rounded(name, value) for name, value in cells.items()])
        else:
            self.parameter_names = tuple(cells)
            self._store(list(cells.values()))

    def _laid_out(self, value: Tensor) -> Tensor:
        """A copy whose slices are contiguous in memory."""
        by_slice = self.by_slice(value).clone(memory_format=torch.contiguous_format)
        return self.by_slice(by_slice)

    # --- what they are -----------------------------------------------------------------------------------------------

    def cell_values(self, *names: str) -> dict[str, Tensor]:
        """Parameters of the cells by name, all if none is named, each float32 ``[out, in]``; not to be written to."""
        names = names or self.parameter_names
        return dict(zip(names, self.values_of(names), strict=True))

    def limits(self) -> tuple[Tensor, Tensor]:
        """The least and the greatest weight of every cell."""
        least, greatest = self.values_of((LEAST, GREATEST))
        return least, greatest

    def values_of(self, names: tuple[str, ...], slices: Tensor | None = None) -> list[Tensor]:
        """Parameters and limits of the cells by name, float32, ``[out, in]``; not to be written to.

        :param slices: of these only, int64 ``[n]``; then ``[n, lanes]``.
        """
        if self.implicit is not None and self.cells_origin is not None:
            return self._implied(self.implicit, self.cells_origin, names, slices)
        cells, limits = _InSinglePrecision(self), dict[str, Tensor]()
        if LEAST in names:
            limits[LEAST], limits[GREATEST] = self.device_config.limits(cells)
        found = [limits[name] if name in limits else cells[name] for name in names]
        return found if slices is None else [self.by_slice(value)[slices] for value in found]

    def hidden_cells(self) -> dict[str, Tensor]:
        """All parameters by name; the tensors themselves, where they are stored."""
        if self.cells_origin is not None:
            return self.cell_values()
        return {name: self.get_buffer(name) for name in self.parameter_names}

    # --- implicit cells ----------------------------------------------------------------------------------------------

    @property
    def is_implicit(self) -> bool:
        """Whether nothing is stored of the parameters."""
        return self.cells_origin is not None

    def sampling(self, names: tuple[str, ...], draws: Draws) -> Sampling | None:
        """What a kernel computes some parameters from; None if they are stored, or none is needed.

        :param draws: those of the replay.
        """
        if self.implicit is None or self.cells_origin is None or not names:
            return None
        own = Draws(int(self.cells_origin[0]), draws.implementation)
        return self.implicit.sampling(names, own, self.weight.device)

    def _followed(self, mirrored: bool = False) -> ImplicitCells:
        """The cells as a function of their addresses.

        :raises Untraceable: if they are none.
        """
        if mirrored:
            raise Untraceable("they mirror the cells of another array")
        device = self.device_config.model_copy(deep=True)
        recipe = recipe_of(device, self.shape, self.has_bias)
        stream = Stream.CELLS.of(self.index)
        return ImplicitCells(device, recipe, self.shape, self.has_bias, stream, self.columns_are_slices)

    def _implied(
        self, cells: ImplicitCells, origin: Tensor, names: tuple[str, ...], slices: Tensor | None = None
    ) -> list[Tensor]:
        """What follows from a ``cells_origin``, like :meth:`values_of`."""
        where = self.weight.device
        draws = Draws(int(origin[0]), self.implementation if where.type == "cpu" else choose("auto", where))
        found = cells.values(names, draws, where, slices)
        return [self.by_slice(value) for value in found] if slices is None else found

    # --- from one to the other ---------------------------------------------------------------------------------------

    def _rounded(self, name: str, value: Tensor) -> Tensor:
        """A parameter as it is stored.

        :raises ConfigError: if it is too large for that.
        """
        if name == "decay_scales" and self.device_config.lifetime > 0.0:
            return value  # close to 1, where half precision would lose the decay
        rounded = value.to(self.parameter_dtype)
        if not torch.isfinite(rounded).all() and torch.isfinite(value).all():
            raise ConfigError(
                f"{name} of {type(self.device_config).__name__} is up to {float(value.abs().max()):g}, too large for"
                f" {self.parameter_dtype}. Give runtime.parameter_dtype='bfloat16', or 'float32'."
            )
        return rounded

    def _store(self, values: list[Tensor]) -> None:
        """Keep copies of the parameters from now on."""
        names = self.parameter_names
        self._keep([self._laid_out(self._rounded(name, value)) for name, value in zip(names, values, strict=True)])

    def _keep(self, values: list[Tensor]) -> None:
        """Keep the parameters, as they are stored, from now on."""
        for name, value in zip(self.parameter_names, values, strict=True):
            self.register_buffer(name, value)
        self.register_host_buffer("cells_origin", None)

    def _imply(self, origin: Tensor) -> None:
        """Keep nothing but their origin from now on."""
        for name in self.parameter_names:
            self.register_buffer(name, None)
        self.register_host_buffer("cells_origin", origin)

    @contextmanager
    def stored(self) -> Iterator[None]:
        """Makes the parameters buffers that may be written to; if they are still what they were, not beyond this."""
        origin, cells = self.cells_origin, self.implicit
        if origin is None or cells is None:
            yield
            return
        self._store(self.values_of(self.parameter_names))
        try:
            yield
        finally:
            implied = self._implied(cells, origin, self.parameter_names)
            pairs = zip(self.parameter_names, implied, strict=True)
            if all(torch.equal(self.get_buffer(name), self._rounded(name, value)) for name, value in pairs):
                self._imply(origin)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *arguments: Any) -> None:
        """Cells that were saved are stored from now on. Those whose origin was saved are what this array wants."""
        errors: list[str] = arguments[-1]
        key = prefix + "cells_origin"
        if key in state_dict:
            origin = state_dict[key]
            try:
                cells = self.implicit or self._followed()
                if int(origin[1]) != cells.recipe.digest:
                    raise Untraceable("they are those of another configuration, or of another version of ohmgrad")
            except Untraceable as reason:
                errors.append(f"{key} cannot say what the cells are: {reason}.")
                return
            if self.implicit is not None:
                self._imply(torch.zeros_like(origin, device="cpu"))
            else:
                values = self._implied(cells, origin, self.parameter_names)
                state_dict = {name: value for name, value in state_dict.items() if name != key}
                for name, value in zip(self.parameter_names, values, strict=True):
                    state_dict[prefix + name] = self._rounded(name, value)
        elif self.is_implicit and any(prefix + name in state_dict for name in self.parameter_names):
            self._store(self.values_of(self.parameter_names))
        super()._load_from_state_dict(state_dict, prefix, *arguments)


class _InSinglePrecision(Mapping[str, Tensor]):
    """The stored parameters of an array, each converted when it is asked for."""

    def __init__(self, array: CellParameters) -> None:
        self.array = array

    def __getitem__(self, name: str) -> Tensor:
        if name not in self.array.parameter_names:
            raise KeyError(name)
        return self.array.get_buffer(name).float()

    def __iter__(self) -> Iterator[str]:
        return iter(self.array.parameter_names)

    def __len__(self) -> int:
        return len(self.array.parameter_names)
