"""Images that a user has in a folder, read from files of the published formats, made here."""

from __future__ import annotations

import gzip
import pickle
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from builders import rule
from ohmgrad.cli import main
from ohmgrad.configs import SoftBoundsDevice
from ohmgrad.errors import ConfigError
from ohmgrad.lab.networks import resnet
from ohmgrad.lab.tasks import TASKS, load
from ohmgrad.lab.training import Job, record_of
from ohmgrad.nn import named_analog_layers, named_analog_tiles
from ohmgrad.optim import AnalogSGD

RANDOM = np.random.default_rng(0)
GREY, COLOUR = RANDOM.integers(0, 256, (60, 28, 28), np.uint8), RANDOM.integers(0, 256, (60, 3072), np.uint8)
LABELS = np.arange(60) % 5


def idx(values: Any) -> bytes:
    header = struct.pack(f">HBB{values.ndim}I", 0, 8, values.ndim, *values.shape)
    return header + values.astype(np.uint8).tobytes()


def write_mnist(folder: Path, packed: bool = False) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for kind, part in (("train", slice(0, 40)), ("t10k", slice(40, 60))):
        for what, values in (("images-idx3", GREY[part]), ("labels-idx1", LABELS[part])):
            path = folder / f"{kind}-{what}-ubyte{'.gz' if packed else ''}"
            path.write_bytes(gzip.compress(idx(values)) if packed else idx(values))


def write_cifar10_for_python(folder: Path) -> None:
    folder = folder / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    names = [*(f"data_batch_{k}" for k in range(1, 6)), "test_batch"]
    for name, rows in zip(names, np.arange(60).reshape(6, 10), strict=True):
        with (folder / name).open("wb") as file:
            pickle.dump({b"data": COLOUR[rows], b"labels": LABELS[rows].tolist()}, file, protocol=2)


def write_cifar10_binary(folder: Path) -> None:
    folder = folder / "cifar-10-batches-bin"
    folder.mkdir(parents=True)
    names = [*(f"data_batch_{k}" for k in range(1, 6)), "test_batch"]
    for name, rows in zip(names, np.arange(60).reshape(6, 10), strict=True):
        whole = np.concatenate([LABELS[rows, None].astype(np.uint8), COLOUR[rows]], axis=1)
        (folder / f"{name}.bin").write_bytes(whole.tobytes())


def write_cifar100_for_python(folder: Path) -> None:
    folder = folder / "cifar-100-python"
    folder.mkdir(parents=True)
    for name, rows in (("train", slice(0, 50)), ("test", slice(50, 60))):
        with (folder / name).open("wb") as file:
            pickle.dump({b"data": COLOUR[rows], b"fine_labels": LABELS[rows].tolist()}, file, protocol=2)


def write_cifar100_binary(folder: Path) -> None:
    folder = folder / "cifar-100-binary"
    folder.mkdir(parents=True)
    for name, rows in (("train", slice(0, 50)), ("test", slice(50, 60))):
        labels = np.stack([LABELS[rows] // 2, LABELS[rows]], axis=1).astype(np.uint8)
        (folder / f"{name}.bin").write_bytes(np.concatenate([labels, COLOUR[rows]], axis=1).tobytes())


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("inside", ["", "torchvision"])
def test_grey_images_are_read_as_they_are_published(name: str, packed: bool, inside: str, tmp_path: Path) -> None:
    folder = {"mnist": "MNIST", "fashion-mnist": "FashionMNIST"}[name]
    write_mnist(tmp_path / folder / "raw" if inside else tmp_path, packed)
    samples = load(TASKS[name], "test", tmp_path)
    assert (samples.x_train.shape, samples.x_eval.shape) == ((40, 1, 28, 28), (20, 1, 28, 28))
    torch.testing.assert_close(samples.x_train[:, 0], torch.tensor(GREY[:40] / 255.0).float())
    assert samples.y_eval.tolist() == LABELS[40:].tolist()


@pytest.mark.parametrize(
    ("name", "write", "count"),
    [
        ("cifar10", write_cifar10_for_python, 50),
        ("cifar10", write_cifar10_binary, 50),
        ("cifar100", write_cifar100_for_python, 50),
        ("cifar100", write_cifar100_binary, 50),
    ],
)
def test_coloured_images_are_read_from_both_formats(
    name: str, write: Callable[[Path], None], count: int, tmp_path: Path
) -> None:
    write(tmp_path)
    samples = load(TASKS[name], "test", tmp_path)
    pixels = np.concatenate([samples.x_train, samples.x_eval]).reshape(60, 3072)
    np.testing.assert_allclose(pixels, COLOUR / 127.5 - 1.0, atol=1e-6)
    assert samples.x_train.shape == (count, 3, 32, 32)
    assert [*samples.y_train.tolist(), *samples.y_eval.tolist()] == LABELS.tolist()


def test_a_search_leaves_the_test_images_alone(tmp_path: Path) -> None:
    write_mnist(tmp_path)
    samples = load(TASKS["mnist"], "validation", tmp_path)
    assert (len(samples.x_train), len(samples.x_eval)) == (32, 8)
    seen = {tuple(image.flatten().tolist()) for image in torch.cat([samples.x_train, samples.x_eval])}
    assert seen == {tuple(image.flatten().tolist()) for image in load(TASKS["mnist"], "test", tmp_path).x_train}


def test_lenet_trains_on_a_folder_of_images(job: Job, tmp_path: Path) -> None:
    write_mnist(tmp_path)
    record = record_of(replace(job, task="mnist", data=str(tmp_path), epochs=1))
    assert not record["diverged"]
    assert record["epochs"][-1]["pulses_a"] > 0
    assert np.array(record["layer"]["W"]).shape == (16, 25)


def test_a_resnet_has_its_last_stages_in_analog_memory_and_pulses_them_all(tmp_path: Path) -> None:
    write_cifar10_binary(tmp_path)
    samples = load(TASKS["cifar10"], "test", tmp_path)
    model = resnet(width=2)(samples, rule("ttv2", SoftBoundsDevice()))
    analog = [name for name, _ in named_analog_layers(model)]
    assert all(name.startswith(("3.", "4.", "7")) for name in analog)
    assert len(analog) == 2 * 5 + 1
    optimizer = AnalogSGD(model.named_parameters(), lr=0.1)
    torch.nn.functional.cross_entropy(model(samples.x_train[:4]), samples.y_train[:4]).backward()
    optimizer.step()
    assert all(tile.pulse_counts()[0].total.sum() > 0 for _, tile in named_analog_tiles(model))


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist", "cifar10", "cifar100"])
def test_a_missing_file_is_named_with_the_remedy(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["compare", "--task", name, "--algorithms", "sgd", "--workers", "1", "--data", "pictures"]) == 2
    error = capsys.readouterr().err
    assert "pictures has no" in error
    assert "--data" in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("content", [b"", b"\0\0\x08\x03\0\0", idx(GREY[:40])[:-1], idx(GREY[:40])[4:]])
def test_a_damaged_file_is_named(content: bytes, tmp_path: Path) -> None:
    write_mnist(tmp_path)
    (tmp_path / "train-images-idx3-ubyte").write_bytes(content)
    with pytest.raises(ConfigError, match="train-images-idx3-ubyte is no complete file"):
        load(TASKS["mnist"], "test", tmp_path)


def test_a_packed_file_with_a_wrong_bit_is_named(tmp_path: Path) -> None:
    write_mnist(tmp_path, packed=True)
    path = tmp_path / "train-images-idx3-ubyte.gz"
    whole = path.read_bytes()
    for place in (10, len(whole) // 2):  # where the packed part begins, and among the pixels
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 6]) + whole[place + 1 :])
        with pytest.raises(ConfigError, match=r"ubyte\.gz is no complete file of type idx\. Fetch it again"):
            load(TASKS["mnist"], "test", tmp_path)


def test_images_without_a_label_each_are_named(tmp_path: Path) -> None:
    write_mnist(tmp_path)
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx(LABELS[:39]))
    with pytest.raises(ConfigError, match=r"images of shape \(40, 28, 28\) and labels of shape \(39,\)\. Fetch them"):
        load(TASKS["mnist"], "test", tmp_path)


@pytest.mark.parametrize(
    ("there", "damaged"),
    [(b"multiarray", b"multiarraz"), (b"latin1", b"latix1")],
)
def test_a_damaged_pickle_is_named(there: bytes, damaged: bytes, tmp_path: Path) -> None:
    write_cifar10_for_python(tmp_path)
    path = tmp_path / "cifar-10-batches-py" / "test_batch"
    whole = path.read_bytes()
    path.write_bytes(whole.replace(there, damaged))
    assert path.read_bytes() != whole
    with pytest.raises(ConfigError, match=r"test_batch is no file of CIFAR-10 for Python\. Fetch it again"):
        load(TASKS["cifar10"], "test", tmp_path)


@pytest.mark.parametrize("data", [COLOUR[:10, :3071], COLOUR[:9], COLOUR[:10].reshape(-1)])
def test_pixels_of_another_size_are_named(data: Any, tmp_path: Path) -> None:
    write_cifar10_for_python(tmp_path)
    content = {b"data": data, b"labels": LABELS[:10].tolist()}
    (tmp_path / "cifar-10-batches-py" / "test_batch").write_bytes(pickle.dumps(content, protocol=2))
    with pytest.raises(ConfigError, match=r"test_batch is no file of CIFAR-10 for Python"):
        load(TASKS["cifar10"], "test", tmp_path)


class Evil:
    """What a file could ask Python to run."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return print, ("run!",)


def test_a_file_cannot_make_python_run_anything(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_cifar10_for_python(tmp_path)
    (tmp_path / "cifar-10-batches-py" / "test_batch").write_bytes(pickle.dumps({b"data": Evil(), b"labels": []}))
    with pytest.raises(ConfigError, match="test_batch is no file of CIFAR-10"):
        load(TASKS["cifar10"], "test", tmp_path)
    assert capsys.readouterr().out == ""
