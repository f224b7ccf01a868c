"""A random number depends on its address and on nothing else."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from ohmgrad.engine.draws import Draws, Stream

ALL = pytest.mark.parametrize("implementation", ["reference", "cpu", "gpu"])
KIND = pytest.mark.parametrize("kind", ["normal", "uniform"])


def draw(
    kind: str, implementation: str, numbers: Tensor, width: int, seed: int = 11, stream: int = 5, part: int = 0
) -> Tensor:
    return getattr(Draws(seed, implementation), kind)(stream, numbers, width, part)


@ALL
@KIND
@pytest.mark.parametrize("width", [1, 2, 3, 4, 5, 63])
def test_an_entry_does_not_depend_on_which_others_are_asked_for(kind: str, width: int, implementation: str) -> None:
    everything = draw(kind, implementation, torch.arange(100), 64)
    some = torch.tensor([99, 0, 17, 17, 3])
    assert torch.equal(draw(kind, implementation, some, width), everything[some, :width])
    assert draw(kind, implementation, some[:0], width).shape == (0, width)


@settings(max_examples=30)
@given(
    numbers=st.lists(st.integers(0, 2**40), min_size=1, max_size=5),
    width=st.integers(1, 9),
    seed=st.integers(0, 2**63 - 1),
    stream=st.integers(0, 2**31 - 1),
    part=st.integers(0, 2**32 - 1),
)
def test_all_implementations_draw_the_same(numbers: list[int], width: int, seed: int, stream: int, part: int) -> None:
    rows = torch.tensor(numbers)
    uniforms, normals = (
        [draw(kind, implementation, rows, width, seed, stream, part) for implementation in ("reference", "cpu", "gpu")]
        for kind in ("uniform", "normal")
    )
    assert torch.equal(*uniforms[:2])
    assert torch.equal(*uniforms[1:])
    assert (normals[0] - normals[1]).abs().max() <= 1e-6
    assert torch.equal(*normals[1:])


@ALL
@KIND
def test_every_part_of_an_address_matters(kind: str, implementation: str) -> None:
    rows = torch.arange(8)
    changed = [{}, {"seed": 12}, {"seed": 11 + (1 << 40)}, {"stream": 6}, {"part": 1}]
    drawn = [draw(kind, implementation, rows, 8, **address) for address in changed]
    drawn.append(draw(kind, implementation, rows + 8, 8))
    values = torch.stack(drawn).flatten()
    assert len(values.unique()) == len(values)


@pytest.mark.parametrize("implementation", ["reference", "cpu"])
def test_uniform_numbers_are_uniform(implementation: str) -> None:
    values = draw("uniform", implementation, torch.arange(1000), 100).double().flatten()
    assert values.min() > 0.0
    assert values.max() <= 1.0
    counts = torch.histc(values, 100, 0.0, 1.0)
    chi_square = float(((counts - 1000.0).square() / 1000.0).sum())
    assert 50.0 < chi_square < 160.0  # 99 degrees of freedom


def test_no_two_uses_of_random_numbers_share_a_stream() -> None:
    streams = [stream.of(array, part) for stream in Stream for array in (0, 1, 255, 4000) for part in (0, 1, 255)]
    assert len(set(streams)) == len(streams)
    assert max(streams) < 2**32


@pytest.mark.parametrize("seed", [0, 1, 2**31, 2**32 + 5, 2**63 - 1, 2**63 + 7, 2**64 - 1])
def test_a_tensor_holds_the_key_of_any_seed(seed: int) -> None:
    draws = Draws(seed, "reference")
    assert Draws(int(torch.tensor([draws.signed_key])), "reference").key == draws.key
