"""A tiny comparison that every test of the lab can afford."""

from dataclasses import replace
from typing import Any

import pytest

from ohmgrad.lab.recipes import RECIPES
from ohmgrad.lab.settings import Setting
from ohmgrad.lab.training import Job

KNOBS = {"lr": 0.2, "transfer_every": 2.0, "transfer_lr": 0.3, "gamma": 0.3, "eta": 0.02}


def some_knobs(algorithm: str) -> dict[str, float]:
    return {name: KNOBS[name] for name in RECIPES[algorithm].space}


@pytest.fixture
def job() -> Job:
    """A run of TTv4 on the wine task, over in a moment."""
    return Job(
        "ttv4", seed=0, task="wine", device="soft-bounds", states=20, epochs=2, batch_size=10, knobs=some_knobs("ttv4")
    )


@pytest.fixture
def job_of(job: Job) -> Any:
    """The same run by another algorithm."""
    return lambda name: replace(job, algorithm=name, knobs=some_knobs(name))


@pytest.fixture
def setting() -> Setting:
    """Three algorithms, two seeds."""
    return Setting(task="wine", algorithms=("sgd", "ttv1", "rttv3"), epochs=2, seeds=2)


@pytest.fixture
def tuned(setting: Setting) -> dict[str, Any]:
    """What a tuning file holds, as far as a comparison reads it."""
    return {"setting": setting.plain(), "best": {name: some_knobs(name) for name in RECIPES}}
