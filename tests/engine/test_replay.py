"""The compiled replays are the reference replay, on any shape, with everything that can happen to a cell.

Where there is no GPU, its kernels are interpreted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import pytest
import torch
from torch import Tensor

from builders import place_of
from ohmgrad.configs import SoftBoundsDevice
from ohmgrad.engine import replay_gpu, threads
from ohmgrad.engine.draws import Draws
from ohmgrad.engine.replay import Cells, Events, bind_law, replay

SHAPES = [(1, 1), (3, 1), (1, 3), (2, 63), (2, 128), (2, 129), (3, 500), (129, 3), (63, 2)]
"""Slices and lanes, on both sides of every width that a kernel may be made for."""
WORDS = 6
ALWAYS = 0x7FFFFFFF


@pytest.fixture(autouse=True)
def poisoned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory that nobody has written yet holds the worst it can hold."""

    def bad(*size: Any, **options: Any) -> Tensor:
        fill = -1 if options.get("dtype") in (torch.int32, torch.int64) else float("nan")
        return torch.full(size[0] if isinstance(size[0], (tuple, torch.Size)) else size, fill, **options)

    monkeypatch.setattr(torch, "empty", bad)


class Batch:
    """Cells in the middle of their life, the trains of a batch, and reads with resets at all kinds of moments."""

    def __init__(
        self,
        slices: int,
        lanes: int,
        columns: bool,
        write_noise: float = 0.0,
        noisy: bool = True,
        density: float = 0.2,
        words: int = WORDS,
        slots: int = 31,
    ) -> None:
        generator = torch.Generator().manual_seed(1000 * slices + lanes)

        def uniform(*shape: int) -> Tensor:
            return torch.rand(shape, generator=generator)

        device = SoftBoundsDevice(dw_min=0.02)
        names = ("dwmin_up", "dwmin_down", "slope_up", "slope_down", "min_bound", "max_bound")
        up, down = 0.02 + 0.02 * uniform(slices, lanes), 0.02 + 0.02 * uniform(slices, lanes)
        parameters = dict(
            zip(names, (up, down, -up, down, -torch.ones(slices, lanes), torch.ones(slices, lanes)), strict=True)
        )
        law = bind_law(device, names)
        state = uniform(slices, lanes) - 0.5
        self.cells = Cells(
            state=state,
            apparent=state + 0.1 if write_noise > 0.0 else None,
            pulses=torch.randint(10, (slices, lanes), generator=generator).to(torch.int32),
            parameters=tuple(parameters[name] for name in law.cell),
            raised=torch.randint(5, (slices, lanes), generator=generator).to(torch.int32),
            law=law,
            noisy=noisy,
            write_noise=write_noise,
            columns_are_slices=columns,
            pulse_stream=5,
            write_stream=6,
        )
        self.slices = self.words((slices, words), density**0.5, generator, slots)
        self.lanes = self.words((words, lanes), density**0.5, generator, slots)
        order = torch.randint(slices, (9,), generator=generator)
        times = torch.tensor([0, 1, 1, 2, words // 2, words // 2, words - 1, words, words]).clamp(max=words)
        resets = torch.tensor([False, True, True, False, True, False, True, False, True])
        self.events = Events(order, times, resets, values=uniform(9, lanes) - 0.5)

    @staticmethod
    def words(shape: tuple[int, int], p: float, generator: torch.Generator, slots: int = 31) -> Tensor:
        fires = torch.rand(*shape, slots, generator=generator) < p
        packed = (fires.long() << torch.arange(slots)).sum(2)
        negative = (torch.rand(*shape, generator=generator) < 0.5) & (packed != 0)
        return torch.where(negative, packed - (1 << 31), packed).to(torch.int32)

    def copied(self) -> Cells:
        cells = self.cells
        apparent = None if cells.apparent is None else cells.apparent.clone()
        return replace(
            cells,
            state=cells.state.clone(),
            apparent=apparent,
            pulses=cells.pulses.clone(),
            raised=cells.raised.clone(),
        )

    def run(self, implementation: str, events: Events | None = None, block: int = 0) -> tuple[Cells, Tensor]:
        place = place_of(implementation)
        cells, events = moved(self.copied(), place), moved(self.events if events is None else events, place)
        arguments = (cells, self.slices.to(place), self.lanes.to(place), None, events, Draws(99, implementation))
        read = replay_gpu.replay(*arguments, block=block) if block else replay(*arguments)
        return moved(cells, "cpu"), read.cpu()


def moved(record: Any, place: str) -> Any:
    """Cells or events with all their tensors in one place."""

    def there(value: Any) -> Any:
        if isinstance(value, tuple) and all(isinstance(item, Tensor) for item in value):
            return tuple(item.to(place) for item in value)
        return value.to(place) if isinstance(value, Tensor) else value

    return replace(record, **{field.name: there(getattr(record, field.name)) for field in fields(record)})


def assert_same(
    first: tuple[Cells, Tensor], second: tuple[Cells, Tensor], close: Callable[[Tensor, Tensor], None]
) -> None:
    close(first[0].state, second[0].state)
    assert torch.equal(first[0].pulses, second[0].pulses)
    assert torch.equal(first[0].raised, second[0].raised)
    if first[0].apparent is not None and second[0].apparent is not None:
        close(first[0].apparent, second[0].apparent)
    close(first[1], second[1])


def rounded(first: Tensor, second: Tensor) -> None:
    torch.testing.assert_close(first, second, rtol=0.0, atol=2e-6)


def identical(first: Tensor, second: Tensor) -> None:
    assert torch.equal(first, second)


COLUMNS = pytest.mark.parametrize("columns", [True, False], ids=["columns", "rows"])
WRITE_NOISE = pytest.mark.parametrize("write_noise", [0.0, 0.05], ids=["plain", "write noise"])


@COLUMNS
@WRITE_NOISE
@pytest.mark.parametrize(("slices", "lanes"), SHAPES)
def test_the_compiled_replay_is_the_reference_replay(slices, lanes, columns, write_noise) -> None:
    batch = Batch(slices, lanes, columns, write_noise)
    assert_same(batch.run(implementation="reference"), batch.run(implementation="cpu"), rounded)


@COLUMNS
@WRITE_NOISE
@pytest.mark.parametrize(("slices", "lanes"), [(1, 1), (3, 1), (1, 3), (2, 63), (2, 129), (9, 3)])
def test_the_replay_on_a_gpu_gives_the_bits_of_the_processor(slices, lanes, columns, write_noise) -> None:
    batch = Batch(slices, lanes, columns, write_noise)
    assert_same(batch.run("cpu"), batch.run("gpu"), identical)


LENGTHS = pytest.mark.parametrize(
    ("slots", "words", "density"),
    [
        (1, 1, 0.1),
        (31, 2, 0.002),
        (2, 12, 0.01),
        (1, 90, 0.05),
        (3, 64, 0.3),
        (4, 40, 0.95),
        (31, 12, 0.5),
        (7, 9, 0.02),
    ],
)
"""Slots of the trains, words of the batch, and how likely two lines meet in a slot."""


@WRITE_NOISE
@LENGTHS
@pytest.mark.parametrize("noisy", [True, False], ids=["noisy", "noiseless"])
@pytest.mark.parametrize("is_read", [True, False], ids=["read", "not read"])
@pytest.mark.parametrize("lanes", [5, 150, 700])
def test_trains_of_every_length_and_density_give_what_the_reference_gives(
    slots: int, words: int, density: float, lanes: int, is_read: bool, noisy: bool, write_noise: float
) -> None:
    batch = Batch(4, lanes, True, write_noise, noisy, density, words, slots)
    events = batch.events if is_read else Events.none()
    assert_same(batch.run("reference", events), batch.run("cpu", events), rounded)


@LENGTHS
def test_short_trains_together_are_short_trains_one_after_the_other(slots: int, words: int, density: float) -> None:
    batch = Batch(3, 600, columns=True, density=density, words=words, slots=slots)
    together, _ = batch.run("cpu", Events.none())
    apart = batch.copied()
    for n in range(words):
        word = slice(n, n + 1)
        replay(apart, batch.slices[:, word], batch.lanes[word], None, Events.none(), Draws(99, "cpu"))
    assert torch.equal(apart.pulses, together.pulses)
    assert torch.equal(apart.raised, together.raised)
    assert torch.equal(apart.state, together.state)


@pytest.mark.parametrize("block", [2, 32, 64, 256])
def test_any_block_on_a_gpu_gives_the_same_bits(block: int) -> None:
    batch = Batch(2, 65 if block > 2 else 5, columns=True, write_noise=0.05)
    assert_same(batch.run("cpu"), batch.run("gpu", block=block), identical)


@pytest.mark.parametrize("implementation", ["cpu", "gpu"])
@pytest.mark.parametrize(("slices", "lanes"), [(1, 1), (2, 129)])
def test_pulses_without_noise_are_the_same_too(slices: int, lanes: int, implementation: str) -> None:
    batch = Batch(slices, lanes, columns=True, noisy=False)
    assert_same(batch.run("reference"), batch.run(implementation), rounded)


@pytest.mark.parametrize("implementation", ["cpu", "gpu"])
def test_every_number_that_comes_out_was_written(implementation: str) -> None:
    cells, read = Batch(3, 129, columns=True, write_noise=0.05).run(implementation)
    assert cells.apparent is not None
    assert all(torch.isfinite(tensor).all() for tensor in (cells.state, cells.apparent, read))


@pytest.mark.parametrize("implementation", ["cpu", "gpu"])
def test_pulses_of_a_cell_keep_their_order_however_many_are_waiting(implementation: str) -> None:
    # Soft bounds forget early pulses first, so any change of order shows. Every word brings all its slots.
    batch = Batch(2, 5, columns=True, noisy=False)
    counts = torch.tensor([1, 31, 30, 2, 31, 31, 31, 31, 3, 5, 17, 31, 1, 1, 31, 29])
    for shift in range(0, 16, 5):
        filled = (2 ** counts.roll(shift) - 1)[:, None].expand(-1, 5)
        signs = (torch.arange(16)[:, None] + torch.arange(5)[None, :]) % 3 == 0
        batch.lanes = torch.where(signs, filled - (1 << 31), filled).to(torch.int32)
        batch.slices = torch.full((2, 16), ALWAYS, dtype=torch.int32)
        assert_same(batch.run("reference", Events.none()), batch.run(implementation, Events.none()), rounded)


@WRITE_NOISE
@pytest.mark.parametrize("implementation", ["reference", "cpu", "gpu"])
def test_a_batch_may_be_cut_anywhere(implementation: str, write_noise: float) -> None:
    batch = Batch(3, 65, columns=True, write_noise=write_noise)
    whole, _ = batch.run(implementation, Events.none())
    for cut in range(WORDS + 1):
        parts = batch.copied()
        for part in (slice(0, cut), slice(cut, WORDS)):
            replay(parts, batch.slices[:, part], batch.lanes[part], None, Events.none(), Draws(99, implementation))
        assert torch.equal(parts.pulses, whole.pulses)
        assert torch.equal(parts.state, whole.state)
        if write_noise > 0.0:
            assert torch.equal(parts.apparent, whole.apparent)


@COLUMNS
@WRITE_NOISE
@pytest.mark.parametrize("count", [2, 3])
def test_one_thread_and_several_give_the_same_bits(monkeypatch, count, columns, write_noise) -> None:
    batch = Batch(7, 65, columns, write_noise)
    monkeypatch.setattr(threads, "WORK_PER_THREAD", 1)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    alone = batch.run(implementation="cpu")
    monkeypatch.setattr(torch, "get_num_threads", lambda: count)
    assert_same(alone, batch.run(implementation="cpu"), identical)


@pytest.mark.parametrize("implementation", ["reference", "cpu", "gpu"])
def test_rows_or_columns_as_slices_give_every_cell_the_same_life(implementation: str) -> None:
    batch = Batch(5, 7, columns=True, write_noise=0.05)
    by_column, _ = batch.run(implementation, Events.none())
    turned = batch.copied()
    turned = replace(
        turned,
        state=turned.state.t().contiguous(),
        apparent=turned.apparent.t().contiguous(),
        pulses=turned.pulses.t().contiguous(),
        raised=turned.raised.t().contiguous(),
        parameters=tuple(parameter.t().contiguous() for parameter in turned.parameters),
        columns_are_slices=False,
    )
    replay(turned, batch.lanes.t(), batch.slices.t(), None, Events.none(), Draws(99, implementation))
    for first, second in ((by_column.state, turned.state), (by_column.apparent, turned.apparent)):
        assert torch.equal(first, second.t())


@pytest.mark.parametrize("implementation", ["reference", "cpu", "gpu"])
def test_a_silent_batch_changes_nothing(implementation: str) -> None:
    batch = Batch(3, 65, columns=True, write_noise=0.05)
    batch.lanes = torch.zeros_like(batch.lanes)
    cells, _ = batch.run(implementation, Events.none())
    assert torch.equal(cells.state, batch.cells.state)
    assert torch.equal(cells.apparent, batch.cells.apparent)
    assert torch.equal(cells.pulses, batch.cells.pulses)


@pytest.mark.parametrize("implementation", ["reference", "cpu", "gpu"])
def test_a_batch_without_samples_is_only_read(implementation: str) -> None:
    batch = Batch(3, 5, columns=True)
    batch.slices, batch.lanes = batch.slices[:, :0], batch.lanes[:0]
    events = Events(
        torch.tensor([2, 0, 2]),
        torch.zeros(3, dtype=torch.int64),
        torch.tensor([True, False, False]),
        values=torch.full((3, 5), 0.25),
    )
    cells, read = batch.run(implementation, events)
    assert torch.equal(read[:2], batch.cells.state[[2, 0]])
    assert torch.equal(read[2], torch.full((5,), 0.25))  # what the first event left
    assert torch.equal(cells.state[2], torch.full((5,), 0.25))
    assert torch.equal(cells.state[:2], batch.cells.state[:2])


def test_only_cells_that_got_pulses_get_new_write_noise() -> None:
    batch = Batch(3, 65, columns=True, write_noise=0.05)
    batch.lanes[:, ::2] = 0
    cells, _ = batch.run("cpu", Events.none())
    assert torch.equal(cells.apparent[:, ::2], batch.cells.apparent[:, ::2])
    touched = cells.pulses > batch.cells.pulses
    assert touched.any()
    assert (cells.apparent != batch.cells.apparent)[touched].all()


@pytest.mark.parametrize("implementation", ["cpu", "gpu"])
@pytest.mark.parametrize("write_noise", [0.0, 0.05])
def test_the_pulse_counter_may_overflow(write_noise: float, implementation: str) -> None:
    batch = Batch(2, 9, columns=True, write_noise=write_noise)
    batch.cells.pulses.fill_(2**31 - 5)
    first, second = batch.run("reference"), batch.run(implementation)
    assert (first[0].pulses < 0).any()
    assert_same(first, second, rounded)


def test_every_pulse_has_noise_of_its_own() -> None:
    # Constant steps of pure noise: their sum over many pulses is a random walk.
    batch = Batch(2, 500, columns=True, density=1.0)
    pulses = 31 * WORDS
    cell = batch.cells.law.cell
    steps = dict.fromkeys(cell, 0.0) | {"min_bound": -1e6, "max_bound": 1e6, "dwmin_up": 1.0, "dwmin_down": 1.0}
    batch.cells.parameters = tuple(torch.full((2, 500), steps[name]) for name in cell)
    batch.cells.state.zero_()
    batch.slices = torch.full((2, WORDS), ALWAYS, dtype=torch.int32)
    batch.lanes = torch.full((WORDS, 500), ALWAYS, dtype=torch.int32)
    cells, _ = batch.run("cpu", Events.none())
    walk = (cells.state.double() + pulses) / 0.3 / pulses**0.5  # the mean step is 1 down, its noise 0.3
    assert abs(float(walk.mean())) <= 5 / 1000**0.5
    assert abs(float(walk.var()) - 1.0) <= 5 * (2 / 1000) ** 0.5
