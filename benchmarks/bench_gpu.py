"""The pulsed update on a GPU, with its ratio to the two floors: ``make gpu``.

A round is some updates and one wait for the GPU at the end, as in training. What the host takes to start the kernels is
in it, and decides for small tiles; the same steps in a captured graph leave it out.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from bench_update import DEVICES, GRANULARITY, RULES, config
from floors import H100, Loops, loops, picoseconds
from ohmgrad.tile import AnalogTile

SIZES = (512, 2048, 8192)
BATCHES = (1, 10, 64, 512)
DENSITIES = (0.05, 0.3, 1.0, 5.0)
SUBJECTS = (*DEVICES, *RULES, "ttv1_gamma", "ttv3_gamma", "mixed_precision")


@pytest.fixture(scope="module")
def counted() -> Loops:
    """Instructions of the inner loops on this GPU; those of an H100 where it is not NVIDIA's."""
    if torch.version.hip:
        return loops()
    major, minor = torch.cuda.get_device_capability()
    return loops(10 * major + minor)


@lru_cache(maxsize=1)
def made(subject: str, size: int, place: str) -> AnalogTile:
    """One tile for all loads: to make a large one takes longer than to measure it."""
    torch.manual_seed(0)
    return AnalogTile(size, size, config(subject)).to(place)


@pytest.mark.parametrize("captured", [False, True], ids=["launched", "captured"])
@pytest.mark.parametrize("density", DENSITIES)
@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("subject", SUBJECTS)
def test_update(
    benchmark: BenchmarkFixture,
    place: str,
    counted: Loops,
    subject: str,
    size: int,
    batch: int,
    density: float,
    captured: bool,
) -> None:
    tile = made(subject, size, place)
    tile.set_learning_rate(density * GRANULARITY)
    x, d = torch.randn(batch, size).sign().to(place), torch.randn(batch, size).sign().to(place)
    tile.update(x, d)  # compiles
    step: Callable[[], None] = partial(tile.update, x, d)
    if captured:
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            tile.update(x, d)
        step = graph.replay
    before = tile.pulse_counts()[0].total.double().mean().item() if tile.pulse_counts() else 0.0

    count = max(1, min(10, int(1e10 / (size * size * batch * max(density, 1.0)))))

    def updates() -> None:
        for _ in range(count):
            step()
        torch.cuda.synchronize()

    rounds, warmup = 5, 1
    benchmark.pedantic(updates, rounds=rounds, warmup_rounds=warmup)
    done = count * (rounds + warmup)
    if subject not in ("ideal", "mixed_precision"):
        received = (tile.pulse_counts()[0].total.double().mean().item() - before) / (batch * done)
        assert received == pytest.approx(density, rel=0.5)  # the load is the one that is named
    floor = max(picoseconds(counted, H100, batch, density)) * 1e-12 * size * size * batch
    benchmark.extra_info.update(
        subject=f"{subject} {'captured' if captured else 'launched'}",
        machine=torch.cuda.get_device_name(),
        size=size,
        batch=batch,
        density=density,
        updates=count,
        floor_us=f"{floor * 1e6:.2f}",
    )
