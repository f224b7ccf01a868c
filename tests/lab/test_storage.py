"""Files are written whole or not at all."""

import json
from pathlib import Path
from typing import Any

import pytest

from ohmgrad.errors import ConfigError
from ohmgrad.files import replacing
from ohmgrad.lab.storage import begin, begun, read_json, write_json


def test_an_interrupted_save_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "run.json"
    write_json(path, {"accuracy": 0.9})

    def interrupted(content: Any, file: Any, **_: Any) -> None:
        file.write('{"accuracy": 0.')
        raise KeyboardInterrupt

    monkeypatch.setattr(json, "dump", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_json(path, {"accuracy": 0.95})
    assert read_json(path) == {"accuracy": 0.9}
    assert list(tmp_path.iterdir()) == [path]


def test_a_picture_that_cannot_be_drawn_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "curves.png"
    path.write_bytes(b"old")

    def draw() -> None:
        with replacing(path) as temporary:
            temporary.write_bytes(b"half")
            raise ValueError("no data")

    with pytest.raises(ValueError, match="no data"):
        draw()
    assert path.read_bytes() == b"old"


def test_a_number_that_json_does_not_know_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "run.json", {"loss": float("nan")})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("go_on", [(False, False), (True, False), (False, True)])
def test_a_folder_of_one_kind_is_not_taken_for_one_of_another(go_on: tuple[bool, bool], tmp_path: Path) -> None:
    begin(tmp_path, "comparison", {"epochs": 3}, "runs")
    write_json(tmp_path / "runs" / "sgd.json", {})
    with pytest.raises(ConfigError, match=r"holds a comparison, not a search\. Choose another folder"):
        begun(tmp_path, "search", *go_on)
    assert begun(tmp_path, "comparison", resume=True, overwrite=False)["epochs"] == 3
    assert (tmp_path / "runs" / "sgd.json").exists()


def test_a_folder_from_before_kinds_were_noted_is_gone_on_with(tmp_path: Path) -> None:
    write_json(tmp_path / "setting.json", {"epochs": 3})
    assert begun(tmp_path, "comparison", resume=True, overwrite=False) == {"epochs": 3}


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    path.write_text("{", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"run\.json is not a readable JSON file"):
        read_json(path)
