"""Files of safetensors: a flat table of tensors, and strings about them."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

from torch import Tensor

from ohmgrad.errors import CheckpointError

_MOST = 50_000_000
"""Characters beside tensors: the library writes headers that it would refuse to read, above 100 MB."""


def write_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    """Write a file.

    :raises CheckpointError: if the library is missing or does not know a type, or the strings are too long for it.
    """
    if sum(map(len, metadata.values())) > _MOST:
        raise CheckpointError("Files of safetensors hold 50 MB beside tensors. Give long lists as tensors, or use .pt.")
    try:
        _library("safetensors.torch").save_file(dense(tensors), path, metadata)
    except KeyError as error:
        raise CheckpointError(f"Files of safetensors hold no {error.args[0]}. Save to a .pt file.") from None


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors of a file, in the processor's memory, and its strings.

    :raises CheckpointError: if the library is missing; an error of the library, if it is no such file.
    """
    with _library("safetensors").safe_open(path, framework="pt", device="cpu") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118 (no dictionary)


def dense(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors on the processor, each contiguous in memory that it has for itself; copies only where needed."""
    found, taken = {}, set()
    for name, value in tensors.items():
        plain = value.resolve_conj().resolve_neg().cpu().contiguous()
        storage = plain.untyped_storage()
        if storage.data_ptr() in taken or storage.nbytes() != plain.numel() * plain.element_size():
            plain = plain.clone()
        taken.add(plain.untyped_storage().data_ptr())
        found[name] = plain
    return found


def _library(name: str) -> Any:
    """The library, which is only needed for such files."""
    try:
        return import_module(name)
    except ModuleNotFoundError:
        raise CheckpointError(
            "Files of safetensors need a library that is not installed: pip install 'ohmgrad[safetensors]'."
        ) from None
