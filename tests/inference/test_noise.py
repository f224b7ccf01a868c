"""The laws of phase-change memory against numbers worked out by hand, and what cells make of them."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from inference.problems import exact, one_layer
from ohmgrad import ConfigError, TileError
from ohmgrad.inference import NoiseModel, PCMLikeNoiseModel, ProgrammedTile, drift, program
from ohmgrad.inference.pair import from_pair, to_pair

ONE = torch.ones(())
PCM = PCMLikeNoiseModel()


def value(given: Tensor) -> float:
    assert given.dtype is torch.float32
    return float(given)


@pytest.mark.parametrize(("share", "sigma"), [(0.0, 0.2635), (0.5, 0.952725), (1.0, 1.0554)])
def test_programming_errs_by_a_polynomial_of_the_target(share: float, sigma: float) -> None:
    assert value(PCM.program(25.0 * share * ONE, 2.0 * ONE)) == pytest.approx(25.0 * share + 2.0 * sigma, rel=1e-5)
    small = PCMLikeNoiseModel(g_max=5.0, prog_noise_scale=3.0)  # in the same proportion to the range
    assert value(small.program(5.0 * share * ONE, ONE)) == pytest.approx(5.0 * share + 0.6 * sigma, rel=1e-5)


@pytest.mark.parametrize(
    ("share", "mean", "std"), [(1.0, 0.049, 0.008), (0.1, 0.0600901, 0.0228823), (1e-3, 0.1, 0.045), (0.0, 0.1, 0.045)]
)
def test_exponents_depend_on_the_logarithm_of_the_target(share: float, mean: float, std: float) -> None:
    target = 25.0 * share * ONE
    assert value(PCM.exponent(target, 0.0 * ONE)) == pytest.approx(mean, rel=1e-5)
    assert value(PCM.exponent(target, ONE)) == pytest.approx(mean + std, rel=1e-5)
    assert value(PCM.exponent(target, -20.0 * ONE)) == 0.0
    assert value(PCMLikeNoiseModel(drift_scale=2.0).exponent(target, 0.0 * ONE)) == pytest.approx(2 * mean, rel=1e-5)


@pytest.mark.parametrize(
    ("seconds", "nu", "left"),
    [(0.0, 0.1, 1.0), (20.0, 1.0, 0.5), (180.0, 0.05, 0.8912509), (2e6, 0.1, 0.3162274)],
)
def test_conductance_falls_by_a_power_of_the_time_since_programming(seconds: float, nu: float, left: float) -> None:
    assert value(PCM.drift(8.0 * ONE, nu * ONE, seconds)) == pytest.approx(8.0 * left, rel=1e-5)


@pytest.mark.parametrize(("share", "strength"), [(1.0, 0.0088), (0.01, 0.1755833), (1e-3, 0.2), (0.0, 0.2)])
def test_read_noise_grows_with_the_root_of_the_logarithm_of_time(share: float, strength: float) -> None:
    target = 25.0 * share * ONE  # 20 s / 500 ns = 4e7
    for seconds, octaves in ((0.0, 17.50439), (180.0, math.log(200.0 / 500e-9))):
        expected = 10.0 * (1.0 + strength * math.sqrt(octaves))
        assert value(PCM.read(10.0 * ONE, target, seconds, ONE)) == pytest.approx(expected, rel=1e-5)
    assert value(PCMLikeNoiseModel(read_noise_scale=0.0).read(10.0 * ONE, target, 5.0, ONE)) == 10.0


def test_a_weight_is_the_difference_of_a_pair_of_which_one_is_empty() -> None:
    weight = torch.tensor([[0.5, -1.0, 0.0], [3.0, -2.0, 2.0]])
    pair = to_pair(weight, torch.tensor(2.0), 25.0)
    torch.testing.assert_close(pair[0], torch.tensor([[6.25, 0.0, 0.0], [25.0, 0.0, 25.0]]))
    torch.testing.assert_close(pair[1], torch.tensor([[0.0, 12.5, 0.0], [0.0, 25.0, 0.0]]))
    torch.testing.assert_close(from_pair(pair, torch.tensor(2.0), 25.0), weight.clamp(-2.0, 2.0))
    assert not to_pair(torch.zeros(2, 3), torch.tensor(0.0), 25.0).any()


def within(found: Tensor, expected: float, std: float) -> bool:
    """Whether the mean of independent numbers is within five standard errors."""
    return abs(float(found.double().mean()) - expected) < 5.0 * std / math.sqrt(found.numel())


def test_cells_have_the_distribution_of_the_laws() -> None:
    layer = one_layer(0.5, 120, 150)
    chip = program(layer, PCM, seed=4, w_max=1.0)
    cells = chip.tile.cells
    error = (cells.g_programmed[0] - 12.5) / 0.952725
    assert within(error, 0.0, 1.0)
    assert within(error**2, 1.0, math.sqrt(2.0))
    empty = cells.g_programmed[1]  # half of them would be below 0
    assert within((empty == 0.0).float(), 0.5, 0.5)
    assert within(empty, 0.2635 / math.sqrt(2.0 * math.pi), 0.2635 * math.sqrt(0.5 - 0.5 / math.pi))
    mean, std = 0.049, -0.0125 * math.log(0.5) - 0.0059
    std = max(std, 0.008)
    nu = (cells.nu[0] - mean) / std
    assert within(nu, 0.0, 1.0)
    assert within(nu**2, 1.0, math.sqrt(2.0))
    assert abs(float((nu * error).mean())) < 5.0 / math.sqrt(nu.numel())  # of independent numbers

    drift(chip, 3600.0)
    held = PCM.drift(cells.g_programmed, cells.nu, 3600.0)
    seen = cells.weight * 25.0 - (held[0] - held[1])  # both noises together
    strength = (0.0088 / 0.5**0.65 * held[0]) ** 2 + (0.2 * held[1]) ** 2
    noise = seen / (strength * math.log(3620.0 / 500e-9)).sqrt()
    noise = noise[held[1] < 0.01]  # of an empty cell what is below 0 is cut
    assert within(noise, 0.0, 1.0)
    assert within(noise**2, 1.0, math.sqrt(2.0))


def test_every_read_has_noise_of_its_own() -> None:
    chip = program(one_layer(0.5, 40, 50), PCMLikeNoiseModel(drift_scale=0.0), seed=4)
    seen = []
    for _ in range(2):
        drift(chip, 10.0)
        seen.append(chip.tile.cells.weight - chip.tile.cells.weight.mean())
    drift(chip, 0.0)
    programmed = from_pair(chip.tile.cells.g_programmed, chip.tile.cells.w_max, 25.0)
    noises = [each - programmed for each in seen]
    correlation = torch.corrcoef(torch.stack([each.flatten() for each in noises]))[0, 1]
    assert abs(float(correlation)) < 5.0 / math.sqrt(2000)


class Coarse(NoiseModel):
    """A memory of one's own."""

    spread: float = 1.0

    def program(self, g_target: Tensor, noise: Tensor) -> Tensor:
        return g_target + self.spread * noise


def test_a_model_of_ones_own_says_what_is_otherwise_and_no_more() -> None:
    chip = program(one_layer(0.5, 40, 50), Coarse(spread=2.0), drift_compensation=None, seed=1)
    before = chip.tile.get_weights()
    error = 25.0 * before / 0.5 - 25.0
    empty = chip.tile.cells.g_programmed[1]
    assert within(error + empty, 0.0, 2.0)
    assert float(empty.min()) == 0.0
    drift(chip, 1e9)
    assert torch.equal(chip.tile.get_weights(), before)


def test_a_memory_without_errors_changes_nothing() -> None:
    layer = one_layer(torch.linspace(-0.9, 0.7, 12).reshape(3, 4))
    chip = program(layer, NoiseModel())
    drift(chip, 31536000.0)
    torch.testing.assert_close(chip.tile.get_weights(), layer.tile.get_weights())


def test_weights_beyond_the_given_range_are_clipped() -> None:
    chip = program(one_layer(torch.tensor([[0.2, -0.8, 0.6, 0.0]])), NoiseModel(), w_max=0.5)
    torch.testing.assert_close(chip.tile.cells.weight, torch.tensor([[0.2, -0.5, 0.5, 0.0]]).expand(3, 4))


def test_a_tile_of_zeros_stays_one() -> None:
    chip = program(one_layer(0.0), PCM, seed=1)
    drift(chip, 60.0)
    assert torch.equal(chip(torch.ones(2, 4)), torch.zeros(2, 3))


class Broken(NoiseModel):
    def read(self, g_drifted: Tensor, g_target: Tensor, seconds: float, noise: Tensor) -> Tensor:
        return g_drifted / g_target if seconds == 0.0 else g_drifted[0]


def test_what_a_model_of_ones_own_gives_wrong_is_an_error_that_names_it() -> None:
    with pytest.raises(TileError, match=r"Broken.read gave a number that is not finite.*conductance of 0"):
        program(one_layer(0.5), Broken())
    chip = program(one_layer(0.5), NoiseModel())
    chip.tile.cells.noise_model = Broken()
    with pytest.raises(TileError, match=r"Broken.read gave \(3, 4\). Give \(2, 3, 4\)"):
        drift(chip, 1.0)


def test_settings_that_cannot_be_are_refused() -> None:
    for field in ("g_max", "t_0", "t_read"):
        with pytest.raises(ConfigError, match=field):
            PCMLikeNoiseModel(**{field: 0.0})
    with pytest.raises(ConfigError, match="Did you mean 'drift_scale'"):
        PCMLikeNoiseModel(drift_scales=1.0)
    assert isinstance(program(one_layer(0.5, config=exact()), PCM).tile, ProgrammedTile)
