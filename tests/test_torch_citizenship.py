"""Analog layers behave in PyTorch as a user of PyTorch expects, or say that they do not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import prune

from builders import RULES, rule
from ohmgrad import AnalogLinear, AnalogSGD, AnalogTile
from ohmgrad.configs import (
    ChoppedTransferCompound,
    IdealDevice,
    IOParameters,
    OneSidedUnitCell,
    PulseType,
    RPUConfig,
    SingleRPUConfig,
    SoftBoundsDevice,
    TransferCompound,
    UnitCellRPUConfig,
)
from ohmgrad.engine.host import HostModule
from ohmgrad.errors import ConfigError, OptimizerError, TileError
from ohmgrad.weight import AnalogWeight


def exact(inputs: int = 3, outputs: int = 2) -> AnalogLinear:
    perfect = IOParameters(is_perfect=True)
    torch.manual_seed(0)
    return AnalogLinear(
        inputs, outputs, rpu_config=SingleRPUConfig(device=IdealDevice(), forward=perfect, backward=perfect)
    )


def test_a_layer_learns_from_the_input_it_saw_even_if_the_buffer_is_used_again() -> None:
    layer, buffer = exact(), torch.ones(4, 3)
    optimizer, before = AnalogSGD(layer.parameters(), lr=0.1), layer.tile.get_weights()
    layer(buffer).sum().backward()
    buffer.zero_()
    optimizer.step()
    torch.testing.assert_close(layer.tile.get_weights(), before - 0.1 * 4 * torch.ones(2, 3))


def test_maximising_is_refused() -> None:
    with pytest.raises(OptimizerError, match="maximize"):
        AnalogSGD(exact().parameters(), lr=0.1, maximize=True)


def test_a_gradient_scaler_is_refused() -> None:
    layer = exact()
    optimizer, scaler = AnalogSGD(layer.parameters(), lr=0.1), torch.amp.GradScaler("cpu")
    scaler.scale(layer(torch.ones(1, 3)).sum()).backward()
    before = layer.tile.get_weights()
    with pytest.raises(OptimizerError, match=r"GradScaler.*bfloat16.*in float16, call loss\.backward"):
        scaler.step(optimizer)
    assert torch.equal(layer.tile.get_weights(), before)
    optimizer.step()  # without it, after the error
    assert not torch.equal(layer.tile.get_weights(), before)


def test_a_refused_parameter_group_does_not_stay() -> None:
    first, second = exact(), exact()
    optimizer = AnalogSGD(first.parameters(), lr=0.1)
    with pytest.raises(OptimizerError, match="rate"):
        optimizer.add_param_group({"params": list(second.parameters()), "lr": -1.0})
    assert len(optimizer.param_groups) == 1


def test_hooks_of_a_step_run_once_and_after_the_pulses() -> None:
    plain = nn.Linear(1, 1)
    torch.optim.SGD(plain.parameters(), lr=0.1)  # torch wraps the step of a class with its first instance
    layer = exact()
    optimizer, before, moved = AnalogSGD(layer.parameters(), lr=0.1), layer.tile.get_weights(), []
    optimizer.register_step_post_hook(lambda *_: moved.append(not torch.equal(layer.weight, before)))
    layer(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    assert moved == [True]


def test_a_model_loaded_in_a_new_process_still_refuses_other_optimizers(tmp_path: Path) -> None:
    torch.save(exact(), tmp_path / "layer.pt")
    script = (
        "import sys, torch\n"
        "from ohmgrad.errors import OptimizerError\n"
        "layer = torch.load(sys.argv[1], weights_only=False)\n"
        "try:\n"
        "    torch.optim.SGD(layer.parameters(), lr=0.1).step()\n"
        "except OptimizerError:\n"
        "    print('refused')\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "layer.pt")], capture_output=True, text=True, check=True
    )
    assert run.stdout.split() == ["refused"]


@pytest.mark.parametrize("gamma", [0.3, 1.0])
@pytest.mark.parametrize("compound", [TransferCompound, ChoppedTransferCompound])
def test_what_was_set_is_seen_even_if_cells_of_a_are_stuck(compound: type[TransferCompound], gamma: float) -> None:
    stuck = SoftBoundsDevice(corrupt_devices_prob=0.5)
    slow = SoftBoundsDevice(w_max=5.0, w_min=-5.0, w_max_dtod=0.0, w_min_dtod=0.0)
    tile = AnalogTile(6, 5, UnitCellRPUConfig(device=compound(unit_cell_devices=[stuck, slow], gamma=gamma)))
    for _ in range(3):
        tile.update(torch.randn(4, 5), torch.randn(4, 6))
    tile.set_weights(torch.full((6, 5), 0.3))
    torch.testing.assert_close(tile.get_weights(), torch.full((6, 5), 0.3))


def test_a_transfer_rate_of_0_leaves_the_fast_array_alone() -> None:
    rule = TransferCompound(
        unit_cell_devices=[SoftBoundsDevice(), SoftBoundsDevice()], transfer_lr=0.0, with_reset_prob=1.0
    )
    tile = AnalogTile(2, 3, UnitCellRPUConfig(device=rule))
    hidden = tile.get_hidden_parameters()
    hidden["hidden_weights_0"] = torch.full((2, 3), 0.1)
    tile.set_hidden_parameters(hidden)
    tile.update(torch.zeros(4, 3), torch.zeros(4, 2))
    assert torch.equal(tile.get_hidden_parameters()["hidden_weights_0"], torch.full((2, 3), 0.1))


@pytest.mark.parametrize("x", [torch.tensor([[1, 2, 2]]), torch.tensor([[True, False, True]]), [1.0, 2.0, 3.0]])
def test_an_input_that_is_no_floating_point_tensor_is_refused(x: Tensor) -> None:
    with pytest.raises(TileError, match=r"Give (floating-point numbers|a tensor)"):
        exact().tile._forward_product(x, marks_clipped=False)


def trained(config: RPUConfig) -> AnalogTile:
    """A tile that a batch has reached."""
    torch.manual_seed(3)
    tile = AnalogTile(3, 4, config)
    tile.update(BATCH[0], BATCH[1])
    return tile


BATCH = torch.linspace(-1, 1, 20).reshape(5, 4), torch.linspace(-0.5, 1, 15).reshape(5, 3)


def all_configs() -> list[RPUConfig]:
    """Every rule, and what is worked out in other ways."""
    pair, counts = OneSidedUnitCell(unit_cell_devices=[SoftBoundsDevice()], refresh_every=1), rule("sgd")
    counts.update.pulse_type = PulseType.MEAN_COUNT
    implicit = rule("sgd")
    implicit.runtime.implicit_cells = True
    scaled = rule("ttv3", auto_scale=True)
    return [*map(rule, RULES), UnitCellRPUConfig(device=pair), counts, implicit, scaled]


@pytest.mark.parametrize("config", all_configs(), ids=[*RULES, "one-sided", "counts", "implicit", "scaled"])
@pytest.mark.parametrize("default", ["device", "dtype"])
def test_an_update_does_not_depend_on_what_torch_makes_by_default(config: RPUConfig, default: str) -> None:
    wanted, other = trained(config), trained(config)
    wanted.update(*BATCH)
    if default == "device":
        with torch.device("meta"):
            other.update(*BATCH)
    else:
        torch.set_default_dtype(torch.float64)
        try:
            other.update(*BATCH)
        finally:
            torch.set_default_dtype(torch.float32)
    assert all(torch.equal(value, other.state_dict()[name]) for name, value in wanted.state_dict().items())


def test_what_is_assigned_from_a_checkpoint_gets_the_type_that_kernels_expect() -> None:
    wanted, other = trained(rule("sgd")), trained(rule("sgd"))
    state = {name: value.double() if value.is_floating_point() else value for name, value in other.state_dict().items()}
    other.load_state_dict(state, assign=True)
    for tile in (wanted, other):
        tile.update(*BATCH)
    assert all(torch.equal(value, other.state_dict()[name]) for name, value in wanted.state_dict().items())


def test_a_bias_may_be_pruned() -> None:
    layer = AnalogLinear(4, 3, rpu_config=rule("sgd"))
    x = torch.ones(2, 4)
    before = layer.tile(x)
    layer.tile.forward_vectors.zero_()
    prune.random_unstructured(layer, "bias", 3)
    torch.testing.assert_close(layer(x), before)


def test_cells_are_simulated_in_single_precision_whatever_the_default_is() -> None:
    def run() -> Tensor:
        torch.manual_seed(3)
        cells = [SoftBoundsDevice(), SoftBoundsDevice()]
        tile = AnalogTile(3, 4, UnitCellRPUConfig(device=ChoppedTransferCompound(unit_cell_devices=cells, gamma=0.2)))
        x, d = torch.linspace(-1, 1, 20, dtype=torch.float32), torch.linspace(-0.5, 1, 15, dtype=torch.float32)
        tile.update(x.reshape(5, 4), d.reshape(5, 3))
        tile(x.reshape(5, 4))
        return tile.get_weights()

    single = run()
    torch.set_default_dtype(torch.float64)
    try:
        double = run()
    finally:
        torch.set_default_dtype(torch.float32)
    assert double.dtype == torch.float32
    assert torch.equal(single, double)


def test_a_visible_weight_in_a_checkpoint_is_not_taken_for_the_cells() -> None:
    layer = exact()
    before = layer.tile.get_weights()
    state = {**layer.state_dict(), "matrix.blocks.0.tile.weight": torch.full((2, 3), 5.0)}
    with pytest.raises(RuntimeError, match=r"Unexpected key.*tile\.weight"):
        layer.load_state_dict(state)
    assert torch.equal(layer.tile.get_weights(), before)


def test_hidden_parameters_are_taken_in_any_order_but_not_if_they_are_not_finite() -> None:
    tile = AnalogTile(2, 2, SingleRPUConfig(device=SoftBoundsDevice()))
    hidden = tile.get_hidden_parameters()
    tile.set_hidden_parameters(dict(reversed(hidden.items())))
    hidden["max_bound"][0, 0] = torch.nan
    with pytest.raises(TileError, match="max_bound"):
        tile.set_hidden_parameters(hidden)


def test_a_configuration_takes_its_fields_by_name() -> None:
    with pytest.raises(ConfigError, match="SoftBoundsDevice takes its fields by name"):
        SoftBoundsDevice(0.1)


def test_seed_and_learning_rate_can_be_read_at_once_wherever_the_tile_is() -> None:
    tile = exact().tile
    seed = int(tile.seed)
    tile.set_learning_rate(0.3)
    HostModule._apply(tile, lambda tensor: tensor.to("meta"))  # a tile cannot show the weight of cells that hold none
    assert all(value.is_meta for value in tile.rule.buffers())
    assert int(tile.seed) == seed
    assert tile.get_learning_rate() == 0.3


@pytest.mark.parametrize("name", RULES)
def test_a_model_may_be_made_without_memory_and_filled_later(name: str) -> None:
    wanted = AnalogLinear(4, 3, rpu_config=rule(name))
    with torch.device("meta"):
        layer = AnalogLinear(4, 3, rpu_config=rule(name))
    assert layer.weight.is_meta
    assert type(layer.weight) is AnalogWeight
    assert layer(torch.ones(2, 4, device="meta")).is_meta
    layer.to_empty(device="cpu").load_state_dict(wanted.state_dict())
    assert torch.equal(layer.weight, wanted.weight)
    assert torch.equal(layer(torch.ones(2, 4)), wanted(torch.ones(2, 4)))


def test_hooks_of_layers_and_tiles_see_what_passes() -> None:
    layer, seen = exact(), []
    layer.register_forward_pre_hook(lambda _, given: seen.append(("pre", given[0].shape)))
    layer.tile.register_forward_hook(lambda _, given, y: seen.append(("tile", y.shape)))
    layer.register_forward_hook(lambda _, given, y: y * 2.0)
    layer.register_full_backward_hook(lambda _, of_input, of_output: seen.append(("back", of_input[0].shape)))
    x = torch.ones(4, 3, requires_grad=True)
    y = layer(x)
    torch.testing.assert_close(y, 2.0 * nn.functional.linear(x, layer.weight, layer.bias))
    y.sum().backward()
    assert seen == [("pre", (4, 3)), ("tile", (4, 2)), ("back", (4, 3))]
    before = layer.tile.get_weights()
    AnalogSGD(layer.parameters(), lr=0.1).step()
    torch.testing.assert_close(layer.tile.get_weights(), before - 0.1 * 2.0 * 4.0)
