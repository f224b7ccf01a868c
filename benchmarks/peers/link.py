"""The other end of the pipe to a worker."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from tempfile import TemporaryFile
from typing import Any


class WorkerError(Exception):
    """A library could not do what a case asks for."""


class Link:
    """A worker of one library, started when it is first asked, and again if it has died."""

    def __init__(self, name: str) -> None:
        self.name, self.threads = name, 0
        self._process: subprocess.Popen[str] | None = None
        self._log = TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115

    def ask(self, verb: str, **arguments: Any) -> Any:
        """The answer of the worker.

        :raises WorkerError: if it failed or died.
        """
        process = self._running()
        assert process.stdin is not None
        try:
            process.stdin.write(json.dumps({"verb": verb, **arguments}) + "\n")
            process.stdin.flush()
        except BrokenPipeError:
            pass  # it died; reading says so
        answer = self._read(process)
        if "error" in answer:
            raise WorkerError(f"{self.name}: {answer['error']}")
        return answer["answer"]

    def close(self) -> None:
        """End the worker."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def _running(self) -> subprocess.Popen[str]:
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "peers.worker", self.name],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._log,
                text=True,
                start_new_session=True,  # Ctrl-C is for the one who asks
            )
            self.threads = self._read(self._process)["threads"]
        return self._process

    def _read(self, process: subprocess.Popen[str]) -> dict[str, Any]:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            self.close()
            self._log.seek(0)
            last = self._log.read().strip().splitlines()[-1:]
            raise WorkerError(f"{self.name}: the worker ended by itself, with {process.returncode}. {''.join(last)}")
        return dict(json.loads(line))


def fresh(name: str, kind: str, subject: str, size: int, **environment: str) -> float:
    """The number that a fresh process of a library gives (:mod:`peers.fresh`).

    :param environment: variables of the process, besides those of this one.
    :raises WorkerError: if it failed.
    """
    command = [sys.executable, "-m", "peers.fresh", name, kind, subject, str(size)]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment})
    if done.returncode:
        raise WorkerError(f"{name}: {' '.join(done.stderr.strip().splitlines()[-1:])}")
    return float(done.stdout)
