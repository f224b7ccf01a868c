"""What a result was computed with: versions, the kind of machine, the day."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path

from ohmgrad.lab.storage import versions


def environment(found: Mapping[str, str] | None = None) -> dict[str, str]:
    """Day, machine and versions by name.

    :param found: versions that were recorded with the result; by default those of this moment.
    """
    day = datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
    return {"written": day, "machine": machine(), **(versions() if found is None else found)}


def machine() -> str:
    """The processor, as far as the system says it, and its cores."""
    name, about = platform.processor() or platform.machine(), Path("/proc/cpuinfo")
    if about.exists():
        lines = (line.partition(":") for line in about.read_text(encoding="utf-8", errors="replace").splitlines())
        name = next((value.strip() for key, _, value in lines if key.strip() == "model name"), name)
    return f"{name}, {os.cpu_count()} cores"
