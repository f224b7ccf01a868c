"""Jobs that are made when a worker is free."""

from typing import Any

import pytest

from ohmgrad.lab import pool
from ohmgrad.lab.training import Job


@pytest.mark.parametrize("workers", [1, 2])
def test_a_job_is_made_after_the_records_before_it_were_seen(workers: int, job_of: Any) -> None:
    records: list[dict[str, Any]] = []
    known: list[int] = []

    def make() -> Job:
        known.append(len(records))
        return job_of("sgd")

    jobs = pool.Source(make, 4, length=2)
    for event in pool.run(jobs, workers):
        if isinstance(event.news, dict):
            records.append(event.news)
    assert known == ([0, 1, 2, 3] if workers == 1 else [0, 0, 1, 2])
    assert len(records) == len(jobs) == 4
    assert all(record["epochs"] == records[0]["epochs"] for record in records)
