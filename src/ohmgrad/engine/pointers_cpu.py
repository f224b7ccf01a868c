"""Compiled functions that are called by their address.

What a kernel does for every law alike is compiled once, and given the addresses of what the law does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from numba import types
from numba.extending import intrinsic


def compiled_at(function: Any, arguments: Sequence[Any]) -> int:
    """The address of a compiled function that takes arguments of such types and returns nothing; it must be kept."""
    function.compile(types.none(*arguments))
    found = function.overloads[tuple(arguments)]
    return int(found.library.get_pointer_to_function(found.fndesc.llvm_func_name))


def caller(arguments: Sequence[Any]) -> Any:
    """What calls such a function: a compiled function of its address and a tuple of its arguments."""
    given = types.Tuple(list(arguments))

    @intrinsic
    def call(typing: Any, address: Any, values: Any) -> Any:
        def build(context: Any, builder: Any, signature: Any, passed: Any) -> Any:
            convention, place = context.call_conv, passed[0]
            kind = convention.get_function_type(types.none, given.types)
            function = builder.inttoptr(place, kind.as_pointer())
            unpacked = [builder.extract_value(passed[1], k) for k in range(len(given))]
            convention.call_function(builder, function, types.none, given.types, unpacked)
            return context.get_dummy_value()

        return types.none(types.int64, given), build

    return call
