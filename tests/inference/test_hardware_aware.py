"""A model that was trained for a chip bears it better, and its configuration says what that is."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from inference.problems import digits, exact, loss, one_layer
from ohmgrad import AnalogLinear, AnalogSGD
from ohmgrad.configs import InferenceRPUConfig, IOParameters, WeightModifierParameter, WeightModifierType
from ohmgrad.inference import (
    Evaluation,
    GlobalDriftCompensation,
    NoiseModel,
    PCMLikeNoiseModel,
    evaluate,
    program,
    programmed_tiles,
)


def config(std_dev: float) -> InferenceRPUConfig:
    return InferenceRPUConfig(
        forward=IOParameters(is_perfect=True),
        modifier=WeightModifierParameter(type=WeightModifierType.ADD_NORMAL, std_dev=std_dev),
        noise_model=PCMLikeNoiseModel(prog_noise_scale=4.0),  # a coarse memory
    )


def on_chips(std_dev: float) -> Evaluation:
    """What the digits cost a network that has learned from others, on chips an hour old."""
    torch.manual_seed(0)
    rpu_config, layers = config(std_dev), list[nn.Module]()
    for widths in ((64, 48), (48, 48), (48, 10)):
        layers += [AnalogLinear(*widths, rpu_config=rpu_config), nn.ReLU()]
    model = nn.Sequential(*layers[:-1])
    optimizer, (x, y) = AnalogSGD(model.named_parameters(), lr=0.1), digits()
    for _ in range(25):
        for rows in torch.randperm(1350).split(50):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x[rows]), y[rows]).backward()
            optimizer.step()
    return evaluate(model, loss, [3600.0], 60, seed=1)


def test_a_network_that_has_learned_with_noise_is_surer_on_a_chip() -> None:
    without, with_noise = on_chips(0.0), on_chips(0.1)
    error = math.hypot(without.standard_error[0], with_noise.standard_error[0])
    assert without.mean[0] - with_noise.mean[0] > 5.0 * error


def test_a_chip_has_the_memory_that_the_configuration_says() -> None:
    memory = PCMLikeNoiseModel(drift_scale=0.5)
    told = one_layer(0.5, config=InferenceRPUConfig(noise_model=memory, drift_compensation=None))
    for chip, noise_model, compensation in (
        (program(told, seed=1), memory, None),
        (program(one_layer(0.5), seed=1), PCMLikeNoiseModel(), GlobalDriftCompensation()),
        (program(one_layer(0.5, config=InferenceRPUConfig()), seed=1), PCMLikeNoiseModel(), GlobalDriftCompensation()),
        (program(told, NoiseModel(), GlobalDriftCompensation(vectors=2), seed=1), NoiseModel(), 2),
        (program(told, PCMLikeNoiseModel(), seed=1), PCMLikeNoiseModel(), None),
    ):
        ((_, tile),) = programmed_tiles(chip)
        assert tile.cells.noise_model == noise_model
        expected = GlobalDriftCompensation(vectors=2) if compensation == 2 else compensation
        assert tile.drift_compensation == expected


@pytest.mark.parametrize("compensation", [None, GlobalDriftCompensation()])
def test_an_evaluation_is_called_after_what_was_done(compensation: GlobalDriftCompensation | None) -> None:
    layer = one_layer(0.5, config=InferenceRPUConfig(drift_compensation=compensation))
    seen = evaluate(layer, lambda model: 1.0, [1.0], 1)
    assert seen.label == ("without drift compensation" if compensation is None else "with drift compensation")


def test_a_chip_is_programmed_with_the_weights_that_were_learned() -> None:
    layer = one_layer(0.5, config=config(0.2))
    chip = program(layer, NoiseModel(), seed=1)
    expected = program(one_layer(0.5, config=exact()), NoiseModel(), seed=1).tile.get_weights()
    assert torch.equal(chip.tile.get_weights(), expected)
