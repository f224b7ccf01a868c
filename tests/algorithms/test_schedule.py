"""The loop over the reads of a batch and the tensors in which nothing is asked of a device say the same."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import pytest
import torch
from torch import Tensor

from ohmgrad.algorithms.choppers import Choppers, chop
from ohmgrad.algorithms.schedule import Turns, next_reads
from ohmgrad.configs import ChoppedTransferCompound, SoftBoundsDevice, UnitCellRPUConfig
from ohmgrad.engine.draws import Draws
from ohmgrad.engine.implementation import Implementation
from ohmgrad.engine.threads import SERIAL, serial
from ohmgrad.tile import AnalogTile

CPU = torch.device("cpu")


def turns(choose: Random, size: int, at_once: int, at_random: bool) -> Turns:
    """Counters of three arrays, of which the one in the middle is read."""
    pointers, transfers, reads = (torch.tensor([choose.randrange(limit) for _ in range(3)]) for limit in (size, 9, 99))
    return Turns(1, pointers, transfers, reads, size, at_once, at_random, reads_them=choose.random() < 0.8)


def batches(choose: Random, count: int = 40) -> Iterator[tuple[int, int, int, int]]:
    """Sizes, vectors before the batch, in the batch, and between transfers."""
    for _ in range(count):
        size, batch, period = map(choose.choice, ([1, 2, 3, 7], [1, 2, 5, 20], [1, 2, 3, 11]))
        yield size, choose.randrange(9), batch, period


@pytest.mark.parametrize("implementation", ["cpu", "gpu"])
@pytest.mark.parametrize("at_random", [False, True])
def test_every_implementation_reads_the_same_slices(implementation: Implementation, at_random: bool) -> None:
    choose = Random(3)
    for size, start, batch, period in batches(choose):
        at_once, seed = choose.randint(1, size), choose.randrange(99)
        found = []
        for kind in ("reference", implementation):
            given = turns(Random(seed), size, at_once, at_random)
            reads = next_reads(given, start, batch, period, CPU, Draws(5, kind))
            found.append([reads.times, reads.slices, reads.numbers, given.pointers, given.transfers, given.reads])
        assert_same(*found)


@pytest.mark.parametrize("implementation", ["cpu", "gpu"])
def test_every_implementation_flips_the_same_lines(implementation: Implementation) -> None:
    choose = Random(4)
    for size, start, batch, period in batches(choose):
        seed, lanes = choose.randrange(99), choose.choice([1, 3, 5])
        chance, phase, lane_chance = choose.choice([0.0, 0.4, 1.0]), choose.choice([0, 2, 3]), choose.choice([0.0, 0.5])
        found = []
        for kind in ("reference", implementation):
            generator, draws = torch.Generator().manual_seed(seed), Draws(5, kind)
            lines = [torch.rand(count, generator=generator) < 0.5 for count in (size, lanes, size)]
            choppers = Choppers(*lines, torch.tensor(3), chance, phase, lane_chance, columns=True)
            counted = turns(Random(seed), size, 1, at_random=False)
            counted.reads_them = True
            reads = next_reads(counted, start, batch, period, CPU, draws)
            chops = chop(choppers, reads, reads.times, batch, draws)
            at_reads = [chops.product, chops.sweeps, chops.switched, chops.flips]
            found.append([chops.x, chops.d, *at_reads, *lines, choppers.sweeps])
        assert_same(*found)


def assert_same(one: list[Tensor | None], other: list[Tensor | None]) -> None:
    for a, b in zip(one, other, strict=True):
        assert a is not None
        assert b is not None
        assert a.dtype == b.dtype
        assert torch.equal(a, b)


def test_blocks_of_rows_are_small_and_come_in_order() -> None:
    matrix, rows = torch.arange(200 * 333).reshape(200, 333), torch.arange(200)
    blocks = list(serial(matrix, rows))
    assert max(block.numel() for block, _ in blocks) <= SERIAL
    assert torch.equal(torch.cat([block for block, _ in blocks]), matrix)
    assert torch.equal(torch.cat([part for _, part in blocks]), rows)


@pytest.mark.parametrize("columns", [True, False])
def test_a_large_visible_weight_is_the_sum_of_its_arrays(columns: bool) -> None:
    torch.manual_seed(0)
    cells = [SoftBoundsDevice(), SoftBoundsDevice()]
    rule = ChoppedTransferCompound(
        unit_cell_devices=cells, gamma=0.3, in_chop_prob=0.5, out_chop_prob=0.5, transfer_columns=columns
    )
    tile = AnalogTile(200, 333, UnitCellRPUConfig(device=rule))
    state, hidden = tile.rule.state(), tile.get_hidden_parameters()
    for name in ("in_chopper", "out_chopper"):
        state[name].copy_(torch.rand(state[name].shape) < 0.5)
    hidden["hidden_weights_0"] = 0.1 * torch.randn(200, 333)
    tile.set_hidden_parameters(hidden)
    c_in, c_out = (1.0 - 2.0 * state[name].float() for name in ("in_chopper", "out_chopper"))
    signs = torch.outer(c_out, c_in) if columns else torch.outer(c_in, c_out)
    expected = hidden["hidden_weights_1"].mul(1.0).add_(signs * hidden["hidden_weights_0"], alpha=0.3)
    assert torch.equal(tile.get_weights(), expected)
