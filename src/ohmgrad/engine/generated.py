"""Functions from generated source text."""

from __future__ import annotations

import linecache
from typing import Any

from ohmgrad.engine.fingerprint import fingerprint


def generated(source: str, name: str, scope: dict[str, Any]) -> Any:
    """One function of a source text, which later readers find as if it stood in a file.

    :param name: of the function; :param scope: what its global names mean.
    """
    file = f"<ohmgrad {fingerprint(source)[:32]}>"
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    scope["__name__"] = __name__
    exec(compile(source, file, "exec"), scope)
    return scope[name]
