"""Cells whose parameters are implicit, or stored in half precision, and what a tile says of its memory."""

from __future__ import annotations

import copy
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from builders import COMPOUNDS, RULES, rule
from devices.test_cases import CASES
from ohmgrad import AnalogTile, configs
from ohmgrad.configs import (
    DriftParameter,
    LinearStepDevice,
    OneSidedUnitCell,
    PowStepReferenceDevice,
    PulsedDevice,
    PulseType,
    RPUConfig,
    SingleRPUConfig,
    SoftBoundsDevice,
    UnitCellRPUConfig,
    VectorUnitCell,
)
from ohmgrad.engine.trains import SLOTS
from ohmgrad.errors import ConfigError, TileError
from ohmgrad.presets import ALGORITHMS
from ohmgrad.testing import DeviceTestCase
from ohmgrad.testing.common import (
    a_batch,
    assert_goes_on,
    assert_implementations_agree,
    assert_same_bits,
    assert_same_but_for_rounding,
    assert_within_bounds,
    everything,
    implementations,
    live,
    make_tile,
)

SIZE = (5, 37)
DEVICES: dict[str, PulsedDevice] = {
    case.__name__.removeprefix("Test"): case().make_device() for case in CASES if case is not DeviceTestCase
}
HALF = pytest.mark.parametrize("dtype", ["bfloat16", "float16"])


def with_runtime(config: RPUConfig, **fields: Any) -> RPUConfig:
    config = config.model_copy(deep=True)
    config.runtime = config.runtime.replaced(**fields)
    return config


def implicit(config: RPUConfig) -> RPUConfig:
    return with_runtime(config, implicit_cells=True)


def aged(device: PulsedDevice) -> PulsedDevice:
    """The device with everything that time and resets can do to a cell."""
    drift = DriftParameter(nu=0.1, nu_dtod=0.2, nu_std=0.1, w_noise_std=0.01)
    return device.replaced(
        lifetime=20.0, lifetime_dtod=0.2, diffusion=0.01, diffusion_dtod=0.2, reset_dtod=0.05, drift=drift
    )


def remembered(tile: AnalogTile) -> dict[str, Tensor]:
    """Everything but the way in which the cells are stored."""
    ways = {"cells_origin", *(name for cells in tile.rule.cells() for name in cells.parameter_names)}
    state = {name: value for name, value in everything(tile).items() if name.split(".")[-1] not in ways}
    return {**state, **tile.get_hidden_parameters()}


def are_implicit(tile: AnalogTile) -> bool:
    return all(cells.is_implicit for cells in tile.rule.cells())


# --- implicit cells --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in DEVICES if "PowStepReference" not in name])
def test_every_device_lives_the_same_life_with_implicit_cells(name: str) -> None:
    config = SingleRPUConfig(device=aged(DEVICES[name]))
    stored, other = (live(make_tile(each, SIZE)) for each in (config, implicit(config)))
    assert are_implicit(other)
    assert_same_bits(remembered(other), remembered(stored), name)


@pytest.mark.parametrize("name", RULES)
def test_every_rule_trains_implicit_cells_to_the_same_bits(name: str) -> None:
    resets = {"with_reset_prob": 0.5} if name == "ttv1" else {}
    config = rule(name, aged(SoftBoundsDevice(dw_min=0.02, write_noise_std=1.0, corrupt_devices_prob=0.1)), **resets)
    for implementation in implementations():
        stored, other = (live(make_tile(each, SIZE, implementation)) for each in (config, implicit(config)))
        assert are_implicit(other)
        assert_same_bits(remembered(other), remembered(stored), f"{name}, {implementation}")


@pytest.mark.parametrize("pulse_type", [PulseType.NONE_WITH_DEVICE, PulseType.MEAN_COUNT])
def test_other_pulse_types_do_the_same_to_implicit_cells(pulse_type: PulseType) -> None:
    config = SingleRPUConfig(device=SoftBoundsDevice(dw_min=0.02))
    config.update.pulse_type = pulse_type
    stored, other = (live(make_tile(each, SIZE, rate=3.0)) for each in (config, implicit(config)))
    assert_same_bits(remembered(other), remembered(stored), pulse_type.name)


def test_many_pulses_and_reads_in_one_batch_do_the_same_to_implicit_cells() -> None:
    config = rule("ttv2", SoftBoundsDevice(dw_min=0.001))
    config.update.desired_bl = SLOTS
    stored, other = (make_tile(each, (37, 150), rate=0.5) for each in (config, implicit(config)))
    for tile in (stored, other):
        tile.update(*a_batch(20, (37, 150)))
    assert_same_bits(remembered(other), remembered(stored), "20 samples")


def test_an_analog_bias_that_is_perfect_is_so_when_implicit() -> None:
    config = SingleRPUConfig(device=SoftBoundsDevice(perfect_bias=True))
    torch.manual_seed(0)
    hidden = AnalogTile(3, 4, implicit(config), has_bias=True).get_hidden_parameters()
    torch.manual_seed(0)
    wanted = AnalogTile(3, 4, config, has_bias=True).get_hidden_parameters()
    assert (hidden["max_bound"][:, -1] == 60.0).all()
    assert_same_bits(hidden, wanted, "hidden parameters")


def test_log_normal_gains_agree_to_the_rounding_of_the_exponential_function() -> None:
    config = SingleRPUConfig(device=SoftBoundsDevice(dw_min=0.02, dw_min_dtod_log_normal=True))
    stored, other = (live(make_tile(each, SIZE)) for each in (config, implicit(config)))
    assert_same_but_for_rounding(remembered(other), remembered(stored), "log-normal")
    again = make_tile(config, SIZE)
    again.load_state_dict(other.state_dict())  # exact among themselves
    assert_same_bits(again.get_hidden_parameters(), other.get_hidden_parameters(), "loaded")


@pytest.mark.parametrize("of_compound", [0, 5])
@pytest.mark.parametrize("of_device", [0, 7])
def test_implicit_cells_follow_the_seeds_of_devices_and_compounds(of_compound: int, of_device: int) -> None:
    config = rule("ttv1", SoftBoundsDevice(construction_seed=of_device), construction_seed=of_compound)
    stored, other = make_tile(config, SIZE), make_tile(implicit(config), SIZE)
    assert_same_bits(other.get_hidden_parameters(), stored.get_hidden_parameters(), "hidden parameters")


@pytest.mark.parametrize("name", ["sgd", "ttv3", "mp"])
def test_saving_and_going_on_is_exact_with_implicit_cells(name: str) -> None:
    assert_goes_on(implicit(rule(name, aged(SoftBoundsDevice(dw_min=0.02)))), (5, 7))


def test_implicit_and_stored_cells_load_each_other() -> None:
    config = SingleRPUConfig(device=aged(SoftBoundsDevice(dw_min=0.02)))
    wanted = live(make_tile(config, SIZE, seed=1))
    for origin in (config, implicit(config)):
        for target in (config, implicit(config)):
            for assign in (False, True):
                state = live(make_tile(origin, SIZE, seed=1)).state_dict()
                tile = make_tile(target, SIZE, seed=2)
                tile.load_state_dict(copy.deepcopy(state), assign=assign)
                assert are_implicit(tile) == (origin is not config and target is not config)
                assert_same_bits(remembered(live(tile, first=3)), remembered(live(copy.deepcopy(wanted), first=3)), "")


def test_a_tile_that_was_given_stored_cells_takes_implicit_ones_again() -> None:
    config = implicit(SingleRPUConfig(device=SoftBoundsDevice()))
    tile, other = make_tile(config, SIZE, seed=1), make_tile(config, SIZE, seed=2)
    state = tile.state_dict()
    tile.load_state_dict(make_tile(with_runtime(config, implicit_cells=False), SIZE, seed=2).state_dict())
    assert not are_implicit(tile)
    assert_same_bits(tile.get_hidden_parameters(), other.get_hidden_parameters(), "stored")
    tile.load_state_dict(state)
    assert are_implicit(tile)


@pytest.mark.parametrize("wants_implicit", [False, True])
def test_the_origin_of_other_cells_is_refused(wants_implicit: bool) -> None:
    state = make_tile(implicit(SingleRPUConfig(device=SoftBoundsDevice())), SIZE).state_dict()
    other = with_runtime(SingleRPUConfig(device=SoftBoundsDevice(w_max=0.7)), implicit_cells=wants_implicit)
    with pytest.raises(RuntimeError, match="cells_origin cannot say what the cells are: they are those of another"):
        make_tile(other, SIZE).load_state_dict(state)


def test_giving_back_its_own_hidden_parameters_leaves_a_tile_implicit() -> None:
    tile = live(make_tile(implicit(rule("ttv2")), SIZE))
    before = remembered(tile)
    tile.set_hidden_parameters(tile.get_hidden_parameters())
    assert are_implicit(tile)
    assert_same_bits(remembered(tile), before, "given back")


def test_cells_that_are_given_other_parameters_are_stored_and_exact() -> None:
    config = rule("ttv2")
    stored, other = make_tile(config, SIZE), make_tile(implicit(config), SIZE)
    hidden = stored.get_hidden_parameters()
    hidden["max_bound_1"][0, 0] = 0.123
    for tile in (stored, other):
        tile.set_hidden_parameters(hidden)
    assert [cells.is_implicit for cells in other.rule.cells()] == [True, False]
    assert_same_bits(remembered(live(other)), remembered(live(stored)), "given")
    fresh = make_tile(implicit(config), SIZE, seed=3)
    fresh.load_state_dict(other.state_dict())
    assert [cells.is_implicit for cells in fresh.rule.cells()] == [True, False]
    assert_same_bits(remembered(live(fresh, first=3)), remembered(live(other, first=3)), "loaded")


def test_hidden_parameters_that_are_refused_leave_cells_implicit() -> None:
    tile = make_tile(implicit(SingleRPUConfig(device=SoftBoundsDevice())), SIZE)
    with pytest.raises(TileError, match="Hidden parameters differ"):
        tile.set_hidden_parameters({"max_bound": torch.ones(SIZE)})
    assert are_implicit(tile)


def test_cells_of_several_devices_are_implicit_one_by_one() -> None:
    config = UnitCellRPUConfig(device=VectorUnitCell(unit_cell_devices=[SoftBoundsDevice(dw_min=0.02)] * 2))
    stored, other = (live(make_tile(each, SIZE)) for each in (config, implicit(config)))
    assert are_implicit(other)
    assert_same_bits(remembered(other), remembered(stored), "vector cell")


def test_a_search_in_double_precision_is_stored_and_says_so_once() -> None:
    config = SingleRPUConfig(device=PowStepReferenceDevice(dw_min=0.02, subtract_symmetry_point=True))
    with pytest.warns(UserWarning, match="PowStepReferenceDevice are stored, since double is not among") as caught:
        tile = make_tile(implicit(config), SIZE)
    assert len(caught) == 1
    (cells,) = tile.rule.cells()
    assert not cells.is_implicit
    assert cells.stored_because.startswith("double is not among the operations")
    assert_same_bits(everything(live(tile)), everything(live(make_tile(config, SIZE))), "stored")


def test_mirrored_cells_are_stored_and_those_that_they_mirror_are_not() -> None:
    cell = OneSidedUnitCell(unit_cell_devices=[SoftBoundsDevice(dw_min=0.02)], copy_inverted=True)
    config = UnitCellRPUConfig(device=cell)
    with pytest.warns(UserWarning, match="they mirror the cells of another array"):
        tile = make_tile(implicit(config), SIZE)
    assert [cells.is_implicit for cells in tile.rule.cells()] == [False, True]
    assert_same_bits(remembered(live(tile)), remembered(live(make_tile(config, SIZE))), "mirrored")


def test_nothing_is_said_where_nobody_asked() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tile = make_tile(SingleRPUConfig(device=PowStepReferenceDevice(subtract_symmetry_point=True)), SIZE)
    assert tile.rule.cells()[0].stored_because == ""


# --- half precision --------------------------------------------------------------------------------------------------


@HALF
def test_cells_are_those_of_single_precision_rounded_once(dtype: str) -> None:
    config = SingleRPUConfig(device=aged(SoftBoundsDevice()))
    exact = make_tile(config, SIZE).get_hidden_parameters()
    half = make_tile(with_runtime(config, parameter_dtype=dtype), SIZE).get_hidden_parameters()
    kept = ("decay_scales",)  # close to 1, where half precision would lose the decay
    rounded = {
        name: value if name in kept else value.to(getattr(torch, dtype)).float() for name, value in exact.items()
    }
    assert_same_bits(half, rounded, dtype)


@HALF
@pytest.mark.parametrize("name", ["sgd", "ttv3"])
def test_implementations_agree_on_cells_in_half_precision(name: str, dtype: str) -> None:
    config = with_runtime(rule(name, aged(SoftBoundsDevice(dw_min=0.02))), parameter_dtype=dtype)
    assert_implementations_agree(config, ((3, 1), (3, 63)))


@HALF
def test_saving_and_going_on_is_exact_in_half_precision(dtype: str) -> None:
    config = with_runtime(SingleRPUConfig(device=aged(SoftBoundsDevice(dw_min=0.02))), parameter_dtype=dtype)
    assert_goes_on(config, (5, 7))


@HALF
def test_no_weight_leaves_the_rounded_bounds(dtype: str) -> None:
    config = with_runtime(SingleRPUConfig(device=LinearStepDevice(dw_min=0.02)), parameter_dtype=dtype)
    tile = make_tile(config, SIZE, rate=1.0)
    tile.update(*a_batch(10, SIZE))
    upper = tile.get_hidden_parameters()["max_bound"]
    assert (tile.get_weights() == upper).any()
    assert_within_bounds(tile, dtype)


@HALF
def test_half_precision_is_kept_wherever_a_tile_goes(dtype: str) -> None:
    config = with_runtime(SingleRPUConfig(device=SoftBoundsDevice()), parameter_dtype=dtype)
    tile = make_tile(config, SIZE).half()
    other = make_tile(config, SIZE, seed=1)
    other.load_state_dict(make_tile(with_runtime(config, parameter_dtype="float32"), SIZE).state_dict())
    other.set_hidden_parameters(tile.get_hidden_parameters())
    for each in (tile, other, copy.deepcopy(tile)):
        (cells,) = each.rule.cells()
        assert cells.get_buffer("max_bound").dtype == getattr(torch, dtype)
        assert cells.weight.dtype == torch.float32
    assert_same_bits(other.get_hidden_parameters(), tile.get_hidden_parameters(), "given")


def test_numbers_that_float16_does_not_hold_are_refused() -> None:
    config = with_runtime(SingleRPUConfig(device=SoftBoundsDevice(dw_min=5e-5)), parameter_dtype="float16")
    with pytest.raises(ConfigError, match=r"dw_min = 5e-05, but torch.float16 holds numbers below 6.1e-05"):
        make_tile(config, SIZE)
    config = with_runtime(SingleRPUConfig(device=SoftBoundsDevice(w_max=1e5)), parameter_dtype="float16")
    with pytest.raises(ConfigError, match=r"max_bound of SoftBoundsDevice is up to .* too large for torch.float16"):
        make_tile(config, SIZE)
    tile = make_tile(with_runtime(SingleRPUConfig(device=SoftBoundsDevice()), parameter_dtype="float16"), SIZE)
    hidden = tile.get_hidden_parameters()
    hidden["max_bound"][0, 0] = 1e5
    with pytest.raises(TileError, match=r"'max_bound' is up to 100000, which torch.float16 does not hold"):
        tile.set_hidden_parameters(hidden)


# --- memory ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", RULES)
def test_memory_adds_up_to_all_buffers(name: str) -> None:
    config = rule(name, aged(SoftBoundsDevice(write_noise_std=1.0)), **({"gamma": 0.5} if name in COMPOUNDS else {}))
    config.forward.v_offset_std = 0.1
    for fields in ({}, {"implicit_cells": True}, {"parameter_dtype": "bfloat16"}):
        tile = make_tile(with_runtime(config, **fields), SIZE)
        memory = tile.memory()
        assert memory.total == sum(buffer.numel() * buffer.element_size() for buffer in tile.buffers())
        assert memory.cross_points == 5 * 37
        assert sum(memory.per_weight.values()) == pytest.approx(2 * memory.total / (5 * 37))
        assert min(memory.weights, memory.counters, memory.drift, memory.periphery, memory.other) > 0
        assert (memory.parameters == 0) == ("implicit_cells" in fields)
        assert (memory.rule > 0) == (name != "sgd")
        assert (memory.visible > 0) == (name not in ("sgd", "mp"))


def test_the_visible_weight_of_a_cell_of_several_devices_is_counted() -> None:
    cell = VectorUnitCell(unit_cell_devices=[SoftBoundsDevice()] * 2)
    memory = make_tile(UnitCellRPUConfig(device=cell), SIZE).memory()
    assert memory.per_weight["visible"] == 4.0
    assert memory.per_weight["weights"] == 8.0


# --- what the documentation says -------------------------------------------------------------------------------------

PAGE = (Path(__file__).parents[1] / "docs" / "memory.md").read_text(encoding="utf-8")
LARGE = (256, 256)
WAYS: list[dict[str, Any]] = [{}, {"parameter_dtype": "float16"}, {"implicit_cells": True}]


def rows(first: str) -> list[list[str]]:
    """The cells of the table whose heading begins with a word."""
    table = PAGE[PAGE.index(f"| {first} |") :].split("\n\n")[0].splitlines()
    return [[cell.strip(" `") for cell in line.strip("|").split("|")] for line in table[2:]]


def bytes_of(config: RPUConfig, kind: str) -> str:
    return str(round(make_tile(config, LARGE).memory().per_weight[kind]))


def test_the_page_on_memory_says_what_the_cells_of_every_device_take() -> None:
    table = rows("device")
    assert {name for name, *_ in table} == {type(device).__name__ for device in DEVICES.values()}
    for name, *sizes in table:
        config = SingleRPUConfig(device=getattr(configs, name)())
        assert sizes == [bytes_of(with_runtime(config, **way), "parameters") for way in WAYS], name


def test_the_page_on_memory_says_what_every_rule_takes() -> None:
    names = {"SGD": "sgd", "mixed precision": "mp"} | {ALGORITHMS[name].title: name for name in COMPOUNDS}
    names |= {"MRL, 3 arrays": "mrl", "LRTT, rank 2": "lrtt"}
    table = rows("rule")
    assert {names[name] for name, *_ in table} == set(RULES)
    for name, weights, counters, state, visible, parameters, *totals in table:
        config = rule(names[name], SoftBoundsDevice(), **({"gamma": 0.0} if names[name] in COMPOUNDS else {}))
        kinds = {"weights": weights, "counters": counters, "rule": state, "parameters": parameters}
        assert {kind: bytes_of(config, kind) for kind in kinds} == kinds, name
        assert totals == [bytes_of(with_runtime(config, **way), "total") for way in WAYS], name
        mixed = rule(names[name], SoftBoundsDevice(), **({"gamma": 0.5} if names[name] in COMPOUNDS else {}))
        assert bytes_of(mixed, "visible") == visible, name


class Sloped(SoftBoundsDevice):
    """Upper bounds that fall from the first row to the last."""

    def sample(self, draw: Any) -> dict[str, Tensor]:
        cells = super().sample(draw)
        bound = cells["max_bound"]
        return {**cells, "max_bound": torch.linspace(2.0, 1.0, len(bound))[:, None].expand_as(bound)}


def test_a_device_that_samples_in_its_own_way_sees_all_cells_at_once() -> None:
    bounds = AnalogTile(1000, 300, SingleRPUConfig(device=Sloped())).get_hidden_parameters()["max_bound"]
    torch.testing.assert_close(bounds[:, 0], torch.linspace(2.0, 1.0, 1000))
