"""Work on several threads at once: on torch's own, if all of them are needed.

torch shares its loops among threads of an OpenMP library. After a loop these look for the next one, again and again for
some milliseconds, and keep their cores busy with it: another thread of ours would wait behind them, or behind the one
that has called it. So they are given our work too, by the function that every ``omp parallel`` of a C compiler calls.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
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
    if team is not None and team.process == os.getpid():
        return team.share(work, count)
    others = [_helpers(count - 1).submit(work, t) for t in range(1, count)]
    try:
        first = work(0)
    finally:
        wait(others)
    return [first, *(other.result() for other in others)]


class Team:
    """The threads of the OpenMP library that torch uses.

    They belong to the process that first used them: a forked one has none of them.
    """

    def __init__(self, start: Any, number: Any) -> None:
        self._start, self._number, self.process = start, number, os.getpid()

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
def _helpers(count: int) -> ThreadPoolExecutor:
    """Threads that wait for work: starting one takes as long as a small update. A forked process starts its own."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_helpers.cache_clear)
    return ThreadPoolExecutor(count, thread_name_prefix="ohmgrad")
