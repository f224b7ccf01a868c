"""What the tests of the learning rules share."""

import pytest


@pytest.fixture(params=["reference", "cpu"])
def implementation(request: pytest.FixtureRequest) -> str:
    """Both implementations of every kernel, one after the other."""
    return str(request.param)
