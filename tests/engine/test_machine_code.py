"""Every kernel is compiled for two generations of GPUs, and what it keeps fits into registers."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from machine_code import compiled, launches_of
from ohmgrad import configs
from ohmgrad.configs import PulsedDevice, PulseType, UpdateParameters
from ohmgrad.engine.array import CellArray
from ohmgrad.engine.draws import Draws
from ohmgrad.engine.lengths import pulse_lengths
from ohmgrad.engine.outer import add_outer_products
from ohmgrad.engine.replay import Events
from ohmgrad.engine.samples import Samples
from ohmgrad.engine.site import Site

CAPABILITIES = pytest.mark.parametrize("capability", [80, 90])
DRAWS = Draws(1, "gpu")


def on_meta(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.zeros(shape, dtype=dtype, device="meta")


def samples(count: int, inputs: int, outputs: int) -> Samples:
    return Samples.of(on_meta(count, inputs), on_meta(count, outputs), on_meta(count, dtype=torch.float64))


def built_in_laws() -> dict[str, PulsedDevice]:
    """One device for each law of the library."""
    more: dict[str, list[dict[str, Any]]] = {
        "SoftBoundsDevice": [{}, {"mult_noise": False}],
        "SoftBoundsReferenceDevice": [{}, {"mult_noise": True}],
        "ExpStepDevice": [{}, {"dw_min_std_add": 0.1}],
        "PiecewiseStepDevice": [{"piecewise_up": [1.0, 2.0, 1.5], "piecewise_down": [1.0, 0.5, 1.5]}],
    }
    found = {}
    for name, kind in sorted(vars(configs).items()):
        if isinstance(kind, type) and issubclass(kind, PulsedDevice) and hasattr(kind, "law"):
            for fields in more.get(name, [{}]):
                device = kind(dw_min_std=0.3, **fields)
                found[f"{name} {fields}" if fields else name] = device
    return found


LAWS = built_in_laws()


def test_every_law_of_the_library_is_here() -> None:
    assert len({device.law for device in LAWS.values()}) >= 14


@CAPABILITIES
@pytest.mark.parametrize("counted", [False, True], ids=["trains", "counts"])
@pytest.mark.parametrize("name", LAWS)
def test_the_replay_of_every_law_fits_into_registers(name: str, counted: bool, capability: int) -> None:
    """With reads, resets and write noise, where the device has it."""
    device = LAWS[name]
    if "write_noise_std" in type(device).model_fields:
        device = device.replaced(write_noise_std=0.5)
    array = CellArray(device, Site(200, 300, Draws(1, "cpu"))).to("meta")
    kind = PulseType.MEAN_COUNT if counted else PulseType.STOCHASTIC_COMPRESSED
    number = on_meta(3, dtype=torch.int64)
    events = Events(number, number, on_meta(3, dtype=torch.bool), number)
    launches = launches_of(lambda: array.update(samples(4, 300, 200), UpdateParameters(pulse_type=kind), DRAWS, events))
    replays = [launch for launch in launches if launch.kernel.__name__ == "_replay"]
    assert len(replays) == 1
    code = compiled(replays[0], capability)
    assert code.spilled == 0, f"{code.registers} registers, {code.spilled} bytes beside them"
    assert "fma.rn" not in code.text  # what rounds twice on the processor rounds twice here
    assert "div.full" not in code.text
    assert counted or "popc" in code.text
    assert code.registers <= 168


@CAPABILITIES
def test_the_other_kernels_fit_too(capability: int) -> None:
    def everything() -> None:
        x, d, rate = on_meta(5, 3000), on_meta(5, 700), on_meta(5, dtype=torch.float64)
        pulse_lengths(x, d, rate, 0.001, UpdateParameters(), "gpu")
        numbers, part = on_meta(5, dtype=torch.int64), on_meta(dtype=torch.int64)
        DRAWS.normal(3, numbers, 1000)
        DRAWS.uniform(3, numbers, 1000, part)
        add_outer_products(on_meta(700, 3000), d, x, "gpu")

    launches = launches_of(everything)
    assert len(launches) == 4
    for launch in launches:
        code = compiled(launch, capability)
        assert code.spilled == 0, code.name
        assert code.registers <= 128
