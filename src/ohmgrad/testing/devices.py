"""The test case of a device."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ohmgrad.configs import DriftParameter, PulsedDevice, SingleRPUConfig
from ohmgrad.engine.replay import bind_law
from ohmgrad.testing import common
from ohmgrad.tile import AnalogTile

Cells = Mapping[str, Tensor]
"""Parameters of cells by name."""


class _Recorder:
    """A sampler that notes which purposes are asked for."""

    def __init__(self, count: int, seed: int = 0) -> None:
        self.asked: list[int] = []
        self.has_bias = False
        self.count, self.seed = count, seed

    def _generator(self, purpose: int) -> torch.Generator:
        self.asked.append(purpose)
        return torch.Generator().manual_seed(1000 * self.seed + purpose)

    def normal(self, purpose: int) -> Tensor:
        return torch.randn(1, self.count, generator=self._generator(purpose))

    def uniform(self, purpose: int) -> Tensor:
        return 1.0 - torch.rand(1, self.count, generator=self._generator(purpose))


class DeviceTestCase(ABC):
    """What must hold for every device. A class of yours gives :meth:`make_device` and :meth:`expected_step`.

    Take fields that make the device's own features act: variation of every kind, noise of pulses, and steps of a few
    hundredths of the range, so that a short test has all of the range in it.
    """

    size: common.Size = (5, 7)
    """Size of the tiles of the slower tests."""

    @abstractmethod
    def make_device(self) -> PulsedDevice:
        """The device to test."""

    @abstractmethod
    def expected_step(self, w: Tensor, up: bool, cell: Cells) -> Tensor:
        """The change of the weight by one pulse without noise, worked out by hand, bounds aside.

        :param w: weights of cells before the pulse, float64 ``[n]``; :param up: direction of the pulse.
        :param cell: parameters of these cells by name, float64 ``[n]``.
        """

    # --- the law -----------------------------------------------------------------------------------------------------

    def test_a_pulse_without_noise_makes_the_step_worked_by_hand(self) -> None:
        """Over the whole range, for cells as different as they are sampled."""
        device = self.make_device()
        cells, w = self._cells_and_weights(device)
        lower, upper = device.limits(cells)
        for up in (True, False):
            found = self._law(device, cells, w, up)
            wanted = torch.clamp(w + self.expected_step(w, up, cells), lower, upper)
            torch.testing.assert_close(
                found - w, wanted - w, rtol=1e-4, atol=1e-4 * device.weight_granularity, check_dtype=False,
                msg=common.after(f"{'up' if up else 'down'} pulses, against expected_step"),
            )  # fmt: skip

    def test_a_law_takes_all_cells_at_once(self) -> None:
        """It is one expression for all cells, whichever way their pulses go, without branches."""
        device = self.make_device()
        cells, w = self._cells_and_weights(device, 40)
        up = torch.arange(len(w)) % 3 == 0
        noise = torch.linspace(-2.0, 2.0, len(w), dtype=torch.float64)
        together = self._law(device, cells, w, up, noise)
        assert together.shape == w.shape, f"{len(w)} cells have become {tuple(together.shape)}"
        for i in range(len(w)):
            one = {name: value[i] for name, value in cells.items()}
            alone = self._law(device, one, w[i], up[i], noise[i])
            what = common.after(f"cell {i} among others, against the same cell alone")
            torch.testing.assert_close(together[i], alone, rtol=1e-6, atol=1e-7, check_dtype=False, msg=what)

    def test_pulses_have_the_mean_and_the_spread_of_the_law(self) -> None:
        """Pulse by pulse on a tile, against the law integrated over its noise; within five standard errors."""
        device = self.make_device().replaced(construction_seed=0)
        quantiles = (torch.arange(100, dtype=torch.float64) + 0.5) / 100
        noise = torch.special.ndtri(quantiles)
        if not device.is_noisy:
            noise = torch.zeros(1, dtype=torch.float64)
        noise = noise / noise.square().mean().sqrt().clamp(min=1e-30)
        for implementation in common.implementations():
            tile = common.make_tile(
                SingleRPUConfig(device=device), (20, 25), implementation, rate=device.weight_granularity
            )
            (array,) = tile.rule.cells()
            cells = {name: value.flatten().double() for name, value in self._parameters(tile).items()}
            lower, upper = device.limits(cells)
            tile.set_weights((lower + (upper - lower) * torch.linspace(0.1, 0.9, len(lower))).reshape(20, 25))
            scores, fourth, count = [], [], 0
            for pulse in range(6):
                before, up = array.state.flatten().double().cpu(), pulse % 3 != 0
                place = implementation.place
                tile.update(torch.ones(25, device=place), torch.full((20,), -1.0 if up else 1.0, device=place))
                after = array.state.flatten().double().cpu()
                each = self._law(
                    device, {name: value[:, None] for name, value in cells.items()}, before[:, None], up, noise
                ).double()
                mean, spread = each.mean(1), each.std(1, correction=0)
                still = spread <= 1e-3 * device.weight_granularity
                torch.testing.assert_close(
                    after[still], mean[still], rtol=0.0, atol=0.01 * device.weight_granularity,
                    msg=common.after(f"pulse {pulse}, {implementation}, against the law"),
                )  # fmt: skip
                scores.append(((after - mean) / spread)[~still])
                fourth.append((((each - mean[:, None]) / spread[:, None]) ** 4).mean(1)[~still])
                count += int((~still).sum())
            if not count:
                continue
            z, fourth_moment = torch.cat(scores), float(torch.cat(fourth).mean())
            where = f"{implementation}, {count} pulses"
            assert abs(float(z.mean())) <= 5 / count**0.5, f"{where}: their mean is off"
            error = 5 * (max(fourth_moment - 1.0, 0.01) / count) ** 0.5
            assert abs(float(z.square().mean()) - 1.0) <= error + 0.005, f"{where}: their spread is off"

    def test_the_mirrored_device_is_a_mirror_image(self) -> None:
        """It does down what this one does up; one-sided cells with ``copy_inverted`` rely on it."""
        device = self.make_device()
        cells, w = self._cells_and_weights(device)
        mirror, mirrored = device.mirrored(), device.mirrored_cells(dict(cells))
        noise = torch.linspace(-2.0, 2.0, 5, dtype=torch.float64)
        columns = {name: value[:, None] for name, value in cells.items()}
        mirrored_columns = {name: value[:, None] for name, value in mirrored.items()}
        for up in (True, False):
            found = self._law(mirror, mirrored_columns, -w[:, None], not up, noise).sort(1).values
            wanted = -self._law(device, columns, w[:, None], up, noise).flip(1)  # the noise may change its sign
            what = common.after(f"{'up' if up else 'down'} pulses of the device, against its mirror image")
            torch.testing.assert_close(found, wanted.sort(1).values, rtol=1e-5, atol=1e-7, msg=what)
        lower, upper = device.limits(cells)
        mirrored_lower, mirrored_upper = mirror.limits(mirrored)
        what = common.after("bounds of the mirror image")
        torch.testing.assert_close(mirrored_lower, -upper, msg=what)
        torch.testing.assert_close(mirrored_upper, -lower, msg=what)
        twice = mirror.mirrored().describe()
        odd = [name for name, value in device.describe().items() if not _alike(twice[name], value)]
        assert not odd, f"the mirror image of the mirror image differs in {', '.join(odd)}"

    # --- the cells ---------------------------------------------------------------------------------------------------

    def test_cells_are_fit_for_use(self) -> None:
        """Parameters are finite, bounds in order, and the step of the pulse generator is a positive number."""
        device = self.make_device()
        device.check()
        cells = device.sample(_Recorder(2000))
        for name, value in cells.items():
            assert value.shape == (1, 2000), f"{name} has shape {tuple(value.shape)} instead of (1, 2000)"
            assert torch.isfinite(value).all(), f"{name} is not finite"
        lower, upper = device.limits(cells)
        assert (lower <= upper).all()
        assert 0.0 < device.weight_granularity < float("inf"), f"weight_granularity = {device.weight_granularity}"
        assert device.num_states > 0.0

    def test_every_parameter_has_random_numbers_of_its_own(self) -> None:
        """No purpose number is used for two things, and nothing but the sampler gives random numbers."""
        recorder = _Recorder(7)
        first = self.make_device().sample(recorder)
        twice = sorted({purpose for purpose in recorder.asked if recorder.asked.count(purpose) > 1})
        assert not twice, f"purpose numbers {twice} are used for more than one parameter. Use others, from 16 on."
        common.assert_same_bits(self.make_device().sample(_Recorder(7)), first, "cells sampled twice")

    # --- a tile of such cells ----------------------------------------------------------------------------------------

    def test_every_implementation_does_what_the_reference_does(self) -> None:
        """The same pulses, and weights to rounding, at odd sizes."""
        common.assert_implementations_agree(SingleRPUConfig(device=self._aged()))

    def test_no_weight_leaves_its_bounds(self) -> None:
        """Whatever happens to it."""
        config = SingleRPUConfig(device=self._aged(10.0))
        for implementation in common.implementations():
            tile = common.make_tile(config, self.size, implementation, rate=1.0)
            x, d = common.a_batch(4, self.size, place=implementation.place)
            operations: dict[str, Any] = {
                "set_weights(high)": lambda tile=tile: tile.set_weights(torch.full(self.size, 100.0)),
                "update": lambda tile=tile, x=x, d=d: tile.update(x, d),
                "set_weights(low)": lambda tile=tile: tile.set_weights(torch.full(self.size, -100.0)),
                "opposite update": lambda tile=tile, x=x, d=d: tile.update(x, -d),
                "decay_weights": tile.decay_weights,
                "diffuse_weights": tile.diffuse_weights,
                "reset": tile.reset,
                "clip_weights": tile.clip_weights,
                "drift_weights": lambda tile=tile: tile.drift_weights(10.0),
                "drift_weights again": lambda tile=tile: tile.drift_weights(10.0),
            }
            for name, operation in operations.items():
                operation()
                common.assert_within_bounds(tile, f"{name}, {implementation}")

    def test_it_trains_under_every_learning_rule(self) -> None:
        """Alone, and as the fast and the slow array of every compound."""
        for name in ("sgd", *common.COMPOUNDS):
            fields = {} if name == "sgd" else {"gamma": 0.1}
            tile = common.make_tile(common.by_rule(name, self.make_device(), **fields), self.size)
            before = tile.get_weights()
            for step in range(4):
                tile.update(*common.a_batch(4, self.size, seed=step))
                common.assert_within_bounds(tile, name)
            assert torch.isfinite(tile.get_weights()).all(), name
            assert not torch.equal(tile.get_weights(), before), f"{name}: nothing has moved"

    def test_continuing_equals_never_having_stopped(self) -> None:
        """Bit for bit, however it was saved."""
        common.assert_goes_on(SingleRPUConfig(device=self._aged()), self.size)

    def test_the_seed_decides(self) -> None:
        """One seed gives one result, and another seed another."""
        common.assert_seeds_decide(SingleRPUConfig(device=self._aged()), self.size)

    def test_a_batch_may_be_cut_anywhere(self) -> None:
        """Without changing a bit."""
        common.assert_cuts_change_nothing(SingleRPUConfig(device=self.make_device()), self.size)

    # --- inside ------------------------------------------------------------------------------------------------------

    def _aged(self, strength: float = 1.0) -> PulsedDevice:
        """The device with everything that time and resets can do to a cell."""
        drift = DriftParameter(nu=0.1 * strength, nu_dtod=0.2, nu_std=0.1, w_noise_std=0.01 * strength)
        aged: PulsedDevice = self.make_device().replaced(
            lifetime=20.0 / strength, lifetime_dtod=0.2, diffusion=0.01 * strength, diffusion_dtod=0.2,
            reset_dtod=0.05 * strength, reset_std=0.02 * strength, drift=drift,
        )  # fmt: skip
        return aged

    @staticmethod
    def _cells_and_weights(device: PulsedDevice, count: int = 300) -> tuple[dict[str, Tensor], Tensor]:
        """Cells, and weights from bound to bound, both ends included: float64 ``[count]``."""
        cells = {name: value.flatten().double() for name, value in device.sample(_Recorder(count)).items()}
        lower, upper = device.limits(cells)
        return cells, lower + (upper - lower) * (torch.arange(count) % 10) / 9.0

    @staticmethod
    def _law(device: PulsedDevice, cells: Cells, w: Tensor, up: Any, noise: Any = 0.0) -> Tensor:
        """The weights after one pulse by the law as it stands; ``up`` may be one for all."""
        law = bind_law(device, tuple(cells))
        constants = [
            torch.tensor(value, dtype=w.dtype) if isinstance(value, tuple) else value for value in law.constants
        ]
        arguments = law.arguments([cells[name] for name in law.cell], constants)
        after = law.function(w, torch.as_tensor(up), torch.as_tensor(noise, dtype=w.dtype), *arguments)
        assert isinstance(after, Tensor)
        return after

    @staticmethod
    def _parameters(tile: AnalogTile) -> dict[str, Tensor]:
        (array,) = tile.rule.cells()
        return {name: value.cpu() for name, value in array.cell_values().items()}


def _alike(first: Any, second: Any) -> bool:
    if isinstance(first, float) and isinstance(second, float):
        return abs(first - second) <= 1e-9 * max(abs(first), abs(second))
    return bool(first == second)
