"""Names for compiled functions that say what is in them.

Machine code that is kept on disk meets machine code that was compiled in this process, and the linker knows functions
by their names alone. So a function is named after all that it computes from: equal names mean equal code. What counts
is the code that was loaded, not the files it came from, which may have changed since.
"""

from __future__ import annotations

import hashlib
import types
from collections.abc import Callable
from typing import Any, TypeVar

Function = TypeVar("Function", bound=Callable[..., Any])


def fingerprint(*parts: Any) -> str:
    """A hash of functions, of the code of modules, and of anything else as it prints."""
    return hashlib.sha256("\n".join(_describe(part) for part in parts).encode()).hexdigest()


def named(function: Function, tag: str) -> Function:
    """The function itself, its name ending in a tag."""
    function.__name__ = function.__qualname__ = f"{function.__name__}_{tag[:32]}"
    return function


def _describe(part: Any) -> str:
    """All that a function computes from: its code, and what it refers to."""
    if getattr(part, "__module__", None) == "ohmgrad.words":
        return str(part.__qualname__)
    if isinstance(part, types.ModuleType):
        return _describe_module(part)
    if not isinstance(part, types.FunctionType):
        return repr(part)
    code, globals_ = part.__code__, part.__globals__
    used = [(name, globals_[name]) for name in sorted(code.co_names) if name in globals_]
    used = [(name, value) for name, value in used if not isinstance(value, types.ModuleType)]
    used += [("", cell.cell_contents) for cell in part.__closure__ or ()]
    used += [("", default) for default in part.__defaults__ or ()]
    return f"{_describe_code(code)} {[(name, _describe(value)) for name, value in used]}"


def _describe_module(module: types.ModuleType) -> str:
    """The functions, constants and named tuples that a module defines."""
    described = []
    for name, value in vars(module).items():
        for attribute in ("__wrapped__", "py_func", "_defn"):  # behind a cache, a compiled function, an intrinsic
            value = getattr(value, attribute, value)
        if isinstance(value, types.FunctionType) and value.__module__ == module.__name__:
            described.append(f"{name} {_describe_code(value.__code__)}")
        elif isinstance(value, type) and value.__module__ == module.__name__ and hasattr(value, "_fields"):
            described.append(f"{name} {value._fields}")
        elif not name.startswith("__") and _is_constant(value):
            described.append(f"{name} {value!r}")
    return "\n".join(described)


def _is_constant(value: Any) -> bool:
    return all(map(_is_constant, value)) if isinstance(value, tuple) else isinstance(value, (int, float, str))


def _describe_code(code: types.CodeType) -> str:
    constants = [_describe_code(c) if isinstance(c, types.CodeType) else repr(c) for c in code.co_consts]
    return f"{code.co_code.hex()} {constants} {code.co_names} {code.co_varnames} {code.co_freevars}"
