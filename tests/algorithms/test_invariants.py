"""What holds for every learning rule, shape and setting."""

from __future__ import annotations

import copy
import io
import itertools
import math
import pickle
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor

from algorithms.by_hand import ByHand
from algorithms.cells import ONE_PULSE, RULES, cell, close, compound, everything, fast, pass_time, same_bits, tile_of
from algorithms.problems import Problem, certain_problems, problems
from ohmgrad.configs import (
    BufferedTransferCompound,
    ChoppedTransferCompound,
    TransferCompound,
)
from ohmgrad.tile import AnalogTile

IMPLEMENTATIONS = st.sampled_from(["cpu", "cpu", "cpu", "reference"])

# --- I1: the visible weight ------------------------------------------------------------------------------------------


def weight_by_definition(tile: AnalogTile) -> Tensor:
    """Every element of W from hidden weights, choppers and the configuration."""
    device, hidden, state = tile.rpu_config.device, tile.get_hidden_parameters(), tile.algorithm_state()
    assert isinstance(device, TransferCompound)
    n = len(device.unit_cell_devices)
    c_x, c_d = np.ones(tile.in_size), np.ones(tile.out_size)
    if isinstance(device, ChoppedTransferCompound):
        c_in, c_out = (1.0 - 2.0 * state[name].double().numpy() for name in ("in_chopper", "out_chopper"))
        c_x, c_d = (c_in, c_out) if device.transfer_columns else (c_out, c_in)
    weight = np.zeros((tile.out_size, tile.in_size))
    for k in range(n):
        gamma = device.gamma_vec[k] if device.gamma_vec else device.gamma ** (n - 1 - k)
        stored = hidden[f"hidden_weights_{k}"].double().numpy()
        weight += gamma * (np.einsum("i,j,ij->ij", c_d, c_x, stored) if k == 0 else stored)
    return torch.from_numpy(weight)


def update(tile: AnalogTile, problem: Problem) -> AnalogTile:
    tile.update(*problem.batch(4, int(tile.forward_vectors)))
    return tile


def set_weights(tile: AnalogTile, problem: Problem) -> AnalogTile:
    tile.set_weights(0.3 * torch.ones(problem.shape))
    return tile


def set_hidden_parameters(tile: AnalogTile, problem: Problem) -> AnalogTile:
    hidden = tile.get_hidden_parameters()
    for name in hidden:
        if name.startswith("hidden_weights"):
            hidden[name] = -0.5 * hidden[name] + 0.1
    tile.set_hidden_parameters(hidden)
    return tile


def decay(tile: AnalogTile, problem: Problem) -> AnalogTile:
    tile.decay_weights()
    return tile


def diffuse(tile: AnalogTile, problem: Problem) -> AnalogTile:
    tile.diffuse_weights()
    return tile


def clip(tile: AnalogTile, problem: Problem) -> AnalogTile:
    tile.clip_weights(0.05)
    return tile


def reset(tile: AnalogTile, problem: Problem) -> AnalogTile:
    tile.reset(0.5)
    return tile


def reset_columns(tile: AnalogTile, problem: Problem) -> AnalogTile:
    tile.reset_columns(tile.in_size - 1, 2)
    return tile


def load(tile: AnalogTile, problem: Problem) -> AnalogTile:
    other = problem.tile(seed=problem.seed + 1)
    other.load_state_dict(copy.deepcopy(tile.state_dict()))
    return other


def load_by_assignment(tile: AnalogTile, problem: Problem) -> AnalogTile:
    other = problem.tile(seed=problem.seed + 1)
    contiguous = {name: value.contiguous().clone() for name, value in tile.state_dict().items()}
    other.load_state_dict(contiguous, assign=True)
    return other


def save_and_load_file(tile: AnalogTile, problem: Problem) -> AnalogTile:
    file = io.BytesIO()
    torch.save(tile.state_dict(), file)
    file.seek(0)
    other = problem.tile(seed=problem.seed + 1)
    other.load_state_dict(torch.load(file))
    return other


def copied(tile: AnalogTile, problem: Problem) -> AnalogTile:
    return copy.deepcopy(tile)


def pickled(tile: AnalogTile, problem: Problem) -> AnalogTile:
    return pickle.loads(pickle.dumps(tile))  # type: ignore[no-any-return]


def moved(tile: AnalogTile, problem: Problem) -> AnalogTile:
    return tile.half().cpu()


COPIES = (load, load_by_assignment, save_and_load_file, copied, pickled, moved)
CHANGES = (update, set_weights, set_hidden_parameters, decay, diffuse, clip, reset, reset_columns)
Operation = Callable[[AnalogTile, Problem], AnalogTile]


@settings(max_examples=30)
@given(problems(), st.lists(st.sampled_from([*CHANGES, *COPIES, update, update]), max_size=6), IMPLEMENTATIONS)
def test_the_visible_weight_is_right_after_every_operation(
    problem: Problem, operations: list[Operation], implementation: str
) -> None:
    tile = problem.tile(implementation)
    for operation in (update, *operations, update):
        tile = operation(tile, problem)
        torch.testing.assert_close(
            tile.weight.detach().double(), weight_by_definition(tile), atol=1e-6, rtol=1e-6, msg=operation.__name__
        )
        assert torch.equal(tile.get_weights(), tile.weight.detach())


@settings(max_examples=30)
@given(problems(), st.floats(-1.0, 1.0, width=32))
def test_what_is_set_is_what_is_shown_and_the_rule_starts_anew(problem: Problem, share: float) -> None:
    for device in problem.device.unit_cell_devices:
        device.write_noise_std = 0.0
    tile, fresh = problem.tile(), problem.tile()
    update(tile, problem)
    hidden, slow = tile.get_hidden_parameters(), len(tile.pulse_counts()) - 1
    upper, lower = hidden[f"max_bound_{slow}"], hidden[f"min_bound_{slow}"]
    last = problem.device.gamma_vec[-1] if problem.device.gamma_vec else 1.0
    wanted = last * (share * upper if share >= 0.0 else -share * lower)
    for each in (tile, fresh):
        each.set_weights(wanted)
    close(tile.get_weights(), wanted)
    same_bits(tile.algorithm_state(), fresh.algorithm_state())
    same_bits(tile.get_hidden_parameters(), fresh.get_hidden_parameters())


# --- I2: saving and loading ------------------------------------------------------------------------------------------


@settings(max_examples=30)
@given(problems(), st.sampled_from(COPIES), IMPLEMENTATIONS)
def test_what_was_saved_goes_on_as_if_it_had_never_stopped(
    problem: Problem, by: Operation, implementation: str
) -> None:
    tile = problem.tile(implementation)
    tile.update(*problem.batch(5, 1))
    tile.reset(0.3)
    again = by(copy.deepcopy(tile), problem)
    again.rpu_config.runtime.implementation = implementation
    same_bits(everything(again), everything(tile))
    for each in (tile, again):
        each.update(*problem.batch(6, 2))
        each.diffuse_weights()
    same_bits(everything(again), everything(tile))


@settings(max_examples=10)
@given(problems())
def test_hidden_parameters_set_to_what_they_are_change_nothing(problem: Problem) -> None:
    tile = update(problem.tile(), problem)
    before = everything(tile)
    tile.set_hidden_parameters(tile.get_hidden_parameters())
    same_bits(everything(tile), before)


def test_a_loaded_state_holds_nothing_that_follows_from_the_configuration() -> None:
    saved = tile_of((2, 3), compound(ChoppedTransferCompound, gamma=0.5, transfer_every=1.0))
    saved.update(torch.ones(4, 3), torch.ones(4, 2))
    changed = tile_of((2, 3), compound(ChoppedTransferCompound, gamma=0.0, transfer_every=5.0))
    changed.load_state_dict(saved.state_dict())
    hidden = saved.get_hidden_parameters()
    assert torch.equal(changed.get_weights(), hidden["hidden_weights_1"])
    before = changed.algorithm_state()["current_slice_indices"]
    pass_time(changed)  # the fifth vector
    assert changed.algorithm_state()["current_slice_indices"][0] == (before[0] + 1) % 3


# --- I3: what the fast array receives --------------------------------------------------------------------------------


@pytest.mark.parametrize("columns", [True, False])
@pytest.mark.parametrize("coarseness", [0.01, 100.0])
@pytest.mark.parametrize("rule", RULES)
def test_the_fast_array_receives_the_gradient_in_its_own_steps_whatever_the_choppers_and_the_slow_array_are(
    rule: type[TransferCompound], coarseness: float, columns: bool
) -> None:
    period, rounds, beta, g = 50, 24, 0.01, 1e-3
    is_chopped = issubclass(rule, ChoppedTransferCompound)
    chops = {"in_chop_prob": 0.5, "in_chop_random": True, "out_chop_prob": 0.5} if is_chopped else {}
    device = compound(
        rule,
        [cell(g, 100.0), cell(g * coarseness, 100.0)],
        transfer_every=float(period),
        transfer_columns=columns,
        fast_lr=beta,
        scale_fast_lr=False,
        **chops,
    )
    tile = tile_of((3, 4), device)
    x, d = torch.tensor([1.0, -0.5, 0.25, 0.0]), torch.tensor([0.9, -0.3, 1.0])
    received, seen = torch.zeros(3, 4), set()
    for _ in range(rounds):
        sign = torch.ones(3, 4)
        if is_chopped:
            state = tile.algorithm_state()
            c_in, c_out = 1.0 - 2.0 * state["in_chopper"].float(), 1.0 - 2.0 * state["out_chopper"].float()
            sign = torch.outer(c_out, c_in) if columns else torch.outer(c_in, c_out)
        seen.add(tuple(sign.flatten().tolist()))
        before = fast(tile)
        tile.update(x.expand(period - 1, -1), d.expand(period - 1, -1))
        received += sign * (fast(tile) - before)
        pass_time(tile)  # a transfer, after which choppers may flip
    vectors, slots = rounds * (period - 1), 10
    wanted = -beta * vectors * torch.outer(d, x)
    close(received, wanted, 4.0 * g * math.sqrt(vectors * slots / 4))
    assert (len(seen) > 5) == is_chopped


# --- I4: schedules ---------------------------------------------------------------------------------------------------


def cuts(count: int) -> st.SearchStrategy[list[int]]:
    """Where a batch is cut."""
    return st.lists(st.integers(0, count), max_size=6).map(lambda inner: [0, *sorted(inner), count])


def pieces(x: Tensor, d: Tensor, where: list[int]) -> Iterator[tuple[Tensor, Tensor]]:
    for begin, end in itertools.pairwise(where):
        yield x[begin:end], d[begin:end]


@settings(max_examples=60)
@given(
    st.sampled_from([TransferCompound, BufferedTransferCompound]),
    st.tuples(st.integers(1, 6), st.integers(1, 6)),
    st.booleans(),
    st.integers(1, 4),
    st.tuples(st.integers(0, 6), st.integers(0, 6)),
    cuts(30),
)
@example(TransferCompound, (2, 2), True, 1, (5, 2), list(range(31)))
def test_every_array_of_a_chain_is_read_once_a_period_and_every_slice_once_a_sweep(
    rule: type[TransferCompound],
    shape: tuple[int, int],
    columns: bool,
    n_reads: int,
    periods: tuple[int, int],
    where: list[int],
) -> None:
    # Both sources hold far more than one step in every cell, so that a read is one pulse on every cell of a slice.
    device = compound(
        rule,
        [cell(0.01, 1000.0)] * 3,
        transfer_every_vec=[*map(float, periods), 0.0],
        transfer_columns=columns,
        n_reads_per_transfer=n_reads,
        fast_lr=0.01,
        scale_fast_lr=False,
        transfer_lr=100.0,
        transfer_update=ONE_PULSE,
    )
    tile = tile_of(shape, device, update=ONE_PULSE)
    hidden = tile.get_hidden_parameters()
    tile.set_hidden_parameters(
        hidden | {name: torch.full(shape, 100.0) for name in ("hidden_weights_0", "hidden_weights_1")}
    )
    x, d = torch.ones(30, shape[1]), torch.ones(30, shape[0])
    for piece in pieces(x, d, where):
        tile.update(*piece)
    counts = [each.total for each in tile.pulse_counts()]
    assert (counts[0] == 30).all()
    slices = shape[1] if columns else shape[0]
    n_reads = min(n_reads, slices)
    for k, period in enumerate(periods):
        reads = n_reads * (30 // period) if period else 0
        visits = torch.tensor([reads // slices + (s < reads % slices) for s in range(slices)])
        received = counts[k + 1] if columns else counts[k + 1].t()
        assert torch.equal(received.long(), visits.expand_as(received))
        assert tile.algorithm_state()["current_slice_indices"][k] == reads % slices


@settings(max_examples=60)
@given(certain_problems(), st.integers(1, 30))
def test_every_rule_does_vector_by_vector_what_its_recursion_says(problem: Problem, vectors: int) -> None:
    tile, expected = problem.tile(), ByHand(problem.device, *problem.shape)
    x, d = problem.batch(vectors)
    for n in range(vectors):
        tile.update(x[n : n + 1], d[n : n + 1])
        expected.vector(x[n].numpy(), d[n].numpy(), problem.rate)
        state = tile.algorithm_state()
        if "in_chopper" in state:
            expected.told(state["in_chopper"].tolist(), state["out_chopper"].tolist())
            assert int(state["transfer_counter"]) == expected.sweeps
    hidden = tile.get_hidden_parameters()
    for name, value in expected.hidden().items():
        close(hidden[name].double(), value)
    for k, counts in enumerate(tile.pulse_counts()):
        assert np.array_equal(counts.total.numpy(), expected.as_rows(expected.pulses[k]))
    close(tile.get_weights().double(), expected.visible())
    assert tile.algorithm_state()["current_slice_indices"].tolist()[:-1] == expected.pointers[:-1]


# --- I5: what the result does not depend on --------------------------------------------------------------------------


@pytest.mark.parametrize("implementation", ["reference", "cpu"])
@settings(max_examples=15)
@given(problem=problems(), where=cuts(9))
def test_a_batch_may_be_cut_anywhere_without_changing_a_bit(
    problem: Problem, where: list[int], implementation: str
) -> None:
    whole, cut = problem.tile(implementation), problem.tile(implementation)
    x, d = problem.batch(9)
    whole.update(x, d)
    for piece in pieces(x, d, where):
        cut.update(*piece)
    same_bits(everything(cut), everything(whole))


@settings(max_examples=25)
@given(problems())
def test_both_implementations_agree(problem: Problem) -> None:
    both = [problem.tile(implementation) for implementation in ("reference", "cpu")]
    for tile in both:
        tile.update(*problem.batch(5, 1))
        tile.reset(0.2)
        tile.decay_weights()
        tile.diffuse_weights()
        tile.update(*problem.batch(4, 2))
    reference, compiled = (everything(tile) for tile in both)
    assert reference.keys() == compiled.keys()
    for name, value in reference.items():
        if value.is_floating_point():
            torch.testing.assert_close(compiled[name], value, atol=1e-6, rtol=1e-6, msg=lambda m, n=name: f"{n}: {m}")
        else:
            assert torch.equal(compiled[name], value), name


@settings(max_examples=40)
@given(certain_problems(), IMPLEMENTATIONS)
def test_columns_of_a_problem_are_rows_of_its_transpose(problem: Problem, implementation: str) -> None:
    problem.device.with_reset_prob = 0.0  # only columns can be reset
    turned = copy.deepcopy(problem)
    turned.shape = (problem.shape[1], problem.shape[0])
    turned.device.transfer_columns = not problem.device.transfer_columns
    first, second = problem.tile(implementation), turned.tile(implementation)
    x, d = problem.batch(25)
    first.update(x, d)
    second.update(d, x)
    same_bits(first.algorithm_state(), second.algorithm_state())
    hidden = {name: value.t() for name, value in second.get_hidden_parameters().items()}
    same_bits(first.get_hidden_parameters(), hidden)
    assert torch.equal(first.get_weights(), second.get_weights().t())
    for counts, turned_counts in zip(first.pulse_counts(), second.pulse_counts(), strict=True):
        assert all(torch.equal(mine, its.t()) for mine, its in zip(counts, turned_counts, strict=True))


@pytest.mark.parametrize("rule", RULES)
def test_a_learning_rate_of_zero_moves_nothing(rule: type[TransferCompound], implementation: str) -> None:
    tile = tile_of((3, 4), compound(rule), implementation)
    tile.update(torch.ones(3, 4), torch.ones(3, 3))
    before = everything(tile)
    tile.set_learning_rate(0.0)
    tile.update(torch.ones(7, 4), torch.ones(7, 3))
    tile.set_learning_rate(0.3)
    same_bits(everything(tile), before)
