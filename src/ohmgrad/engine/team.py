"""Work on several threads at once: on torch's own, if all of them are needed.

torch shares its loops among threads of an OpenMP library. After a loop these look for the next one, again and again for
some milliseconds, and keep their cores busy with it: another thread of ours would wait behind them, or behind the one
that has called it. So they are given our work too, by the function that GCC makes of ``omp parallel``.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import cache
from typing import Any, TypeVar

import torch

T = TypeVar("T")


def together(work: Callable[[int], T], count: int) -> list[T]:
    """What ``work(0)`` to ``work(count - 1)`` give, each on its own thread; the first on this one.

    :raises BaseException: what any of them raised, after all have ended.
    """
    if count == 1:
        return [work(0)]
    team = _team() if count == torch.get_num_threads() else None  # another number would make it start threads anew
    if team is not None and os.getpid() == _PROCESS:
        return team.share(work, count)
    others: list[Future[T]] = []
    try:
        others += (_helpers().submit(work, t) for t in range(1, count))
        first = work(0)
    finally:
        _wait_for(others)
    return [first, *(other.result() for other in others)]


_PROCESS = os.getpid()
"""That in which this was imported. A forked one has none of the threads that the OpenMP library believes to have."""


def _wait_for(others: list[Future[T]]) -> None:
    """Return when all have ended, whatever is raised meanwhile: they work in memory that is then let go."""
    raised: BaseException | None = None
    while True:
        try:
            wait(others)
            break
        except BaseException as error:  # Ctrl-C
            raised = error
    if raised is not None:
        raise raised


class Team:
    """The threads of the OpenMP library that torch uses."""

    def __init__(self, start: Any, number: Any) -> None:
        self._start, self._number = start, number

    def share(self, work: Callable[[int], T], count: int) -> list[T]:
        """See :func:`together`."""
        found: dict[int, T] = {}
        raised: list[BaseException] = []

        @_BODY
        def body(_: object) -> None:
            t = self._number()
            try:
                found[t] = work(t)
            except BaseException as error:  # C has nobody to give it to
                raised.append(error)

        self._start(body, None, count, 0)
        for error in raised:
            raise error
        for t in range(count):  # of a team that the library has made smaller
            if t not in found:
                found[t] = work(t)
        return [found[t] for t in range(count)]


_BODY = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


@cache
def _team() -> Team | None:
    """That of torch, None if its library is another or does not know this function."""
    try:
        library = ctypes.CDLL(torch._C.__file__)  # finds what that library needs, so just the one that torch uses
        start, number = library.GOMP_parallel, library.omp_get_thread_num
    except (AttributeError, OSError):
        return None
    start.argtypes, start.restype = (_BODY, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint), None
    return Team(start, number)


@cache
def _helpers() -> ThreadPoolExecutor:
    """Threads that wait for work: starting one takes as long as a small update. A forked process starts its own."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_helpers.cache_clear)
    return ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="ohmgrad")
