"""What Numba has no words for: a hint to the compiler, which changes no result."""

from __future__ import annotations

from typing import Any

from numba import types
from numba.extending import intrinsic


@intrinsic
def wide_vectors(typing: Any) -> Any:
    """Let the compiled function in which it stands use the widest vectors there are.

    For fear of a lower clock, LLVM takes only half of the 512 bits that processors of Intel have.
    """

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        builder.function.attributes.add("noinline")
        set.add(builder.function.attributes, '"prefer-vector-width"="512"')  # llvmlite knows only those without a value
        return context.get_dummy_value()

    return types.none(), build
