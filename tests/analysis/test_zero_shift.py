"""Zero-shifting: after pulses in turns, weights read 0 at the symmetric points."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from builders import rule, steady
from ohmgrad.analysis import symmetric_points, zero_shift
from ohmgrad.configs import (
    LinearResponseDevice,
    PowStepReferenceDevice,
    ReferenceUnitCell,
    RuntimeParameter,
    SingleRPUConfig,
    SoftBoundsDevice,
    SoftBoundsReferenceDevice,
    UnitCellRPUConfig,
    VectorUnitCell,
)
from ohmgrad.errors import TileError
from ohmgrad.nn import AnalogLinear
from ohmgrad.tile import AnalogTile

VARIED: dict[str, Any] = {"w_max": 1.0, "w_min": -1.0, "w_max_dtod": 0.1, "w_min_dtod": 0.1, "dw_min_std": 0.0}
REFERENCED = {
    "reference": SoftBoundsReferenceDevice(dw_min=0.01, dw_min_dtod=0.1, up_down_dtod=0.1, **VARIED),
    "write noise": SoftBoundsReferenceDevice(dw_min=0.01, up_down=0.1, write_noise_std=0.01, **VARIED),
    "power": PowStepReferenceDevice(dw_min=0.02, up_down=0.2, **VARIED),
    "second device": ReferenceUnitCell([SoftBoundsDevice(dw_min=0.01, dw_min_dtod=0.1, up_down_dtod=0.1, **VARIED)]),
}


def config_of(device: Any, **runtime: Any) -> Any:
    kind = UnitCellRPUConfig if isinstance(device, VectorUnitCell) else SingleRPUConfig
    return kind(device=device, runtime=RuntimeParameter(**runtime))


@pytest.mark.parametrize("name", list(REFERENCED))
def test_symmetric_points_read_zero_afterwards(name: str) -> None:
    torch.manual_seed(0)
    tile = AnalogTile(3, 4, config_of(REFERENCED[name]))
    weights = torch.linspace(-0.1, 0.1, 12).reshape(3, 4)
    tile.set_weights(weights)
    before = symmetric_points(tile)
    assert before.abs().max() > 0.02
    found = zero_shift(tile, pulses=1000)
    torch.testing.assert_close(found.exact, before)
    torch.testing.assert_close(found.error, found.estimate - before)
    assert found.error.abs().max() < 2e-3
    torch.testing.assert_close(symmetric_points(tile), -found.error, atol=1e-5, rtol=0.0)
    atol = 1e-3 if name == "write noise" else 1e-6
    torch.testing.assert_close(tile.get_weights(), weights, atol=atol, rtol=0.0)  # the tile computes what it did before


@pytest.mark.parametrize("pulses", [10, 2001])
def test_every_cell_receives_half_of_the_pulses_in_each_direction(pulses: int) -> None:
    tile = AnalogTile(2, 3, config_of(REFERENCED["second device"]))
    assert zero_shift(tile, pulses).pulses == pulses
    device, reference = tile.pulse_counts()
    assert (device.up == pulses - pulses // 2).all()  # the first is up
    assert (device.down == pulses // 2).all()
    assert (reference.total == 0).all()


def test_pulses_are_those_of_the_law_with_its_noise() -> None:
    # G goes to its symmetric point and scatters there; without noise, alike cells would stay alike.
    device = steady(SoftBoundsReferenceDevice, dw_min=0.01, up_down=0.1, w_max=1.0, w_min=-1.0)
    quiet = zero_shift(AnalogTile(20, 20, config_of(device)), 500).estimate
    noisy = zero_shift(AnalogTile(20, 20, config_of(device.replaced(dw_min_std=0.3))), 500).estimate
    assert quiet.std() < 1e-6
    # A walk of steps 0.3 x 0.01 that leads back by 0.01 of the way at each: variance 0.003^2 / (2 x 0.01).
    assert noisy.std() == pytest.approx(0.003 / 0.02**0.5, rel=0.3)


def test_the_fast_array_is_calibrated_and_the_rule_starts_anew() -> None:
    torch.manual_seed(0)
    tile = AnalogTile(3, 4, rule("ttv2", REFERENCED["reference"], gamma=0.5))
    tile.set_learning_rate(0.1)
    tile.update(torch.randn(30, 4), torch.randn(30, 3))
    weights, slow = tile.get_weights(), tile.pulse_counts()[1].total
    zero_shift(tile, pulses=1000)
    torch.testing.assert_close(tile.get_weights(), weights, atol=1e-5, rtol=0.0)
    assert torch.equal(tile.pulse_counts()[1].total, slow)  # C receives none
    assert tile.rule.all_arrays()[0].visible().abs().max() < 1e-6
    assert symmetric_points(tile).abs().max() < 1e-3
    assert symmetric_points(tile, array=1).abs().max() > 0.02


def test_implementations_find_the_same() -> None:
    found = []
    for implementation in ("auto", "reference"):
        torch.manual_seed(0)
        tile = AnalogTile(2, 3, config_of(REFERENCED["second device"], implementation=implementation))
        found.append(zero_shift(tile, pulses=101).estimate)
    torch.testing.assert_close(*found, atol=1e-6, rtol=0.0)


def test_implicit_and_half_precision_cells_are_calibrated() -> None:
    device = REFERENCED["reference"]
    for runtime in ({"implicit_cells": True}, {"parameter_dtype": "bfloat16"}):
        torch.manual_seed(0)
        tile = AnalogTile(3, 4, config_of(device, **runtime))
        zero_shift(tile, pulses=1000)
        assert symmetric_points(tile).abs().max() < 5e-3


def test_pulses_for_an_accuracy_grow_as_one_over_the_step() -> None:
    # M. Xiao et al.: N proportional to 1 / dw_min; here e^(-N dw / tau) = 0.05.
    needed = []
    for step in (0.02, 0.01, 0.005):
        device = steady(LinearResponseDevice, dw_min=step, offset=0.5)
        tile, pulses = AnalogTile(1, 1, config_of(ReferenceUnitCell([device]))), 0
        hidden = tile.get_hidden_parameters()
        error = 0.5
        while error > 0.025:
            tile.set_hidden_parameters(hidden)
            pulses += 10
            error = float(zero_shift(tile, pulses).error.abs())
        needed.append(pulses)
    assert needed[0] == pytest.approx(3.0 / 0.02, rel=0.1)  # - ln 0.05 = 3.0
    assert needed[1] == pytest.approx(2 * needed[0], rel=0.1)
    assert needed[2] == pytest.approx(4 * needed[0], rel=0.1)


def test_a_picture_shows_estimates_and_what_is_read_at_the_symmetric_points(tmp_path: Path) -> None:
    from matplotlib.image import imread

    found = zero_shift(AnalogTile(10, 10, config_of(REFERENCED["reference"])), pulses=100)
    pixels = imread(found.plot(tmp_path / "found.png"))[..., :3]
    for half in np.array_split(pixels[pixels.shape[0] // 3 :], 2, axis=1):
        assert ((half.max(-1) - half.min(-1)) > 0.2).sum() > 100


@pytest.mark.parametrize(
    ("device", "why"),
    [
        (SoftBoundsDevice(), "cells of SoftBoundsDevice cannot be zero-shifted: only a ReferenceUnitCell"),
        (VectorUnitCell([SoftBoundsDevice()]), "cells of VectorUnitCell cannot be zero-shifted: only"),
        (ReferenceUnitCell([SoftBoundsDevice()], gamma_vec=[1.0, 0.0]), r"gamma_vec = \[1.0, 0.0\] no device is"),
    ],
)
def test_cells_without_a_reference_are_refused(device: Any, why: str) -> None:
    tile = AnalogTile(2, 2, config_of(device))
    with pytest.raises(TileError, match=why):
        zero_shift(tile)
    assert tile.pulse_counts()[0].total.sum() == 0


@pytest.mark.parametrize("pulses", [1, 3.5, "many", None])
def test_a_calibration_takes_a_whole_number_of_pulses_up_and_down(pulses: Any) -> None:
    tile = AnalogTile(2, 2, config_of(REFERENCED["reference"]))
    with pytest.raises(TileError, match=re.escape(f"zero_shift with {pulses!r} pulses. Give a whole number")):
        zero_shift(tile, pulses=pulses)
    assert tile.pulse_counts()[0].total.sum() == 0


def test_a_layer_is_no_tile_but_has_one() -> None:
    layer: Any = AnalogLinear(2, 2, rpu_config=config_of(REFERENCED["reference"]))
    with pytest.raises(TileError, match=r"AnalogLinear is not. Give the tile of a layer: layer\.tile"):
        zero_shift(layer)
