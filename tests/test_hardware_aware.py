"""Training for a chip: what products see, what learns, and the range that weights are kept in."""

from __future__ import annotations

import copy
import io
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from builders import perfect
from ohmgrad import AnalogLinear, AnalogSGD, AnalogTile, ConfigError, TileError
from ohmgrad.configs import (
    IdealDevice,
    InferenceRPUConfig,
    IOParameters,
    MappingParameter,
    PulseType,
    SingleRPUConfig,
    SoftBoundsDevice,
    TransferCompound,
    UpdateParameters,
    WeightClipParameter,
    WeightClipType,
    WeightModifierParameter,
    WeightModifierType,
    WeightRemapParameter,
    WeightRemapType,
)
from ohmgrad.errors import OptimizerError
from ohmgrad.nn import AnalogConv2d, convert_to_analog, convert_to_digital
from ohmgrad.optim import analog

NOISE = {"type": WeightModifierType.ADD_NORMAL, "std_dev": 0.1}
LAYER, CHANNEL = WeightRemapType.LAYERWISE_SYMMETRIC, WeightRemapType.CHANNELWISE_SYMMETRIC
REMAPS = pytest.mark.parametrize("kind", [LAYER, CHANNEL])


def config(modifier: dict[str, Any] | None = None, **fields: Any) -> InferenceRPUConfig:
    """With exact products, so that they show the weights that they see."""
    given = WeightModifierParameter(**(modifier or {}))
    return InferenceRPUConfig(**{"forward": IOParameters(is_perfect=True), "modifier": given, **fields})


def tile_of(rpu_config: InferenceRPUConfig, seed: int = 1) -> AnalogTile:
    torch.manual_seed(seed)
    tile = AnalogTile(3, 4, rpu_config)
    tile.set_weights(torch.randn(3, 4))
    return tile


def seen(tile: AnalogTile) -> Tensor:
    """The weights that the forward product sees."""
    return tile(torch.eye(tile.in_size)).detach().t()


def seen_back(tile: AnalogTile) -> Tensor:
    """The weights that the backward product sees."""
    return tile.backward(torch.eye(tile.out_size))


# Disturbed weights


def test_products_in_training_see_disturbed_weights_and_those_in_evaluation_do_not() -> None:
    tile = tile_of(config(NOISE))
    weights = tile.get_weights()
    disturbed = seen(tile)
    assert 0.0 < (disturbed - weights).abs().max() < 0.5
    assert torch.equal(tile.get_weights(), weights)
    tile.eval()
    assert torch.equal(seen(tile), weights)
    assert torch.equal(seen_back(tile), weights)
    tile.train()
    assert torch.equal(seen(tile), disturbed)
    tested = tile_of(config({**NOISE, "enable_during_test": True})).eval()
    assert torch.equal(seen(tested), disturbed)


def test_the_gradient_goes_back_through_the_weights_that_the_product_saw() -> None:
    tile = tile_of(config(NOISE))
    x = torch.randn(5, 4, requires_grad=True)
    tile(x).sum().backward()
    torch.testing.assert_close(x.grad, seen(tile).sum(0).expand(5, 4))
    assert torch.equal(seen_back(tile), seen(tile))


def test_what_learns_are_the_weights_themselves() -> None:
    tile = tile_of(config(NOISE))
    weights = tile.get_weights()
    x, d = torch.randn(5, 4), torch.randn(5, 3)
    optimizer = AnalogSGD(tile.parameters(), lr=0.1)
    (tile(x) * d).sum().backward()
    optimizer.step()
    torch.testing.assert_close(tile.get_weights(), weights - 0.1 * d.t() @ x)


def test_weights_are_disturbed_anew_once_for_each_step_of_the_optimizer() -> None:
    tile = tile_of(config(NOISE))
    optimizer, found = AnalogSGD(tile.parameters(), lr=0.0), []
    for _ in range(4):
        found.append(seen(tile) - tile.get_weights())
        assert torch.equal(seen(tile) - tile.get_weights(), found[-1])
        optimizer.step()
    assert len({float(each[0, 0]) for each in found}) == 4


def test_disturbed_weights_follow_the_weights_between_two_steps() -> None:
    tile = tile_of(config({**NOISE, "rel_to_actual_wmax": False}))
    noise = seen(tile) - tile.get_weights()
    for change in (lambda: tile.set_weights(torch.ones(3, 4)), lambda: tile.update(torch.ones(1, 4), torch.ones(1, 3))):
        change()
        torch.testing.assert_close(seen(tile) - tile.get_weights(), noise)


def test_every_tile_is_disturbed_in_its_own_way_and_a_seed_fixes_all() -> None:
    torch.manual_seed(3)
    layer = AnalogLinear(6, 3, rpu_config=config(NOISE, mapping=MappingParameter(max_input_size=3)))
    layer.set_weights(torch.ones(3, 6))
    first, second = (seen(tile) for tile in layer.tiles)
    assert not torch.equal(first, second)
    torch.manual_seed(3)
    again = AnalogLinear(6, 3, rpu_config=layer.tiles[0].rpu_config)
    again.set_weights(torch.ones(3, 6))
    assert torch.equal(seen(again.tiles[1]), second)


def test_an_analog_bias_is_disturbed_unless_told_otherwise() -> None:
    for is_kept in (True, False):
        torch.manual_seed(0)
        tile = AnalogTile(3, 4, config({**NOISE, "copy_last_column": is_kept}), has_bias=True)
        tile.set_weights(torch.randn(3, 5))
        bias = tile(torch.zeros(1, 4))[0]
        assert torch.equal(bias, tile.get_weights()[:, -1]) is is_kept


def test_without_a_modifier_a_tile_is_what_it_is_elsewhere() -> None:
    plain = perfect(SingleRPUConfig(device=IdealDevice()))
    torch.manual_seed(1)
    other = AnalogTile(3, 4, plain)
    torch.manual_seed(1)
    tile = AnalogTile(3, 4, config())
    assert tile.modifier is None
    assert list(tile.state_dict()) == list(other.state_dict())
    assert tile.memory() == other.memory()
    x, d = torch.randn(5, 4), torch.randn(5, 3)
    for each in (tile, other):
        each.update(x, d)
        each.post_update_step()
    assert torch.equal(tile(x), other(x))


# Clipping


@pytest.mark.parametrize(
    ("clip", "bound"),
    [
        (WeightClipParameter(type=WeightClipType.FIXED_VALUE, fixed_value=0.3), lambda w: 0.3),
        (WeightClipParameter(type=WeightClipType.LAYER_GAUSSIAN, sigma=0.7), lambda w: 0.7 * float(w.std())),
        (WeightClipParameter(type=WeightClipType.AVERAGE_CHANNEL_MAX), lambda w: float(w.abs().amax(1).mean())),
    ],
)
def test_weights_are_clipped_after_every_step(clip: WeightClipParameter, bound: Callable[[Tensor], float]) -> None:
    tile = tile_of(config(clip=clip))
    for _ in range(2):
        weights = tile.get_weights()
        tile.post_update_step()
        limit = bound(weights)
        torch.testing.assert_close(tile.get_weights(), weights.clamp(-limit, limit))
        assert tile.get_weights().abs().max() < weights.abs().max()
        tile.set_weights(2.0 * torch.randn(3, 4))


def test_a_device_that_takes_pulses_is_clipped_to_a_fixed_value() -> None:
    clip = WeightClipParameter(type=WeightClipType.FIXED_VALUE, fixed_value=0.1)
    tile = tile_of(config(NOISE, device=SoftBoundsDevice(), update=UpdateParameters(), clip=clip))
    tile.update(torch.ones(4), torch.ones(3))
    assert sum(int(counts.total.sum()) for counts in tile.pulse_counts()) > 0
    tile.post_update_step()
    assert tile.get_weights().abs().max() == pytest.approx(0.1)
    assert not torch.equal(seen(tile), tile.get_weights())


# Remapping


@REMAPS
@pytest.mark.parametrize("omega", [0.0, 0.6])
def test_remapping_leaves_what_a_layer_computes_and_fills_the_range_of_the_cells(
    kind: WeightRemapType, omega: float
) -> None:
    remap = WeightRemapParameter(type=kind, remapped_wmax=0.8)
    mapping = MappingParameter(max_input_size=3, weight_scaling_omega=omega, weight_scaling_columnwise=True)
    torch.manual_seed(1)
    layer = AnalogLinear(6, 4, rpu_config=config(remap=remap, mapping=mapping))
    weight = 5.0 * torch.randn(4, 6)
    layer.set_weights(weight)
    torch.testing.assert_close(layer.get_weights()[0], weight)
    x = torch.randn(3, 6)
    expected = layer(x)
    AnalogSGD(layer.parameters(), lr=0.1).step()
    torch.testing.assert_close(layer.get_weights()[0], weight)
    torch.testing.assert_close(layer(x), expected)
    for tile in layer.tiles:
        largest = tile.get_weights().abs().amax(1) if kind is CHANNEL else tile.get_weights().abs().max()
        torch.testing.assert_close(largest, torch.full_like(largest, 0.8))
    layer.set_weights(weight / 2.0)
    torch.testing.assert_close(layer.get_weights()[0], weight / 2.0)


@REMAPS
@pytest.mark.parametrize("compensated", [False, True])
def test_a_layer_that_is_remapped_learns_what_a_linear_layer_learns(kind: WeightRemapType, compensated: bool) -> None:
    torch.manual_seed(1)
    mapping = MappingParameter(weight_scaling_omega=0.5, weight_scaling_lr_compensation=compensated)
    digital = nn.Linear(6, 4)
    analog = AnalogLinear.from_digital(digital, config(remap=WeightRemapParameter(type=kind), mapping=mapping))
    for model, optimizer in (
        (digital, torch.optim.SGD(digital.parameters(), lr=0.3)),
        (analog, AnalogSGD(analog.parameters(), lr=0.3)),
    ):
        for step in range(6):
            optimizer.zero_grad()
            x = torch.randn(5, 6, generator=torch.Generator().manual_seed(step))
            (model(x) - 2.0).square().mean().backward()
            optimizer.step()
    weight, bias = analog.get_weights()
    torch.testing.assert_close(weight, digital.weight.detach(), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(bias, digital.bias.detach(), rtol=1e-5, atol=1e-6)


def test_weights_are_clipped_then_remapped_then_disturbed() -> None:
    clip = WeightClipParameter(type=WeightClipType.FIXED_VALUE, fixed_value=0.5)
    discrete = {"type": WeightModifierType.DISCRETIZE, "res": 0.5}
    rpu_config = config(discrete, clip=clip, remap=WeightRemapParameter(type=LAYER, remapped_wmax=2.0))
    layer = AnalogLinear(2, 2, bias=False, rpu_config=rpu_config)
    layer.set_weights(torch.tensor([[0.9, 0.2], [-0.3, 0.1]]))
    AnalogSGD(layer.parameters(), lr=0.1).step()
    torch.testing.assert_close(layer.tile.get_weights(), torch.tensor([[2.0, 0.8], [-1.2, 0.4]]))
    torch.testing.assert_close(seen(layer.tile), torch.tensor([[2.0, 1.0], [-1.0, 0.0]]))
    torch.testing.assert_close(layer(torch.eye(2)).detach().t(), torch.tensor([[0.5, 0.25], [-0.25, 0.0]]))


def test_a_tile_without_a_layer_has_no_scale_to_remap_to() -> None:
    tile = tile_of(config(remap=WeightRemapParameter(type=LAYER)))
    with pytest.raises(TileError, match=r"LAYERWISE_SYMMETRIC needs the scale of a layer\. Use a layer"):
        tile.post_update_step()


# Copies, and what is saved


def everything_on(**fields: Any) -> InferenceRPUConfig:
    return config(
        {**NOISE, "type": WeightModifierType.DISCRETIZE_ADD_NORMAL, "res": 0.1, "sto_round": True, "pdrop": 0.1},
        forward=IOParameters(),
        clip=WeightClipParameter(type=WeightClipType.LAYER_GAUSSIAN, sigma=2.0),
        remap=WeightRemapParameter(type=CHANNEL),
        mapping=MappingParameter(max_input_size=9, learn_out_scaling=True, weight_scaling_lr_compensation=True),
        **fields,
    )


def model_of(rpu_config: InferenceRPUConfig, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    convolution = AnalogConv2d(1, 2, 3, rpu_config=rpu_config)
    return nn.Sequential(convolution, nn.Tanh(), nn.Flatten(), AnalogLinear(18, 3, rpu_config=rpu_config))


def train(model: nn.Module, steps: range) -> Tensor:
    optimizer = AnalogSGD(model.parameters(), lr=0.1)
    for step in steps:
        x = torch.randn(4, 1, 5, 5, generator=torch.Generator().manual_seed(step))
        optimizer.zero_grad()
        model(x).square().mean().backward()
        optimizer.step()
    return model(torch.ones(2, 1, 5, 5)).detach()


def saved(model: nn.Module) -> nn.Module:
    stream, other = io.BytesIO(), model_of(everything_on(), seed=9)
    torch.save(model.state_dict(), stream)
    stream.seek(0)
    train(other, range(2))  # it has seen other weights by then
    other.load_state_dict(torch.load(stream, weights_only=True))
    return other


@pytest.mark.parametrize("again", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model)), saved])
def test_a_copy_goes_on_with_the_same_bits(again: Callable[[nn.Module], nn.Module]) -> None:
    model = model_of(everything_on())
    train(model, range(3))
    other = again(model)
    assert torch.equal(train(other, range(3, 6)), train(model, range(3, 6)))
    for name, value in model.state_dict().items():
        assert torch.equal(other.state_dict()[name], value), name


def test_a_copy_remaps_its_own_layer() -> None:
    layer = AnalogLinear(4, 3, bias=False, rpu_config=config(remap=WeightRemapParameter(type=LAYER)))
    layer.set_weights(torch.full((3, 4), 2.0))
    other = copy.deepcopy(layer)
    other.tile.post_update_step()
    assert layer.tile.get_weights().max() == 2.0
    assert other.tile.get_weights().max() == 1.0
    assert torch.equal(other.get_weights()[0], layer.get_weights()[0])


def test_disturbed_weights_take_memory_and_are_not_saved() -> None:
    tile, plain = tile_of(config(NOISE)), tile_of(config())
    assert set(tile.state_dict()) - set(plain.state_dict()) == {"modifier.steps"}
    assert (tile.memory().visible, plain.memory().visible) == (4 * 3 * 4, 0)
    assert tile.memory().total - plain.memory().total == 4 * 3 * 4 + 8


# Configurations


def test_a_training_for_a_chip_is_exact_unless_asked_otherwise() -> None:
    made = InferenceRPUConfig()
    assert made.device == IdealDevice()
    assert made.backward.is_perfect
    assert made.forward == IOParameters()
    assert made.update.pulse_type is PulseType.NONE
    kinds = (made.modifier.type, made.clip.type, made.remap.type)
    assert kinds == (WeightModifierType.NONE, WeightClipType.NONE, WeightRemapType.NONE)


def test_defaults_are_those_users_know() -> None:
    assert WeightModifierParameter().model_dump() == {
        "type": WeightModifierType.NONE, "std_dev": 0.0, "res": 0.0, "sto_round": False, "dorefa_clip": 0.6,
        "pdrop": 0.0, "enable_during_test": False, "rel_to_actual_wmax": True, "assumed_wmax": 1.0,
        "copy_last_column": False, "coeffs": [0.0105392, 0.0768, -0.046925], "g_max": 25.0, "per_batch_sample": False,
    }  # fmt: skip
    assert WeightClipParameter().model_dump() == {"type": WeightClipType.NONE, "fixed_value": -1.0, "sigma": 2.5}
    assert WeightRemapParameter().model_dump() == {
        "type": WeightRemapType.NONE, "remapped_wmax": 1.0, "max_scale_range": 0.0, "max_scale_ref": 0.0,
    }  # fmt: skip
    WeightModifierParameter().coeffs.append(1.0)
    assert len(WeightModifierParameter().coeffs) == 3


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"type": WeightModifierType.PCM_NOISE}, r"WeightModifierParameter\.type.*no law.*PROG_NOISE"),
        ({"per_batch_sample": True}, r"per_batch_sample = True: all samples.*Set it to False"),
        ({"pdrop": 1.5}, r"pdrop = 1\.5"),
        ({"std_dev": -0.1}, r"std_dev = -0\.1"),
    ],
)
def test_a_disturbance_that_does_not_exist_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        WeightModifierParameter(**fields)


PULSED = {"device": SoftBoundsDevice(), "update": UpdateParameters()}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"device": SoftBoundsDevice()}, r"SoftBoundsDevice would not be used.*update=UpdateParameters\(\)"),
        ({**PULSED, "clip": WeightClipParameter(type=WeightClipType.LAYER_GAUSSIAN)}, r"LAYER_GAUSSIAN.*FIXED_VALUE"),
        ({**PULSED, "clip": WeightClipParameter(type=WeightClipType.AVERAGE_CHANNEL_MAX)}, r"Use FIXED_VALUE"),
        ({**PULSED, "remap": WeightRemapParameter(type=CHANNEL)}, r"CHANNELWISE_SYMMETRIC.*Use NONE"),
        ({"clip": WeightClipParameter(type=WeightClipType.FIXED_VALUE)}, r"fixed_value = -1\.0.*positive"),
    ],
)
def test_what_does_not_fit_together_is_refused_when_used(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        AnalogTile(2, 3, config(**fields))


def test_a_compound_goes_elsewhere() -> None:
    with pytest.raises(ConfigError, match=r"InferenceRPUConfig\.device.*UnitCellRPUConfig"):
        InferenceRPUConfig(device=TransferCompound())
    with pytest.raises(ConfigError, match=r"InferenceRPUConfig\.device = 3: give IdealDevice\(\)"):
        InferenceRPUConfig(device=3)


# The weight as an ordinary parameter


def digital_twins(**mapping: Any) -> tuple[nn.Module, nn.Module]:
    """The same network with tiles for a chip, and of torch."""
    torch.manual_seed(5)
    twin = nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3))
    config = InferenceRPUConfig(forward=IOParameters(is_perfect=True), mapping=MappingParameter(**mapping))
    return convert_to_analog(twin, config), twin


@pytest.mark.parametrize("mapping", [{}, {"digital_bias": False}, {"max_input_size": 3}], ids=str)
@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW], ids=lambda kind: kind.__name__)
def test_any_optimizer_trains_a_model_for_a_chip_as_it_trains_a_digital_one(kind: Any, mapping: Any) -> None:
    model, twin = digital_twins(**mapping)
    options = {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.01} if kind is torch.optim.SGD else {"lr": 0.01}
    ways = [(model, analog(kind)(model.parameters(), **options)), (twin, kind(twin.parameters(), **options))]
    x = torch.randn(8, 6)
    for each, optimizer in ways:
        for _ in range(3):
            optimizer.zero_grad()
            each(x).square().mean().backward()
            optimizer.step()
    for name, value in convert_to_digital(model).state_dict().items():
        torch.testing.assert_close(value, twin.state_dict()[name], rtol=1e-5, atol=1e-6)


def test_the_gradient_is_there_to_be_clipped_and_looked_at() -> None:
    model, twin = digital_twins()
    x = torch.randn(8, 6)
    for each in (model, twin):
        each(x).square().sum().backward()
    torch.testing.assert_close(model[0].weight.grad, twin[0].weight.grad)
    norms = [nn.utils.clip_grad_norm_(each.parameters(), 0.1) for each in (model, twin)]
    torch.testing.assert_close(*norms)
    assert not model[0].tile._trace


def test_a_scale_does_not_change_what_a_step_does_to_the_weight_of_the_layer() -> None:
    model, twin = digital_twins(weight_scaling_omega=0.3, weight_scaling_columnwise=True)
    x = torch.randn(8, 6)
    ways = [(model, AnalogSGD(model.parameters(), lr=0.1)), (twin, torch.optim.SGD(twin.parameters(), lr=0.1))]
    for each, optimizer in ways:
        each(x).square().sum().backward()
        optimizer.step()
    torch.testing.assert_close(model[0].get_weights()[0], twin[0].weight.detach(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "fields",
    [
        {"clip": WeightClipParameter(type=WeightClipType.FIXED_VALUE, fixed_value=0.5)},
        {"remap": WeightRemapParameter(type=LAYER)},
        {"modifier": WeightModifierParameter(**NOISE)},
        {"device": IdealDevice(lifetime=100.0)},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_a_step_that_the_tile_would_have_to_know_of_is_refused(fields: dict[str, Any]) -> None:
    layer = AnalogLinear(4, 3, rpu_config=InferenceRPUConfig(**fields))
    layer(torch.randn(8, 4)).sum().backward()
    with pytest.raises(OptimizerError, match=r"would not know of the step.*AnalogOptimizer\(Adam"):
        torch.optim.Adam(layer.parameters()).step()


def test_an_optimizer_of_torch_may_train_what_needs_nothing_after_a_step() -> None:
    model, twin = digital_twins()
    x = torch.randn(8, 6)
    for each in (model, twin):
        optimizer = torch.optim.LBFGS(each.parameters(), max_iter=5)

        def closure(each: nn.Module = each, optimizer: Any = optimizer) -> Tensor:
            optimizer.zero_grad()
            loss = each(x).square().mean()
            loss.backward()
            return loss

        optimizer.step(closure)
    torch.testing.assert_close(model[0].get_weights()[0], twin[0].weight.detach(), rtol=1e-4, atol=1e-5)
    assert torch.equal(model(x), copy.deepcopy(model)(x))


def test_what_is_written_to_the_weight_is_seen_by_products_with_disturbed_weights() -> None:
    layer = AnalogLinear(4, 3, bias=False, rpu_config=config({"type": WeightModifierType.MULT_NORMAL, "std_dev": 0.0}))
    layer(torch.eye(layer.in_features))
    with torch.no_grad():
        layer.weight.mul_(2.0)
    torch.testing.assert_close(layer(torch.eye(layer.in_features)), layer.weight.detach().t())


def test_what_is_given_to_the_weight_goes_into_its_tile() -> None:
    model, _ = digital_twins()
    model[0].weight.data = torch.full((5, 6), 0.1)
    assert (model[0].get_weights()[0] == 0.1).all()
    nn.utils.vector_to_parameters(
        torch.full_like(nn.utils.parameters_to_vector(model.parameters()), 0.2), model.parameters()
    )
    assert (model[0].get_weights()[0] == 0.2).all()
    with pytest.raises(TileError, match="data of shape"):
        model[0].weight.data = torch.zeros(2)


def test_a_frozen_layer_is_neither_clipped_nor_remapped() -> None:
    clip = WeightClipParameter(type=WeightClipType.FIXED_VALUE, fixed_value=0.01)
    layer = AnalogLinear(4, 3, rpu_config=InferenceRPUConfig(clip=clip)).freeze()
    before = layer.get_weights()[0]
    optimizer = AnalogSGD(layer.parameters(), lr=0.1)
    layer(torch.randn(2, 4)).sum().backward()
    optimizer.step()
    assert torch.equal(layer.get_weights()[0], before)


def test_a_gradient_that_is_not_finite_is_refused_before_anything_moves() -> None:
    model, _ = digital_twins()
    optimizer = AnalogSGD(model.parameters(), lr=0.1)
    model(torch.randn(8, 6)).sum().backward()
    model[0].weight.grad.fill_(torch.nan)
    before = model[2].get_weights()[0]
    with pytest.raises(TileError, match="gradient of the weight is not finite"):
        optimizer.step()
    assert torch.equal(model[2].get_weights()[0], before)


def test_a_gradient_scaler_scales_what_is_trained_digitally() -> None:
    model, twin = digital_twins()
    x = torch.randn(8, 6)
    for each, optimizer in (
        (model, AnalogSGD(model.parameters(), lr=0.1)),
        (twin, torch.optim.SGD(twin.parameters(), lr=0.1)),
    ):
        scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
        scaler.scale(each(x).square().mean()).backward()
        scaler.step(optimizer)
        scaler.update()
    torch.testing.assert_close(model[0].get_weights()[0], twin[0].weight.detach())
