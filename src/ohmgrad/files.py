"""Checkpoints: files of a model and of what belongs to its training, written whole or not at all."""

from __future__ import annotations

import json
import os
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ohmgrad import __version__
from ohmgrad.errors import CheckpointError
from ohmgrad.packing import pack, unpack
from ohmgrad.tensor_files import read_tensors, write_tensors

FORMAT = 1
"""Version of what a file holds; it grows when files change so that an earlier release cannot read them."""
_MARK = "ohmgrad_checkpoint"


def save_checkpoint(path: str | os.PathLike[str], /, **parts: Any) -> None:
    """Write a file from which training goes on, ``save_checkpoint("run.pt", model=model, optimizer=sgd, epoch=3)``.

    Whatever interrupts the writing, the file holds what it held before, or all that is new. Missing folders are made.

    :param path: of a file of torch, which ``torch.load`` reads too; or, ending in ``.safetensors``, of such a file.
    :param parts: by names of your choice: of an object with ``state_dict`` and ``load_state_dict`` (model, optimizer,
        scheduler), its state; and values: tensors, numbers, strings, None, lists, tuples, sets and dictionaries.
    :raises CheckpointError: if a part holds something else; nothing is written then.
    """
    path = Path(path)
    states = {name: part.state_dict() for name, part in parts.items() if _has_state(part)}
    values = {name: part for name, part in parts.items() if name not in states}
    # Names of tensors in a file of safetensors: those of the model as they are, others after their part.
    tensors: dict[str, Tensor] = {}
    packed = {name: pack(state, () if name == "model" else (name,), tensors) for name, state in states.items()}
    content = json.dumps({"states": {"dict": list(packed.items())}, "values": pack(values, (), tensors)})
    with replacing(path) as temporary:
        if path.suffix == ".safetensors":
            metadata = {_MARK: str(FORMAT), "ohmgrad": __version__, "content": content}
            write_tensors(temporary, tensors, metadata)
        else:
            torch.save({_MARK: FORMAT, "ohmgrad": __version__, "states": states, "values": values}, temporary)


def load_checkpoint(path: str | os.PathLike[str], /, *, strict: bool = True, **parts: Any) -> dict[str, Any]:
    """Restore objects from a file and return the rest: ``load_checkpoint("run.pt", model=model)["epoch"]``.

    :param parts: objects by the names under which they were saved.
    :param strict: whether the entries of a model must be exactly those of the file, as in torch.
    :returns: everything in the file that no object was given for, by name: values, and states as they are. Tensors are
        in the processor's memory.
    :raises CheckpointError: if the file is damaged or something else, of a newer format, or does not fit; all objects
        are as before then.
    """
    path = Path(path)
    content = _read(path)
    states: dict[str, Any] = content["states"]
    if missing := [name for name in parts if name not in states]:
        raise CheckpointError(f"{path} holds no state of {missing[0]!r}. It has states of: {', '.join(states)}.")
    if odd := [name for name, part in parts.items() if not _has_state(part)]:
        kind = type(parts[odd[0]]).__name__
        raise CheckpointError(f"{odd[0]} is of type {kind}, which has no load_state_dict. Leave it out.")
    before: dict[str, Any] = {}
    try:
        for name, part in parts.items():
            before[name] = _copy(part.state_dict())
            _restore(part, states[name], strict)
    except BaseException as error:
        for name, state in before.items():
            _restore(parts[name], state, True)
        if isinstance(error, Exception):
            raise CheckpointError(f"{path}: {name} does not fit. {_brief(error)}") from None
        raise
    return {**{name: state for name, state in states.items() if name not in parts}, **content["values"]}


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path beside ``path``; on leaving without an error it takes the place of ``path``.

    Whatever interrupts the writing, ``path`` holds either its old content or the whole new one.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _has_state(part: Any) -> bool:
    return callable(getattr(part, "state_dict", None)) and callable(getattr(part, "load_state_dict", None))


def _restore(part: Any, state: Any, strict: bool) -> None:
    if isinstance(part, nn.Module):
        part.load_state_dict(state, strict=strict)
    else:
        part.load_state_dict(state)


def _copy(state: Any) -> Any:
    """A copy in the processor's memory, whose place a state that does not fit must not take."""
    tensors: dict[str, Tensor] = {}
    packed = pack(state, (), tensors)
    return unpack(packed, {name: value.to("cpu", copy=True) for name, value in tensors.items()})


def _brief(error: Exception) -> str:
    """What torch says about a state that does not fit; first what layers say, and not hundreds of lines."""
    lines = [line.strip() for line in str(error).splitlines() if "Error(s) in loading" not in line]
    lines.sort(key=lambda line: not line.startswith("layer "))
    more = [f"... and {len(lines) - 5} more."] if len(lines) > 5 else []
    return "\n  ".join([textwrap.shorten(line, 300, placeholder=" ...") for line in lines[:5]] + more)


def _read(path: Path) -> dict[str, Any]:
    """What a file holds, of either kind."""
    path.open("rb").close()  # the usual errors of a file that is not there, or not ours to read
    found: Any = None
    try:
        if path.suffix == ".safetensors":
            found = _unpacked(*read_tensors(path))
        else:
            found = torch.load(path, map_location="cpu", weights_only=True)
    except CheckpointError:
        raise
    except Exception as error:  # of zip archives, pickles and headers: whatever damage leads to
        reason = textwrap.shorten(str(error) or type(error).__name__, 120, placeholder=" ...")
        raise CheckpointError(f"{path} is damaged, or no file that save_checkpoint wrote ({reason}).") from None
    if not isinstance(found, dict) or not isinstance(found.get(_MARK), int):
        raise CheckpointError(
            f"{path} was not written by save_checkpoint. If it is a state, read it with torch.load and give it to"
            " load_state_dict."
        )
    if found[_MARK] > FORMAT:
        raise CheckpointError(
            f"{path} has format {found[_MARK]} and was written by ohmgrad {found['ohmgrad']}; ohmgrad {__version__}"
            f" reads formats up to {FORMAT}. Install ohmgrad {found['ohmgrad']} or later."
        )
    return found


def _unpacked(tensors: dict[str, Tensor], metadata: dict[str, str]) -> dict[str, Any] | None:
    """What a file of safetensors holds, as one of torch does; None if it is no checkpoint."""
    if _MARK not in metadata:
        return None
    found: dict[str, Any] = {_MARK: int(metadata[_MARK]), "ohmgrad": metadata["ohmgrad"]}
    if found[_MARK] <= FORMAT:
        content = json.loads(metadata["content"])
        found |= {name: unpack(content[name], tensors) for name in ("states", "values")}
    return found
