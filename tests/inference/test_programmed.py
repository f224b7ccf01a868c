"""A programmed model: multiplies as the trained one, learns nothing, grows old, and is copied exactly."""

from __future__ import annotations

import copy
import io
import pickle
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from inference.problems import Alike, exact, noisy, one_layer
from ohmgrad import AnalogLinear, AnalogSGD, AnalogTile, ConfigError, TileError
from ohmgrad.configs import InputRangeParameter, IOParameters, NoiseManagementType, PrePostProcessingParameter
from ohmgrad.inference import (
    GlobalDriftCompensation,
    NoiseModel,
    PCMLikeNoiseModel,
    ProgrammedTile,
    drift,
    program,
    programmed_tiles,
)
from ohmgrad.nn import AnalogConv2d, convert_to_digital

YEAR = 31536000.0
LAYOUTS: list[dict[str, Any]] = [
    {},
    {"max_input_size": 4, "max_output_size": 2},
    {"max_input_size": 4, "digital_bias": False},
    {"weight_scaling_omega": 0.6, "weight_scaling_columnwise": True, "max_input_size": 5, "digital_bias": False},
    {"weight_scaling_omega": 0.6, "learn_out_scaling": True, "out_scaling_columnwise": True, "max_output_size": 3},
]


def network(config: Any) -> nn.Module:
    """A convolution and a linear layer for images ``[n, 2, 5, 5]``."""
    torch.manual_seed(5)
    conv = AnalogConv2d(2, 4, 3, groups=2, padding=1, stride=2, rpu_config=config)
    return nn.Sequential(conv, nn.Tanh(), nn.Flatten(), AnalogLinear(36, 5, rpu_config=config))


def images(count: int = 6) -> Tensor:
    return torch.randn(count, 2, 5, 5, generator=torch.Generator().manual_seed(1))


def old_chip(seed: int = 7, config: Any = None) -> nn.Module:
    chip = program(network(config or noisy(max_input_size=4)), seed=seed)
    drift(chip, 3600.0)
    return chip


@pytest.mark.parametrize("mapping", LAYOUTS)
def test_without_errors_a_programmed_model_gives_what_the_trained_one_gives(mapping: dict[str, Any]) -> None:
    model = network(exact(**mapping))
    chip = program(model, NoiseModel())
    torch.testing.assert_close(chip(images()), model(images()))
    torch.testing.assert_close(convert_to_digital(chip)(images()), model(images()))
    drift(chip, YEAR)
    torch.testing.assert_close(chip(images()), model(images()))


@pytest.mark.parametrize("mapping", LAYOUTS)
def test_compensation_takes_drift_back_that_is_the_same_for_all_cells(mapping: dict[str, Any]) -> None:
    model = network(exact(**mapping))
    model.requires_grad_(False)
    chip = program(model, Alike())
    drift(chip, YEAR)
    torch.testing.assert_close(chip(images()), model(images()), rtol=1e-4, atol=1e-5)
    left = ((YEAR + 20.0) / 20.0) ** -0.06
    for _, tile in programmed_tiles(chip):
        assert float(tile.compensation) == pytest.approx(1.0 / left, rel=1e-4)


def test_without_compensation_weights_fade_by_the_law() -> None:
    layer = one_layer(torch.tensor([[0.5, -1.0, 0.25, 0.0]]))
    chip = program(layer, Alike(), drift_compensation=None)
    for seconds in (60.0, YEAR, 0.0, 180.0):
        drift(chip, seconds)
        expected = layer.tile.get_weights() * ((seconds + 20.0) / 20.0) ** -0.06
        torch.testing.assert_close(chip.tile.get_weights(), expected)
        torch.testing.assert_close(chip(torch.eye(4)), expected.T)


@pytest.mark.parametrize("kind", [NoiseManagementType.AVERAGE_ABS_MAX, NoiseManagementType.NONE])
def test_compensation_is_measured_through_converters_of_any_kind(kind: NoiseManagementType) -> None:
    torch.manual_seed(2)
    config = noisy()
    config.forward = IOParameters(noise_management=kind, inp_bound=1.0)
    chip = program(one_layer(torch.randn(20, 30) / 10.0, 20, 30, config), Alike(), seed=3)
    chip(torch.randn(5, 30))
    drift(chip, YEAR)
    left = ((YEAR + 20.0) / 20.0) ** -0.06
    assert float(chip.tile.compensation) == pytest.approx(1.0 / left, rel=0.03)


def test_reference_inputs_are_rows_of_a_hadamard_matrix() -> None:
    compensation = GlobalDriftCompensation()
    x = compensation.inputs(64, torch.device("cpu"))
    assert torch.equal(x @ x.T, 64.0 * torch.eye(64))
    assert compensation.inputs(1000, torch.device("cpu")).shape == (128, 1000)
    assert compensation.inputs(1, torch.device("cpu")).tolist() == [[1.0]]
    assert x.dtype is torch.float32


def test_equal_seeds_give_equal_bits_and_other_seeds_others() -> None:
    torch.manual_seed(1)
    first = old_chip()(images())
    torch.manual_seed(2)
    assert torch.equal(old_chip()(images()), first)
    assert not torch.equal(old_chip(8)(images()), first)


def test_the_chip_is_drawn_from_the_generator_of_torch() -> None:
    model = network(noisy())
    outputs = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        outputs.append(program(model)(images()))
    assert torch.equal(outputs[0], outputs[1])
    assert not torch.equal(outputs[0], outputs[2])


def test_tiles_of_a_chip_have_errors_of_their_own_in_whatever_order_they_drift() -> None:
    chips = [program(nn.Sequential(*[one_layer(0.5, 30, 40) for _ in range(2)]), seed=3) for _ in range(2)]
    for chip, order in zip(chips, (1, -1), strict=True):
        for layer in list(chip)[::order]:
            layer.tile.drift(60.0)
    weights = [[layer.tile.get_weights() for layer in chip] for chip in chips]
    assert torch.equal(weights[0][0], weights[1][0])
    assert torch.equal(weights[0][1], weights[1][1])
    assert abs(float(torch.corrcoef(torch.stack(weights[0]).flatten(1))[0, 1])) < 5.0 / 1200**0.5


@pytest.mark.parametrize("implementation", ["reference", "gpu"])
def test_implementations_program_the_same_chip(implementation: str) -> None:
    seen = []
    for each in ("cpu", implementation):
        config = noisy()
        config.runtime.implementation = each
        torch.manual_seed(0)  # of the cells that are trained
        chip = program(one_layer(torch.linspace(-0.5, 0.5, 12).reshape(3, 4), config=config), seed=7)
        drift(chip, 60.0)
        seen.append((chip.tile.cells.weight, chip.tile.compensation, chip(torch.eye(4))))
    torch.testing.assert_close(*seen)


def test_programming_again_makes_another_chip_and_the_same_seed_the_same() -> None:
    chip = old_chip()
    first = chip(images())
    for seed, is_same in ((8, False), (7, True)):
        for _, tile in programmed_tiles(chip):
            tile.program(seed)
        drift(chip, 3600.0)
        assert torch.equal(chip(images()), first) is is_same


@pytest.mark.parametrize("way", ["deepcopy", "pickle", "state_dict", "assign"])
def test_a_copy_goes_on_as_the_original(way: str) -> None:
    chip = old_chip()
    chip(images())  # outputs have noise with a number
    if way == "deepcopy":
        other = copy.deepcopy(chip)
    elif way == "pickle":
        other = pickle.loads(pickle.dumps(chip))
    else:
        other, file = old_chip(99), io.BytesIO()
        torch.save(chip.state_dict(), file)
        file.seek(0)
        other.load_state_dict(torch.load(file), assign=way == "assign")
    for _ in range(2):
        assert torch.equal(other(images()), chip(images()))
        for model in (chip, other):
            drift(model, 86400.0)
    assert all(torch.equal(value, other.state_dict()[name]) for name, value in chip.state_dict().items())


def test_the_trained_model_stays_as_it_is_and_learns_on() -> None:
    model = network(noisy())
    before = copy.deepcopy(model.state_dict())
    chip = program(model, seed=1)
    drift(chip, 60.0)
    chip(images())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert model.training
    assert not chip.training
    AnalogSGD(model.named_parameters(), lr=0.1).step()


def test_in_place_the_model_itself_becomes_the_chip() -> None:
    model = network(noisy())
    expected = program(model, seed=1)(images())
    assert program(model, seed=1, inplace=True) is model
    assert torch.equal(model(images()), expected)


def test_a_layer_in_two_places_is_programmed_once() -> None:
    layer = one_layer(0.5, 4, 4)
    chip = program(nn.Sequential(layer, layer))
    assert chip[0].tile is chip[1].tile
    assert len(programmed_tiles(chip)) == 1


def test_nothing_is_learned_but_what_is_digital_could_be() -> None:
    model = network(exact(weight_scaling_omega=0.5, digital_bias=True))
    chip = program(model, NoiseModel())
    x = images().requires_grad_()
    chip(x).square().sum().backward()
    digital = convert_to_digital(model)
    y = images().requires_grad_()
    digital(y).square().sum().backward()
    torch.testing.assert_close(x.grad, y.grad)
    torch.testing.assert_close(chip[0].bias.grad, digital[0].bias.grad)
    before = [tile.get_weights() for _, tile in programmed_tiles(chip)]
    AnalogSGD(chip.named_parameters(), lr=0.1).step()
    assert all(
        torch.equal(old, tile.get_weights()) for old, (_, tile) in zip(before, programmed_tiles(chip), strict=True)
    )


@pytest.mark.parametrize("config", [exact(), exact(weight_scaling_omega=0.5, learn_out_scaling=True)])
def test_weights_of_a_chip_cannot_be_set_and_the_attempt_changes_nothing(config: Any) -> None:
    chip = program(AnalogLinear(4, 3, rpu_config=config), seed=1)
    before = copy.deepcopy(chip.state_dict())
    with pytest.raises(TileError, match=r"4 inputs, 3 outputs\) is programmed: .* \(3, 4\) cannot be set"):
        chip.set_weights(torch.ones(3, 4), torch.ones(3))
    assert all(torch.equal(value, before[name]) for name, value in chip.state_dict().items())


def test_weights_with_scales_can_still_be_set_before() -> None:
    layer = AnalogLinear(4, 3, rpu_config=exact(weight_scaling_omega=0.5, weight_scaling_columnwise=True))
    layer.set_weights(3.0 * torch.eye(3, 4))
    torch.testing.assert_close(layer.tile.get_weights(), 0.5 * torch.eye(3, 4))
    torch.testing.assert_close(layer.get_weights()[0], 3.0 * torch.eye(3, 4))


def test_half_precision_stays_outside_of_the_cells() -> None:
    chip = old_chip()
    expected = copy.deepcopy(chip)(images())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert copy.deepcopy(chip)(images()).dtype is torch.bfloat16
    chip.to(torch.bfloat16)
    assert all(
        value.dtype is not torch.bfloat16 for _, tile in programmed_tiles(chip) for value in tile.state_dict().values()
    )
    y = chip(images().bfloat16())
    assert y.dtype is torch.bfloat16
    torch.testing.assert_close(y.float(), expected, rtol=0.1, atol=0.3)


def test_a_chip_made_in_inference_mode_can_be_used_outside() -> None:
    with torch.inference_mode():
        chip = old_chip()
        first = chip(images())
    drift(chip, 60.0)
    chip(images().requires_grad_()).sum().backward()
    assert torch.equal(old_chip()(images()), first)


def test_cells_are_in_single_precision_whatever_is_the_default() -> None:
    expected = old_chip()
    torch.set_default_dtype(torch.float64)
    try:
        chip = program(network(noisy(max_input_size=4)), seed=7)
        drift(chip, 3600.0)
    finally:
        torch.set_default_dtype(torch.float32)
    kinds = [{name: value.dtype for name, value in tile.state_dict().items()} for _, tile in programmed_tiles(chip)]
    assert kinds == [
        {name: value.dtype for name, value in tile.state_dict().items()} for _, tile in programmed_tiles(expected)
    ]


def test_the_range_of_inputs_is_kept() -> None:
    config = exact()
    config.pre_post = PrePostProcessingParameter(input_range=InputRangeParameter(enable=True, init_value=0.5))
    model = one_layer(0.5, config=config).eval()
    torch.testing.assert_close(program(model, NoiseModel())(torch.ones(1, 4)), torch.full((1, 3), 1.0))


def test_running_scales_of_inputs_stay_those_of_training() -> None:
    config = noisy()
    config.forward = IOParameters(noise_management=NoiseManagementType.AVERAGE_ABS_MAX)
    layer = one_layer(0.5, config=config)
    layer(torch.randn(9, 4))
    chip = program(layer)
    chip(100.0 * torch.randn(9, 4))
    assert torch.equal(chip.tile.average_input, layer.tile.average_input)


def test_a_chip_shows_its_size_memory_and_age() -> None:
    chip = program(one_layer(0.5))
    drift(chip, 3600)
    assert "ProgrammedTile(\n" in str(chip)
    assert "out_size=3, in_size=4, PCMLikeNoiseModel, 3600 s old" in str(chip)


def test_a_tile_keeps_its_name_in_errors() -> None:
    model = nn.Sequential(one_layer(0.5))
    AnalogSGD(model.named_parameters(), lr=0.1)
    chip = program(model)
    with pytest.raises(TileError, match=r"layer '0' \(4 inputs, 3 outputs\): the input has shape \(2, 5\)"):
        chip(torch.zeros(2, 5))


def test_a_tile_without_a_layer_is_programmed_too() -> None:
    model = nn.Sequential(AnalogTile(3, 4, exact()))
    model[0].set_weights(torch.eye(3, 4))
    chip = program(model, NoiseModel())
    torch.testing.assert_close(chip(torch.eye(4)), torch.eye(4, 3))


def test_what_cannot_be_is_an_error_that_says_so() -> None:
    chip = program(one_layer(0.5))
    for x, message in (
        (torch.zeros(2, 4, dtype=torch.int64), "of type torch.int64. Give a tensor of floating-point"),
        ([1.0], "the input is a list"),
        (torch.full((1, 4), torch.nan), "not finite in places"),
    ):
        with pytest.raises(TileError, match=message):
            chip(x)
    for seconds in (-1.0, float("nan"), float("inf")):
        with pytest.raises(TileError, match=f"drift to {seconds} s. Give a finite time"):
            drift(chip, seconds)
    with pytest.raises(TileError, match="programmed already"):
        program(chip)
    with pytest.raises(TileError, match=r"no analog tile.*convert_to_analog"):
        program(nn.Linear(2, 2))
    with pytest.raises(TileError, match="single tile"):
        program(AnalogTile(2, 2))
    with pytest.raises(TileError, match=r"no programmed tile.*program\(model\)"):
        drift(one_layer(0.5), 1.0)
    with pytest.raises(ConfigError, match=r"w_max = 0\.0"):
        program(one_layer(0.5), w_max=0.0)
    with pytest.raises(ConfigError, match="Seed -1"):
        program(one_layer(0.5), seed=-1)
    with torch.device("meta"):
        empty = AnalogLinear(4, 3)
    with pytest.raises(TileError, match="meta device"):
        program(empty)


def test_configurations_of_a_chip_are_copies() -> None:
    noise = PCMLikeNoiseModel()
    chip = program(one_layer(0.5), noise)
    noise.drift_scale = 0.0
    assert chip.tile.cells.noise_model.drift_scale == 1.0
    assert isinstance(chip.tile, ProgrammedTile)
