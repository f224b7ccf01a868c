"""Every name of aihwkit that a training script may import is there, or says why it is not."""

from __future__ import annotations

import importlib
from typing import Any

import pytest

from ohmgrad.compat.errors import OutOfScopeError
from ohmgrad.compat.finder import Finder
from ohmgrad.compat.names import MODULES, OUT_OF_SCOPE, UNAVAILABLE

IN_SCOPE = [name for name in MODULES if not name.startswith(tuple(OUT_OF_SCOPE))]


@pytest.mark.parametrize("name", IN_SCOPE)
def test_every_name_of_a_module_can_be_imported(name: str) -> None:
    module = importlib.import_module(name)
    for each in MODULES[name].split():
        assert getattr(module, each) is getattr(module, each)


@pytest.mark.parametrize("name", sorted(UNAVAILABLE))
def test_what_is_not_here_can_be_imported_and_derived_from_and_says_why_when_it_is_used(name: str) -> None:
    home = next((module for module in IN_SCOPE if name in MODULES[module].split()), None)
    if home is None:
        return
    found: Any = getattr(importlib.import_module(home), name)

    class Derived(found):  # type: ignore[misc]
        pass

    for kind in (found, Derived, found.anything):
        with pytest.raises(OutOfScopeError, match=r"of aihwkit is not here"):
            kind(1, other=2)


@pytest.mark.parametrize("name", [*OUT_OF_SCOPE, "aihwkit.cloud.client.session"])
def test_a_module_that_is_out_of_scope_says_so(name: str) -> None:
    with pytest.raises(OutOfScopeError, match=r"out of ohmgrad's scope"):
        importlib.import_module(name)


def test_what_nobody_knows_is_an_import_error() -> None:
    with pytest.raises(ImportError, match=r"no counterpart of aihwkit\.nowhere"):
        importlib.import_module("aihwkit.nowhere")
    with pytest.raises(ImportError, match=r"no counterpart of aihwkit\.nn\.AnalogNowhere"):
        from aihwkit.nn import AnalogNowhere  # noqa: F401
    assert Finder().find_spec("torch", None) is None
