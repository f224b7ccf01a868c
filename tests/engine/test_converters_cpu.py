"""The converters compiled for the processor, against those in torch."""

import pytest
import torch

from engine.products import FORWARD, SETTINGS, circuits, dyadic, vectors
from ohmgrad.engine import threads
from ohmgrad.engine.draws import Draws
from ohmgrad.engine.management import new_average
from ohmgrad.engine.mvm import mvm, read_slices
from ohmgrad.parameters.io import IOParameters
from ohmgrad.testing.common import poisoned_memory

SIZES = ((1, 1), (3, 63), (63, 3), (17, 129))


def found(weight, x, io, implementation="cpu", numbers=None, forward=True):
    """A product, marks of clipping, and the running average."""
    average, clipped = new_average(), torch.zeros(len(x), len(weight), dtype=torch.bool)
    periphery = circuits(weight, io, Draws(7, "reference"))
    numbers = torch.arange(40, 40 + len(x)) if numbers is None else numbers
    with poisoned_memory():
        y = mvm(weight, x, io, Draws(7, implementation), FORWARD, numbers, average, forward, periphery, clipped)
    return y, clipped, average


@pytest.mark.parametrize("forward", [True, False], ids=["forward", "backward"])
@pytest.mark.parametrize("name", SETTINGS)
def test_every_setting_does_what_it_does_on_the_reference(name, forward):
    for size in SIZES:
        weight, x = dyadic(*size, 1), vectors(5, size[1])
        y, clipped, average = found(weight, x, SETTINGS[name], forward=forward)
        wanted, wanted_clipped, wanted_average = found(weight, x, SETTINGS[name], "reference", forward=forward)
        torch.testing.assert_close(y, wanted, rtol=1e-5, atol=1e-5)
        assert torch.equal(clipped, wanted_clipped)
        assert torch.equal(average, wanted_average)


@pytest.mark.parametrize("name", [name for name, io in SETTINGS.items() if io.inp_noise == 0.0])
def test_reads_do_what_they_do_on_the_reference(name):
    io, weight, slices = SETTINGS[name], dyadic(63, 5, 3), torch.arange(7) % 5
    for stored in (weight.t()[slices], weight[:, slices].t()):
        results = []
        for implementation in ("cpu", "reference"):
            periphery = circuits(weight, io, Draws(5, "reference"))
            with poisoned_memory():
                draws = Draws(5, implementation)
                results.append(read_slices(stored, slices, 5, io, draws, FORWARD, torch.arange(90, 97), periphery))
        torch.testing.assert_close(*results, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["default", "everything", "bounds, loud"])
def test_numbers_that_follow_each_other_may_be_given_as_a_range(name):
    weight, x = dyadic(17, 129, 1), vectors(5, 129)
    for given, listed in zip(
        found(weight, x, SETTINGS[name], numbers=range(40, 45)), found(weight, x, SETTINGS[name]), strict=True
    ):
        assert torch.equal(given, listed)


@pytest.mark.parametrize("name", ["default", "everything", "bounds, loud"])
def test_how_numbers_lie_in_memory_changes_nothing(name):
    weight, x, numbers = dyadic(17, 129, 1), vectors(5, 129), torch.arange(40, 50)
    strided = found(weight, x.t().contiguous().t(), SETTINGS[name], numbers=numbers[::2])
    for one, other in zip(strided, found(weight, x, SETTINGS[name], numbers=numbers[::2].clone()), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("name", ["default", "everything", "bounds, loud"])
def test_the_number_of_threads_changes_nothing(name, monkeypatch):
    weight, x = dyadic(17, 129, 1), vectors(5, 129)
    alone = found(weight, x, SETTINGS[name])
    monkeypatch.setattr(threads, "WORK_PER_THREAD", 1)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    for one, other in zip(alone, found(weight, x, SETTINGS[name]), strict=True):
        assert torch.equal(one, other)


def test_settings_that_change_between_products_are_obeyed():
    weight, x, draws = dyadic(3, 5, 1), vectors(2, 5), Draws(7, "cpu")
    io = IOParameters()
    periphery = circuits(weight, io, draws)

    def now():
        return mvm(weight, x, io, draws, FORWARD, torch.arange(2), periphery=periphery)

    noisy = now()
    io.out_noise = 0.0
    assert not torch.equal(now(), noisy)
    assert torch.equal(now(), mvm(weight, x, io, draws, FORWARD, torch.arange(2)))
    io.out_noise = 0.06
    assert torch.equal(now(), noisy)


def test_what_a_kernel_counts_is_added_up_over_the_threads(monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    for work in (0.0, 1e9):
        assert threads.share(lambda begin, end: end - begin, 10, work) == 10
        assert threads.share(lambda begin, end: None, 10, work) == 0
