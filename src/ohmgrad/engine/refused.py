"""What Numba says of a function that cannot be compiled, in a line.

Apart from what compiles: kernels on disk are named after the code of that, and need not be made anew for other words.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from types import FunctionType
from typing import Any, NoReturn

from ohmgrad.errors import ConfigError
from ohmgrad.words import LAW_WORDS, clip


def explain(function: Callable[..., Any], error: Exception) -> NoReturn:
    """Raise what went wrong when a function was compiled: in a line, if it is for what the function says.

    :raises ConfigError: if Numba refuses the function; any other error goes on as it is.
    """
    from numba.core.errors import NumbaError

    if not (isinstance(error, (NumbaError, TypeError)) and isinstance(function, FunctionType)):
        raise error
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("Failed in nopython mode")]
    first = re.sub(r"Module\(<module '([\w.]+)'.*>\)", r"module \1", lines[0] if lines else type(error).__name__)
    place = Path(function.__code__.co_filename).name
    at = re.search(rf'File "[^"]*{re.escape(place)}", line (\d+)', text)
    line = at[1] if at else function.__code__.co_firstlineno
    name = function.__qualname__.rpartition("<locals>.")[2]
    words = ", ".join(word.__name__ for word in (*LAW_WORDS, clip))
    raise ConfigError(
        f"{name} cannot be compiled: {first.rstrip('.')} (line {line} of {place}). Use arithmetic, comparisons and"
        f" the words of ohmgrad.words, imported by name: {words}."
    ) from error
