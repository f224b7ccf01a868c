"""Tiles and layers by the names of aihwkit do what those of ohmgrad do."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ohmgrad.compat.base import AnalogSequential
from ohmgrad.compat.configs import (
    FloatingPointRPUConfig,
    InferenceRPUConfig,
    RuntimeParameter,
    SingleRPUConfig,
    UnitCellRPUConfig,
    build_config,
)
from ohmgrad.compat.context import AnalogContext
from ohmgrad.compat.conversion import convert_to_analog, convert_to_digital
from ohmgrad.compat.errors import ArgumentError, ModuleError, OutOfScopeError, TileModuleError
from ohmgrad.compat.layers import AnalogConv2d, AnalogConv3d, AnalogLinear
from ohmgrad.compat.recurrent import AnalogGRUCell, AnalogRNN
from ohmgrad.compat.tiles import AnalogTile
from ohmgrad.configs import (
    ChoppedTransferCompound,
    ConstantStepDevice,
    IdealDevice,
    IOParameters,
    LinearStepDevice,
    MappingParameter,
    SoftBoundsDevice,
    VectorUnitCell,
)
from ohmgrad.optim import AnalogSGD

PERFECT = IOParameters(is_perfect=True)


def ideal(**mapping: Any) -> SingleRPUConfig:
    return SingleRPUConfig(device=IdealDevice(), forward=PERFECT, backward=PERFECT, mapping=MappingParameter(**mapping))


def chopped() -> UnitCellRPUConfig:
    cell = SoftBoundsDevice(dw_min=0.02)
    return UnitCellRPUConfig(device=ChoppedTransferCompound([cell, cell], gamma=0.2))


def train(model: nn.Module, optimizer: torch.optim.Optimizer, steps: int = 4) -> Tensor:
    for step in range(steps):
        x = torch.randn(3, 1, 6, 6, generator=torch.Generator().manual_seed(step))
        optimizer.zero_grad()
        model(x).square().sum().backward()
        optimizer.step()
    return model(torch.ones(1, 1, 6, 6)).detach()


def model_of(config: Any) -> AnalogSequential:
    torch.manual_seed(1)
    return AnalogSequential(
        AnalogConv2d(1, 3, 3, rpu_config=config), nn.Tanh(), nn.Flatten(), AnalogLinear(48, 2, rpu_config=config)
    )


@pytest.mark.parametrize("mapping", [{}, {"digital_bias": False}, {"weight_scaling_omega": 0.5}], ids=str)
def test_layers_with_ideal_cells_train_as_those_of_torch(mapping: dict[str, Any]) -> None:
    torch.manual_seed(1)
    twin = nn.Sequential(nn.Conv2d(1, 3, 3), nn.Tanh(), nn.Flatten(), nn.Linear(48, 2))
    model = model_of(ideal(**mapping))
    for layer, other in ((model[0], twin[0]), (model[3], twin[3])):  # which begin alike, since seeds are drawn apart
        torch.testing.assert_close(layer.get_weights()[0], other.weight.detach().flatten(1))
    y = train(model, AnalogSGD(model.parameters(), lr=0.01))
    torch.testing.assert_close(y, train(twin, torch.optim.SGD(twin.parameters(), lr=0.01)), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("way", ["deepcopy", "pickle", "state_dict"])
def test_copies_go_on_to_the_same_bits_with_an_optimizer_made_before(way: str) -> None:
    model = model_of(chopped())
    train(model, AnalogSGD(model.parameters(), lr=0.1))
    if way == "state_dict":
        other = model_of(chopped())
        optimizer = AnalogSGD(other.parameters(), lr=0.1)
        other.load_state_dict(copy.deepcopy(model.state_dict()))
    else:
        other = copy.deepcopy(model) if way == "deepcopy" else pickle.loads(pickle.dumps(model))
        optimizer = AnalogSGD(other.parameters(), lr=0.1)
    assert torch.equal(train(other, optimizer), train(model, AnalogSGD(model.parameters(), lr=0.1)))
    assert all(tile.analog_ctx.analog_tile is tile for tile in other.analog_tiles())


def test_a_state_brings_its_configuration_unless_told_otherwise() -> None:
    coarse, fine = (SingleRPUConfig(device=ConstantStepDevice(dw_min=step)) for step in (0.1, 0.001))
    state = AnalogLinear(3, 2, rpu_config=coarse).state_dict()
    for load, wanted in ((None, 0.1), (False, 0.001)):
        layer = AnalogLinear(3, 2, rpu_config=fine)
        weight = layer.analog_module.analog_ctx
        layer.load_state_dict(state, load_rpu_config=load)
        assert layer.analog_module.rpu_config.device.dw_min == wanted
        assert layer.analog_module.analog_ctx is weight  # which an optimizer may have
    linear = SingleRPUConfig(device=LinearStepDevice())
    with pytest.raises(TileModuleError, match="of another kind"):
        AnalogLinear(3, 2, rpu_config=linear).load_state_dict(state, load_rpu_config=False)
    with pytest.raises(TileModuleError, match="is of a AnalogTile"):
        AnalogLinear(3, 2, rpu_config=FloatingPointRPUConfig()).load_state_dict(state)
    with pytest.raises(RuntimeError, match=r"analog_tile_state"):
        AnalogLinear(3, 2, rpu_config=linear).load_state_dict({})


def test_the_visible_weight_is_a_context() -> None:
    layer = AnalogLinear(3, 2, rpu_config=chopped())
    weight = dict(layer.named_parameters())["analog_module.analog_ctx"]
    assert isinstance(weight, AnalogContext)
    assert isinstance(weight, nn.Parameter)
    assert not weight.has_gradient()
    x = torch.ones(4, 3)
    layer(x).sum().backward()
    assert weight.has_gradient()
    assert torch.equal(weight.analog_input[0], x)
    assert weight.analog_grad_output[0].shape == (4, 2)
    weight.reset()
    assert not weight.has_gradient()


def test_weights_are_taken_from_arrays_and_given_as_copies() -> None:
    tile = AnalogTile(2, 3, ideal(weight_scaling_omega=0.5), bias=True)
    tile.set_weights(np.full((2, 3), 2.0), np.array([1.0, -1.0]))
    weight, bias = tile.get_weights()
    assert (weight == 2.0).all()
    assert torch.equal(bias, torch.tensor([1.0, -1.0]))
    assert tile.get_weights(apply_weight_scaling=False)[0].max() == 0.5
    assert tile.get_mapping_scales() == tile.get_scales() == torch.tensor([4.0])
    tile.remap_weights(0.25)
    assert tile.get_weights(apply_weight_scaling=False)[0].max() == 0.25
    tile.set_scales(1.0)
    assert tile.get_weights()[0].max() == 0.25
    with pytest.raises(ModuleError, match="no scale of its mapping"):
        AnalogTile(2, 3, ideal()).set_mapping_scales(1.0)


def test_weights_are_read_and_programmed_through_the_circuits() -> None:
    torch.manual_seed(2)
    device = ConstantStepDevice(dw_min=0.001, w_max_dtod=0.0, w_min_dtod=0.0)
    for digital in (True, False):
        config = SingleRPUConfig(device=device, mapping=MappingParameter(digital_bias=digital))
        tile = AnalogTile(3, 4, config, bias=True)
        target, bias = torch.rand(3, 4) - 0.5, torch.rand(3) - 0.5
        tile.set_weights(target, bias)
        assert (tile.read_weights()[0] - target).abs().mean() < 0.05
        tile.set_weights(target, bias, realistic=True)
        found, column = tile.get_weights()
        assert 0.0 < (found - target).abs().mean() < 0.05
        assert column is not None
        assert (column - bias).abs().mean() < 0.1


def test_samples_may_be_the_last_dimension() -> None:
    plain, turned = AnalogTile(2, 3, ideal()), AnalogTile(2, 3, ideal(), in_trans=True, out_trans=True)
    weight, x, d = torch.rand(2, 3), torch.rand(5, 3), torch.rand(5, 2)
    for tile in (plain, turned):
        tile.set_weights(weight)
        tile.set_learning_rate(0.1)
    assert torch.equal(turned(x.t()).t(), plain(x))
    assert torch.equal(turned.backward(d.t()).t(), plain.backward(d))
    plain.update(x, d)
    turned.update(x.t(), d.t())
    assert torch.equal(plain.get_weights()[0], turned.get_weights()[0])
    torch.testing.assert_close(plain.get_weights()[0], weight - 0.1 * d.t() @ x)


def test_the_state_of_a_rule_is_dumped_and_loaded_by_name() -> None:
    tile = AnalogTile(2, 3, chopped())
    hidden = tile.get_hidden_parameters()
    hidden["hidden_weights_0"].fill_(0.4)
    hidden["hidden_weights_1"].fill_(0.2)
    extra = tile.dump_extra()
    extra["rpu.rpu_device.in_chopper"] = [1.0, 0.0, 0.0]
    tile.load_extra(extra, strict=True)
    tile.set_hidden_parameters(hidden)
    sign = torch.tensor([-1.0, 1.0, 1.0])
    torch.testing.assert_close(tile.get_weights()[0], (0.2 * 0.4 * sign + 0.2).expand(2, 3))
    del extra["rpu.rpu_device.in_chopper"]
    with pytest.raises(TileModuleError, match="in_chopper"):
        tile.load_extra(extra, strict=True)


def test_cells_by_the_names_of_the_compiled_part() -> None:
    tile = AnalogTile(2, 3, chopped())
    cells = tile.tile
    assert (cells.get_x_size(), cells.get_d_size()) == (3, 2)
    names = cells.get_hidden_parameter_names()
    assert cells.get_hidden_parameters().shape == (len(names), 2, 3)
    cells.set_hidden_parameters(cells.get_hidden_parameters())
    assert cells.get_meta_parameters().forward_io.out_noise == 0.06
    tile.set_hidden_update_index(1)  # without effect where there is no choice
    assert tile.get_hidden_update_index() == 0
    vector = AnalogTile(2, 3, UnitCellRPUConfig(device=VectorUnitCell([ConstantStepDevice()] * 2)))
    vector.set_hidden_update_index(1)
    assert vector.get_hidden_update_index() == 1


def test_arrays_of_several_shapes_make_no_one_tensor() -> None:
    tile = AnalogTile(2, 3, build_config("lrtt", SoftBoundsDevice()))
    with pytest.raises(TileModuleError, match=r"arrays of LowRankTransferCompound.*analog_tile\.get_hidden_parameters"):
        tile.tile.get_hidden_parameters()
    assert tile.get_hidden_parameters()["hidden_weights_0"].shape == (2, 4)


def test_a_configuration_may_be_replaced() -> None:
    layer = AnalogLinear(3, 2, rpu_config=SingleRPUConfig(device=ConstantStepDevice()))
    weight, before = layer.analog_module.analog_ctx, layer.get_weights()[0]
    other = SingleRPUConfig(device=ConstantStepDevice(dw_min=0.5))
    layer.replace_rpu_config(other)
    assert layer.analog_module.rpu_config.device.dw_min == 0.5
    assert layer.analog_module.analog_ctx is weight
    assert torch.equal(layer.get_weights()[0], before)
    for wrong in (FloatingPointRPUConfig(), FloatingPointRPUConfig, SingleRPUConfig(device=LinearStepDevice())):
        with pytest.raises(TileModuleError):
            layer.analog_module.replace_with(wrong)


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 5), nn.ReLU())
        self.head = nn.Linear(5, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x))


def test_conversion_there_and_back() -> None:
    torch.manual_seed(4)
    net, x = Net(), torch.randn(3, 4)
    analog = convert_to_analog(net, ideal())
    assert isinstance(analog, Net)
    assert isinstance(analog.body, AnalogSequential)
    assert list(dict(analog.named_analog_layers())) == ["body.0", "head"]
    torch.testing.assert_close(analog(x), net(x))
    twin = pickle.loads(pickle.dumps(analog))
    assert type(twin) is type(analog)
    torch.testing.assert_close(twin(x), net(x))
    digital = convert_to_digital(analog)
    assert type(digital) is Net
    assert type(digital.body) is nn.Sequential
    torch.testing.assert_close(digital(x), net(x))


def test_a_recurrent_network_without_configuration_is_digital() -> None:
    rnn = AnalogRNN(AnalogGRUCell, 3, 4)
    assert not list(rnn.analog_tiles())
    assert rnn(torch.ones(5, 2, 3))[0].shape == (5, 2, 4)
    analog = AnalogRNN(AnalogGRUCell, 3, 4, True, ideal(), num_layers=2)
    names = [name for name, _ in analog.named_analog_tiles()]
    assert names[0] == "rnn.layers.0.cell.weight_ih.analog_module"
    assert len(names) == 4


def test_a_model_for_a_chip_is_programmed_and_drifts() -> None:
    torch.manual_seed(5)
    model = AnalogSequential(AnalogLinear(6, 4, rpu_config=InferenceRPUConfig(forward=PERFECT)))
    with pytest.raises(ModuleError, match=r"model\.eval"):
        model.program_analog_weights()
    with pytest.raises(ModuleError, match="there is no tile for inference"):
        AnalogSequential(AnalogLinear(2, 2)).eval().drift_analog_weights(1.0)
    before = model.eval()[0].get_weights()[0]
    model.drift_analog_weights(0.0)
    first = model[0].get_weights()[0]
    model.drift_analog_weights(1e7)
    tile = next(model.analog_tiles())
    assert tile.alpha > 1.0
    assert tile.drift_baseline > 0.0
    for after in (first, model[0].get_weights()[0]):
        assert 0.0 < (after - before).abs().max() < 0.5


def test_what_is_not_possible_is_an_error_of_aihwkit() -> None:
    with pytest.raises(ModuleError, match="groups = 2"):
        AnalogConv3d(2, 2, 1, groups=2)
    with pytest.raises(ArgumentError, match="nonsense"):
        build_config("nonsense", device=ConstantStepDevice)
    with pytest.raises(OutOfScopeError):
        import aihwkit.cloud  # noqa: F401
    assert RuntimeParameter(data_type="float", offload_input=True).offload_input
