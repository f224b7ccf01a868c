"""The tile: shapes, weights within bounds, hidden parameters, and what it remembers."""

from __future__ import annotations

import copy
import io
import pickle
from typing import Any

import pytest
import torch
from torch import Tensor

from builders import COMPOUNDS, RULES, perfect, rule, steady
from ohmgrad.configs import (
    ConstantStepDevice,
    ExpStepDevice,
    IdealDevice,
    IOParameters,
    LinearStepDevice,
    PiecewiseStepDevice,
    PowerResponseDevice,
    PowStepDevice,
    PowStepReferenceDevice,
    PulsedDevice,
    SingleRPUConfig,
    SoftBoundsDevice,
    SoftBoundsPmaxDevice,
    SoftBoundsReferenceDevice,
    TransferCompound,
    UnitCellRPUConfig,
)
from ohmgrad.errors import TileError
from ohmgrad.tile import AnalogTile

BY_RULE = pytest.mark.parametrize("name", RULES)


def tile_of(name: str = "sgd", rows: int = 3, columns: int = 4, seed: int = 1, **fields: Any) -> AnalogTile:
    torch.manual_seed(seed)
    return AnalogTile(rows, columns, perfect(rule(name, **fields)))


def trained(tile: AnalogTile, updates: int = 9, seed: int = 2) -> AnalogTile:
    generator = torch.Generator().manual_seed(seed)
    tile.set_learning_rate(0.3)
    for _ in range(updates):
        x = torch.randn(3, tile.in_size, generator=generator)
        tile.update(x, torch.randn(3, tile.out_size, generator=generator))
    return tile


def everything(tile: AnalogTile) -> dict[str, Tensor]:
    """All that can be seen of a tile."""
    seen = {
        **tile.state_dict(),
        **tile.get_hidden_parameters(),
        **tile.algorithm_state(),
        "visible": tile.get_weights(),
    }
    return {name: value.clone() for name, value in seen.items()}


def assert_same(first: AnalogTile, second: AnalogTile) -> None:
    one, two = everything(first), everything(second)
    assert list(one) == list(two)
    for name in one:
        assert torch.equal(one[name], two[name]), name


# Products


@pytest.mark.parametrize("leading", [(), (1,), (5,), (0,), (2, 3), (2, 0, 3), (2, 1, 3, 2)])
def test_products_keep_all_leading_dimensions(leading: tuple[int, ...]) -> None:
    tile = tile_of()
    x, d = torch.randn(*leading, 4), torch.randn(*leading, 3)
    torch.testing.assert_close(tile(x), x @ tile.get_weights().t())
    torch.testing.assert_close(tile.backward(d), d @ tile.get_weights())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
def test_products_have_the_type_of_their_input(dtype: torch.dtype) -> None:
    tile = tile_of()
    x = torch.randn(2, 4).to(dtype)
    assert tile(x).dtype == dtype
    assert tile.backward(torch.randn(2, 3).to(dtype)).dtype == dtype


def test_a_batch_of_any_shape_is_the_same_update_as_its_rows() -> None:
    flat, deep = tile_of(), tile_of()
    x, d = torch.randn(2, 3, 4), torch.randn(2, 3, 3)
    flat.update(x.reshape(6, 4), d.reshape(6, 3))
    deep.update(x, d)
    assert_same(flat, deep)


def test_views_and_strides_make_no_difference() -> None:
    plain, strided = tile_of(), tile_of()
    x, d = torch.randn(5, 4), torch.randn(5, 3)
    plain.update(x, d)
    strided.update(x.t().contiguous().t(), d.repeat_interleave(2, 1)[:, ::2])
    assert_same(plain, strided)
    wide = torch.randn(5, 8)
    assert torch.equal(plain(wide[:, ::2]), strided(wide[:, ::2].contiguous()))


def test_noise_of_a_product_is_fresh_for_every_call_and_repeatable() -> None:
    torch.manual_seed(3)
    tile = AnalogTile(3, 4, SingleRPUConfig())
    again = copy.deepcopy(tile)
    x = torch.randn(4).expand(50, 4)
    y = tile(x)
    assert len(y.unique(dim=0)) > 25
    assert not torch.equal(y, tile(x))
    assert torch.equal(torch.cat([again(x[:20]), again(x[20:])]), y)
    assert not torch.equal(tile.backward(torch.ones(3)), tile.backward(torch.ones(3)))


# Weights


@BY_RULE
def test_weights_come_back_as_they_were_set(name: str) -> None:
    tile = tile_of(name, device=steady(SoftBoundsDevice))
    weights = 0.5 * torch.rand(3, 4) - 0.25
    trained(tile).set_weights(weights)
    assert torch.equal(tile.get_weights(), weights)
    assert torch.equal(tile.weight, weights)


@BY_RULE
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_weights_are_set_within_the_bounds_of_the_cells(name: str, sign: float) -> None:
    tile = tile_of(name)
    tile.set_weights(sign * torch.full((3, 4), 7.0))
    hidden = tile.get_hidden_parameters()
    suffix = {"sgd": "", "mp": "", "mrl": "_2", "lrtt": "_2"}.get(name, "_1")
    bound = hidden[("max_bound" if sign > 0 else "min_bound") + suffix]
    assert torch.equal(tile.get_weights(), bound)


@pytest.mark.parametrize("name", COMPOUNDS)
def test_weights_of_a_visible_fast_array_come_back_too(name: str) -> None:
    tile = tile_of(name, device=steady(SoftBoundsDevice), gamma=0.5)
    weights = 0.5 * torch.rand(3, 4) - 0.25
    trained(tile).set_weights(weights)
    torch.testing.assert_close(tile.get_weights(), weights)


@BY_RULE
def test_setting_weights_starts_the_rule_anew(name: str) -> None:
    fresh, used = tile_of(name), trained(tile_of(name))
    used.set_weights(torch.zeros(3, 4))
    for key, value in fresh.algorithm_state().items():
        assert torch.equal(used.algorithm_state()[key], value), key
    for key, value in fresh.get_hidden_parameters().items():
        assert torch.equal(used.get_hidden_parameters()[key], value), key


def test_what_is_given_out_is_a_copy() -> None:
    tile = trained(tile_of("ttv3"))
    before = everything(tile)
    tile.get_weights().zero_()
    for value in [*tile.get_hidden_parameters().values(), *tile.algorithm_state().values(), *tile.pulse_counts()[0]]:
        value.fill_(1)
    assert all(torch.equal(value, before[key]) for key, value in everything(tile).items())


def test_what_is_taken_in_is_copied() -> None:
    tile, weights = tile_of(), torch.zeros(3, 4)
    tile.set_weights(weights)
    weights.fill_(0.1)
    assert not tile.get_weights().any()
    hidden = tile.get_hidden_parameters()
    tile.set_hidden_parameters(hidden)
    hidden["max_bound"].zero_()
    assert tile.get_hidden_parameters()["max_bound"].all()


# Hidden parameters


COMMON = [
    "max_bound", "min_bound", "dwmin_up", "dwmin_down", "decay_scales", "diffusion_rates", "reset_bias", "drift_nu",
]  # fmt: skip
SLOPES, GAMMAS = ["slope_up", "slope_down"], ["gamma_up", "gamma_down"]


@pytest.mark.parametrize(
    ("device", "names"),
    [
        (ConstantStepDevice(), COMMON),
        (LinearStepDevice(), COMMON + SLOPES),
        (SoftBoundsDevice(), COMMON + SLOPES),
        (SoftBoundsDevice(write_noise_std=1.0), [*COMMON, "persistent_weights", *SLOPES]),
        (SoftBoundsPmaxDevice(), COMMON + SLOPES),
        (SoftBoundsReferenceDevice(), [*COMMON, "reference"]),
        (SoftBoundsReferenceDevice(write_noise_std=1.0), [*COMMON, "persistent_weights", "reference"]),
        (ExpStepDevice(), COMMON),
        (PowStepDevice(write_noise_std=1.0), [*COMMON, "persistent_weights", *GAMMAS]),
        (PowStepReferenceDevice(), [*COMMON, *GAMMAS, "reference"]),
        (PiecewiseStepDevice(), COMMON),
        (PowerResponseDevice(), COMMON),
        (IdealDevice(), []),
    ],
)
def test_hidden_parameters_have_their_names_in_their_order(device: Any, names: list[str]) -> None:
    hidden = AnalogTile(3, 4, SingleRPUConfig(device=device)).get_hidden_parameters()
    assert list(hidden) == names
    assert {tuple(value.shape) for value in hidden.values()} <= {(3, 4)}


BUFFERS = {
    "ttv1": [],
    "ttv2": ["buffered_FP_weight_0"],
    "ttv3": ["buffered_FP_weight_0"],
    "ttv4": ["buffered_FP_weight", "running_mean_weight", "past_mean_weight"],
    "rlv2": ["buffered_FP_weight_0"],
    "rider": ["reference"],
    "e-rider": ["reference", "programmed_reference"],
}


@pytest.mark.parametrize("columns", [True, False])
@pytest.mark.parametrize("name", COMPOUNDS)
def test_hidden_parameters_of_a_compound_are_those_of_its_arrays_in_turn(name: str, columns: bool) -> None:
    tile = tile_of(name, device=ConstantStepDevice(), transfer_columns=columns)
    hidden = tile.get_hidden_parameters()
    arrays = [f"{field}_{k}" for k in (0, 1) for field in [*COMMON, "hidden_weights"]]
    assert list(hidden) == arrays + BUFFERS[name]
    assert {tuple(value.shape) for value in hidden.values()} == {(3, 4)}


@BY_RULE
def test_hidden_parameters_are_restored_exactly(name: str) -> None:
    device = SoftBoundsDevice(dw_min=0.02, write_noise_std=0.5)
    tile, other = trained(tile_of(name, device=device)), tile_of(name, device=device, seed=5)
    other.set_hidden_parameters(tile.get_hidden_parameters())
    for key, value in tile.get_hidden_parameters().items():
        assert torch.equal(other.get_hidden_parameters()[key], value), key
    if "in_chopper" not in tile.algorithm_state():  # choppers are not hidden parameters
        assert name not in COMPOUNDS or torch.equal(other.get_weights(), tile.get_weights())


@BY_RULE
def test_getting_and_setting_hidden_parameters_changes_nothing(name: str) -> None:
    tile = trained(tile_of(name))
    before = everything(tile)
    tile.set_hidden_parameters(tile.get_hidden_parameters())
    assert all(torch.equal(value, before[key]) for key, value in everything(tile).items())


def test_hidden_parameters_outside_the_bounds_are_taken_as_they_are() -> None:
    tile = tile_of("ttv1")
    hidden = tile.get_hidden_parameters()
    hidden["hidden_weights_1"].fill_(9.0)
    tile.set_hidden_parameters(hidden)
    assert (tile.get_weights() == 9.0).all()


@pytest.mark.parametrize("name", COMPOUNDS)
def test_the_visible_weight_follows_hidden_weights_at_once(name: str) -> None:
    tile = tile_of(name, gamma=0.25)
    hidden = tile.get_hidden_parameters()
    hidden["hidden_weights_0"].fill_(0.4)
    hidden["hidden_weights_1"].fill_(0.2)
    tile.set_hidden_parameters(hidden)
    torch.testing.assert_close(tile.get_weights(), torch.full((3, 4), 0.3))


def test_wrong_hidden_parameters_are_refused_and_change_nothing() -> None:
    tile = trained(tile_of("ttv2"))
    before = everything(tile)
    good = tile.get_hidden_parameters()
    missing = {key: value for key, value in good.items() if key != "hidden_weights_0"}
    unknown = {**good, "speed": torch.zeros(3, 4)}
    misshapen = {**good, "buffered_FP_weight_0": torch.zeros(4, 3)}
    for values, culprit in ((missing, "hidden_weights_0"), (unknown, "speed"), (misshapen, "buffered_FP_weight_0")):
        values = {key: value + 0.125 if value.shape == (3, 4) else value for key, value in values.items()}
        with pytest.raises(TileError, match=culprit):
            tile.set_hidden_parameters(values)
        assert all(torch.equal(value, before[key]) for key, value in everything(tile).items())


# Counting


def test_pulses_are_counted_cell_by_cell() -> None:
    tile = tile_of("sgd", device=steady(ConstantStepDevice))
    tile.set_learning_rate(0.005)
    x, d = torch.tensor([1.0, 0.0, -1.0, 0.0]), torch.tensor([1.0, 0.0, -1.0])
    down = 5 * torch.tensor([[1, 0, 0, 0], [0, 0, 0, 0], [0, 0, 1, 0]])
    up = 5 * torch.tensor([[0, 0, 1, 0], [0, 0, 0, 0], [1, 0, 0, 0]])
    for times in (1, 2, 3):
        tile.update(x, d)
        (counts,) = tile.pulse_counts()
        assert torch.equal(counts.up.long(), times * up)
        assert torch.equal(counts.down.long(), times * down)
        assert torch.equal(counts.total.long(), times * (up + down))


@pytest.mark.parametrize("name", COMPOUNDS)
def test_every_array_counts_its_own_pulses_the_fast_one_first(name: str) -> None:
    tile = trained(tile_of(name))
    fast, slow = (counts.total for counts in tile.pulse_counts())
    assert fast.shape == slow.shape == (3, 4)
    assert fast.sum() > slow.sum() >= 0


# Learning rate 0


@BY_RULE
def test_a_learning_rate_of_0_moves_nothing_at_all(name: str) -> None:
    tile = trained(tile_of(name), updates=3)
    tile.set_learning_rate(0.0)
    before = everything(tile)
    tile.update(torch.randn(7, 4), torch.randn(7, 3))
    assert all(torch.equal(value, before[key]) for key, value in everything(tile).items())


@BY_RULE
def test_an_empty_batch_moves_nothing_at_all(name: str) -> None:
    tile = trained(tile_of(name), updates=3)
    before = everything(tile)
    tile.update(torch.zeros(0, 4), torch.zeros(0, 3))
    assert all(torch.equal(value, before[key]) for key, value in everything(tile).items())


# Copies


def saved(tile: AnalogTile) -> AnalogTile:
    file = io.BytesIO()
    torch.save(tile, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


def loaded(tile: AnalogTile) -> AnalogTile:
    torch.manual_seed(77)
    other = AnalogTile(tile.out_size, tile.in_size, tile.rpu_config)
    other.load_state_dict(tile.state_dict())
    return other


COPIES = {
    "deepcopy": copy.deepcopy,
    "pickle": lambda tile: pickle.loads(pickle.dumps(tile)),
    "torch.save": saved,
    "state_dict": loaded,
    "deepcopy twice": lambda tile: copy.deepcopy(copy.deepcopy(tile)),
    "moved": lambda tile: copy.deepcopy(tile).to("cpu"),
    "half": lambda tile: copy.deepcopy(tile).half(),
}


@pytest.mark.parametrize("way", COPIES)
@pytest.mark.parametrize("gamma", [0.0, 0.25])
@BY_RULE
def test_a_copy_goes_on_as_the_original_does_and_apart_from_it(name: str, gamma: float, way: str) -> None:
    fields = {"gamma": gamma} if name in COMPOUNDS else {}
    original = trained(tile_of(name, **fields), updates=5)
    untouched = everything(original)
    other = COPIES[way](original)
    assert_same(original, other)
    trained(other, updates=4, seed=8)
    assert all(torch.equal(value, untouched[key]) for key, value in everything(original).items())
    trained(original, updates=4, seed=8)
    assert_same(original, other)
    assert torch.equal(original(torch.eye(4)), other(torch.eye(4)))
    assert other.weight.tile is other


@BY_RULE
def test_cells_stay_in_single_precision(name: str) -> None:
    tile = trained(tile_of(name), updates=3)
    types = {key: value.dtype for key, value in tile.state_dict().items()}
    for convert in (AnalogTile.half, AnalogTile.bfloat16):
        convert(tile)
        assert {key: value.dtype for key, value in tile.state_dict().items()} == types
        assert tile.weight.dtype == torch.float32


@BY_RULE
def test_double_precision_is_refused_and_changes_nothing(name: str) -> None:
    tile = trained(tile_of(name), updates=3)
    before = everything(tile)
    for convert in (AnalogTile.double, lambda tile: tile.to(torch.float64)):
        with pytest.raises(TileError, match="single precision"):
            convert(tile)
    after = everything(tile)
    assert {key: value.dtype for key, value in after.items()} == {key: value.dtype for key, value in before.items()}
    assert all(torch.equal(value, before[key]) for key, value in after.items())


def test_the_visible_weight_shares_the_memory_of_the_array_where_it_can() -> None:
    tile = tile_of("ttv2")
    assert tile.weight.data_ptr() == tile.rule.all_arrays()[-1].weight.data_ptr()
    trained(tile)
    assert tile.weight.data_ptr() == tile.rule.all_arrays()[-1].weight.data_ptr()


# What is saved


@BY_RULE
def test_a_state_dict_holds_neither_the_visible_weight_nor_anything_of_the_configuration(name: str) -> None:
    tile = trained(tile_of(name, **({"gamma": 0.25} if name in COMPOUNDS else {})))
    state = tile.state_dict()
    assert "weight" not in state
    assert all(isinstance(value, Tensor) for value in state.values())
    assert not any(word in key for key in state for word in ("gamma", "granularity", "every", "config", "mixed"))
    other = {"gamma": 0.5, "transfer_every": 3.0, "fast_lr": 0.5} if name in COMPOUNDS else {}
    changed = tile_of(name, **other)
    changed.load_state_dict(state)
    if name in COMPOUNDS:
        hidden, sign = tile.get_hidden_parameters(), 1.0
        flips = tile.algorithm_state()
        if "in_chopper" in flips:
            sign = torch.outer(1.0 - 2.0 * flips["out_chopper"].float(), 1.0 - 2.0 * flips["in_chopper"].float())
        shown = hidden["hidden_weights_0"] - hidden.get("programmed_reference", hidden.get("reference", 0.0))
        expected = 0.5 * sign * shown + hidden["hidden_weights_1"]
        torch.testing.assert_close(changed.get_weights(), expected)


@BY_RULE
def test_a_state_dict_is_loaded_by_torch_with_its_safe_default(name: str) -> None:
    file = io.BytesIO()
    tile = trained(tile_of(name))
    torch.save(tile.state_dict(), file)
    file.seek(0)
    state = torch.load(file, weights_only=True)
    assert all(torch.equal(value, state[key]) for key, value in tile.state_dict().items())


def test_a_state_of_another_shape_or_rule_is_refused() -> None:
    with pytest.raises(RuntimeError, match="size mismatch"):
        tile_of(rows=4).load_state_dict(tile_of(rows=3).state_dict())
    with pytest.raises(RuntimeError, match=r"Missing key.*buffered_FP_weight"):
        tile_of("ttv2").load_state_dict(tile_of("ttv1").state_dict())


def test_tiles_made_one_after_the_other_are_different() -> None:
    torch.manual_seed(1)
    first, second = AnalogTile(3, 4), AnalogTile(3, 4)
    assert first.seed != second.seed
    assert not torch.equal(first.get_hidden_parameters()["max_bound"], second.get_hidden_parameters()["max_bound"])


def test_a_tile_says_what_it_is() -> None:
    assert "out_size=3, in_size=4, device=SoftBoundsDevice" in repr(tile_of())
    assert "device=TransferCompound" in repr(tile_of("ttv1"))


# The chain of arrays


def test_a_chain_of_three_arrays_is_seen_by_powers_of_gamma() -> None:
    device = steady(SoftBoundsDevice)
    compound = TransferCompound(unit_cell_devices=[device] * 3, gamma=0.5)
    tile = AnalogTile(2, 2, UnitCellRPUConfig(device=compound))
    hidden = tile.get_hidden_parameters()
    for k, value in enumerate((0.4, 0.2, 0.1)):
        hidden[f"hidden_weights_{k}"].fill_(value)
    tile.set_hidden_parameters(hidden)
    torch.testing.assert_close(tile.get_weights(), torch.full((2, 2), 0.25 * 0.4 + 0.5 * 0.2 + 0.1))
    assert [counts.up.shape for counts in tile.pulse_counts()] == [(2, 2)] * 3


@pytest.mark.parametrize("rows", [1, 2])
@pytest.mark.parametrize("columns", [1, 2])
@BY_RULE
def test_the_smallest_tiles_learn_like_any_other(name: str, rows: int, columns: int) -> None:
    reads: dict[str, Any] = {} if name in ("sgd", "mp") else {"transfer_forward": IOParameters(is_perfect=True)}
    if name == "e-rider":
        reads["in_chop_prob"] = 0.1  # without a buffer, a phase must be long enough to learn in
    tile = tile_of(name, rows, columns, device=steady(SoftBoundsDevice, dw_min=0.005), **reads)
    tile.set_learning_rate(0.1)
    for _ in range(200):
        tile.update(torch.ones(columns), tile.get_weights().sum(1) - 0.2 * columns)
    torch.testing.assert_close(
        tile(torch.ones(columns)).detach(), torch.full((rows,), 0.2 * columns), rtol=0.0, atol=0.1
    )


def test_a_pulsed_device_is_what_a_tile_has_by_default() -> None:
    assert isinstance(AnalogTile(2, 2).rpu_config.device, ConstantStepDevice)
    assert issubclass(ConstantStepDevice, PulsedDevice)


def test_inputs_on_another_device_than_the_cells_are_refused() -> None:
    tile = AnalogTile(3, 4)
    for verb in (tile, lambda x: tile.update(x, torch.ones(2, 3))):
        with pytest.raises(TileError, match=r"the input is on meta, the cells are on cpu\. Move one of them"):
            verb(torch.ones(2, 4, device="meta"))
