"""Exponential function, logarithm and power from plain arithmetic, against double precision and torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from ohmgrad import words
from ohmgrad.configs import PulsedDevice, SingleRPUConfig, UpdateParameters
from ohmgrad.engine import elementary
from ohmgrad.engine.compiler import compile_function
from ohmgrad.tile import AnalogTile
from ohmgrad.words import clip, exp, floor, log, power, where

Array = NDArray[Any]
SPECIAL = [0.0, -0.0, 1e-45, 1e-40, 1e-38, 0.3, 0.5, 1.0, 1.5, 2.0, 3.0, 7.0, 1e30, 2.0**24, 2.0**24 + 2, 33554431.0]
SPECIAL += [3.4e38, np.inf, np.nan]
SPECIAL += [-value for value in SPECIAL]


def made(function: Any) -> Callable[..., Array]:
    """The compiled word, called in a loop over arrays."""
    word = compile_function(function, whole_numbers=True)

    @numba.njit(error_model="numpy")
    def loop(a, b, values):
        for i in range(len(a)):
            values[i] = word(a[i], b[i])

    def over(a: Array, b: Array | None = None) -> Array:
        values = np.full(len(a), np.nan, dtype=np.float32)
        loop(a, a if b is None else b, values)
        return values

    return over


EXP, LOG, POWER = made(lambda a, b: exp(a)), made(lambda a, b: log(a)), made(lambda a, b: power(a, b))


def units(values: Array, exact: Array) -> float:
    """The largest error, in units of the last place of the exact value."""
    return float((np.abs(values - exact) / np.spacing(np.abs(exact).astype(np.float32))).max())


def pairs() -> tuple[Array, Array]:
    """Every pair of special numbers."""
    grid = np.meshgrid(np.array(SPECIAL, np.float32), np.array(SPECIAL, np.float32), indexing="ij")
    return grid[0].ravel(), grid[1].ravel()


@pytest.mark.parametrize(("low", "high"), [(-87.0, 88.0), (-1.0, 1.0), (-1e-3, 1e-3)])
def test_the_exponential_function_is_exact_to_two_units(low: float, high: float) -> None:
    a = np.linspace(low, high, 400_001, dtype=np.float32)
    assert units(EXP(a), np.exp(a.astype(np.float64))) < 2.0


def test_the_logarithm_is_exact_to_two_units_for_all_normal_numbers() -> None:
    a = np.arange(0x00800000, 0x7F800000, 4099, dtype=np.int32).view(np.float32)
    assert units(LOG(a), np.log(a.astype(np.float64))) < 2.0


@pytest.mark.parametrize("width", [0.5, 0.01, 1e-5])
def test_the_logarithm_is_exact_to_two_units_around_one(width: float) -> None:
    a = np.linspace(1 - width, 1 + width, 200_001, dtype=np.float32)
    assert units(LOG(a), np.log(a.astype(np.float64))) < 2.0


@pytest.mark.parametrize(("spread", "limit", "error"), [(87.0, 69.0, 2e-6), (1.0, 69.0, 2e-6), (0.7, 2.0, 2e-7)])
def test_a_power_is_exact_to_two_millionths(spread: float, limit: float, error: float) -> None:
    generator = np.random.default_rng(5)
    a = np.exp(generator.uniform(-spread, spread, 400_000)).astype(np.float32)
    a = a[a != 1.0]
    b = (generator.uniform(-limit, limit, len(a)) / np.log(a.astype(np.float64))).astype(np.float32)
    exact = np.power(a.astype(np.float64), b.astype(np.float64))
    assert (exact.min() >= 1e-30) & (exact.max() <= 1e30)
    assert np.abs(POWER(a, b) / exact - 1.0).max() < error


def test_squares_of_numbers_of_either_sign_are_close() -> None:
    a = np.linspace(-3.0, 3.0, 60_000, dtype=np.float32)
    np.testing.assert_allclose(POWER(a, np.full_like(a, 2.0)), a * a, rtol=3e-7)
    np.testing.assert_allclose(POWER(a, np.full_like(a, 3.0)), a * a * a, rtol=3e-7)


@pytest.mark.parametrize(("compiled", "word"), [(EXP, words.exp), (LOG, words.log)], ids=["exp", "log"])
def test_special_numbers_give_what_torch_gives(compiled: Callable[..., Array], word: Any) -> None:
    a = np.array([*SPECIAL, 88.7, 88.8, -87.4, -100.0, -103.0, -104.0, -200.0], dtype=np.float32)
    np.testing.assert_allclose(compiled(a), word(torch.from_numpy(a)).numpy(), rtol=3e-7, atol=3e-45)


def test_powers_of_special_numbers_are_those_of_torch() -> None:
    a, b = pairs()
    values, expected = POWER(a, b), words.power(torch.from_numpy(a), torch.from_numpy(b)).numpy()
    np.testing.assert_allclose(values, expected, rtol=2e-6, atol=3e-45)
    numbers = ~np.isnan(expected)
    assert np.array_equal(np.signbit(values[numbers]), np.signbit(expected[numbers]))


def test_powers_that_are_known() -> None:
    cases = [(0, 2, 0), (0, -1, np.inf), (0, 0, 1), (np.nan, 0, 1), (1, 5, 1), (1, np.nan, 1), (-2, 3, -8), (-2, 2, 4)]
    a, b, expected = (np.array(column, dtype=np.float32) for column in zip(*cases, strict=True))
    np.testing.assert_allclose(POWER(a, b), expected, rtol=2e-7)
    assert np.isnan(POWER(np.array([-0.1], np.float32), np.array([0.5], np.float32)))


def test_compiled_code_and_torch_give_the_same_bits() -> None:
    a, b = pairs()
    tensors = torch.from_numpy(a), torch.from_numpy(b)
    assert np.array_equal(POWER(a, b), elementary.power(*tensors).numpy(), equal_nan=True)
    assert np.array_equal(EXP(a), elementary.exp(tensors[0]).numpy(), equal_nan=True)
    assert np.array_equal(LOG(a), elementary.log(tensors[0]).numpy(), equal_nan=True)


def checksum(values: Array) -> int:
    """What changes with any bit of the values that are numbers."""
    places = np.arange(1, len(values) + 1, dtype=np.int64)
    return int((np.where(np.isnan(values), 0, values.view(np.int32)).astype(np.int64) * places).sum() % 1_000_003)


def test_the_bits_stay_what_they_are() -> None:
    """Saved runs go on as they were: whoever makes these functions cheaper keeps every bit of what they give."""
    bits = (np.arange(1_000_000, dtype=np.uint64) * 2654435761 % 2**32).astype(np.uint32)
    a, b = bits.view(np.float32), np.roll(bits, 1).view(np.float32)
    room = bits.astype(np.float32) / np.float32(2**32)
    results = [EXP(a), EXP(room * 200 - 110), LOG(a), POWER(a, b), POWER(room, np.roll(room, 1) * 40 - 10)]
    results += [POWER(a, np.round(room * 20 - 10)), POWER(*pairs())]
    assert [checksum(values) for values in results] == [721094, 196016, 95128, 40774, 439576, 367372, 164121]


# In laws


class Bent(PulsedDevice):
    """Steps that fall off with a power of the room, an exponential function and a logarithm of the weight."""

    sharpness: float = 1.5

    @staticmethod
    def law(w, up, noise, dwmin_up, dwmin_down, min_bound, max_bound, dw_min_std, sharpness):
        room = where(up, max_bound - w, w - min_bound) / (max_bound - min_bound)
        fall = exp(-0.5 * where(up, w, -w)) * log(2.0 + w)
        step = where(up, dwmin_up, -dwmin_down) * power(room, sharpness) * fall
        return clip(w + step * (1 + dw_min_std * noise), min_bound, max_bound)


def test_a_law_of_elementary_functions_gives_what_the_reference_gives() -> None:
    weights = []
    for implementation in ("reference", "cpu"):
        torch.manual_seed(3)
        update = UpdateParameters(update_management=False, update_bl_management=False)
        config = SingleRPUConfig(device=Bent(dw_min=0.01), update=update)
        config.runtime.implementation = implementation
        tile = AnalogTile(5, 67, config)
        tile.set_learning_rate(0.02)
        before = tile.get_weights()
        tile.update(torch.randn(40, 67), torch.randn(40, 5))
        weights.append(tile.get_weights())
        assert (weights[-1] - before).abs().mean() > 0.02
    torch.testing.assert_close(*weights, rtol=0.0, atol=3e-6)


@pytest.mark.parametrize(
    "word",
    [lambda a: exp(a), lambda a: log(a), lambda a: power(a, 1.5), lambda a: floor(a)],
    ids=["exp", "log", "power", "floor"],
)
def test_a_loop_over_cells_calls_no_library(word: Any) -> None:
    compiled = compile_function(word, whole_numbers=True)

    @numba.njit(error_model="numpy", nogil=True)
    def loop(a):
        for i in range(128):
            a[i] = compiled(a[i])

    loop(np.ones(128, np.float32))
    code = loop.inspect_llvm(loop.signatures[0])
    assert "x float>" in code
    library = ("expf", "logf", "powf", "floorf", "llvm.exp.", "llvm.log.", "llvm.pow.")
    assert not any(f"@{name}" in code for name in library)
