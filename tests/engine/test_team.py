"""Work on several threads at once."""

import multiprocessing
import sys
import threading
import time
from typing import Any

import pytest
import torch

from ohmgrad.engine import team
from ohmgrad.engine.team import together


@pytest.fixture(params=["all of torch's threads", "fewer"])
def count(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Two parts of work, where torch uses two threads or more."""
    threads = 2 if request.param == "all of torch's threads" else 3
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    return 2


def test_every_part_is_done_once_and_its_result_stands_in_its_place(count: int) -> None:
    done = []
    found = together(lambda t: done.append(t) or 10 * t, count)  # type: ignore[func-returns-value]
    assert found == [0, 10]
    assert sorted(done) == [0, 1]


def test_parts_are_done_at_the_same_time(count: int) -> None:
    meeting = threading.Barrier(2, timeout=60.0)  # which nobody passes alone
    together(lambda t: meeting.wait(), count)


def test_the_first_part_is_done_here(count: int) -> None:
    here = threading.get_ident()
    assert [thread == here for thread in together(lambda t: threading.get_ident(), count)] == [True, False]


@pytest.mark.parametrize("guilty", [0, 1])
def test_what_a_part_raises_arrives_after_all_have_ended(count: int, guilty: int) -> None:
    ended = []

    def work(t: int) -> None:
        ended.append(t)
        if t == guilty:
            raise ValueError(f"part {t}")

    with pytest.raises(ValueError, match=f"part {guilty}"):
        together(work, count)
    assert sorted(ended) == [0, 1]


def test_other_threads_may_ask_for_work_at_the_same_time(count: int) -> None:
    found: dict[int, list[int]] = {}
    askers = [
        threading.Thread(target=lambda k=k: found.update({k: together(lambda t: k + t, count)})) for k in range(4)
    ]
    for asker in askers:
        asker.start()
    for asker in askers:
        asker.join()
    assert found == {k: [k, k + 1] for k in range(4)}


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_process_that_was_forked_after_loops_of_torch_does_not_wait_for_threads_it_has_not() -> None:
    team._team.cache_clear()  # as if only torch had used its threads
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        torch.randn(2_000_000).exp()
        child = multiprocessing.get_context("fork").Process(target=together, args=(abs, 2))
        child.start()
        child.join(60)
        assert child.exitcode == 0
    finally:
        child.kill()
        torch.set_num_threads(before)


def test_work_has_ended_before_an_interruption_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(team, "_team", lambda: None)
    ended, heard = threading.Event(), []
    real = team.wait

    def interrupted(others: Any) -> Any:
        if not heard:
            heard.append(True)
            raise KeyboardInterrupt
        return real(others)

    monkeypatch.setattr(team, "wait", interrupted)

    def work(t: int) -> None:
        if t == 1:
            time.sleep(0.05)
            ended.set()

    with pytest.raises(KeyboardInterrupt):
        together(work, 2)
    assert ended.is_set()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_process_uses_threads_of_its_own(count: int) -> None:
    together(lambda t: t, count)
    child = multiprocessing.get_context("fork").Process(target=together, args=(abs, count))
    child.start()
    child.join(60)
    assert child.exitcode == 0


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems have other OpenMP libraries")
def test_torch_brings_the_threads() -> None:
    assert team._team() is not None
