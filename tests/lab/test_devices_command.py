"""The command `ohmgrad devices`: every device is listed, and what is drawn of one is right."""

import sys
from pathlib import Path
from typing import Any

import pytest

from ohmgrad.cli import main
from ohmgrad.configs import PiecewiseStepDevice
from ohmgrad.lab.catalogue import device_kinds, find
from ohmgrad.lab.device_tables import describe, plain
from ohmgrad.presets import CONFIGS, DEVICES

OWN = '''
from ohmgrad.devices.base import PulsedDevice

class HalvingDevice(PulsedDevice):
    """Steps that halve the way."""
    dw_min: float = 0.1
    share: float = 0.5
    """How much of the way."""

    @staticmethod
    def law(w, up, noise, share):
        return w + share * (2.0 * up - 1.0 - w)
'''


def test_the_list_names_every_device_and_fits_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["devices"]) == 0
    text = capsys.readouterr().out
    words = text.replace(",", " ").split()
    assert set(device_kinds()) | set(DEVICES) <= set(words)
    assert "SoftBoundsDevice" in device_kinds()
    for preset in CONFIGS.values():
        assert preset.name.replace(preset.device, "*", 1) in words
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize(
    ("name", "file", "printed"),
    [
        ("piecewisestepdevice", "PiecewiseStepDevice", "Up steps at the nodes"),
        ("ReRamArrayHfO2PresetDevice", "ReRamArrayHfO2", "Gong"),
        ("mixedprecisionpcmpreset", "MixedPrecisionPCMPreset", "trains PCM by mixed precision"),
    ],
)
def test_showing_a_device_prints_its_parameters_and_draws_one_picture(
    name: str, file: str, printed: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    monkeypatch.setattr(PiecewiseStepDevice, "num_states", 20.0)  # a fast one
    assert main(["devices", "show", name, "--out", str(tmp_path), "--cells", "2"]) == 0
    text = capsys.readouterr().out
    assert printed in " ".join(text.split())
    assert max(len(line) for line in text.splitlines() if not line.startswith("picture")) <= 80
    (picture,) = tmp_path.iterdir()
    assert picture.name == f"{file}.png"
    assert_is_drawn(picture)


def test_a_device_of_the_current_folder_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "halving.py").write_text(OWN, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    path = list(sys.path)
    assert main(["devices", "show", "halving:HalvingDevice"]) == 0
    assert sys.path == path
    assert "How much of the way." in capsys.readouterr().out
    assert_is_drawn(tmp_path / "ohmgrad-devices" / "HalvingDevice.png")
    assert main(["devices", "show", "halving:Halving"]) == 2
    assert "It has: HalvingDevice." in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "remedy"),
    [
        (["SoftBoundDevice"], "Did you mean 'SoftBoundsDevice'?"),
        (["rerames2"], "Did you mean 'ReRamES"),
        (["TTv2EcRamPrest"], "Did you mean 'TTv2EcRamPreset'?"),
        (["???"], "`ohmgrad devices` lists all"),
        (["nowhere:Device"], "'nowhere' cannot be imported"),
        (["math:pi"], "It has no device."),
        (["PCM", "--cells", "0"], "give a whole number from 1 to 100"),
    ],
)
def test_a_mistake_gets_one_line(
    arguments: list[str], remedy: str, tmp_path: Path, monkeypatch: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["devices", "show", *arguments]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert remedy in printed.err
    assert printed.err.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", [*device_kinds(), *DEVICES])
def test_every_parameter_of_every_device_is_described_without_markup(name: str) -> None:
    kind = type(find(name).device)
    for field in kind.model_fields:
        text = plain(describe(kind, field))
        assert text
        assert not set("`\\{}") & set(text)


def test_formulas_become_readable() -> None:
    assert plain(r"Up, :math:`q_\pm = (1 \pm c)(1 \mp w/\tau)`, :math:`\Delta w_{min}`") == (
        "Up, q_± = (1 ± c)(1 ∓ w/\N{GREEK SMALL LETTER TAU}), Δw_min"
    )


def assert_is_drawn(picture: Path) -> None:
    from matplotlib.image import imread

    pixels = imread(picture)[..., :3]
    height, width, _ = pixels.shape
    for rows in (slice(height // 8, height // 2), slice(height // 2, height)):
        for columns in (slice(0, 6 * width // 10), slice(6 * width // 10, width)):
            colours = pixels[rows, columns].reshape(-1, 3)
            assert (colours.max(1) - colours.min(1) > 0.2).sum() > 100  # something with a colour in every panel
