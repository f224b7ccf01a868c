"""Images in the files that their makers publish, from a folder of the user; nothing is downloaded.

A folder may be the one that torchvision was given as ``root``, or hold the files themselves.
"""

from __future__ import annotations

import gzip
import io
import pickle
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ohmgrad.errors import ConfigError

Images = tuple[Any, Any]
"""uint8 ``[n, channels, height, width]``, and class numbers ``[n]``."""

IDX_TYPES = {0x08: np.uint8, 0x09: np.int8, 0x0B: np.int16, 0x0C: np.int32, 0x0D: np.float32, 0x0E: np.float64}


def mnist(folder: Path, name: str) -> tuple[Images, Images]:
    """Training and test images of MNIST or Fashion-MNIST, from files of type idx, packed by gzip or not.

    :param name: of the data set, which is that of the folder torchvision makes.
    :raises ConfigError: if a file is missing or damaged.
    """
    places = (folder, folder / name / "raw", folder / name)

    def part(kind: str) -> Images:
        images = _idx(_find(places, f"{kind}-images-idx3-ubyte", name, folder))
        labels = _idx(_find(places, f"{kind}-labels-idx1-ubyte", name, folder))
        if images.ndim != 3 or labels.shape != images.shape[:1]:
            shapes = f"images of shape {images.shape} and labels of shape {labels.shape}"
            raise ConfigError(f"{folder}: the {kind} files of {name} hold {shapes}. Fetch them again.")
        return images[:, None], labels.astype(np.int64)

    return part("train"), part("t10k")


def cifar(folder: Path, classes: int) -> tuple[Images, Images]:
    """Training and test images of CIFAR-10 or CIFAR-100, from the batches for Python or the binary ones.

    :param classes: 10 or 100.
    :raises ConfigError: if a file is missing or damaged.
    """
    name = f"CIFAR-{classes}"
    if classes == 10:
        inside, training, testing = "cifar-10-batches", [f"data_batch_{k}" for k in range(1, 6)], "test_batch"
    else:
        inside, training, testing = "cifar-100", ["train"], "test"
    places = [folder, *(folder / f"{inside}-{kind}" for kind in ("py", "python", "bin", "binary"))]

    def part(names: Sequence[str]) -> Images:
        read = [_cifar_batch(_find(places, each, name, folder, ("", ".bin")), classes) for each in names]
        images, labels = (np.concatenate(values) for values in zip(*read, strict=True))
        return images.reshape(-1, 3, 32, 32), labels

    return part(training), part([testing])


def _find(places: Sequence[Path], file: str, name: str, folder: Path, endings: Sequence[str] = ("", ".gz")) -> Path:
    for place in places:
        for ending in endings:
            if (place / (file + ending)).is_file():
                return place / (file + ending)
    raise ConfigError(
        f"{folder} has no {file} of {name}. Put the published files there, or let torchvision.datasets fetch them "
        f"into it, and name the folder (--data)."
    )


def _idx(path: Path) -> Any:
    """An array from a file of type idx: a magic number, sizes, and the values, big-endian."""
    content = path.read_bytes()
    try:
        content = gzip.decompress(content) if path.suffix == ".gz" else content
        zero, kind, dimensions = struct.unpack(">HBB", content[:4])
        shape = struct.unpack(f">{dimensions}I", content[4 : 4 + 4 * dimensions])
        values = np.frombuffer(content, np.dtype(IDX_TYPES[kind]).newbyteorder(">"), offset=4 + 4 * dimensions)
        if zero != 0:
            raise ValueError
        return values.reshape(shape)
    except (struct.error, KeyError, ValueError, EOFError, OSError, zlib.error):
        raise ConfigError(f"{path} is no complete file of type idx. Fetch it again.") from None


def _cifar_batch(path: Path, classes: int) -> Images:
    """Pixels ``[n, 3072]`` and class numbers of one file."""
    if path.suffix == ".bin":
        labels = 1 if classes == 10 else 2  # CIFAR-100 has the coarse class first
        content = np.frombuffer(path.read_bytes(), np.uint8)
        if len(content) == 0 or len(content) % (3072 + labels):
            raise ConfigError(f"{path} is no complete binary file of CIFAR-{classes}. Fetch it again.")
        rows = content.reshape(-1, 3072 + labels)
        return rows[:, labels:], rows[:, labels - 1].astype(np.int64)
    packed = path.read_bytes()
    try:
        content = _ArraysOnly(io.BytesIO(packed), encoding="bytes").load()
        pixels = np.asarray(content[b"data"], np.uint8)
        numbers = np.asarray(content[b"labels" if classes == 10 else b"fine_labels"], np.int64)
        if numbers.ndim != 1 or pixels.shape != (len(numbers), 3072):
            raise ValueError
        return pixels, numbers
    except Exception:  # of pickle and NumPy: whatever damage leads to
        raise ConfigError(f"{path} is no file of CIFAR-{classes} for Python. Fetch it again.") from None


class _ArraysOnly(pickle.Unpickler):
    """Makes arrays and plain values, and runs nothing else that a file asks for."""

    def find_class(self, module: str, name: str) -> Any:
        """What a file may name."""
        if module.startswith("numpy") and name in ("ndarray", "dtype", "_reconstruct", "_frombuffer"):
            return super().find_class(module.replace("numpy.core", "numpy._core"), name)
        if (module, name) == ("_codecs", "encode"):
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"{module}.{name}")
