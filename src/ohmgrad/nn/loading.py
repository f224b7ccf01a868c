"""What a layer looks at in a state before it is loaded: states of earlier releases, and those of other layers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from torch import Tensor, nn

from ohmgrad.tile import AnalogTile

BLOCKS = "matrix.blocks."
_TILE = "tile."


def rename_old(state: dict[str, Any], prefix: str) -> None:
    """Give the entries of a layer today's names, in place.

    Before layers lay on several tiles, the one tile was directly under the layer: ``tile.seed``.
    """
    old, new = prefix + _TILE, f"{prefix}{BLOCKS}0.{_TILE}"
    for key in [key for key in state if key.startswith(old)]:
        state[new + key.removeprefix(old)] = state.pop(key)


def is_old(state: dict[str, Any], prefix: str) -> bool:
    """Whether the entries of a layer have the names of earlier releases."""
    old, new = (any(key.startswith(prefix + name) for key in state) for name in (_TILE, BLOCKS))
    return old and not new


def unlike(tiles: Iterable[nn.Module], state: dict[str, Any], prefix: str) -> Iterator[str]:
    """In what the state of a layer differs from that of its tiles as a whole; single entries are left to torch.

    :param state: with today's names; :param prefix: of the entries of the layer in it.
    """
    tiles, start = list(tiles), prefix + BLOCKS
    label = f"layer {prefix[:-1]!r}" if prefix else "layer"
    found = {key.removeprefix(start).split(".")[0] for key in state if key.startswith(start)}
    if not found:
        if prefix + "weight" in state:
            yield f"{label} is analog, its state that of a digital one. Load it before convert_to_analog."
    elif len(found) != len(tiles):
        yield (
            f"{label} has another number of tiles than that of the state: {len(tiles)}, not {len(found)}. Give it the"
            " sizes it had, and the same mapping.max_input_size and max_output_size."
        )
    else:
        for number, tile in enumerate(tiles):
            if isinstance(tile, AnalogTile):
                yield from _unlike_tile(f"{label}, tile {number}", tile, state, f"{start}{number}.{_TILE}rule.")


def _unlike_tile(label: str, tile: AnalogTile, state: dict[str, Any], prefix: str) -> Iterator[str]:
    theirs = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
    shapes = {key: value.shape for key, value in theirs.items() if _is_weight(key) and isinstance(value, Tensor)}
    own = tile.rule.state_dict()
    for key, shape in shapes.items():
        size = own[key].shape if key in own else tile.weight.shape  # arrays may have shapes of their own
        if shape != size:
            yield f"{label} has {size[0]} x {size[1]} cells, that of the state {' x '.join(map(str, shape))}."
            break
    mine = _of_rule(own)
    if mine != (given := _of_rule(theirs)):
        lacking, odd = sorted(mine - given), sorted(given - mine)
        parts = [f"not in the state: {', '.join(lacking)}"] if lacking else []
        parts += [f"only in the state: {', '.join(odd)}"] if odd else []
        yield f"{label} has another learning rule or cell than that of the state: {'; '.join(parts)}."


def _of_rule(entries: Iterable[str]) -> set[str]:
    """What tells rules and cells apart: what a rule remembers, and which arrays there are."""
    return {key for key in entries if not key.startswith("arrays.") or _is_weight(key)}


def _is_weight(key: str) -> bool:
    return key.startswith("arrays.") and key.endswith(".weight")
