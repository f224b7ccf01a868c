"""Scripts written for aihwkit run unchanged; and on ohmgrad itself, if only their imports are changed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parent / "scripts"
NATIVE = ("lenet", "lstm", "mixed_precision")
"""Scripts that use nothing but layers, optimizers, configurations and presets."""


def run(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a program as a user would, in a folder of its own."""
    path = os.pathsep.join(filter(None, sys.path))
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, *arguments], env=environment, cwd=folder, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("script", sorted(SCRIPTS.glob("*.py")), ids=lambda path: path.stem)
def test_a_script_for_aihwkit_runs_unchanged(script: Path, tmp_path: Path) -> None:
    process = run("-m", "ohmgrad.compat", str(script), folder=tmp_path)
    assert process.returncode == 0, process.stderr
    assert process.stdout.startswith(f"{script.stem}: ")


@pytest.mark.parametrize("name", NATIVE)
def test_a_script_runs_on_ohmgrad_with_other_imports(name: str, tmp_path: Path) -> None:
    text = (SCRIPTS / f"{name}.py").read_text(encoding="utf-8")
    for before, after in (
        (r"aihwkit\.nn", "ohmgrad.nn"),
        (r"aihwkit\.optim", "ohmgrad.optim"),
        (r"aihwkit\.simulator\.presets", "ohmgrad.presets"),
        (r"aihwkit\.simulator\.(configs|parameters)[a-z._]*", "ohmgrad.configs"),
    ):
        text = re.sub(before, after, text)
    assert "aihwkit" not in text
    (tmp_path / f"{name}.py").write_text(text, encoding="utf-8")
    process = run(f"{name}.py", folder=tmp_path)
    assert process.returncode == 0, process.stderr


def test_one_import_at_the_top_does_the_same(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(
        "import ohmgrad.compat.aihwkit\n"
        "import aihwkit, aihwkit.nn as layers\n"
        "from aihwkit.simulator.configs import *\n"
        "from aihwkit.nn.modules.linear import AnalogLinear\n"
        "assert layers.AnalogLinear is AnalogLinear\n"
        "print(aihwkit.__version__, type(AnalogLinear(2, 2, rpu_config=SingleRPUConfig())).__module__)\n"
    )
    process = run("script.py", folder=tmp_path)
    assert process.stdout.split()[1:] == ["ohmgrad.compat.layers"], process.stderr


def test_arguments_modules_beside_it_and_its_exit_status_are_those_of_the_script(tmp_path: Path) -> None:
    (tmp_path / "beside.py").write_text("from aihwkit.nn import AnalogLinear\n")
    (tmp_path / "script.py").write_text(
        "import sys, beside\nif __name__ == '__main__':\n    print(sys.argv)\n    sys.exit(3)\n"
    )
    for process in (
        run("-m", "ohmgrad.compat", "script.py", "--epochs", "2", folder=tmp_path),
        run("-m", "ohmgrad.compat", "-m", "script", "--epochs", "2", folder=tmp_path),
    ):
        assert process.returncode == 3, process.stderr
        assert process.stdout.strip().endswith("'--epochs', '2']")


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        ((), 2, "Usage: python -m ohmgrad.compat"),
        (("--help",), 0, "Usage: python -m ohmgrad.compat"),
        (("nowhere.py",), 2, "there is no script 'nowhere.py'"),
        (("-m",), 2, "no module is named"),
        (("-m", "no.where"), 2, "there is no module 'no.where'"),
    ],
)
def test_a_mistake_on_the_command_line_is_answered_in_a_line(
    arguments: tuple[str, ...], status: int, said: str, tmp_path: Path
) -> None:
    process = run("-m", "ohmgrad.compat", *arguments, folder=tmp_path)
    assert process.returncode == status
    assert said in process.stdout + process.stderr
    assert "Traceback" not in process.stderr
