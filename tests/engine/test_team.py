"""Work on several threads at once."""

import multiprocessing
import sys
import threading

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
def test_a_forked_process_uses_threads_of_its_own(count: int) -> None:
    together(lambda t: t, count)
    child = multiprocessing.get_context("fork").Process(target=together, args=(abs, count))
    child.start()
    child.join(60)
    assert child.exitcode == 0


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems have other OpenMP libraries")
def test_torch_brings_the_threads() -> None:
    assert team._team() is not None
