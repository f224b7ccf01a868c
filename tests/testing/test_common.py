"""The tools of the test cases do what the cases rely on."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from ohmgrad.configs import SingleRPUConfig, SoftBoundsDevice
from ohmgrad.testing import check, common


def test_memory_is_poisoned_for_a_while_only() -> None:
    before = torch.empty
    with common.poisoned_memory():
        assert torch.empty(2, 3).isnan().all()
        assert torch.empty((2, 3), dtype=torch.float64).isnan().all()
        assert (torch.empty(4, dtype=torch.int32) == -1).all()
    assert torch.empty is before


def test_making_a_tile_leaves_the_generator_of_torch_alone() -> None:
    torch.manual_seed(3)
    wanted = torch.rand(2)
    torch.manual_seed(3)
    first, again = (common.make_tile(SingleRPUConfig(), (2, 3), seed=5) for _ in range(2))
    assert torch.equal(torch.rand(2), wanted)
    assert torch.equal(first.seed, again.seed)


def test_only_implementations_that_a_machine_has_are_tested(monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = common.Implementation("reference", "cuda")
    monkeypatch.setattr(common, "IMPLEMENTATIONS", (*common.IMPLEMENTATIONS, elsewhere))
    for exists in (True, False):
        monkeypatch.setattr(torch.cuda, "is_available", lambda exists=exists: exists)
        assert (elsewhere in common.implementations()) == exists


def test_a_check_says_how_many_have_passed(capsys: pytest.CaptureFixture[str]) -> None:
    class Case:
        def test_first(self) -> None: ...

        def test_second(self) -> None: ...

    check(Case)
    assert capsys.readouterr().out == "Case: 2 checks passed.\n"


def test_a_check_runs_every_test_and_raises_what_fails() -> None:
    ran = []

    class Case:
        def test_first(self) -> None:
            ran.append("first")

        def test_second(self) -> None:
            ran.append("second")
            raise AssertionError("no")

        def helper(self) -> None:
            ran.append("helper")

    with pytest.raises(AssertionError, match=r"^Case\.test_second: no$"):
        check(Case)
    assert ran == ["first", "second"]


def test_comparisons_name_what_differs() -> None:
    first = {"a": torch.tensor([1.0]), "n": torch.tensor([1])}
    with pytest.raises(AssertionError, match="here: other bits in a"):
        common.assert_same_bits(first | {"a": torch.tensor([1.0000001])}, first, "here")
    common.assert_same_but_for_rounding(first | {"a": torch.tensor([1.0000001])}, first, "here")
    with pytest.raises(AssertionError, match="here: n"):
        common.assert_same_but_for_rounding(first | {"n": torch.tensor([2])}, first, "here")
    with pytest.raises(AssertionError, match=r"here: \['n'\]"):
        common.assert_same_bits({"a": first["a"]}, first, "here")


def test_a_weight_out_of_its_bounds_or_that_is_no_number_is_found() -> None:
    tile = common.make_tile(SingleRPUConfig(device=SoftBoundsDevice()), (2, 3))
    common.assert_within_bounds(tile, "new")
    (cells,) = tile.rule.cells()
    for bad in (5.0, float("nan")):
        cells.weight[0, 0] = bad
        with pytest.raises(AssertionError, match="1 cells of array 0"):
            common.assert_within_bounds(tile, "spoilt")


def test_the_test_cases_are_imported_without_pytest() -> None:
    command = "import sys, ohmgrad.testing; print('pytest' in sys.modules, 'numba' in sys.modules)"
    process = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True)
    assert process.stdout.split() == ["False", "False"]
