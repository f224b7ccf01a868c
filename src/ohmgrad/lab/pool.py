"""Many jobs at once, in processes of one thread each, told as one stream of events."""

from __future__ import annotations

import multiprocessing
import queue
import signal
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import torch

from ohmgrad.errors import OhmgradError


class JobError(OhmgradError, RuntimeError):
    """A job could not be run to its end."""


class Progress(Protocol):
    """How far a job has come."""

    @property
    def done(self) -> int:
        """Steps done, of the length of the job."""

    @property
    def note(self) -> str:
        """A few words on how it goes."""


class Job(Protocol):
    """Work for one process, which fixes its record to the last bit."""

    @property
    def title(self) -> str:
        """The job in words."""

    @property
    def length(self) -> int:
        """Its steps."""

    def run(self) -> Iterator[Progress | dict[str, Any]]:
        """Do it: yields progress, and at last the record (JSON values)."""

    @property
    def heading(self) -> str:
        """What the columns of :meth:`outcome` are."""

    def outcome(self, record: dict[str, Any]) -> str:
        """A record in a line."""


SomeJob = TypeVar("SomeJob", bound=Job)


class Source(Generic[SomeJob]):
    """Jobs that are made one by one when a worker is free, since what they are depends on what others gave.

    :param make: makes the next; :param count: how many there will be; :param length: steps of each.
    """

    def __init__(self, make: Callable[[], SomeJob], count: int, length: int) -> None:
        self.make, self.count, self.length = make, count, length
        self.made: list[SomeJob] = []

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> SomeJob:
        return self.made[index]

    def __iter__(self) -> Iterator[SomeJob]:
        for _ in range(self.count):
            self.made.append(self.make())
            yield self.made[-1]


Jobs = Sequence[SomeJob] | Source[SomeJob]


@dataclass(frozen=True)
class Event:
    """Something that happened to the job with index ``index``."""

    index: int
    news: Progress | dict[str, Any] | None
    """None: it started; its progress; or the record of a finished job."""


def run(jobs: Jobs[Any], workers: int) -> Iterator[Event]:
    """Run every job and tell what happens, in the order in which it happens.

    A job of a :class:`Source` is made after the consumer has seen every record that was there before.

    :param workers: number of processes; 1 runs in this one. The records do not depend on it: every job is seeded
        by itself and computed by one thread.

    Closing the iterator, or an exception such as Ctrl-C in its consumer, ends the processes.
    """
    if workers == 1 or len(jobs) <= 1:
        yield from _here(jobs)
    else:
        yield from _in_processes(jobs, min(workers, len(jobs)))


def _here(jobs: Jobs[Any]) -> Iterator[Event]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for index, job in enumerate(jobs):
            yield Event(index, None)
            for news in job.run():
                yield Event(index, news)
    finally:
        torch.set_num_threads(threads)


def _in_processes(jobs: Jobs[Any], workers: int) -> Iterator[Event]:
    context = multiprocessing.get_context("spawn")
    todo, events = context.Queue(), context.Queue()
    coming = enumerate(jobs)
    for _ in range(workers):
        todo.put(next(coming, None))
    processes = [context.Process(target=_work, args=(todo, events), daemon=True) for _ in range(workers)]
    try:
        for process in processes:
            process.start()
        finished = 0
        while finished < len(jobs):
            try:
                event = events.get(timeout=0.5)
            except queue.Empty:
                _require_alive(processes)
                continue
            if isinstance(event, str):
                raise JobError(event)
            yield event
            if isinstance(event.news, dict):
                finished += 1
                todo.put(next(coming, None))  # None: that worker can go
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.join()
        for channel in (todo, events):
            channel.cancel_join_thread()
            channel.close()


def _require_alive(processes: Sequence[Any]) -> None:
    for process in processes:
        if process.exitcode not in (None, 0):
            raise JobError(
                f"A worker process was ended from outside (exit code {process.exitcode}), perhaps for want of memory. "
                "Use fewer workers and --resume."
            )


def _work(todo: Any, events: Any) -> None:
    """The life of a worker process: Ctrl-C is the business of its parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)
    while (item := todo.get()) is not None:
        index, job = item
        events.put(Event(index, None))
        try:
            for news in job.run():
                events.put(Event(index, news))
        except OhmgradError as error:
            events.put(f"{job.title}: {error}")
        except Exception:
            events.put(f"{job.title} failed:\n{traceback.format_exc()}")
