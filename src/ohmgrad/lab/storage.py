"""Files of the lab: written whole or not at all, and stamped with the versions that made them."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

from ohmgrad import __version__
from ohmgrad.errors import ConfigError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path beside ``path``; on leaving without an error it takes the place of ``path``.

    Whatever interrupts the writing, ``path`` holds either its old content or the whole new one.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, content: Any) -> None:
    """Write ``content`` as JSON; NaN and infinity, which JSON does not know, are an error."""
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        json.dump(content, file, indent=1, allow_nan=False)
        file.write("\n")


def read_json(path: Path) -> Any:
    """Read a JSON file that the lab wrote."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not a readable JSON file ({error}). Remove it and run again.") from None


def versions() -> dict[str, str]:
    """Versions of everything that has a say in the numbers."""
    where = f"{platform.system()} {platform.machine()}"
    found = {"ohmgrad": __version__, "python": platform.python_version(), "platform": where}
    return found | {name: metadata.version(name) for name in ("torch", "numpy", "numba", "scikit-learn")}
