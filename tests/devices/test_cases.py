"""Every device of the library passes the test case that a device of one's own inherits.

The steps are written from the formulas of the papers, so that a device and its test share nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import pytest
import torch
from torch import Tensor

from ohmgrad import configs
from ohmgrad.configs import (
    ConstantStepDevice,
    ExponentialResponseDevice,
    ExpStepDevice,
    FadingResponseDevice,
    LinearResponseDevice,
    LinearStepDevice,
    PiecewiseStepDevice,
    PowerResponseDevice,
    PowStepDevice,
    PowStepReferenceDevice,
    PulsedDevice,
    SoftBoundsDevice,
    SoftBoundsPmaxDevice,
    SoftBoundsReferenceDevice,
)
from ohmgrad.testing import DeviceTestCase
from ohmgrad.words import clip, where

Cells = Mapping[str, Tensor]


def soft(w: Tensor, up: bool, cell: Cells) -> Tensor:
    """Soft bounds."""
    if up:
        return cell["dwmin_up"] * (1 - w / cell["max_bound"])
    return -cell["dwmin_down"] * (1 - w / cell["min_bound"])


class TestConstantStep(DeviceTestCase):
    def make_device(self) -> PulsedDevice:
        return ConstantStepDevice(dw_min=0.02, up_down=0.1)

    def expected_step(self, w: Tensor, up: bool, cell: Cells) -> Tensor:
        return cell["dwmin_up"] if up else -cell["dwmin_down"]


class TestLinearStep(DeviceTestCase):
    def make_device(self) -> PulsedDevice:
        return LinearStepDevice(dw_min=0.02, gamma_up=0.4, gamma_down=0.7, w_max_dtod=0.0, w_min_dtod=0.0)

    def expected_step(self, w: Tensor, up: bool, cell: Cells) -> Tensor:
        if up:
            gamma = -cell["slope_up"] * 0.6 / cell["dwmin_up"]
            return cell["dwmin_up"] * (1 - gamma * w / 0.6)
        gamma = cell["slope_down"] * 0.6 / cell["dwmin_down"]
        return -cell["dwmin_down"] * (1 + gamma * w / 0.6)


class TestLinearStepWithAdditiveNoise(TestLinearStep):
    def make_device(self) -> PulsedDevice:
        return super().make_device().replaced(mult_noise=False, allow_increasing=True)


class TestSoftBounds(DeviceTestCase):
    def make_device(self) -> PulsedDevice:
        return SoftBoundsDevice(dw_min=0.02, up_down=-0.2, write_noise_std=0.5)

    def expected_step(self, w: Tensor, up: bool, cell: Cells) -> Tensor:
        return soft(w, up, cell)


class TestReversedSoftBounds(DeviceTestCase):
    def make_device(self) -> PulsedDevice:
        return SoftBoundsDevice(dw_min=0.02, reverse_up=True, reverse_down=True, reverse_offset=0.03)

    def expected_step(self, w: Tensor, up: bool, cell: Cells) -> Tensor:
        if up:
            return cell["dwmin_up"] * (1 - w / (cell["min_bound"] - 0.03))
        return -cell["dwmin_down"] * (1 - w / (cell["max_bound"] + 0.03))


class TestSoftBoundsPmax(DeviceTestCase):
    def make_device(self) -> PulsedDevice:
        return SoftBoundsPmaxDevice(p_max=80, alpha=0.01, range_min=-0.8, range_max=1.0)

    def expected_step(self, w: Tensor, up: bool, cell: Cells) -> Tensor:
        return soft(w, up, cell)


class TestSoftBoundsReference(DeviceTestCase):
    def make_device(self) -> PulsedDevice:
        return SoftBoundsReferenceDevice(
            dw_min=0.02, w_max=1.0, w_min=-0.8, up_down=0.2, slope_up_dtod=0.1, slope_down_dtod=0.1,
            reference_mean=0.1, reference_std=0.05, subtract_symmetry_point=True, write_noise_std=0.5,
        )  # fmt: skip

    def expected_step(self, w: Tensor, up: bool, cell: Cells) -> Tensor:
        return soft(w + cell["reference"], up, cell)


class TestSoftBoundsReferenceWithNoiseOfTheWholeStep(TestSoftBoundsReference):
    def make_device(self) -> PulsedDevice:
        return super().make_device().replaced(mult_noise=True, subtract_symmetry_point=False)


class TestExpStep(DeviceTestCase):
    """The ReRAM that the defaults fit."""

    A_up, A_down, gamma_up, gamma_down, a, b = 0.00081, 0.36833, 12.44625, 12.78785, 0.244, 0.2425

    def make_device(self) -> PulsedDevice:
        return ExpStepDevice(dw_min=0.02, up_down=0.1)

    def expected_step(self, w: Tensor, up: bool, cell: Cells) -> Tensor:
        z = 2 * w * self.a / (cell["max_bound"] - cell["min_bound"]) + self.b
        if up:
            return cell["dwmin_up"] * (1 - self.A_up * torch.exp(self.gamma_up * z)).clamp(min=0)
        return -cell["dwmin_down"] * (1 - self.A_down * torch.exp(-self.gamma_down * z)).clamp(min=0)


class TestExpStepWithNoiseOfItsOwn(TestExpStep):
    def make_device(self) -> PulsedDevice:
        return super().make_device().replaced(dw_min_std_add=0.01, dw_min_std_slope=0.05, write_noise_std=0.5)


class TestPowStep(DeviceTestCase):
    def make_device(self) -> PulsedDevice:
        return PowStepDevice(dw_min=0.05, pow_gamma=1.7, pow_up_down=0.1, pow_up_down_dtod=0.05)

    def expected_step(self, w: Tensor, up: bool, cell: Cells) -> Tensor:
        lower, upper = cell["min_bound"], cell["max_bound"]
        if up:
            return cell["dwmin_up"] * ((upper - w) / (upper - lower)) ** cell["gamma_up"]
        return -cell["dwmin_down"] * ((w - lower) / (upper - lower)) ** cell["gamma_down"]


class TestPowStepReference(TestPowStep):
    def make_device(self) -> PulsedDevice:
        return PowStepReferenceDevice(
            dw_min=0.05, pow_gamma=1.7, pow_up_down=-0.1, reference_mean=0.05, reference_std=0.05,
            subtract_symmetry_point=True,
        )  # fmt: skip

    def expected_step(self, w: Tensor, up: bool, cell: Cells) -> Tensor:
        g = (w + cell["reference"]).clamp(cell["min_bound"], cell["max_bound"])  # no power of a rounding below 0
        return super().expected_step(g, up, cell)


class TestPiecewiseStep(DeviceTestCase):
    up_nodes, down_nodes = (1.5, 1.2, 1.0, 0.4), (0.3, 1.0, 1.1, 1.4)

    def make_device(self) -> PulsedDevice:
        return PiecewiseStepDevice(
            dw_min=0.02, piecewise_up=list(self.up_nodes), piecewise_down=list(self.down_nodes), write_noise_std=0.5
        )

    def expected_step(self, w: Tensor, up: bool, cell: Cells) -> Tensor:
        place = 3 * (w - cell["min_bound"]) / (cell["max_bound"] - cell["min_bound"])
        nodes = self.up_nodes if up else self.down_nodes
        # A hat at every node: 1 there, 0 at its neighbours.
        height = sum(node * (1 - (place - k).abs()).clamp(min=0) for k, node in enumerate(nodes))
        return cell["dwmin_up"] * height if up else -cell["dwmin_down"] * height


VARIED = {"dw_min": 0.02, "dw_min_std": 0.3, "dw_min_dtod": 0.2, "w_max_dtod": 0.1, "w_min_dtod": 0.1, "tau": 0.8}


def filled(w: Tensor, up: bool, cell: Cells) -> Tensor:
    """The share of the way to the bound, w/tau upwards and -w/tau downwards."""
    return w / cell["max_bound"] if up else w / cell["min_bound"]


class TestLinearResponse(DeviceTestCase):
    def make_device(self) -> PulsedDevice:
        return LinearResponseDevice(offset=0.3, **VARIED)

    def expected_step(self, w: Tensor, up: bool, cell: Cells) -> Tensor:
        if up:
            return cell["dwmin_up"] * (1 + 0.3) * (1 - filled(w, up, cell))
        return -cell["dwmin_down"] * (1 - 0.3) * (1 - filled(w, up, cell))


class TestPowerResponse(DeviceTestCase):
    def make_device(self) -> PulsedDevice:
        return PowerResponseDevice(gamma_res=1.6, write_noise_std=0.5, **VARIED)

    def expected_step(self, w: Tensor, up: bool, cell: Cells) -> Tensor:
        q = (1 - filled(w, up, cell)) ** 1.6
        return cell["dwmin_up"] * q if up else -cell["dwmin_down"] * q


class TestExponentialResponse(DeviceTestCase):
    def make_device(self) -> PulsedDevice:
        return ExponentialResponseDevice(gamma_res=2.0, **VARIED)

    def expected_step(self, w: Tensor, up: bool, cell: Cells) -> Tensor:
        q = (torch.exp(2 * (1 - filled(w, up, cell))) - 1) / (math.exp(2) - 1)
        return cell["dwmin_up"] * q if up else -cell["dwmin_down"] * q


class TestFadingResponse(DeviceTestCase):
    def make_device(self) -> PulsedDevice:
        return FadingResponseDevice(beta=1.5, **VARIED)

    def expected_step(self, w: Tensor, up: bool, cell: Cells) -> Tensor:
        if up:
            return cell["dwmin_up"] * torch.exp(-1.5 * w / cell["max_bound"])
        return -cell["dwmin_down"] * torch.exp(-1.5 * w / cell["min_bound"])


CASES = [case for case in list(globals().values()) if isinstance(case, type) and issubclass(case, DeviceTestCase)]


def test_every_pulsed_device_has_a_case() -> None:
    kinds = [value for value in vars(configs).values() if isinstance(value, type) and issubclass(value, PulsedDevice)]
    tested = {type(case().make_device()) for case in CASES if case is not DeviceTestCase}
    abstract = {PulsedDevice, configs.WriteNoiseDevice}
    assert tested == set(kinds) - abstract


# A case finds what is wrong: devices with one mistake each.


class Faulty(SoftBoundsDevice):
    dw_min: float = 0.02


class Branching(Faulty):
    @staticmethod
    def law(w, up, noise, dwmin_up, dwmin_down, min_bound, max_bound):  # type: ignore[no-untyped-def]
        if up:
            return w + dwmin_up * (1.0 - w / max_bound)
        return w - dwmin_down * (1.0 - w / min_bound)


class Unbounded(Faulty):
    @staticmethod
    def law(w, up, noise, dwmin_up, dwmin_down, min_bound, max_bound, dw_min_std):  # type: ignore[no-untyped-def]
        return w + where(up, dwmin_up, -dwmin_down) * (1.0 + dw_min_std * noise)


class Shared(Faulty):
    def sample(self, draw):  # type: ignore[no-untyped-def]
        return super().sample(draw) | {"mine": draw.normal(3)}


class Global(Faulty):
    def sample(self, draw):  # type: ignore[no-untyped-def]
        return super().sample(draw) | {"mine": torch.randn(draw.normal(16).shape)}


class Lopsided(Faulty):
    tilt: float = 0.2

    @staticmethod
    def law(w, up, noise, dwmin_up, dwmin_down, min_bound, max_bound, tilt):  # type: ignore[no-untyped-def]
        step = where(up, dwmin_up * (1.0 - w / max_bound), -dwmin_down * (1.0 - w / min_bound))
        return clip(w + step * (1.0 + tilt * w), min_bound, max_bound)


@pytest.mark.parametrize(
    ("device", "test"),
    [
        (Branching, "test_a_law_takes_all_cells_at_once"),
        (Unbounded, "test_a_pulse_without_noise_makes_the_step_worked_by_hand"),
        (Unbounded, "test_no_weight_leaves_its_bounds"),
        (Shared, "test_every_parameter_has_random_numbers_of_its_own"),
        (Global, "test_every_parameter_has_random_numbers_of_its_own"),
        (Lopsided, "test_the_mirrored_device_is_a_mirror_image"),
        (Lopsided, "test_a_pulse_without_noise_makes_the_step_worked_by_hand"),
    ],
)
def test_a_case_finds_what_is_wrong(device: type[PulsedDevice], test: str) -> None:
    class Case(DeviceTestCase):
        def make_device(self) -> PulsedDevice:
            return device()

        def expected_step(self, w: Tensor, up: bool, cell: Cells) -> Tensor:
            return soft(w, up, cell)

    with pytest.raises((AssertionError, RuntimeError)):
        getattr(Case(), test)()
