"""One library in a process of its own: it sleeps on a pipe until it is asked for something.

``python -m peers.worker NAME``: a line of JSON in, a line of JSON out.
"""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from pathlib import Path
from typing import Any

import torch

from peers.cases import Case
from peers.library import Library, library
from peers.networks import Training
from peers.subjects import Product, Update


class Worker:
    """The answers to what is asked."""

    def __init__(self, of: Library) -> None:
        self.library = of
        self.subject: Any = None

    def prepare(self, case: dict[str, Any], shared: str, rate: float | None) -> dict[str, Any]:
        """Make what the case needs, and say what it is like: learning rate, density, seconds of a call."""
        wanted = Case(**case)
        if wanted.kind == "update":
            self.subject = Update(self.library, wanted, Path(shared), rate)
        elif wanted.kind == "train":
            self.subject = Training(self.library, wanted)
        else:
            self.subject = Product(self.library, wanted, Path(shared))
        self.measure(2)
        seconds = min(self.measure(2))
        return {"rate": getattr(self.subject, "rate", None), "density": self.subject.density, "seconds": seconds}

    def measure(self, count: int) -> list[float]:
        """Seconds of every call, after one that brings back to the caches what the turn of the other has driven out."""
        times = []
        self.subject.call()
        for _ in range(count):
            begin = time.perf_counter()
            self.subject.call()
            times.append(time.perf_counter() - begin)
        return times

    def check(self, repeats: int, seed: int) -> list[dict[str, float]]:
        """What some independent repetitions gave."""
        torch.manual_seed(seed)
        return [self.subject.figures() for _ in range(repeats)]

    def drop(self) -> None:
        """Forget the case."""
        self.subject = None


def main() -> None:
    """Answer until the pipe is closed."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever a library prints goes elsewhere
    worker = Worker(library(sys.argv[1]))
    print(json.dumps({"threads": torch.get_num_threads()}), file=answers, flush=True)
    for line in sys.stdin:
        question = json.loads(line)
        try:
            answer = {"answer": getattr(worker, question.pop("verb"))(**question)}
        except Exception as error:
            traceback.print_exc()
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
