"""Following what cells are made of: the expressions that are found, and what is refused, with its reason."""

from __future__ import annotations

import inspect
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from devices.test_cases import CASES
from ohmgrad.configs import PowStepReferenceDevice, PulsedDevice, SoftBoundsDevice
from ohmgrad.engine.draws import Draws, Stream
from ohmgrad.engine.implicit import GREATEST, LEAST, CellSampler, ImplicitCells, recipe_of, sampled
from ohmgrad.engine.random import cell_normal, cell_uniform
from ohmgrad.engine.tracing import Untraceable
from ohmgrad.testing import DeviceTestCase

SHAPE = (6, 11)
PLACE = torch.device("cpu")
SEED = 0x123456789ABCDEF
STREAM = Stream.CELLS.of(3)

DEVICES: dict[str, PulsedDevice] = {
    case.__name__.removeprefix("Test"): case().make_device() for case in CASES if case is not DeviceTestCase
}
VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "stuck": {"corrupt_devices_prob": 0.3, "corrupt_devices_range": 0.2},
    "crossed": {"enforce_consistency": False, "w_max_dtod": 2.0, "w_min_dtod": 2.0},
    "aged": {"lifetime": 3.0, "lifetime_dtod": 0.9, "diffusion": 0.1, "diffusion_dtod": 0.3, "reset_dtod": 0.2},
    "perfect bias": {"perfect_bias": True, "corrupt_devices_prob": 0.2},
    "alike": {"w_max_dtod": 0.0, "w_min_dtod": 0.0, "dw_min_dtod": 0.0, "up_down_dtod": 0.0},
}
FOLLOWED = [name for name in DEVICES if not isinstance(DEVICES[name], PowStepReferenceDevice)]


def cells_of(device: PulsedDevice, columns: bool = False, shape: tuple[int, int] = SHAPE) -> ImplicitCells:
    return ImplicitCells(device, recipe_of(device, shape, True), shape, True, STREAM, columns)


def by_definition(device: PulsedDevice) -> dict[str, Tensor]:
    return sampled(device, CellSampler(Draws(SEED, "reference"), STREAM, torch.arange(SHAPE[0]), SHAPE[1], True))


def by_expression(device: PulsedDevice) -> dict[str, Tensor]:
    """What the generated function gives in torch, for all cells at once."""
    names = (*recipe_of(device, SHAPE, True).names, LEAST, GREATEST)
    sampling = cells_of(device).sampling(names, Draws(SEED, "reference"), PLACE)
    row, column = torch.arange(SHAPE[0])[:, None], torch.arange(SHAPE[1])[None, :]
    whole, real = map(torch.tensor, sampling.key), map(torch.tensor, sampling.constants)
    found = sampling.function(sampling.stream, row, column, sampling.last, *whole, *real)
    return {name: torch.as_tensor(value).expand(SHAPE) for name, value in zip(names, found, strict=True)}


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("name", FOLLOWED)
def test_the_expression_of_a_cell_gives_what_sampling_gives(name: str, variant: str) -> None:
    device = DEVICES[name].replaced(**VARIANTS[variant])
    found, wanted = by_expression(device), by_definition(device)
    assert found.keys() == wanted.keys()
    assert [name for name in wanted if not torch.equal(found[name], wanted[name])] == []


@pytest.mark.parametrize("columns", [False, True], ids=["rows", "columns"])
@pytest.mark.parametrize("shape", [(1, 1), (3, 1), (1, 3), (5, 130)])
def test_compiled_cells_are_the_sampled_ones_of_any_slices(shape: tuple[int, int], columns: bool) -> None:
    device = SoftBoundsDevice(corrupt_devices_prob=0.3, perfect_bias=True, reverse_up=True)
    cells, draws = cells_of(device, columns, shape), Draws(SEED, "cpu")
    names = (*cells.recipe.names, LEAST, GREATEST)
    wanted = cells.sampling(names, draws, PLACE).materialised()  # by the definition
    for slices in (torch.arange(shape[columns]), torch.tensor([0, shape[columns] - 1, 0])):
        found = cells.values(names, draws, PLACE, slices)
        odd = [name for name, a, b in zip(names, found, wanted, strict=True) if not torch.equal(a, b[slices])]
        assert odd == []


def test_sampling_in_blocks_of_rows_gives_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    cells = cells_of(SoftBoundsDevice())
    whole = cells.values(cells.recipe.names, Draws(SEED, "reference"), PLACE)
    monkeypatch.setattr("ohmgrad.engine.implicit._BLOCK", 25)
    parts = cells.values(cells.recipe.names, Draws(SEED, "reference"), PLACE)
    assert all(map(torch.equal, whole, parts))


@pytest.mark.parametrize("purpose", [0, 5, 24])
def test_a_cell_draws_the_entry_of_its_row_and_column(purpose: int) -> None:
    draws = Draws(SEED, "reference")
    row, column = torch.arange(4)[:, None], torch.arange(9)[None, :]
    key = [torch.tensor(word) for word in draws.key]
    for one, all_of_them in ((cell_normal, draws.normal), (cell_uniform, draws.uniform)):
        wanted = all_of_them(STREAM, torch.arange(4), 9, purpose)
        assert torch.equal(one(STREAM, row, column, purpose, *key), wanted)


# --- the source ------------------------------------------------------------------------------------------------------


def test_the_source_is_one_operation_a_line_and_nothing_that_is_not_needed() -> None:
    function, constants = recipe_of(SoftBoundsDevice(up_down_dtod=0.0), SHAPE, False).written(["dwmin_up"])
    assert inspect.getsource(function) == (
        "def parameters(stream, row, column, last, key0, key1, c0, c1):\n"
        "    v0 = cell_normal(stream, row, column, 2, key0, key1)\n"
        "    v1 = v0 * c0\n"
        "    v2 = v1 + 1.0\n"
        "    v3 = v2 + 0.0\n"
        "    v4 = v3 + 0.0\n"
        "    v5 = v4 * c1\n"
        "    v6 = absolute(v5)\n"
        "    return (v6, )\n"
    )
    assert constants == (np.float32(0.3), np.float32(0.001))


def test_devices_that_differ_in_numbers_share_their_function() -> None:
    first, second = SoftBoundsDevice(), SoftBoundsDevice(w_max=0.3, dw_min_dtod=0.001, corrupt_devices_range=0.3)
    names = ("min_bound", "slope_up")
    (one, a), (other, b) = (recipe_of(device, SHAPE, False).written(names) for device in (first, second))
    assert one is other
    assert a != b


def test_recipes_of_other_numbers_have_other_digests_and_survive_pickling() -> None:
    recipes = [recipe_of(SoftBoundsDevice(w_max=w_max), SHAPE, False) for w_max in (0.6, 0.6, 0.7)]
    assert recipes[0].digest == recipes[1].digest != recipes[2].digest
    assert pickle.loads(pickle.dumps(recipes[0])) == recipes[0]


def test_a_random_number_that_nothing_follows_from_is_not_drawn() -> None:
    alike = SoftBoundsDevice(dw_min_dtod=0.0, up_down_dtod=0.0, w_max_dtod=0.0, w_min_dtod=0.0)
    recipe = recipe_of(alike, SHAPE, False)
    function, _ = recipe.written(recipe.names)
    assert "cell_" not in inspect.getsource(function)


# --- a sampling of one's own -----------------------------------------------------------------------------------------

Sample = Callable[[Tensor, Tensor], Tensor]


def device_with(sample: Sample) -> PulsedDevice:
    """Soft bounds with another upper bound, made of normal numbers and uniform ones."""

    class Own(SoftBoundsDevice):
        def sample(self, draw: Any) -> dict[str, Tensor]:
            cells = super().sample(draw)
            return cells | {"max_bound": sample(draw.normal(16), draw.uniform(17))}

    return Own()


def _in_place(n: Tensor, u: Tensor) -> Tensor:
    n += 2.0
    n.mul_(u).clamp_(min=0.5)
    n[u < 0.25] = 0.25
    n[:, -1] = 0.75
    return n


def _square_root(n: Tensor, u: Tensor) -> Tensor:
    return (n**2 + u**0.5 + u.square() + u.sqrt() + torch.floor(n)) / (1.0 + u) + 1.0 / u + u.reciprocal()


def _choices(n: Tensor, u: Tensor) -> Tensor:
    chosen = ((n > 0.0) & (u < 0.5)) | ~(n >= -1.0) | torch.logical_and(n != 0.0, u == 1.0)
    filled = n.masked_fill(chosen, 2.0) + chosen * 0.5 + chosen.float() + (chosen ^ (u > 0.5)).float()
    return torch.where(chosen, n.max(u), torch.where(u > 0.9, 1.0, filled)) - torch.where(n.abs() < 1, u, 0.5)


def _constants(n: Tensor, u: Tensor) -> Tensor:
    assert n.shape == u.size() == SHAPE
    assert n.dtype == torch.float32
    level = torch.tensor(0.1) + torch.full(n.shape, 2.0) + torch.full_like(n, 0.3) - torch.ones_like(n) / 3
    return level.clone() + torch.clamp(n, -1, 1) * torch.zeros_like(u) + torch.rsub(u, 1.0) + torch.clip(u, max=0.7)


@pytest.mark.parametrize("sample", [_in_place, _square_root, _choices, _constants])
def test_a_sampling_in_the_words_of_torch_is_followed(sample: Sample) -> None:
    device = device_with(sample)
    found, wanted = by_expression(device), by_definition(device)
    assert [name for name in wanted if not torch.equal(found[name], wanted[name])] == []


@pytest.mark.parametrize(
    ("sample", "reason"),
    [
        (lambda n, u: n * u.mean(), "mean is not among the operations"),
        (lambda n, u: n if (u > 0.5).any() else u, "any is not among the operations"),
        (lambda n, u: n if n else u, "__bool__ is not among the operations"),
        (lambda n, u: (n.double() * 2.0).float(), "double is not among the operations"),
        (lambda n, u: n * float(u[0, 0]), "__getitem__ is not among the operations"),
        (lambda n, u: n * u[:, :1], "__getitem__ is not among the operations"),
        (lambda n, u: n * torch.arange(SHAPE[1]), "a tensor [11] of torch.int64 is put in"),
        (lambda n, u: n * torch.arange(66.0).reshape(SHAPE), "a tensor whose entries differ is put in"),
        (lambda n, u: torch.arange(66.0).reshape(SHAPE), "a tensor whose entries differ is put in"),
        (lambda n, u: n.index_fill(1, torch.tensor([1]), 0.0), "index_fill is not among the operations"),
        (lambda n, u: torch.add(n, u, alpha=2.0), "add has arguments that cannot be followed"),
        (lambda n, u: n * n.max(1).values[0], "max is not asked of two matrices"),
        (lambda n, u: torch.min(n, 0)[0], "min is not asked of two matrices"),
        (lambda n, u: torch.stack([n, u])[0], "stack is asked of several matrices at once"),
        (lambda n, u: torch.zeros_like(n, dtype=torch.float64), "zeros_like has arguments that cannot be followed"),
        (lambda n, u: n.T.T, "a view of a matrix is taken"),
        (lambda n, u: torch.sigmoid(n), "sigmoid is not among the operations"),
        (lambda n, u: ((n > 0) + (u > 0)).float(), "truth values are used as numbers"),
        (lambda n, u: torch.logical_and(n, u).float(), "numbers are used as truth values"),
        (lambda n, u: n.__setitem__((slice(None), 0), 1.0) or n, "something else than a mask or the last column"),
        (lambda n, u: n.__setitem__(0, 1.0) or n, "something else than a mask or the last column"),
        (lambda n, u: n.__setitem__(n > u, u) or n, "numbers of cells are put into other cells"),
        (lambda n, u: n.new_no_such_thing(), "AttributeError"),
        (lambda n, u: torch.tensor(1.0), "a parameter is not one number for each cell"),
    ],
)
def test_what_is_no_expression_of_one_cell_is_refused_with_its_reason(sample: Sample, reason: str) -> None:
    with pytest.raises(Untraceable) as caught:
        recipe_of(device_with(sample), SHAPE, False)
    assert reason in str(caught.value)


def test_a_symmetry_point_that_is_searched_for_in_double_precision_is_refused() -> None:
    recipe_of(PowStepReferenceDevice(), SHAPE, False)
    with pytest.raises(Untraceable, match="double"):
        recipe_of(PowStepReferenceDevice(subtract_symmetry_point=True), SHAPE, False)
