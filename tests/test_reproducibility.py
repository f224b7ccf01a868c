"""The same seed gives the same bits: on any number of threads, however a batch is cut, and across any interruption."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from builders import COMPOUNDS, CUT_ANYWHERE, RULES, printed_by_new_process, rule
from ohmgrad import AnalogLinear, AnalogSGD, AnalogTile
from ohmgrad.configs import RPUConfig, SoftBoundsDevice
from ohmgrad.engine import threads as sharing

STEPS = 10
BY_RULE = pytest.mark.parametrize("name", RULES)

Run = tuple[nn.Module, torch.optim.Optimizer]


def config_of(name: str) -> RPUConfig:
    """A rule in which everything that can remember something does: noise, decay, diffusion, choppers, averages."""
    device = SoftBoundsDevice(dw_min=0.02, write_noise_std=0.3, diffusion=1e-3, lifetime=100.0)
    fields: dict[str, Any] = {"gamma": 0.2} if name in COMPOUNDS else {}
    if name in ("ttv3", "ttv4"):
        fields |= {"auto_scale": True, "out_chop_prob": 0.5}
    if name == "e-rider":
        fields |= {"out_chop_prob": 0.5}
    if name == "ttv1":
        fields |= {"with_reset_prob": 0.5, "random_selection": True}
    if name == "mp":
        fields |= {"transfer_every": 2, "n_rows_per_transfer": 3, "random_row": True, "n_x_bins": 11, "n_d_bins": 11}
    return rule(name, device, **fields)


def start(name: str, seed: int = 11) -> Run:
    torch.manual_seed(seed)
    model = nn.Sequential(AnalogLinear(5, 4, rpu_config=config_of(name)), nn.Tanh(), nn.Linear(4, 2))
    return model, AnalogSGD(model.named_parameters(), lr=0.1, momentum=0.9)


def go(run: Run, first: int = 0, last: int = STEPS) -> Iterator[int]:
    """Train from one step to another; a batch is a function of its number."""
    model, optimizer = run
    for step in range(first, last):
        x = torch.randn(3, 5, generator=torch.Generator().manual_seed(step))
        optimizer.zero_grad()
        model(x).square().sum().backward()
        optimizer.step()
        yield step + 1


def finish(run: Run, first: int = 0, last: int = STEPS) -> dict[str, Tensor]:
    for _ in go(run, first, last):
        pass
    return result(run)


def result(run: Run) -> dict[str, Tensor]:
    tile = run[0][0].tile
    found = {**run[0].state_dict(), **tile.get_hidden_parameters(), **tile.algorithm_state(), "w": tile.get_weights()}
    found["y"] = run[0](torch.ones(5)).detach()
    return {name: value.clone() for name, value in found.items()}


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return list(first) == list(second) and all(torch.equal(value, second[name]) for name, value in first.items())


def save(run: Run, path: Path) -> None:
    torch.save({"model": run[0].state_dict(), "optimizer": run[1].state_dict()}, path)


def resume(name: str, path: Path, made: str) -> Run:
    """A run made anew and restored, its optimizer made before or after the model is loaded."""
    model, optimizer = start(name, seed=987)
    checkpoint = torch.load(path, weights_only=True)
    model.load_state_dict(checkpoint["model"])
    if made == "after":
        optimizer = AnalogSGD(model.named_parameters(), lr=0.5)
    optimizer.load_state_dict(checkpoint["optimizer"])
    return model, optimizer


# Seeds


@BY_RULE
def test_one_seed_gives_one_result_and_another_seed_another(name: str) -> None:
    first, second, other = (finish(start(name, seed)) for seed in (1, 1, 2))
    assert same(first, second)
    assert not torch.equal(first["w"], other["w"])


@BY_RULE
def test_what_happens_to_other_tiles_does_not_matter(name: str) -> None:
    alone = finish(start(name))
    run = start(name)
    neighbour = start("ttv3", seed=5)
    for step in go(run):
        torch.manual_seed(step)  # the generator of torch only gives the seed of a new tile
        finish(neighbour, step, step + 2)
        AnalogTile(2, 2)
    assert same(result(run), alone)


# Stopping and going on


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Checkpoints of every rule after every step, and what uninterrupted runs lead to."""
    folder = tmp_path_factory.mktemp("checkpoints")
    for name in RULES:
        run = start(name)
        save(run, folder / f"{name}-0.pt")
        for step in go(run):
            save(run, folder / f"{name}-{step}.pt")
        torch.save(result(run), folder / f"{name}-end.pt")
    return folder


def resume_all(folder: Path) -> None:
    """What the new process does: go on from every checkpoint, and say which did not end as they should have."""
    for name in RULES:
        expected = torch.load(folder / f"{name}-end.pt")
        for step in range(STEPS + 1):
            for made in ("before", "after"):
                if not same(finish(resume(name, folder / f"{name}-{step}.pt", made), step), expected):
                    print(f"{name}, stopped after step {step}, optimizer made {made}")
    print("done")


def test_a_run_stopped_after_any_step_goes_on_in_a_new_process_as_if_it_had_not_been(interrupted: Path) -> None:
    printed, errors = printed_by_new_process("test_reproducibility", interrupted)
    assert printed == ["done"], errors


@BY_RULE
def test_a_run_may_be_stopped_after_every_single_step(name: str, interrupted: Path, tmp_path: Path) -> None:
    run = start(name)
    for step in range(STEPS):
        for _ in go(run, step, step + 1):
            save(run, tmp_path / "now.pt")
        run = resume(name, tmp_path / "now.pt", "before")
    assert same(result(run), torch.load(interrupted / f"{name}-end.pt"))


# Batches


def updated(
    name: str, cuts: list[int], implementation: str = "auto", samples: int = 64, **fields: Any
) -> dict[str, Tensor]:
    """State of a tile after some samples, given to it in pieces."""
    torch.manual_seed(21)
    device = SoftBoundsDevice(dw_min=0.02, write_noise_std=0.3)
    tile = AnalogTile(6, 7, rule(name, device, implementation, **fields))
    tile.set_learning_rate(0.2)
    generator = torch.Generator().manual_seed(4)
    x, d = torch.randn(samples, 7, generator=generator), torch.randn(samples, 6, generator=generator)
    for first, last in zip([0, *cuts], [*cuts, samples], strict=True):
        tile.update(x[first:last], d[first:last])
    state = {**tile.state_dict(), **tile.get_hidden_parameters(), **tile.algorithm_state(), "w": tile.get_weights()}
    return {key: value.clone() for key, value in state.items()}


VARIANTS: list[tuple[str, dict[str, Any]]] = [
    ("sgd", {}),
    *((name, {"gamma": g, "transfer_columns": c}) for name in COMPOUNDS for g in (0.0, 0.2) for c in (True, False)),
    ("ttv1", {"with_reset_prob": 0.5, "n_reads_per_transfer": 3}),
    ("ttv1", {"random_selection": True}),
    ("ttv2", {"forget_buffer": False, "transfer_every": 5.0}),
    ("ttv3", {"out_chop_prob": 0.5}),
    ("ttv3", {"in_chop_random": False, "transfer_every": 1.0}),
    ("ttv4", {"in_chop_random": True, "out_chop_prob": 0.5, "transfer_every": 1.0}),
    ("ttv4", {"noise_gate": 0.5, "transfer_every": 1.0}),
    ("rider", {"random_selection": True, "n_reads_per_transfer": 3}),
    ("e-rider", {"in_chop_random": False, "out_chop_prob": 0.5, "transfer_every": 1.0}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "fields"), VARIANTS)
def test_one_batch_of_64_is_64_batches_of_one(name: str, fields: dict[str, Any]) -> None:
    assert same(updated(name, [], **fields), updated(name, list(range(1, 64)), **fields))


@given(cuts=st.lists(st.integers(0, 64), max_size=6).map(sorted), name=st.sampled_from(CUT_ANYWHERE))
def test_a_batch_may_be_cut_anywhere(cuts: list[int], name: str) -> None:
    assert same(updated(name, cuts), updated(name, []))


@pytest.mark.parametrize("name", CUT_ANYWHERE)
def test_the_reference_may_be_cut_anywhere_too(name: str) -> None:
    assert same(updated(name, [], "reference", 12), updated(name, [1, 2, 7], "reference", 12))


# Threads


@BY_RULE
def test_one_thread_and_two_give_the_same_bits(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sharing, "WORK_PER_THREAD", 1)  # so that a small tile is worth a second thread
    before, results = torch.get_num_threads(), []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            results.append(finish(start(name)))
    finally:
        torch.set_num_threads(before)
    assert same(*results)


# Implementations


@BY_RULE
def test_both_implementations_send_the_same_pulses(name: str) -> None:
    reference, compiled = updated(name, [20], "reference", 25), updated(name, [20], "cpu", 25)
    for key, value in reference.items():
        if value.dtype.is_floating_point:
            torch.testing.assert_close(compiled[key], value, rtol=0.0, atol=2e-5, msg=lambda m, k=key: f"{k}: {m}")
        else:
            assert torch.equal(compiled[key], value), key
