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

SETTING = "setting.json"
"""What a folder is for, and how that is computed."""


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


def begun(folder: Path, kind: str, resume: bool, overwrite: bool) -> dict[str, Any]:
    """What :func:`begin` noted of a folder that is gone on with; nothing of one that is begun.

    :param kind: of what the folder is to hold, such as ``"search"``.
    :raises ConfigError: the folder holds something of another kind, nothing to go on with, or what would be lost.
    """
    path = folder / SETTING
    if not path.exists():
        if resume:
            raise ConfigError(
                f"{folder} holds no {kind} to go on with. Leave out --resume, or name its folder (--out)."
            )
        return {}
    found = read_json(path)
    # a folder from before kinds were noted is taken for what is asked for
    other = found.get("kind", kind) if isinstance(found, dict) else "file of something else"
    if other != kind:
        raise ConfigError(f"{folder} holds a {other}, not a {kind}. Choose another folder (--out).")
    if not (resume or overwrite):
        raise ConfigError(
            f"{folder} holds an earlier {kind}: go on with it (--resume), replace it (--overwrite) or choose another "
            "folder (--out)."
        )
    return dict(found) if resume else {}


def begin(folder: Path, kind: str, content: dict[str, Any], records: str, *files: str) -> None:
    """Note in ``setting.json`` what a folder is for, and remove what an earlier run of the same kind left.

    That is its records, in a folder of that name, its pictures and pages, and ``files``.
    """
    drawn = [*folder.glob("*.png"), *folder.glob("*.html")]
    for path in [*(folder / records).glob("*.json"), *drawn, *(folder / name for name in files)]:
        path.unlink(missing_ok=True)
    write_json(folder / SETTING, {"kind": kind, **content})


def versions() -> dict[str, str]:
    """Versions of everything that has a say in the numbers."""
    where = f"{platform.system()} {platform.machine()}"
    found = {"ohmgrad": __version__, "python": platform.python_version(), "platform": where}
    return found | {name: metadata.version(name) for name in ("torch", "numpy", "numba", "scikit-learn", "lmfit")}
