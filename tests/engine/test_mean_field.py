"""Mean field: the analog update of the papers, which pulses come to as they become finer."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from builders import RULES, perfect, rule, steady
from ohmgrad.configs import (
    ConstantStepDevice,
    ExponentialResponseDevice,
    ExpStepDevice,
    FadingResponseDevice,
    LinearResponseDevice,
    LinearStepDevice,
    OneSidedUnitCell,
    PiecewiseStepDevice,
    PowerResponseDevice,
    PowStepDevice,
    PowStepReferenceDevice,
    PulsedDevice,
    PulseType,
    ReferenceUnitCell,
    SingleRPUConfig,
    SoftBoundsDevice,
    SoftBoundsPmaxDevice,
    SoftBoundsReferenceDevice,
    UnitCellRPUConfig,
    UpdateParameters,
    VectorUnitCell,
)
from ohmgrad.tile import AnalogTile

MEAN_FIELD = UpdateParameters(pulse_type=PulseType.MEAN_FIELD)
KINDS: list[type[PulsedDevice]] = [
    ConstantStepDevice, LinearStepDevice, SoftBoundsDevice, SoftBoundsReferenceDevice, ExpStepDevice, PowStepDevice,
    PowStepReferenceDevice, PiecewiseStepDevice, LinearResponseDevice, PowerResponseDevice, ExponentialResponseDevice,
    FadingResponseDevice,
]  # fmt: skip
STEEP: dict[type[PulsedDevice], dict[str, Any]] = {
    ExpStepDevice: {"w_max": 0.3, "w_min": -0.6},
    LinearStepDevice: {"gamma_up": 0.5, "gamma_down": 0.3},
    PiecewiseStepDevice: {"piecewise_up": [1.5, 1.0, 0.2], "piecewise_down": [0.4, 0.8, 1.2]},
    LinearResponseDevice: {"offset": 0.2},
    PowerResponseDevice: {"gamma_res": 2.0},
    ExponentialResponseDevice: {"gamma_res": 2.0},
}
"""What makes the laws curved."""


def tile_of(device: Any, update: UpdateParameters, size: tuple[int, int] = (4, 5), place: str = "auto") -> AnalogTile:
    torch.manual_seed(3)
    single = isinstance(device, PulsedDevice)
    config: Any = SingleRPUConfig(device=device) if single else UnitCellRPUConfig(device=device)
    config.update, config.runtime.implementation = update, place
    return AnalogTile(*size, config)


def changed(tile: AnalogTile, x: Tensor, d: Tensor, rate: float) -> Tensor:
    """The weights after an update of some vectors."""
    tile.set_learning_rate(rate)
    tile.update(x, d)
    return tile.get_weights()


@pytest.mark.parametrize("kind", [*KINDS, SoftBoundsPmaxDevice])
@pytest.mark.parametrize("raises", [True, False])
def test_a_wish_of_one_granularity_moves_every_cell_by_its_own_step(kind: type[PulsedDevice], raises: bool) -> None:
    device = kind(dw_min_std=0.0, **({} if kind is SoftBoundsPmaxDevice else STEEP.get(kind, {})))
    one = UpdateParameters(desired_bl=1, update_bl_management=False, update_management=False)
    x, d = torch.ones(7, 5), torch.full((7, 4), -1.0 if raises else 1.0)
    pulsed, meant = (changed(tile_of(device, up), x, d, device.weight_granularity) for up in (one, MEAN_FIELD))
    assert not torch.equal(meant, torch.zeros_like(meant))
    torch.testing.assert_close(meant, pulsed, rtol=0.0, atol=1e-5 * device.weight_granularity + 1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_pulses_come_to_it_as_they_become_finer(kind: type[PulsedDevice]) -> None:
    by_chance = UpdateParameters(desired_bl=1, update_bl_management=False, update_management=False)
    errors = []
    for parts in (1, 4, 16):
        device = steady(kind, dw_min=0.08 / parts, dw_min_std=0.3, **STEEP.get(kind, {}))
        up = torch.full((12 * parts, 1000), -1.0)
        d = torch.cat([up, -up[: 6 * parts]])
        x = torch.full((len(d), 1), 2.0)  # its line always fires, and every cell gets one pulse of two
        weights = [
            changed(tile_of(device, update, (1000, 1)), x, d, device.weight_granularity / 4.0)
            for update in (by_chance, MEAN_FIELD)
        ]
        errors.append(float((weights[0] - weights[1]).mean().abs()))
        chance = 4.0 * float(weights[0].std()) / 1000**0.5
    assert errors[-1] < 0.001 + chance
    assert errors[-1] < errors[0] + chance


def test_it_is_the_analog_update_of_the_papers() -> None:
    device = steady(LinearResponseDevice, dw_min=1e-7, offset=0.3, tau=2.0)
    tile, w = tile_of(device, MEAN_FIELD, (1, 2)), torch.tensor([[0.5, -1.2]])
    tile.set_weights(w)
    wished = torch.tensor([[0.02, -0.03]])
    after = changed(tile, wished, torch.tensor([[-1.0]]), 1.0)
    f = 1.0 - 0.3 * w / 2.0  # the mean of (1 + c)(1 - w / tau) and (1 - c)(1 + w / tau)
    g = w / 2.0 - 0.3
    torch.testing.assert_close(after, w + wished * f - wished.abs() * g, rtol=1e-6, atol=1e-7)


def test_it_stops_at_the_bounds_and_has_no_noise() -> None:
    device = steady(ConstantStepDevice, dw_min=0.001, dw_min_std=5.0, w_max=0.2)
    tile = tile_of(device, MEAN_FIELD)
    assert torch.equal(changed(tile, torch.ones(1, 5), -torch.ones(1, 4), 0.15), torch.full((4, 5), 0.15))
    assert torch.equal(changed(tile, torch.ones(1, 5), -torch.ones(1, 4), 0.15), torch.full((4, 5), 0.2))
    assert int(tile.pulse_counts()[0].total.sum()) == 0


@pytest.mark.parametrize(("noise", "tau"), [(0.2, 1.0), (0.5, 1.0), (0.5, 4.0)])
def test_noise_of_the_gradient_pulls_weights_to_their_symmetric_points(noise: float, tau: float) -> None:
    """Where w is 1/2 (w - b)^2 and a gradient is noisy, w comes to b / (1 + E|noise| / tau)."""
    device, target = steady(SoftBoundsDevice, dw_min=1e-3, w_max=tau, w_min=-tau), 0.1
    tile = tile_of(device, MEAN_FIELD, (2000, 1))
    tile.set_weights(torch.full((2000, 1), target))
    tile.set_learning_rate(0.02)
    coins = torch.Generator().manual_seed(1)
    total = torch.zeros(())
    for step in range(400):
        signs = torch.randint(0, 2, (1, 2000), generator=coins) * 2.0 - 1.0
        tile.update(torch.ones(1, 1), tile.get_weights().t() - target + noise * signs)
        total += tile.get_weights().mean() if step >= 250 else 0.0
    assert float(total) / 150 == pytest.approx(target / (1.0 + noise / tau), rel=0.02)


@pytest.mark.parametrize("name", RULES)
def test_gradients_and_transfers_of_every_rule_go_through_it(name: str) -> None:
    weights = []
    for implementation in ("reference", "cpu", "gpu"):
        config = perfect(rule(name, SoftBoundsDevice(dw_min=0.02), implementation))
        config.update = MEAN_FIELD
        if hasattr(config.device, "transfer_update"):
            config.device.transfer_update.pulse_type = PulseType.MEAN_FIELD
        torch.manual_seed(2)
        tile = AnalogTile(3, 4, config)
        before = [array.visible().clone() for array in tile.rule.all_arrays()]
        for _ in range(3):
            tile.update(torch.randn(6, 4), torch.randn(6, 3))
        now = [array.visible() for array in tile.rule.all_arrays()]
        assert not all(map(torch.equal, now, before))
        assert sum(int(counts.total.sum()) for counts in tile.pulse_counts()) == 0
        weights.append(tile.get_weights())
    torch.testing.assert_close(weights[1], weights[0], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(weights[2], weights[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("cell", [VectorUnitCell, ReferenceUnitCell, OneSidedUnitCell])
def test_cells_of_several_devices_follow_it_too(cell: Any) -> None:
    device = steady(SoftBoundsDevice, dw_min=0.01, w_max=1.0, w_min=-1.0)
    tile = tile_of(cell([device]), MEAN_FIELD, (2, 2))
    after = changed(tile, torch.tensor([[1.0, -1.0]]), torch.tensor([[-1.0, -0.5]]), 0.1)
    torch.testing.assert_close(after, torch.tensor([[0.1, -0.1], [0.05, -0.05]]), rtol=1e-5, atol=1e-7)


def test_write_noise_lies_on_the_hidden_weight() -> None:
    device = steady(SoftBoundsDevice, dw_min=0.01, write_noise_std=1.0, w_max=1.0, w_min=-1.0)
    tile = tile_of(device, MEAN_FIELD)
    seen = changed(tile, torch.ones(1, 5), -torch.ones(1, 4), 0.1)
    hidden = tile.get_hidden_parameters()["persistent_weights"]
    torch.testing.assert_close(hidden, torch.full((4, 5), 0.1))
    assert not torch.equal(seen, hidden)
