"""Checkpoints are whole, hold every bit, and say what is wrong with them."""

from __future__ import annotations

import math
import sys
from collections import Counter, OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from builders import RULES, rule
from ohmgrad import AnalogLinear, AnalogSGD, CheckpointError, tensor_files
from ohmgrad import files as module
from ohmgrad.configs import MappingParameter, RPUConfig, SoftBoundsDevice
from ohmgrad.files import load_checkpoint, save_checkpoint
from ohmgrad.nn import AnalogConv1d

KINDS = pytest.mark.parametrize("kind", [".pt", ".safetensors"])
Run = tuple[nn.Module, torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]


def config(name: str = "sgd", **mapping: Any) -> RPUConfig:
    made = rule(name, SoftBoundsDevice(dw_min=0.02, write_noise_std=0.3))
    made.mapping = MappingParameter(**mapping)
    return made


def start(name: str = "ttv4", seed: int = 11) -> Run:
    torch.manual_seed(seed)
    model = nn.Sequential(AnalogLinear(5, 4, rpu_config=config(name)), nn.Tanh(), nn.Linear(4, 2))
    optimizer = AnalogSGD(model.named_parameters(), lr=0.1, momentum=0.9)
    return model, optimizer, torch.optim.lr_scheduler.MultiStepLR(optimizer, [3, 7], 0.5)


def go(run: Run, first: int, last: int) -> None:
    for step in range(first, last):
        x = torch.randn(3, 5, generator=torch.Generator().manual_seed(step))
        run[1].zero_grad()
        run[0](x).square().sum().backward()
        run[1].step()
        run[2].step()


def save(run: Run, path: Path, **values: Any) -> None:
    save_checkpoint(path, model=run[0], optimizer=run[1], scheduler=run[2], **values)


def load(run: Run, path: Path, **options: Any) -> dict[str, Any]:
    return load_checkpoint(path, model=run[0], optimizer=run[1], scheduler=run[2], **options)


def everything(run: Run) -> list[Any]:
    return [part.state_dict() for part in run]


def same(first: Any, second: Any) -> bool:
    """Equal in values, types, bits and order, all the way down."""
    if type(first) is not type(second) or getattr(first, "__dict__", None) != getattr(second, "__dict__", None):
        return False
    if isinstance(first, Tensor):
        return first.dtype is second.dtype and first.shape == second.shape and torch.equal(first, second)
    if isinstance(first, dict):
        return same(list(first.items()), list(second.items()))
    if isinstance(first, (list, tuple)):
        return len(first) == len(second) and all(map(same, first, second))
    return first == second or (first != first and second != second)


# What comes back


@KINDS
@pytest.mark.parametrize("name", RULES)
def test_a_run_goes_on_from_a_file_as_if_it_had_not_been_stopped(name: str, kind: str, tmp_path: Path) -> None:
    run, other = start(name), start(name, seed=5)
    go(run, 0, 5)
    save(run, tmp_path / f"run{kind}", epoch=5)
    assert load(other, tmp_path / f"run{kind}") == {"epoch": 5}
    assert same(everything(other), everything(run))
    go(run, 5, 10)
    go(other, 5, 10)
    assert same(everything(other), everything(run))


@KINDS
def test_values_come_back_with_their_types_and_bits(kind: str, tmp_path: Path) -> None:
    base = torch.arange(12.0).reshape(3, 4)
    versions = OrderedDict(a=1)
    versions._metadata = {"": {"version": 1}}  # type: ignore[attr-defined]
    given: dict[str, Any] = {
        "plain": [1, -(2**80), True, None, "ü", 0.1, [], {}],
        "odd": [math.inf, -math.inf, math.nan, -0.0, 5e-324],
        "nested": ({1: "a", "1": "b", (1, 2): {3}}, [()], Counter({4: 2}), versions),
        "types": [torch.ones((), dtype=kind) for kind in (torch.bool, torch.bfloat16, torch.float64, torch.uint8)],
        "views": [base.t(), base[1], base[:, 1], base, base.view(12), base[0, 0], base[:0], torch.empty(0, 2)],
        "bits": torch.tensor([math.nan, -0.0, 1e-45]).view(torch.int32),
        "a.b": {"c": torch.ones(1)},
        "a": {"b.c": torch.zeros(1)},
        "learned": nn.Parameter(torch.ones(2)).detach(),
    }
    save_checkpoint(tmp_path / f"x{kind}", **given)
    found = load_checkpoint(tmp_path / f"x{kind}")
    assert same(found, given)
    assert str(found["odd"][3]) == "-0.0"


@KINDS
def test_tied_weights_are_stored_once_and_come_back_as_both(kind: str, tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    model[1].weight = model[0].weight
    save_checkpoint(tmp_path / f"x{kind}", model=model)
    other = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    load_checkpoint(tmp_path / f"x{kind}", model=other)
    assert torch.equal(other[0].weight, model[0].weight)
    assert torch.equal(other[1].weight, model[0].weight)
    state = load_checkpoint(tmp_path / f"x{kind}")["model"]
    assert state["0.weight"].data_ptr() == state["1.weight"].data_ptr()


@KINDS
def test_what_is_not_asked_for_comes_back_as_it_is(kind: str, tmp_path: Path) -> None:
    run = start()
    save(run, tmp_path / f"x{kind}", note="here")
    found = load_checkpoint(tmp_path / f"x{kind}", model=run[0])
    assert list(found) == ["optimizer", "scheduler", "note"]
    assert same(found["optimizer"], run[1].state_dict())


def test_torch_reads_the_file_and_other_programs_find_the_model_by_its_keys(tmp_path: Path) -> None:
    from safetensors.torch import load_file

    run = start()
    save(run, tmp_path / "x.pt")
    save(run, tmp_path / "x.safetensors")
    plain = torch.load(tmp_path / "x.pt")["states"]["model"]
    assert same(plain, run[0].state_dict())
    tensors = load_file(tmp_path / "x.safetensors")
    assert all(torch.equal(tensors[key], value) for key, value in plain.items())


# Whole or not at all


@KINDS
def test_an_error_while_writing_leaves_the_old_file_and_no_litter(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import safetensors.torch

    path = tmp_path / f"x{kind}"
    save_checkpoint(path, epoch=1)

    def half(*arguments: Any) -> None:
        (target,) = (each for each in arguments if isinstance(each, Path))
        target.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(safetensors.torch, "save_file", half)
    monkeypatch.setattr(torch, "save", half)
    with pytest.raises(KeyboardInterrupt):
        save_checkpoint(path, epoch=2)
    assert load_checkpoint(path) == {"epoch": 1}
    assert list(tmp_path.iterdir()) == [path]


@KINDS
def test_a_file_is_on_the_disk_before_it_takes_the_place_of_the_old_one(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []
    path = tmp_path / f"x{kind}"
    save_checkpoint(path, epoch=1)
    monkeypatch.setattr(module.os, "fsync", lambda _number: seen.append(load_checkpoint(path)))
    save_checkpoint(path, epoch=2)
    assert seen == [{"epoch": 1}]
    assert load_checkpoint(path) == {"epoch": 2}


@KINDS
@pytest.mark.parametrize(
    ("value", "what"),
    [
        (object(), r"builtins\.object"),
        (torch.ones(2).numpy(), r"numpy\.ndarray"),
        (torch.ones(()).double().numpy()[()], r"numpy\.float64"),
        (b"a", r"builtins\.bytes"),
        (AnalogLinear(2, 2).weight, "AnalogWeight"),
        (torch.ones(1, device="meta"), "meta device"),
        (torch.ones(1).to_sparse(), "sparse"),
    ],
)
def test_what_is_not_plain_is_named_and_nothing_is_written(value: Any, what: str, kind: str, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=rf"history\.1\.best is a .*{what}"):
        save_checkpoint(tmp_path / f"x{kind}", history=[0, {"best": value}])
    assert not list(tmp_path.iterdir())


def test_a_type_that_safetensors_does_not_know_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"complex128. Save to a \.pt file"):
        save_checkpoint(tmp_path / "x.safetensors", x=torch.ones(1, dtype=torch.complex128))
    assert not list(tmp_path.iterdir())


def test_values_that_no_header_holds_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensor_files, "_MOST", 100)
    with pytest.raises(CheckpointError, match="Give long lists as tensors"):
        save_checkpoint(tmp_path / "x.safetensors", history=[0.1] * 100)
    assert not list(tmp_path.iterdir())


# Files that cannot be read


@KINDS
@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_a_file_that_was_cut_short_is_refused(share: float, kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"x{kind}"
    save_checkpoint(path, x=torch.arange(1000))
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(CheckpointError, match="is damaged, or no file that save_checkpoint wrote"):
        load_checkpoint(path)


@KINDS
@pytest.mark.parametrize("content", [b"garbage" * 100, b"\x80\x02.", b"PK\x03\x04", b"\x00" * 64, b"{}"])
def test_garbage_is_refused(content: bytes, kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"x{kind}"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"x\.\w+ is damaged"):
        load_checkpoint(path)


def test_a_plain_state_is_refused_with_what_to_do(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    torch.save(nn.Linear(2, 2).state_dict(), tmp_path / "x.pt")
    save_file(nn.Linear(2, 2).state_dict(), tmp_path / "x.safetensors")
    for name in ("x.pt", "x.safetensors"):
        with pytest.raises(CheckpointError, match=r"was not written by save_checkpoint.*load_state_dict"):
            load_checkpoint(tmp_path / name)


def test_a_pickled_model_is_not_executed(tmp_path: Path) -> None:
    torch.save(nn.Linear(2, 2), tmp_path / "x.pt")
    with pytest.raises(CheckpointError, match="Weights only"):
        load_checkpoint(tmp_path / "x.pt")


def test_a_file_that_is_not_there_is_the_usual_error(tmp_path: Path) -> None:
    for name in ("x.pt", "x.safetensors"):
        with pytest.raises(FileNotFoundError):
            load_checkpoint(tmp_path / name)


@KINDS
def test_a_newer_format_is_refused_with_the_version_that_wrote_it(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FORMAT", 2)
    monkeypatch.setattr(module, "__version__", "7.8.9")
    save_checkpoint(tmp_path / f"x{kind}", epoch=1)
    monkeypatch.undo()
    with pytest.raises(CheckpointError, match=r"has format 2 and was written by ohmgrad 7\.8\.9"):
        load_checkpoint(tmp_path / f"x{kind}")


def test_without_safetensors_the_error_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "safetensors.torch", None)
    monkeypatch.setitem(sys.modules, "safetensors", None)
    (tmp_path / "x.safetensors").touch()
    for call in (save_checkpoint, load_checkpoint):
        with pytest.raises(CheckpointError, match=r"pip install 'ohmgrad\[safetensors\]'"):
            call(tmp_path / "x.safetensors")


# What does not fit


def test_an_object_without_a_state_in_the_file_is_named(tmp_path: Path) -> None:
    run = start()
    save_checkpoint(tmp_path / "x.pt", model=run[0])
    with pytest.raises(CheckpointError, match=r"no state of 'optimizer'\. It has states of: model"):
        load(run, tmp_path / "x.pt")
    with pytest.raises(CheckpointError, match="model is of type int, which has no load_state_dict"):
        load_checkpoint(tmp_path / "x.pt", model=3)


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ({"columns": 5}, {"columns": 6}, r"layer '1', tile 0 has 4 x 6 cells, that of the state 4 x 5"),
        ({"name": "sgd"}, {"name": "ttv2"}, r"layer '1', tile 0 has another learning rule .*not in the state: arrays"),
        ({"name": "ttv2"}, {"name": "sgd"}, r"layer '1', tile 0 has another learning rule .*only in the state: arrays"),
        ({}, {"max_input_size": 3}, r"layer '1' has another number of tiles than that of the state: 2, not 1"),
        ({"max_input_size": 3}, {}, r"layer '1' has another number of tiles than that of the state: 1, not 2"),
    ],
)
def test_a_layer_that_does_not_fit_is_named_and_all_objects_stay_as_they_were(
    old: dict[str, Any], new: dict[str, Any], complaint: str, tmp_path: Path
) -> None:
    def make(columns: int = 5, name: str = "sgd", **mapping: Any) -> nn.Module:
        return nn.Sequential(nn.Linear(2, columns), AnalogLinear(columns, 4, rpu_config=config(name, **mapping)))

    save_checkpoint(tmp_path / "x.pt", first=nn.Linear(2, 2), model=make(**old))
    first, model = nn.Linear(2, 2), make(**new)
    before = [{key: value.clone() for key, value in part.state_dict().items()} for part in (first, model)]
    with pytest.raises(CheckpointError, match=rf"model does not fit\. {complaint}") as caught:
        load_checkpoint(tmp_path / "x.pt", first=first, model=model)
    assert len(str(caught.value)) < 2000
    for part, state in zip((first, model), before, strict=True):
        assert all(torch.equal(value, state[key]) for key, value in part.state_dict().items())


def test_a_missing_entry_is_named_unless_the_load_is_not_strict(tmp_path: Path) -> None:
    model = start()[0]
    state = model.state_dict()
    del state["0.matrix.blocks.0.tile.seed"]
    holder = nn.Sequential()
    holder.state_dict = lambda: state  # type: ignore[method-assign, assignment]
    save_checkpoint(tmp_path / "x.pt", model=holder)
    with pytest.raises(CheckpointError, match=r"Missing.*0\.matrix\.blocks\.0\.tile\.seed"):
        load_checkpoint(tmp_path / "x.pt", model=model)
    load_checkpoint(tmp_path / "x.pt", model=model, strict=False)


def test_the_state_of_a_digital_layer_is_recognised() -> None:
    with pytest.raises(RuntimeError, match="layer '0' is analog, its state that of a digital one"):
        nn.Sequential(AnalogLinear(2, 2)).load_state_dict(nn.Sequential(nn.Linear(2, 2)).state_dict())


def test_an_optimizer_that_does_not_fit_leaves_the_model_as_it_was(tmp_path: Path) -> None:
    run, other = start(), start(seed=5)
    save(run, tmp_path / "x.pt")
    small = AnalogSGD(list(other[0].parameters())[:1], lr=0.1)
    before = {key: value.clone() for key, value in other[0].state_dict().items()}
    with pytest.raises(CheckpointError, match="optimizer does not fit"):
        load_checkpoint(tmp_path / "x.pt", model=other[0], optimizer=small)
    assert all(torch.equal(value, before[key]) for key, value in other[0].state_dict().items())


# Files of earlier releases


def earlier(state: dict[str, Any]) -> dict[str, Any]:
    """A state with the names it had when every layer had one tile, directly under it."""
    return OrderedDict((key.replace("matrix.blocks.0.tile.", "tile."), value) for key, value in state.items())


@pytest.mark.parametrize("name", RULES)
def test_a_state_with_earlier_names_is_loaded(name: str) -> None:
    run, other = start(name), start(name, seed=5)
    go(run, 0, 5)
    old = earlier(run[0].state_dict())
    assert "0.tile.seed" in old
    names = list(old)
    other[0].load_state_dict(old)
    assert list(old) == names
    assert same(dict(other[0].state_dict()), dict(run[0].state_dict()))


def test_a_layer_alone_and_a_nested_one_take_earlier_names() -> None:
    for make in (lambda: AnalogLinear(3, 2), lambda: nn.Sequential(nn.Sequential(AnalogConv1d(1, 2, 3)))):
        model, other = make(), make()
        other.load_state_dict(earlier(model.state_dict()))
        assert same(dict(other.state_dict()), dict(model.state_dict()))


def test_a_layer_that_is_cut_today_names_the_setting() -> None:
    old = earlier(AnalogLinear(6, 2).state_dict())
    cut = AnalogLinear(6, 2, rpu_config=config(max_input_size=3))
    with pytest.raises(RuntimeError, match=r"layer has another number of tiles .* mapping\.max_input_size"):
        cut.load_state_dict(old)
