"""A training run: every algorithm learns, and a job fixes its run to the last bit."""

import multiprocessing
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from ohmgrad.analysis import TileCost, Traffic
from ohmgrad.analysis.cost import Cost
from ohmgrad.lab import pool, tasks, training
from ohmgrad.lab.recipes import RECIPES
from ohmgrad.lab.training import Job, record_of


def physics(record: dict[str, Any]) -> dict[str, Any]:
    """A record without the time it took."""
    return {name: value for name, value in record.items() if name != "seconds"}


@pytest.mark.parametrize("name", list(RECIPES))
def test_every_algorithm_trains_and_counts_its_pulses(name: str, job_of: Any) -> None:
    record = record_of(job_of(name))
    first, last = record["epochs"][0], record["epochs"][-1]
    assert [epoch["number"] for epoch in record["epochs"]] == [0, 1, 2]
    assert not record["diverged"]
    assert 0.0 <= last["accuracy"] <= 1.0
    assert first["pulses_a"] == 0
    assert first["pulses_c"] == 0
    arrays = RECIPES[name].arrays
    assert all((value is not None) == (arrays > 0) for value in record["cost"].values())
    assert (last["pulses_a"] > 0) == (arrays == 2)
    assert set(record["layer"]) == ({"A", "C", "W"} if arrays == 2 else {"W"})


def test_floating_point_learns_the_wine(job_of: Any) -> None:
    record = record_of(replace(job_of("fp"), epochs=10))
    assert record["epochs"][-1]["accuracy"] > 0.9


@pytest.mark.parametrize("name", ["sgd", "ttv1", "ttv2", "rttv3", "ttv4"])
def test_one_seed_gives_one_run(name: str, job_of: Any) -> None:
    assert physics(record_of(job_of(name))) == physics(record_of(job_of(name)))


def test_another_seed_gives_another_run(job: Job) -> None:
    assert record_of(job)["layer"] != record_of(replace(job, seed=1))["layer"]


@pytest.mark.parametrize("name", ["rl", "rttv3"])
def test_the_visible_weight_is_gamma_times_the_fast_array_and_the_slow_one(name: str, job_of: Any) -> None:
    job = job_of(name)
    layer = {key: np.array(matrix) for key, matrix in record_of(job)["layer"].items()}
    np.testing.assert_allclose(layer["W"], job.knobs["gamma"] * layer["A"] + layer["C"], atol=1e-3)


def test_runs_in_processes_equal_runs_in_this_one(job: Job) -> None:
    jobs = [job, replace(job, seed=1)]
    here, there = (
        {event.index: physics(event.news) for event in pool.run(jobs, workers) if isinstance(event.news, dict)}
        for workers in (1, 2)
    )
    assert here == there


def test_a_mistake_in_a_worker_is_told_with_the_run_it_happened_in(job: Job) -> None:
    broken = replace(job, knobs=job.knobs | {"transfer_lr": float("nan")})
    with pytest.raises(pool.JobError, match=r"TTv4, seed 0: .*transfer_lr = nan"):
        list(pool.run([broken, broken], workers=2))
    assert not multiprocessing.active_children()


def test_a_run_that_diverges_ends_early_and_says_so(job_of: Any) -> None:
    record = record_of(replace(job_of("fp"), knobs={"lr": 1e38}))
    assert record["diverged"]
    assert len(record["epochs"]) < 3


def test_training_here_leaves_the_threads_of_torch_as_they_were(job: Job) -> None:
    before = torch.get_num_threads()
    list(pool.run([job], workers=1))
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("name", ["digits", "breast-cancer", "wine"])
def test_tuning_never_sees_a_test_sample(name: str) -> None:
    def rows(*parts: torch.Tensor) -> list[tuple[float, ...]]:
        return sorted(tuple(row) for part in parts for row in part.tolist())

    final, search = tasks.load(tasks.TASKS[name], "test"), tasks.load(tasks.TASKS[name], "validation")
    assert len(search.x_train) + len(search.x_eval) == len(final.x_train)
    if name == "digits":  # the only task whose scaling does not depend on the split
        assert rows(search.x_train, search.x_eval) == rows(final.x_train)
    assert float(final.x_eval.abs().max()) <= 1.0
    assert set(final.y_eval.tolist()) == set(search.y_eval.tolist()) == set(range(final.classes))


def test_a_sample_pays_for_all_vectors_that_a_convolution_makes_of_it() -> None:
    found = Cost(
        (
            TileCost("conv", "PulsedSGD", Traffic(900, (5.0,), (0.0,)), latency=30.0, energy=2.0, storage=10.0),
            TileCost("linear", "PulsedSGD", Traffic(100, (5.0,), (0.0,)), latency=40.0, energy=1.0, storage=20.0),
        )
    )
    assert training._cost_of_sample(found) == {"latency": 310.0, "energy": 19.0, "storage": 30.0}
