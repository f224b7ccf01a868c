"""The history of the figures: its columns, and what is appended to it."""

from pathlib import Path

import pytest

from record import FIELDS, RESULTS, append, read, times


def test_every_row_of_the_history_has_every_column() -> None:
    assert all(tuple(row) == FIELDS and None not in row.values() for row in read(RESULTS))


def test_what_a_row_lacks_stays_empty(tmp_path: Path) -> None:
    append([{"subject": "a, b", "size": 3}], tmp_path / "new.csv")
    append([{"kind": "memory"}], tmp_path / "new.csv")
    first, second = read(tmp_path / "new.csv")
    assert (first["subject"], first["size"], first["kind"]) == ("a, b", "3", "")
    assert second["kind"] == "memory"


def test_a_table_with_other_columns_is_refused(tmp_path: Path) -> None:
    (tmp_path / "old.csv").write_text("date,machine\n", encoding="utf-8")
    with pytest.raises(ValueError, match="has the columns date, machine"):
        append([{}], tmp_path / "old.csv")


def test_a_time_has_a_unit_of_its_own_only_where_cells_are_counted() -> None:
    assert times(2e-3, 1000) == {"median_us": "2000.0", "ns_per_cell_sample": "2000"}
    assert times(2e-3, 0) == {"median_us": "2000.0"}
