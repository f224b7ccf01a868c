"""Run a script that was written for aihwkit: ``python -m ohmgrad.compat script.py [arguments]``."""

from __future__ import annotations

import importlib.util
import runpy
import sys
from pathlib import Path

from ohmgrad.compat.finder import install

USAGE = """Usage: python -m ohmgrad.compat SCRIPT [ARGUMENTS]
       python -m ohmgrad.compat -m MODULE [ARGUMENTS]

Run a script or a module that was written for aihwkit; its imports of aihwkit find ohmgrad."""


def main(arguments: list[str]) -> int:
    """Run what the arguments say, and give the exit status."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(USAGE, file=sys.stdout if arguments else sys.stderr)
        return 0 if arguments else 2
    is_module = arguments[0] == "-m"
    rest = arguments[1:] if is_module else arguments
    if not rest:
        print("python -m ohmgrad.compat: no module is named after -m.", file=sys.stderr)
        return 2
    target, *_ = rest
    if not is_module and not Path(target).is_file():
        print(f"python -m ohmgrad.compat: there is no script {target!r}.", file=sys.stderr)
        return 2
    if is_module and not _is_module(target):
        print(f"python -m ohmgrad.compat: there is no module {target!r}.", file=sys.stderr)
        return 2
    install()
    sys.argv = rest
    if is_module:
        sys.path.insert(0, "")
        runpy.run_module(target, run_name="__main__", alter_sys=True)
    else:
        sys.path.insert(0, str(Path(target).resolve().parent))
        runpy.run_path(target, run_name="__main__")
    return 0


def _is_module(name: str) -> bool:
    """Whether a module can be run; the folder that one is in is searched too, as Python does."""
    sys.path.insert(0, "")
    try:
        return importlib.util.find_spec(name) is not None
    except ImportError:
        return False
    finally:
        sys.path.pop(0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
