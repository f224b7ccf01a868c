"""Numbers as people read them."""

from __future__ import annotations


def amount(count: float, unit: str = "") -> str:
    """A count with three digits and a prefix, such as ``1.23 k``; with a unit ``1.23 kB``."""
    for size, prefix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if count >= 0.9995 * size:  # what rounds to 1000 is 1 of the next
            return f"{count / size:.3g} {prefix}{unit}"
    return f"{count:.0f} {unit}".rstrip()


def counted(count: int, thing: str) -> str:
    """A number of things, such as ``1 seed`` or ``3 seeds``."""
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"
