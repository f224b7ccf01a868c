"""The comparison with aihwkit: its statistics, goals, rows and picture. None of it needs aihwkit."""

from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from peers.cases import CALL, GOALS, NAMES, OURS, THEIRS, Case, Goal, cases, goal_of, updates
from peers.figures import Spread, differences, spread, verdict
from peers.library import library
from peers.measure import Result
from peers.networks import Training
from peers.picture import COLUMNS, draw
from peers.rows import last_run, results_of, rows
from peers.subjects import Product, Update
from peers.table import amount, is_met, reached, show
from record import append, read

UPDATES = updates(("constant_step", "soft_bounds"), 512, 64, 0.3)
GOAL = GOALS[0]


def result(case: Case, ours: float, ratio: float, problems: tuple[str, ...] = ()) -> Result:
    values = {OURS: Spread(ours, 0.9 * ours, 1.1 * ours), THEIRS: Spread(ratio * ours, ratio * ours, ratio * ours)}
    return Result(case, values, {OURS: 0.29, THEIRS: 0.31} if case.density else {}, list(problems))


@pytest.fixture
def whole() -> list[Result]:
    """A run of every usual case, twice as fast each."""
    return [result(case, 60.0 if case.kind == "memory" else 1e-3, 2.0) for case in cases()]


class TestFigures:
    def test_median_and_quartiles(self) -> None:
        assert spread([5.0, 1.0, 2.0, 4.0, 3.0]) == Spread(3.0, 2.0, 4.0)
        assert spread([5.0, 1.0, 2.0, 4.0, 3.0]).half == 1.0
        assert spread([7.0]) == Spread(7.0, 7.0, 7.0)

    def test_same_distribution_does_not_differ(self) -> None:
        ours = [{"loss": value} for value in (1.0, 1.1, 0.9, 1.05)]
        theirs = [{"loss": value} for value in (1.2, 0.95, 1.0, 1.1)]
        assert differences(ours, theirs) == []

    def test_means_further_apart_than_five_standard_errors_differ(self) -> None:
        ours, theirs = ([{"loss": value + far} for value in (1.0, 1.1, 0.9, 1.05)] for far in (0.0, 0.4))
        (found,) = differences(ours, theirs)
        assert found.name == "loss"
        assert str(found) == "loss: 1.0125 +- 0.043 against 1.4125 +- 0.043"

    def test_rounding_is_no_difference(self) -> None:
        assert differences([{"a along": 1.0}] * 2, [{"a along": 1.0 + 1e-6}] * 2) == []
        assert differences([{"a along": 1.0}] * 2, [{"a along": 1.0 + 1e-3}] * 2)

    def test_a_mean_is_compared_on_the_scale_of_its_spread(self) -> None:
        assert differences([{"a mean": 1e-9, "a spread": 1.0}] * 2, [{"a mean": 2e-9, "a spread": 1.0}] * 2) == []

    def test_what_is_no_number_differs(self) -> None:
        assert differences([{"loss": 1.0}] * 2, [{"loss": float("nan")}] * 2)

    def test_words(self) -> None:
        assert verdict(12.345, []) == "12.3"
        assert verdict(None, ["loss: 1 against 2"]) == "differs"
        assert verdict(None, ["failed: aihwkit: ended"]) == "failed"
        assert verdict(None, []) == "not measured"


class TestCases:
    def test_every_goal_is_among_the_usual_cases(self) -> None:
        assert {case for goal in GOALS for case in goal.cases} <= set(cases())

    def test_the_grid_holds_the_usual_cases_and_more(self) -> None:
        assert set(cases()) < set(cases(full=True))

    def test_names_tell_cases_apart_and_choose_them(self) -> None:
        names = [case.name for case in cases(full=True)]
        assert len(set(names)) == len(names)
        assert cases(only="forward default") == [Case("forward", "default", 512, 64)]

    def test_every_bar_of_the_picture_is_measured(self) -> None:
        assert {case for column in COLUMNS for group in column for case in group.cases} <= set(cases())


class TestGoals:
    def test_a_ratio_of_a_case_that_differs_is_not_told(self) -> None:
        assert result(UPDATES[0], 1.0, 12.0).ratio == 12.0
        assert result(UPDATES[0], 1.0, 12.0, ("weight mean: 1 against 2",)).ratio is None

    def test_the_worst_case_decides(self) -> None:
        goal = Goal("both", UPDATES, 10)
        assert reached(goal, [result(UPDATES[0], 1.0, 12.0), result(UPDATES[1], 1.0, 10.0)])[::2] == ("10", True)
        figure, case, met = reached(goal, [result(UPDATES[0], 1.0, 12.0), result(UPDATES[1], 1.0, 9.0)])
        assert (figure, case, met) == ("9", UPDATES[1].load, False)

    def test_a_part_is_not_enough_to_meet_a_goal(self) -> None:
        goal = Goal("both", UPDATES, 10)
        assert reached(goal, [result(UPDATES[0], 1.0, 12.0)])[2] is None
        assert reached(goal, [result(UPDATES[0], 1.0, 2.0)])[2] is False
        assert reached(goal, []) == ("", "", None)

    def test_a_case_that_differs_misses_its_goal(self) -> None:
        both = [result(UPDATES[0], 1.0, 12.0), result(UPDATES[1], 1.0, 12.0, ("weight mean: 1 against 2",))]
        assert reached(Goal("both", UPDATES, 10), both) == ("differs", UPDATES[1].load, False)
        assert is_met(both[1]) is False

    def test_a_time_is_a_goal_too(self) -> None:
        goal = goal_of(CALL)
        assert goal is not None
        assert reached(goal, [result(CALL, 29e-6, 0.5)])[::2] == ("29 ± 2.9 us", True)
        assert reached(goal, [result(CALL, 31e-6, 5.0)])[2] is False

    def test_a_case_without_a_goal_meets_none(self) -> None:
        assert is_met(result(Case("forward", "ideal", 512, 64), 1.0, 2.0)) is None


class TestReport:
    def test_the_table_says_every_figure_and_goal(self, whole: list[Result]) -> None:
        whole[0].problems.append("weight mean: 1 against 2")
        console = Console(file=StringIO(), width=200)
        show(whole, console)
        text = console.file.getvalue()
        assert all(goal.title in text for goal in GOALS)
        assert f"{whole[0].case.name}: weight mean: 1 against 2" in text
        assert "0.29 / 0.31" in text
        assert "1 ± 0.1 ms" in text

    def test_units(self) -> None:
        assert amount(result(UPDATES[0], 2.0, 1.0), OURS) == "2 ± 0.2 s"
        assert amount(result(UPDATES[0], 2e-5, 1.0), OURS) == "20 ± 2 us"
        assert amount(result(Case("memory", "ttv3", 2048), 60.0, 1.0), OURS) == "60.0 ± 6.0"

    def test_rows_hold_what_results_need(self, whole: list[Result], tmp_path: Path) -> None:
        whole[0].problems.append("weight mean: 1 against 2")
        append(rows(whole, threads=2), tmp_path / "rows.csv")
        table = read(tmp_path / "rows.csv")
        assert len(table) == len(NAMES) * len(whole)
        again = results_of(last_run(table))
        assert [each.case for each in again] == [each.case for each in whole]
        assert again[0].ratio is None
        assert all(each.ratio == pytest.approx(2.0) for each in again[1:])

    def test_only_the_last_run_counts(self, whole: list[Result]) -> None:
        new = [{name: str(value) for name, value in row.items()} for row in rows(whole[:1], threads=2)]
        old = [{**row, "date": "2000-01-01"} for row in new]
        assert last_run([{"library": ""}, *old, *new]) == new
        with pytest.raises(ValueError, match="make bench-peers"):
            last_run([{"library": ""}])

    def test_the_picture_is_drawn_from_rows(self, whole: list[Result], tmp_path: Path) -> None:
        whole[0].problems.append("weight mean: 1 against 2")
        append(rows(whole[:-10], threads=2), tmp_path / "rows.csv")
        draw(read(tmp_path / "rows.csv"), tmp_path / "new" / "peers.png")
        assert (tmp_path / "new" / "peers.png").read_bytes().startswith(b"\x89PNG")


class TestSubjects:
    """Our side of a comparison: what it does is what the case says."""

    @pytest.mark.parametrize("subject", ["soft_bounds", "ttv3"])
    @pytest.mark.parametrize("density", [0.3, 5.0])
    def test_an_update_has_the_density_of_its_case(self, subject: str, density: float, tmp_path: Path) -> None:
        update = Update(library(OURS), Case("update", subject, 32, 16, density), tmp_path / "cells.pt", None)
        assert update.density == pytest.approx(density, rel=0.05)

    def test_an_update_goes_along_the_gradient(self, tmp_path: Path) -> None:
        update = Update(library(OURS), Case("update", "constant_step", 32, 16, 0.3), tmp_path / "cells.pt", None)
        found = update.figures()
        assert found["weight along"] == pytest.approx(1.0, abs=0.1)
        assert 0.5 < found["weight correlation"] < 1.0

    def test_counting_steps_finds_the_density_without_counters(self, tmp_path: Path) -> None:
        update = Update(library(OURS), Case("update", "pow_step", 32, 16, 0.3), tmp_path / "cells.pt", None)
        assert update._stepped() == pytest.approx(update.density, rel=0.05)

    def test_tiles_have_the_cells_of_the_file(self, tmp_path: Path) -> None:
        one, two = (
            Update(library(OURS), Case("update", "ttv2", 8, 2, 0.3), tmp_path / "cells.pt", 1e-4).start
            for _ in range(2)
        )
        for start in (one, two):
            hidden = start.tile().get_hidden_parameters()
            assert all((hidden[name] == start.hidden[name]).all() for name in hidden)

    def test_an_ideal_product_is_exact(self, tmp_path: Path) -> None:
        for kind in ("forward", "backward"):
            found = Product(library(OURS), Case(kind, "ideal", 16, 4), tmp_path / "cells.pt").figures()
            assert found["product along"] == pytest.approx(1.0, abs=1e-5)
            assert found["product correlation"] == pytest.approx(1.0, abs=1e-5)

    @pytest.mark.parametrize("network", ["12-6-10", "lenet"])
    def test_a_training_step_changes_every_layer(self, network: str) -> None:
        training = Training(library(OURS), Case("train", f"{network} sgd", batch=2))
        training.call()
        assert training.density > 0.0
        found = training.figures()
        assert all(value > 0.0 for value in found.values())
        assert len(found) == 1 + (5 if network == "lenet" else 2)
