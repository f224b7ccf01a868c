"""No update waits for the device: what it does is the same in every step, and what does not happen is masked."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from builders import rule
from machine_code import bound_launches
from ohmgrad import AnalogTile
from ohmgrad.configs import (
    IOParameters,
    OneSidedUnitCell,
    PulsedDevice,
    PulseType,
    ReferenceUnitCell,
    RPUConfig,
    SoftBoundsDevice,
    TransferCompound,
    UnitCellRPUConfig,
    UpdateParameters,
    VectorUnitCell,
    VectorUnitCellUpdatePolicy,
)
from ohmgrad.engine import host
from ohmgrad.engine.draws import Draws
from ohmgrad.engine.plan import EXACT
from ohmgrad.errors import TileError
from ohmgrad.testing import common
from tape import recorded

SIZE = (2, 3)
BATCH = 3
CELL = SoftBoundsDevice(dw_min=0.02, write_noise_std=0.3)
PERFECT = IOParameters(is_perfect=True)


def cell_of(policy: VectorUnitCellUpdatePolicy) -> PulsedDevice:
    return VectorUnitCell(unit_cell_devices=[CELL, CELL], update_policy=policy)


def single(device: PulsedDevice) -> RPUConfig:
    return UnitCellRPUConfig(device=device)


def chain(**fields: object) -> RPUConfig:
    return UnitCellRPUConfig(
        device=TransferCompound(
            unit_cell_devices=[CELL] * 3, units_in_mbatch=False, transfer_every_vec=[2.0, 4.0, 7.0], **fields
        )
    )


def pulsed(name: str, kind: PulseType, **fields: object) -> RPUConfig:
    config = rule(name, CELL, **fields)
    config.update = UpdateParameters(pulse_type=kind, desired_bl=40)
    return config


def one_sided(every: int) -> PulsedDevice:
    """Cells that reach the thresholds of a refresh soon."""
    return OneSidedUnitCell(
        unit_cell_devices=[SoftBoundsDevice(dw_min=0.05, w_max_dtod=0.0)],
        refresh_every=every,
        units_in_mbatch=False,
        refresh_upper_thres=0.2,
        refresh_lower_thres=0.01,
        refresh_forward=PERFECT,
    )


# Periods of 2, 4 and 7 vectors: none divides a batch, some are longer than one.
STEADY: dict[str, Callable[[], RPUConfig]] = {
    "sgd": lambda: rule("sgd", CELL),
    "ttv1": lambda: rule("ttv1", CELL, gamma=0.3),
    "ttv1, a long period": lambda: rule("ttv1", CELL, transfer_every=7.0),
    "ttv1, in batches": lambda: rule("ttv1", CELL, transfer_every=1.0, units_in_mbatch=True),
    "ttv1, rows": lambda: rule("ttv1", CELL, transfer_columns=False),
    "ttv1, resets": lambda: rule("ttv1", CELL, with_reset_prob=0.5, n_reads_per_transfer=2),
    "ttv1, random": lambda: rule("ttv1", CELL, random_selection=True, n_reads_per_transfer=2, transfer_every=4.0),
    "ttv2": lambda: rule("ttv2", CELL, gamma=0.3, transfer_every=4.0),
    "ttv2, random": lambda: rule("ttv2", CELL, random_selection=True, n_reads_per_transfer=2, transfer_every=4.0),
    "ttv3": lambda: rule("ttv3", CELL, gamma=0.3, out_chop_prob=0.5, auto_scale=True),
    "ttv3, a long period": lambda: rule("ttv3", CELL, out_chop_prob=0.5, transfer_every=7.0),
    "ttv3, regular": lambda: rule("ttv3", CELL, in_chop_random=False, transfer_columns=False, transfer_every=1.0),
    "ttv3, no buffer": lambda: rule("ttv3", CELL, no_buffer=True, correct_gradient_magnitudes=True),
    "ttv4": lambda: rule("ttv4", CELL, out_chop_prob=0.5, in_chop_random=True, auto_granularity=10.0),
    "ttv4, regular": lambda: rule("ttv4", CELL, gamma=0.3, experimental_correct_accumulation=True, transfer_every=1.0),
    "ttv4, gated": lambda: rule("ttv4", CELL, noise_gate=1.0),
    "rlv2": lambda: rule("rlv2", CELL, transfer_every=4.0),
    "rider": lambda: rule("rider", CELL, n_reads_per_transfer=2, transfer_columns=False),
    "e-rider": lambda: rule("e-rider", CELL, out_chop_prob=0.5),
    "mp": lambda: rule("mp", CELL, n_rows_per_transfer=2, random_row=True, n_x_bins=11, n_d_bins=11),
    "mp, rows in turn": lambda: rule("mp", CELL, n_rows_per_transfer=2),
    "mp, never": lambda: rule("mp", CELL, transfer_every=0),
    "chain": chain,
    "chain, the last too": lambda: chain(no_self_transfer=False),
    "chain, resets": lambda: chain(with_reset_prob=0.5),
    **{
        f"cells {policy.name}": lambda policy=policy: single(cell_of(policy))  # type: ignore[misc]
        for policy in VectorUnitCellUpdatePolicy
    },
    **{
        f"ttv1, cells {policy.name}": lambda policy=policy: rule("ttv1", cell_of(policy), transfer_every=4.0)  # type: ignore[misc]
        for policy in VectorUnitCellUpdatePolicy
    },
    "reference": lambda: single(ReferenceUnitCell(unit_cell_devices=[CELL])),
    "one-sided": lambda: single(one_sided(0)),
    "ttv1, one-sided": lambda: rule("ttv1", one_sided(0), transfer_every=4.0),
    "counts": lambda: pulsed("ttv1", PulseType.MEAN_COUNT, transfer_every=4.0),
    "implicit counts": lambda: pulsed("sgd", PulseType.DETERMINISTIC_IMPLICIT),
    "exact": lambda: pulsed("ttv1", PulseType.NONE_WITH_DEVICE, transfer_every=4.0),
    "exact, resets": lambda: pulsed("ttv1", PulseType.NONE_WITH_DEVICE, transfer_every=4.0, with_reset_prob=0.5),
    "mean field": lambda: pulsed("ttv1", PulseType.MEAN_FIELD, transfer_every=4.0, with_reset_prob=0.5),
    "exact, cells": lambda: pulsed("mp", PulseType.NONE_WITH_DEVICE),
}
"""Rules that do the same in every step."""
COUNTED: dict[str, Callable[[], RPUConfig]] = {
    "reads with input noise": lambda: rule("ttv1", CELL, transfer_forward=IOParameters(inp_noise=0.1), gamma=0.3),
    "reads with input noise, resets": lambda: rule(
        "ttv1", CELL, transfer_forward=IOParameters(inp_noise=0.1), with_reset_prob=0.5, transfer_every=4.0
    ),
    "refreshes": lambda: single(one_sided(3)),
    "ttv1, refreshes": lambda: rule("ttv1", one_sided(3), transfer_every=4.0),
    "mp, every second batch": lambda: rule("mp", CELL, transfer_every=2),
}
"""Rules that do other work in some steps, which the program counts in its own memory."""
ALL = {**STEADY, **COUNTED}
BY_RULE = pytest.mark.parametrize("name", ALL)
BY_STEADY_RULE = pytest.mark.parametrize("name", STEADY)
BY_COUNTED_RULE = pytest.mark.parametrize("name", COUNTED)


def tile_of(name: str, implementation: common.Implementation = common.INTERPRETED) -> AnalogTile:
    return common.make_tile(ALL[name](), SIZE, implementation, rate=0.1)


def stepper(tile: AnalogTile, seed: int, count: int = BATCH, place: str = "cpu") -> Callable[[], None]:
    """Updates with a batch, by the rule itself: a tile looks at what it is given before."""
    x, d = common.a_batch(count, SIZE, seed, place)
    return lambda: tile.rule.update(x, d, 0.1, tile.rpu_config.update, Draws(int(tile.seed), "gpu"))


@BY_RULE
def test_an_update_needs_no_value_that_is_on_the_device(name: str) -> None:
    """On torch's meta device there are no values, and what lies elsewhere does not mix."""
    tile = tile_of(name)
    tile.rule.to("meta")
    for step, count in enumerate((1, BATCH, 2, 12, BATCH)):
        stepper(tile, step, count, "meta")()


@BY_STEADY_RULE
def test_every_update_does_the_same_and_asks_for_nothing(name: str) -> None:
    """In whichever steps transfers happen."""
    tile = tile_of(name)
    tile.rule.to("meta")
    first, *others = (recorded(tile, stepper(tile, step, place="meta")).names for step in range(4))
    assert first
    assert all(other == first for other in others)


@BY_COUNTED_RULE
def test_what_cannot_be_captured_says_so(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "is_captured", lambda values: True)
    with pytest.raises(TileError, match="cannot be captured in a CUDA graph"):
        stepper(tile_of(name), 0)()


@BY_COUNTED_RULE
def test_what_the_program_counts_stays_in_its_memory(name: str) -> None:
    tile = tile_of(name)
    tile.rule.to("meta")
    kept = [buffer for buffer in tile.rule.buffers() if buffer.device.type == "cpu"]
    assert len(kept) >= 1
    assert all(buffer.ndim == 0 for buffer in kept)


@BY_RULE
def test_what_is_masked_is_what_does_not_happen(name: str) -> None:
    """The same as where the program knows what happens, however batches are cut."""
    tiles = tile_of(name), tile_of(name, common.COMPILED)
    for step, count in enumerate((BATCH, 1, 1, 3)):
        x, d = common.a_batch(count, SIZE, step)
        for tile in tiles:
            tile.update(x, d)
    found, wanted = map(common.everything, tiles)
    common.assert_same_but_for_rounding(found, wanted, name)


@pytest.mark.parametrize("lengthens", [False, True])
def test_only_trains_that_lengthen_ask_how_long_they_are(lengthens: bool) -> None:
    config = rule("sgd", CELL)
    config.update = UpdateParameters(update_bl_management=False, fixed_bl=not lengthens, desired_bl=40)
    tile = common.make_tile(config, SIZE, common.INTERPRETED)
    if lengthens:
        with pytest.raises(AssertionError, match="wait"):
            recorded(tile, stepper(tile, 0))
    else:
        assert recorded(tile, stepper(tile, 0)).names


@BY_RULE
def test_launches_are_understood_and_compiled_once(name: str) -> None:
    """By Triton as it is used on a GPU, whatever the seed, the rate and the number of the step."""
    tile = tile_of(name)
    tile.rule.to("meta")
    x, d = common.a_batch(BATCH, SIZE, 0, "meta")
    with bound_launches() as asked:
        for step in range(8):  # a launch for a tile in its first steps may know less, such as that nothing is due
            tile.rule.update(x, d, 0.1, tile.rpu_config.update, Draws(7**step, "gpu"))
        known = len(set(asked))
        for rate in (0.2, 1.0, 16.0):
            tile.rule.update(x, d, rate, tile.rpu_config.update, Draws(2**63 - 1, "gpu"))
    assert known > 0 or tile.rpu_config.update.pulse_type in EXACT
    assert len(asked) == len(set(asked)) == known
