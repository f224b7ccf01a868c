"""Compiled kernels on disk: a law that was compiled once starts at once in every later process.

Numba's own cache looks at the file in which a function stands; ours is named after all that the machine code depends
on, so it also serves kernels that are put together from a law, and never serves an outdated one.
"""

from __future__ import annotations

import hashlib
import pickle
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ohmgrad.engine.fingerprint import fingerprint, named


def compile_kernel(function: Callable[..., Any], home: str, *parts: Any, views: bool = False) -> Any:
    """A kernel compiled for the processor, or loaded from disk.

    :param function: the kernel; it may refer to other compiled functions.
    :param home: name of the module in which it is put together.
    :param parts: what it is put together from, beside the code of that module.
    :param views: it makes no arrays (see :data:`ohmgrad.engine.compiler.ON_VIEWS`).
    """
    import llvmlite
    import numba

    from ohmgrad.engine import compiler, elementary, implicit_cpu, random, words_cpu

    versions = (numba.__version__, llvmlite.__version__, sys.version)
    modules = (compiler, elementary, implicit_cpu, random, words_cpu, sys.modules[home])
    content = fingerprint(*modules, function.__name__, *versions, *parts)
    options = compiler.ON_VIEWS if views else {"error_model": "numpy", "nogil": True}
    dispatcher = numba.njit(named(function, content), **options)
    dispatcher._cache = _DiskCache(content)
    return dispatcher


class _DiskCache:
    """What a Numba dispatcher expects of a cache, with one file for each signature."""

    def __init__(self, content: str) -> None:
        self.content = content

    @property
    def cache_path(self) -> str:
        """Folder of the compiled kernels."""
        from numba.misc.appdirs import AppDirs

        return str(Path(AppDirs(appname="ohmgrad", appauthor=False).user_cache_dir) / "kernels")

    def _file(self, signature: Any, codegen: Any) -> Path:
        name = hashlib.sha256(f"{self.content} {signature} {codegen.magic_tuple()}".encode()).hexdigest()
        return Path(self.cache_path, f"{name}.kernel")

    def load_overload(self, signature: Any, target_context: Any) -> Any:
        """The compiled kernel, None if there is none that can be read."""
        from numba.core.compiler import CompileResult

        target_context.refresh()
        try:
            payload = pickle.loads(self._file(signature, target_context.codegen()).read_bytes())
        except (OSError, EOFError, pickle.UnpicklingError, ImportError, AttributeError):
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
