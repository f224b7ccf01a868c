"""Pulse trains: every slot fires with its probability, and both implementations draw the same bits."""

from __future__ import annotations

import math

import pytest
import torch
from scipy import stats
from torch import Tensor

from ohmgrad.engine.draws import Draws
from ohmgrad.engine.lengths import Lengths
from ohmgrad.engine.plan import Trains, make_lines, plan_lines
from ohmgrad.engine.samples import Samples
from ohmgrad.engine.trains import SLOTS, pack
from ohmgrad.parameters.update import UpdateParameters

UNMANAGED = {"update_management": False, "update_bl_management": False}
ALL = pytest.mark.parametrize("implementation", ["reference", "cpu", "gpu"])


def fired(trains: Tensor) -> Tensor:
    """Slots of packed words, bool ``[words, lines, 31]``."""
    return (trains[..., None].long() >> torch.arange(SLOTS)) & 1 == 1


def trains_of(x, implementation: str = "cpu", bl: int = 31, scale: float = 1.0, samples: int = 1, **up) -> Trains:
    """Trains whose x lines fire with probability ``scale * |x|``; the single d line always fires."""
    rows = torch.tensor([x]).expand(samples, -1)
    lengths = Lengths(torch.full((samples,), bl), torch.ones(samples), torch.full((samples,), scale))
    each = Samples.of(rows, torch.ones(samples, 1), torch.ones(samples, dtype=torch.float64))
    return make_lines(each, lengths, UpdateParameters(**up), Draws(4, implementation), 0, 0)


def test_every_slot_fires_with_its_probability() -> None:
    samples, probabilities = 20_000, [0.003, 0.1, 1 / 3, 0.5, 0.75, 0.999]
    slots = fired(trains_of(probabilities, samples=samples).x)
    for line, p in enumerate(probabilities):
        deviations = (slots[:, line].sum(0) - samples * p) / math.sqrt(samples * p * (1 - p))
        assert stats.chi2.sf(float(deviations.square().sum()), SLOTS) > 0.001, p


def test_slots_samples_and_lines_are_independent() -> None:
    slots = fired(trains_of([0.3, 0.3, 0.3], samples=20_000).x).double() - 0.3
    scale = 0.3 * 0.7
    products = {
        "slots": slots[..., 1:] * slots[..., :-1],
        "distant slots": slots[..., 16:] * slots[..., :-16],
        "lines": slots[:, 1:] * slots[:, :-1],
        "samples": slots[1:] * slots[:-1],
    }
    for name, product in products.items():
        assert abs(float(product.mean())) <= 5 * scale / math.sqrt(product.numel()), name


@ALL
def test_probability_0_never_fires_and_1_or_more_always(implementation: str) -> None:
    slots = fired(trains_of([0.0, -0.0, 1.0, -1.0, 7.5], implementation, samples=50).x)
    assert not slots[:, :2].any()
    assert slots[:, 2:].all()


def test_very_small_probabilities_are_not_lost() -> None:
    samples, lines, p = 30_000, 50, 2.0**-20
    count = int((trains_of([p] * lines, samples=samples).x != 0).sum())  # two slots of one train at once are too rare
    expected = samples * lines * SLOTS * p
    assert abs(count - expected) <= 3 * math.sqrt(expected)


@ALL
@pytest.mark.parametrize("bl", [0, 1, 5, 30, 31, 32, 61, 62, 63, 100])
def test_a_train_has_as_many_slots_as_its_length(bl: int, implementation: str) -> None:
    trains = trains_of([1.0, 0.5], implementation, bl=bl)
    assert trains.words_per_sample == max(1, math.ceil(bl / SLOTS))
    slots = fired(trains.x).transpose(0, 1).reshape(2, -1)
    assert slots[0].tolist() == [k < bl for k in range(slots.shape[1])]
    assert not slots[1, bl:].any()


def test_long_trains_continue_in_fresh_random_numbers() -> None:
    slots = fired(trains_of([0.5] * 50, bl=93).x)  # three words
    assert len(slots) == 3
    for first, second in ((0, 1), (1, 2), (0, 2)):
        agreement = (slots[first] == slots[second]).double()
        assert abs(float(agreement.mean()) - 0.5) <= 5 * 0.5 / math.sqrt(agreement.numel())


@pytest.mark.parametrize("words", [1, 2, 4])
@pytest.mark.parametrize("lines", [1, 3, 63, 130])
def test_all_implementations_draw_the_same_trains(lines: int, words: int) -> None:
    generator = torch.Generator().manual_seed(lines + words)
    samples = 7
    chances = torch.rand(samples, lines, generator=generator)
    chances[torch.rand(samples, lines, generator=generator) < 0.2] = 0.0
    chances[torch.rand(samples, lines, generator=generator) < 0.2] = 1.5
    chances[0, 0] = 2.0**-32
    chances = torch.where(torch.rand(samples, lines, generator=generator) < 0.5, -chances, chances)
    bl = torch.randint(31 * words + 1, (samples,), generator=generator)
    numbers = torch.tensor([0, 1, 2, 50, 2**31, 2**32 - 1, 2**32 + 5])
    first, *others = (
        pack(chances, bl, words, Draws(2**62 + 9, implementation), 77, numbers)
        for implementation in ("reference", "cpu", "gpu")
    )
    for other in others:
        assert first.dtype == other.dtype == torch.int32
        assert torch.equal(first, other)


@pytest.mark.parametrize("flipped", [False, True])
@pytest.mark.parametrize("lengths", [{}, {"desired_bl": 100}, UNMANAGED | {"fixed_bl": False}, UNMANAGED])
@pytest.mark.parametrize("bins", [{}, {"res": 0.1}, {"res": 0.1, "sto_round": True}, {"res": 37.0, "sto_round": True}])
def test_the_plan_of_the_processor_is_that_of_the_reference(bins: dict, lengths: dict, flipped: bool) -> None:
    generator = torch.Generator().manual_seed(3)
    x, d = torch.randn(9, 63, generator=generator), torch.randn(9, 130, generator=generator)
    x[3], x[4, 0], d[5] = 0.0, -0.0, 0.0
    rates = 0.1 * torch.rand(9, dtype=torch.float64, generator=generator)
    rates[6] = 0.0
    signs = (torch.rand(9, n, generator=generator) < 0.5 if flipped else None for n in (63, 130))
    samples, up = Samples(x, d, rates, *signs, 9), UpdateParameters(**bins, **lengths)
    first, other = (
        plan_lines(samples, 0.001, up, Draws(2**62 + 9, implementation), 3, 2**32 - 4)
        for implementation in ("reference", "cpu")
    )
    assert first.words_per_sample == other.words_per_sample
    assert torch.equal(first.x, other.x)
    assert torch.equal(first.d, other.d)


@ALL
def test_the_trains_of_a_sample_do_not_depend_on_the_batch_it_is_in(implementation: str) -> None:
    x, d = torch.randn(9, 5, generator=torch.Generator().manual_seed(0)), torch.ones(9, 2)
    lengths = Lengths(torch.full((9,), 40), torch.full((9,), 0.5), torch.full((9,), 0.4))
    draws = Draws(4, implementation)
    batch = Samples.of(x, d, torch.ones(9, dtype=torch.float64))
    whole = make_lines(batch, lengths, UpdateParameters(), draws, 1, 100)
    part = Lengths(lengths.bl[4:], lengths.a[4:], lengths.b[4:])
    rest = make_lines(batch.part(4, 9), part, UpdateParameters(), draws, 1, 104)
    assert torch.equal(whole.x[8:], rest.x)
    assert torch.equal(whole.d[8:], rest.d)


@ALL
def test_a_train_carries_the_sign_of_its_line(implementation: str) -> None:
    words = trains_of([0.5, -0.5, -1.0, 1.0, 0.0, -0.0], implementation, samples=40).x
    assert (words[:, [0, 3]] > 0).any(0).all()
    assert (words[:, 0] >= 0).all()
    assert (words[:, 1] <= 0).all()
    assert words[:, 2].tolist() == [-1] * 40
    assert words[:, 3].tolist() == [0x7FFFFFFF] * 40
    assert (words[:, 4:] == 0).all()


def test_a_flipped_line_has_the_same_slots_and_the_other_sign() -> None:
    x, d = torch.tensor([[0.5, -0.5, 1.0]]), torch.tensor([[1.0, -1.0]])
    lengths = Lengths(torch.tensor([31]), torch.ones(1), torch.ones(1))
    plain, flipped = (
        make_lines(
            Samples(x, d, torch.ones(1, dtype=torch.float64), signs, d_signs, 1),
            lengths,
            UpdateParameters(),
            Draws(8, "cpu"),
            0,
            0,
        )
        for signs, d_signs in ((None, None), (torch.tensor([[True, True, False]]), torch.tensor([[False, True]])))
    )
    assert torch.equal(fired(plain.x), fired(flipped.x))
    assert ((plain.x < 0) ^ (flipped.x < 0)).tolist() == [[True, True, False]]
    assert ((plain.d < 0) ^ (flipped.d < 0)).tolist() == [[False, True]]


# Resolution of the probabilities


@ALL
def test_probabilities_round_to_the_nearest_bin_and_halves_to_even(implementation: str) -> None:
    # With bins of 1 only 0 and 1 remain, so every train is certain.
    slots = fired(trains_of([0.1, 0.49, 0.5, 0.51, 1.0, 1.4], implementation, res=1.0, samples=20).x)
    assert not slots[:, :3].any()
    assert slots[:, 3:].all()
    # Bins of 0.5: 0.75 is half way between 0.5 and 1 and goes to the even bin, which is 1; 0.25 goes to 0.
    slots = fired(trains_of([0.25, 0.75], implementation, res=0.5, samples=20).x)
    assert not slots[:, 0].any()
    assert slots[:, 1].all()


def test_a_resolution_above_1_is_a_number_of_steps() -> None:
    probabilities = [0.11, 0.3, 0.62]
    assert torch.equal(trains_of(probabilities, res=32.0).x, trains_of(probabilities, res=1 / 32).x)


def test_a_resolution_of_0_or_less_is_continuous() -> None:
    probabilities = [0.11, 0.3, 0.62]
    for res in (-1.0, -0.001):
        assert torch.equal(trains_of(probabilities, res=res).x, trains_of(probabilities).x)


def test_stochastic_rounding_keeps_the_mean_probability() -> None:
    # With bins of 1 a line fires in all slots of a sample or in none, with its probability.
    samples, probabilities = 20_000, [0.02, 0.3, 0.5, 0.9]
    slots = fired(trains_of(probabilities, samples=samples, res=1.0, sto_round=True).x)
    assert (slots.all(2) | ~slots.any(2)).all()
    for line, p in enumerate(probabilities):
        assert abs(float(slots[:, line, 0].double().mean()) - p) <= 4 * math.sqrt(p * (1 - p) / samples)


def test_stochastic_rounding_of_silent_lines_is_silent() -> None:
    assert (trains_of([0.0, -0.0], samples=200, res=0.25, sto_round=True).x == 0).all()
