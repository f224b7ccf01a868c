"""Where the benchmarks run: ``--place cuda`` measures a GPU."""

from pathlib import Path

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--place", default="cpu", help="the torch device that is measured, such as cuda")


@pytest.fixture
def place(request: pytest.FixtureRequest) -> str:
    """The torch device that is measured."""
    return str(request.config.getoption("--place"))


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Each place has its own benchmarks."""
    other = "bench_gpu.py" if config.getoption("--place") == "cpu" else "bench_update.py"
    return True if collection_path.name == other else None
