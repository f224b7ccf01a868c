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


def check_begun(folder: Path, what: str, resume: bool, overwrite: bool) -> None:
    """Raise :class:`~ohmgrad.errors.ConfigError` if a folder has nothing to go on with, or what would be lost.

    :param what: the folder is for, such as ``"search"``; its ``setting.json`` says that it was begun.
    """
    begun = (folder / "setting.json").exists()
    if resume and not begun:
        raise ConfigError(f"{folder} holds no {what} to go on with. Leave out --resume, or name its folder.")
    if begun and not (resume or overwrite):
        raise ConfigError(
            f"{folder} holds an earlier {what}: go on with it (--resume), replace it (--overwrite) or choose another "
            "folder (--out)."
        )


def clear(folder: Path, records: str, *files: str) -> None:
    """Remove what an earlier run left: its records, in a folder of that name, its pictures and pages, and ``files``."""
    drawn = [*folder.glob("*.png"), *folder.glob("*.html")]
    for path in [*(folder / records).glob("*.json"), *drawn, *(folder / name for name in files)]:
        path.unlink(missing_ok=True)


def versions() -> dict[str, str]:
    """Versions of everything that has a say in the numbers."""
    where = f"{platform.system()} {platform.machine()}"
    found = {"ohmgrad": __version__, "python": platform.python_version(), "platform": where}
    return found | {name: metadata.version(name) for name in ("torch", "numpy", "numba", "scikit-learn", "lmfit")}
