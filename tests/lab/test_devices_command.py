"""The command `ohmgrad devices`: every device is listed, and what is drawn of one is right."""

import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from ohmgrad.cli import main
from ohmgrad.configs import ConstantStepDevice, LinearStepDevice, PiecewiseStepDevice, SoftBoundsDevice
from ohmgrad.devices.base import PulsedDevice
from ohmgrad.lab.catalogue import device_kinds, find
from ohmgrad.lab.device_tables import describe, plain
from ohmgrad.lab.portrait import portray
from ohmgrad.lab.response import Row
from ohmgrad.lab.steps import SampledCells
from ohmgrad.presets import CONFIGS, DEVICES, device_class

ALIKE: dict[str, Any] = {"dw_min_dtod": 0.0, "up_down_dtod": 0.0, "w_max_dtod": 0.0, "w_min_dtod": 0.0}
SOFT = SoftBoundsDevice(dw_min=0.1, up_down=0.2, w_max=1.0, w_min=-1.0, dw_min_std=0.3, **ALIKE)
"""Up step 0.1 (1 - w), down step 0.08 (1 + w), equal at w = 0.02 / 0.18."""
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


def cells_of(device: PulsedDevice, count: int = 50) -> SampledCells:
    torch.manual_seed(0)
    return SampledCells(device, Row(device, count, "reference").parameters())


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
        (["SoftBoundDevice"], "Did you mean SoftBoundsDevice?"),
        (["rerames2"], "Did you mean ReRamES"),
        (["TTv2EcRamPrest"], "Did you mean TTv2EcRamPreset?"),
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


def test_a_soft_bounds_cell_has_the_symmetry_point_of_its_formula() -> None:
    expected = torch.full((50,), 0.02 / 0.18, dtype=torch.float64)
    torch.testing.assert_close(cells_of(SOFT).symmetry_points(), expected, atol=1e-6, rtol=0.0)


def test_measured_cells_have_their_symmetry_point_at_zero_if_it_is_subtracted() -> None:
    device = device_class("ReRamArrayOM")(reference_std=0.0, dw_min=0.001)  # no step reaches a bound
    expected = torch.zeros(50, dtype=torch.float64)
    torch.testing.assert_close(cells_of(device).symmetry_points(), expected, atol=1e-6, rtol=0.0)


def test_a_cell_that_steps_faster_upwards_has_its_symmetry_point_at_the_upper_bound() -> None:
    cells = cells_of(ConstantStepDevice(dw_min=0.002, dw_min_dtod=0.0, up_down=0.2, up_down_dtod=0.0))
    points = cells.symmetry_points()
    # A pair leads back where the bound leaves of the up step as much as the down step has: 0.8 x 0.002.
    torch.testing.assert_close(points, cells.upper - 0.0016, atol=1e-6, rtol=0.0)
    assert cells.at_bound(points).all()


def test_a_cell_with_equal_steps_has_no_symmetry_point() -> None:
    cells = cells_of(device_class("Idealized")())
    assert cells.symmetry_points().isnan().all()
    assert not cells.at_bound(cells.symmetry_points()).any()


def test_steps_of_soft_bounds_have_mean_and_deviation_of_the_law() -> None:
    steps = cells_of(SOFT).statistics()
    middle = len(steps.weights) // 2
    assert steps.weights[middle] == pytest.approx(0.0)
    assert steps.up_mean[middle] == pytest.approx(0.1, rel=1e-5)
    assert steps.up_std[middle] == pytest.approx(0.03, rel=1e-5)
    assert steps.down_mean[middle] == pytest.approx(-0.08, rel=1e-5)
    assert steps.down_std[middle] == pytest.approx(0.024, rel=1e-5)
    assert steps.up_mean[-1] == pytest.approx(0.0, abs=1e-6)


def test_trains_begin_at_the_lower_bound_and_the_mean_cell_follows_the_law() -> None:
    before = torch.random.get_rng_state()
    portrait = portray(SOFT, 3)
    assert torch.equal(before, torch.random.get_rng_state())  # it leaves the random numbers of torch alone
    assert portrait.each == 1
    assert torch.equal(portrait.trains[0], torch.full((3,), -1.0))
    gone = torch.arange(len(portrait.mean) // 2 + 1, dtype=torch.float64)
    torch.testing.assert_close(
        portrait.mean[: len(gone)], 1.0 - 2.0 * 0.9**gone, atol=1e-6, rtol=0.0
    )  # w <- w + 0.1 (1 - w)
    assert torch.equal(portrait.turns[:, 0], torch.tensor([[-1.0] * 3, [1.0] * 3]))
    assert portrait.turns[:, -5:].mean() == pytest.approx(0.02 / 0.18, abs=0.05)
    assert portrait.apparent is None


def test_the_weight_that_is_read_scatters_about_the_stored_one() -> None:
    device = LinearStepDevice(dw_min=0.05, write_noise_std=2.0, **ALIKE)
    portrait = portray(device, 40)
    assert portrait.apparent is not None
    noise = portrait.apparent - portrait.trains
    assert noise.std() == pytest.approx(0.1, abs=5 * 0.1 / (2 * noise.numel()) ** 0.5)


def assert_is_drawn(picture: Path) -> None:
    from matplotlib.image import imread

    pixels = imread(picture)[..., :3]
    height, width, _ = pixels.shape
    for rows in (slice(height // 8, height // 2), slice(height // 2, height)):
        for columns in (slice(0, 6 * width // 10), slice(6 * width // 10, width)):
            colours = pixels[rows, columns].reshape(-1, 3)
            assert (colours.max(1) - colours.min(1) > 0.2).sum() > 100  # something with a colour in every panel
