"""Compiled kernels on disk: a law that was compiled once starts at once in every later process.

Numba's own cache looks at the file in which a function stands; ours is named after all that the machine code depends
on, so it also serves kernels that are put together from a law, and never serves an outdated one.
"""

from __future__ import annotations

import hashlib
import pickle
import sys
import tempfile
import types
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any


def compile_kernel(function: Callable[..., Any], *ingredients: Any) -> Any:
    """A kernel compiled for the processor, or loaded from disk.

    :param function: the kernel; it may refer to other compiled functions.
    :param ingredients: all that these were made from, beside the source of this package: functions, numbers, names.
    """
    import numba

    dispatcher = numba.njit(function, error_model="numpy", nogil=True)
    described = [_sources(), function.__qualname__, *(_describe(part) for part in ingredients)]
    dispatcher._cache = _DiskCache(hashlib.sha256("\n".join(described).encode()).hexdigest())
    return dispatcher


@cache
def _sources() -> str:
    """Fingerprint of the package's engine, of Numba and of Python."""
    import llvmlite
    import numba

    package = Path(__file__).parent
    digest = hashlib.sha256()
    for path in sorted([*package.glob("*.py"), package.parent / "words.py"]):
        digest.update(path.read_bytes())
    return f"{digest.hexdigest()} {numba.__version__} {llvmlite.__version__} {sys.version}"


def _describe(part: Any) -> str:
    """All that a function computes from: its code, constants, and what it refers to."""
    if getattr(part, "__module__", None) == "ohmgrad.words":
        return part.__qualname__
    if isinstance(part, types.FunctionType):
        code = part.__code__
        named = {name: part.__globals__[name] for name in sorted(code.co_names) if name in part.__globals__}
        closed = [cell.cell_contents for cell in part.__closure__ or ()]
        used = [*named.items(), *enumerate(closed)]
        return f"{code.co_code.hex()} {code.co_consts!r} {code.co_names!r} {[(n, _describe(v)) for n, v in used]}"
    if isinstance(part, types.ModuleType):
        return part.__name__
    return repr(part)


class _DiskCache:
    """What a Numba dispatcher expects of a cache, with one file for each signature."""

    def __init__(self, fingerprint: str) -> None:
        self.fingerprint = fingerprint

    @property
    def cache_path(self) -> str:
        """Folder of the compiled kernels."""
        from numba.misc.appdirs import AppDirs

        return str(Path(AppDirs(appname="ohmgrad", appauthor=False).user_cache_dir) / "kernels")

    def _file(self, signature: Any, codegen: Any) -> Path:
        name = hashlib.sha256(f"{self.fingerprint} {signature} {codegen.magic_tuple()}".encode()).hexdigest()
        return Path(self.cache_path, f"{name}.kernel")

    def load_overload(self, signature: Any, target_context: Any) -> Any:
        """The compiled kernel, None if there is none that can be read."""
        from numba.core.compiler import CompileResult

        target_context.refresh()
        try:
            payload = pickle.loads(self._file(signature, target_context.codegen()).read_bytes())
        except (OSError, EOFError, pickle.UnpicklingError):
            return None
        return CompileResult._rebuild(target_context, *payload)

    def save_overload(self, signature: Any, result: Any) -> None:
        """Keep a compiled kernel; a folder that cannot be written only means compiling again."""
        target = self._file(signature, result.codegen)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=target.parent, delete=False) as file:
                pickle.dump(result._reduce(), file)
            Path(file.name).replace(target)
        except OSError:
            return

    def enable(self) -> None:
        """Part of Numba's interface."""

    def disable(self) -> None:
        """Part of Numba's interface."""

    def flush(self) -> None:
        """Part of Numba's interface."""
