"""One random update has the mean and the spread that the reference was seen to have."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from conformance.cases import build, load
from ohmgrad.tile import AnalogTile

CASES = list(load("statistics"))
COPIES = 40
"""Independent copies of the recorded tile along the diagonal of one large tile."""


def changes(case: dict[str, Any], implementation: str, batches: int) -> Tensor:
    """Weight changes of one update, seen many times: float64 ``[batches * COPIES, out, in]``.

    Sample n of a batch reaches only the n-th copy of the recorded tile: its lines are silent everywhere else. So every
    cell on the diagonal sees one update, with trains and noise of its own.
    """
    torch.manual_seed(1)
    x, d = torch.tensor(case["x"]), torch.tensor(case["d"])
    config = build(case["config"])
    config.runtime.implementation = implementation
    tile = AnalogTile(COPIES * len(d), COPIES * len(x), config)
    tile.set_learning_rate(case["lr"])
    own = torch.eye(COPIES)
    seen = []
    for _ in range(batches):
        tile.set_weights(torch.full((tile.out_size, tile.in_size), case["w0"]))
        tile.update(torch.kron(own, x), torch.kron(own, d))
        copies = tile.get_weights().reshape(COPIES, len(d), COPIES, len(x))
        seen.append(copies.diagonal(dim1=0, dim2=2).permute(2, 0, 1).double() - case["w0"])
    return torch.cat(seen)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_mean_and_spread_of_an_update_are_those_recorded(case: dict[str, Any]) -> None:
    seen = changes(case, "cpu", batches=64)
    n, n_recorded = len(seen), case["samples"]
    mean, std = torch.tensor(case["mean"]).double(), torch.tensor(case["std"]).double()
    share = 1.0 / n + 1.0 / n_recorded
    centred = seen - seen.mean(0)
    variance = centred.square().mean(0)
    error_of_mean = torch.sqrt(torch.maximum(variance, std.square()) * share)
    # The error of a standard deviation follows from the fourth moment: rare pulses have heavy tails.
    error_of_std = torch.sqrt((centred**4).mean(0) / variance.clamp(min=1e-30) - variance).nan_to_num() / 2 * share**0.5
    rounding = 1e-7
    assert ((seen.mean(0) - mean).abs() <= 5 * error_of_mean + rounding).all()
    assert ((seen.std(0) - std).abs() <= 5 * error_of_std + rounding).all()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_both_implementations_make_the_same_update(case: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "COPIES", 8)
    torch.testing.assert_close(changes(case, "reference", 1), changes(case, "cpu", 1), rtol=0.0, atol=1e-6)
