"""Whole traces recorded from the reference, in which every pulse is certain, come out the same here."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from builders import place_of
from conformance.cases import build, load
from ohmgrad.tile import AnalogTile

# The reference also recorded the factor of a feedback loop that nothing can turn on; it is always 1.
NOT_A_PARAMETER = {"count_lr_scale"}

TRACES = list(load("trace"))


def observed(tile: AnalogTile, name: str) -> torch.Tensor:
    if name == "weight":
        return tile.get_weights()
    hidden = tile.get_hidden_parameters()
    return hidden[name] if name in hidden else tile.algorithm_state()[name]


@pytest.mark.parametrize(
    ("case", "implementation"),
    [
        pytest.param(case, implementation, id=f"{case['name']}-{implementation}")
        for implementation in ("reference", "cpu", "gpu")
        # Where there is no GPU, its kernels are interpreted, which takes a thousand times as long.
        for case in (TRACES if implementation != "gpu" or torch.cuda.is_available() else TRACES[::8])
    ],
)
def test_a_trace_of_certain_pulses_agrees_with_the_reference(case: dict[str, Any], implementation: str) -> None:
    config = build(case["config"])
    config.runtime.implementation = implementation
    tile = AnalogTile(case["out_features"], case["in_features"], config).to(place_of(implementation))
    if "weight" in case["init"]:
        tile.set_weights(torch.tensor(case["init"]["weight"]))
    assert set(case["init"]) <= {"weight"}
    for number, (step, expected) in enumerate(zip(case["steps"], case["expect"], strict=True)):
        tile.set_learning_rate(step["lr"])
        x, d = (torch.tensor(step[name], dtype=torch.float32).to(tile.weight.device) for name in ("x", "d"))
        tile.update(x, d)
        for name in sorted(set(expected) - NOT_A_PARAMETER):
            want = torch.tensor(expected[name], dtype=torch.float64)
            got = observed(tile, name).cpu().double().reshape(want.shape)
            torch.testing.assert_close(
                got, want, atol=1e-5, rtol=1e-5, msg=lambda text, at=f"{name}, step {number}": f"{at}: {text}"
            )
