"""Files of the lab: JSON written whole or not at all, and the versions that made it."""

from __future__ import annotations

import json
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

from ohmgrad import __version__
from ohmgrad.errors import ConfigError
from ohmgrad.files import replacing


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
    return found | {name: metadata.version(name) for name in ("torch", "numpy", "numba", "scikit-learn", "lmfit")}
