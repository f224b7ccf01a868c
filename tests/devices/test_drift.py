"""What time does to weights that are not touched: drift by a power law, worked by hand."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch
from scipy import stats

from builders import steady
from ohmgrad.configs import (
    ConstantStepDevice,
    DriftParameter,
    FloatingPointDevice,
    FloatingPointRPUConfig,
    IdealDevice,
    SimpleDriftParameter,
    SingleRPUConfig,
    SoftBoundsDevice,
    SoftBoundsReferenceDevice,
    TransferCompound,
    UnitCellRPUConfig,
)
from ohmgrad.errors import ConfigError, TileError
from ohmgrad.tile import AnalogTile


def tile_of(device: Any, weight: float = 0.4, size: tuple[int, int] = (2, 3)) -> AnalogTile:
    torch.manual_seed(3)
    is_digital = isinstance(device, FloatingPointDevice)
    tile = AnalogTile(*size, FloatingPointRPUConfig(device=device) if is_digital else SingleRPUConfig(device=device))
    tile.set_weights(torch.full(size, weight))
    return tile


def drifting(kind: Any = SoftBoundsDevice, **drift: Any) -> Any:
    if issubclass(kind, (IdealDevice, FloatingPointDevice)):
        return kind(drift=SimpleDriftParameter(**drift))
    return steady(kind, drift=DriftParameter(**drift))


def weights_are(tile: AnalogTile, value: float) -> None:
    torch.testing.assert_close(tile.get_weights(), torch.full((tile.out_size, tile.in_size), value))


KINDS = pytest.mark.parametrize("kind", [ConstantStepDevice, SoftBoundsDevice, IdealDevice, FloatingPointDevice])


@KINDS
def test_weights_fade_by_a_power_of_time(kind: Any) -> None:
    tile = tile_of(drifting(kind, nu=0.5))
    tile.drift_weights(0.0)
    weights_are(tile, 0.4)
    tile.drift_weights(4.0)
    weights_are(tile, 0.2)  # 4 ** -0.5
    tile.drift_weights(12.0)
    weights_are(tile, 0.1)  # 16 ** -0.5: the law counts from the start, not from the last call


@KINDS
def test_the_first_drift_counts_from_when_the_tile_was_made_and_later_ones_from_the_call_after_a_change(
    kind: Any,
) -> None:
    tile = tile_of(drifting(kind, nu=0.5))
    tile.drift_weights(4.0)
    weights_are(tile, 0.2)
    tile.set_weights(torch.full((2, 3), 0.3))
    tile.drift_weights(4.0)
    weights_are(tile, 0.3)
    tile.drift_weights(9.0)
    weights_are(tile, 0.1)


@KINDS
def test_nothing_fades_in_the_first_unit_of_time(kind: Any) -> None:
    tile = tile_of(drifting(kind, nu=0.5))
    for _ in range(3):
        tile.drift_weights(0.3)
    weights_are(tile, 0.4)


@KINDS
def test_t_0_is_the_unit_of_time(kind: Any) -> None:
    tile = tile_of(drifting(kind, nu=0.5, t_0=10.0))
    tile.drift_weights(40.0)
    weights_are(tile, 0.2)


@KINDS
def test_without_an_exponent_nothing_drifts(kind: Any) -> None:
    tile = tile_of(drifting(kind))
    tile.drift_weights(100.0)
    tile.drift_weights(100.0)
    weights_are(tile, 0.4)


def test_a_pulse_restarts_the_clock_of_its_cell_only() -> None:
    tile = tile_of(steady(ConstantStepDevice, dw_min=0.1, drift=DriftParameter(nu=0.5)))
    tile.drift_weights(0.0)
    tile.drift_weights(4.0)
    tile.set_learning_rate(0.1)
    tile.update(torch.tensor([1.0, 0.0, 0.0]), torch.tensor([-1.0, 0.0]))  # one pulse on one cell: 0.2 to 0.3
    tile.drift_weights(5.0)  # the cell starts anew here
    expected = torch.full((2, 3), 0.4 * 9.0**-0.5)
    expected[0, 0] = 0.3
    torch.testing.assert_close(tile.get_weights(), expected)
    tile.drift_weights(9.0)
    expected = torch.full((2, 3), 0.4 * 18.0**-0.5)
    expected[0, 0] = 0.1
    torch.testing.assert_close(tile.get_weights(), expected)


@pytest.mark.parametrize(("tolerance", "expected"), [(0.05, 0.4 * 8.0**-0.5), (1e-7, 0.21)])
def test_changes_within_the_tolerance_do_not_restart_the_clock(tolerance: float, expected: float) -> None:
    tile = tile_of(steady(ConstantStepDevice, dw_min=0.01, drift=DriftParameter(nu=0.5, reset_tol=tolerance)))
    tile.drift_weights(0.0)
    tile.drift_weights(4.0)
    tile.set_learning_rate(0.01)
    tile.update(torch.ones(3), -torch.ones(2))
    tile.drift_weights(4.0)
    weights_are(tile, expected)


def test_exponents_vary_from_cell_to_cell() -> None:
    tile = tile_of(steady(SoftBoundsDevice, drift=DriftParameter(nu=0.2, nu_dtod=0.3)), size=(60, 50))
    nu = tile.get_hidden_parameters()["drift_nu"]
    assert stats.kstest(nu.flatten().numpy(), "norm", (0.2, 0.06)).pvalue > 0.001
    tile.drift_weights(0.0)
    tile.drift_weights(9.0)
    torch.testing.assert_close(tile.get_weights(), (0.4 * 9.0**-nu).clamp(max=0.6))


def test_exponents_are_noisy_from_call_to_call() -> None:
    tile = tile_of(drifting(nu=0.2, nu_std=0.3), size=(60, 50))
    tile.drift_weights(0.0)
    seen = []
    for passed in (9.0, 18.0):
        tile.drift_weights(9.0)
        exponents = -(tile.get_weights() / 0.4).log() / math.log(passed)
        assert stats.kstest(exponents.flatten().numpy(), "norm", (0.2, 0.06)).pvalue > 0.001
        seen.append(exponents.flatten())
    assert abs(float(torch.corrcoef(torch.stack(seen))[0, 1])) < 5 / 3000**0.5


def test_weights_are_noisy_after_a_drift() -> None:
    tile = tile_of(drifting(nu=0.5, w_noise_std=0.02), size=(60, 50))
    tile.drift_weights(0.0)
    tile.drift_weights(4.0)
    # The first call left noise behind too, but a cell that was not touched drifts from what it was.
    assert stats.kstest(tile.get_weights().flatten().numpy(), "norm", (0.2, 0.02)).pvalue > 0.001


def test_a_conductance_fades_about_its_offset() -> None:
    tile = tile_of(drifting(nu=0.5, g_offset=0.5, wg_ratio=0.4))
    tile.drift_weights(0.0)
    tile.drift_weights(4.0)
    weights_are(tile, 0.2 - 0.2 * 0.5)  # a = 0.5 * 0.4, q = 1/2


def test_exponents_depend_on_the_conductance() -> None:
    tile = tile_of(drifting(nu=0.5, nu_k=0.1, log_g0=1.0))
    tile.drift_weights(0.0)
    tile.drift_weights(4.0)
    weights_are(tile, 0.4 * 4.0 ** -(0.5 - 0.1 * (math.log(0.4) - 1.0)))


def test_a_weight_without_conductance_stays_a_number() -> None:
    tile = tile_of(drifting(nu=0.5, nu_k=0.1), weight=-0.4)
    tile.drift_weights(0.0)
    tile.drift_weights(4.0)
    weights_are(tile, -0.2)


def test_drift_ends_at_the_bounds_as_seen_from_the_reference() -> None:
    device = steady(SoftBoundsReferenceDevice, w_max=1.0, w_min=-1.0, reference_mean=0.3, drift=DriftParameter(nu=0.5))
    tile = tile_of(device.replaced(drift=DriftParameter(nu=0.5, g_offset=50.0)), weight=0.4)
    tile.drift_weights(0.0)
    tile.drift_weights(4.0)
    weights_are(tile, -1.3)


def test_every_array_of_a_compound_drifts() -> None:
    cell = drifting(nu=0.5)
    config = UnitCellRPUConfig(device=TransferCompound(unit_cell_devices=[cell, cell], gamma=0.5))
    tile = AnalogTile(2, 3, config)
    hidden = tile.get_hidden_parameters()
    hidden["hidden_weights_0"].fill_(0.4)
    hidden["hidden_weights_1"].fill_(-0.2)
    tile.set_hidden_parameters(hidden)
    tile.drift_weights(0.0)
    tile.drift_weights(4.0)
    weights_are(tile, 0.5 * 0.2 - 0.1)


@pytest.mark.parametrize(
    "device", [drifting(nu=0.3, nu_std=0.2, w_noise_std=0.01), drifting(FloatingPointDevice, nu=0.3)]
)
def test_a_drift_that_was_saved_goes_on_where_it_was(device: Any) -> None:
    tile = tile_of(device)
    tile.drift_weights(0.0)
    tile.drift_weights(3.0)
    other = tile_of(device, weight=0.1)
    other.load_state_dict(copy.deepcopy(tile.state_dict()))
    for each in (tile, other):
        each.drift_weights(5.0)
    assert torch.equal(other.get_weights(), tile.get_weights())
    assert not torch.equal(other.get_weights(), torch.full((2, 3), 0.4))


@pytest.mark.parametrize("time", [-1.0, math.nan, math.inf])
def test_time_is_a_finite_number_that_is_not_negative(time: float) -> None:
    with pytest.raises(TileError, match="drift over the time"):
        tile_of(drifting(nu=0.1)).drift_weights(time)


@pytest.mark.parametrize(("field", "value"), [("t_0", 0.0), ("reset_tol", -1.0), ("w_noise_std", -0.1)])
def test_parameters_of_a_drift_have_limits(field: str, value: float) -> None:
    with pytest.raises(ConfigError, match=rf"DriftParameter\.{field}\b"):
        DriftParameter(**{field: value})
