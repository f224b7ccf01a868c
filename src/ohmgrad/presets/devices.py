"""Ten measured devices, as data."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import Any

from ohmgrad.cells.one_sided import OneSidedUnitCell
from ohmgrad.devices.base import PulsedDevice
from ohmgrad.devices.constant_step import ConstantStepDevice
from ohmgrad.devices.exp_step import ExpStepDevice
from ohmgrad.devices.linear_step import LinearStepDevice
from ohmgrad.devices.soft_bounds_reference import SoftBoundsReferenceDevice
from ohmgrad.presets.defaults import with_defaults
from ohmgrad.presets.parameters import PresetIOParameters, PresetUpdateParameters


@dataclass(frozen=True)
class DevicePreset:
    """A measured device: what differs from the defaults of its base, and where the numbers come from."""

    name: str
    base: type[PulsedDevice]
    values: dict[str, Any] = field(hash=False)
    what: str
    source: str

    @property
    def class_name(self) -> str:
        """Name of its class."""
        return f"{self.name}PresetDevice"


_UNIT = {"w_max": 1.0, "w_min": -1.0}
_ARRAY = {**_UNIT, "corrupt_devices_range": 0.01, "dw_min_dtod_log_normal": True}
_ARRAY_REFERENCE = {"subtract_symmetry_point": True, "reference_std": 0.05}
_GONG_2018 = "N. Gong et al., Nat. Commun. 9, 2102 (2018)"
_GONG_2022 = "N. Gong et al., IEDM (2022)"

DEVICES = {
    preset.name: preset
    for preset in (
        DevicePreset(
            "ReRamES",
            ExpStepDevice,
            {
                **_UNIT, "dw_min": 0.00135, "dw_min_dtod": 0.2, "dw_min_std": 5.0, "up_down": 0.259359,
                "up_down_dtod": 0.05, "a": -0.5, "b": -0.5, "gamma_up": 5.0, "gamma_down": 5.0, "A_up": -1.18445,
                "A_down": -0.081404, "write_noise_std": 75.0,
            },
            "ReRAM, exponential steps",
            _GONG_2018,
        ),
        DevicePreset(
            "ReRamSB",
            SoftBoundsReferenceDevice,
            {
                "dw_min": 0.002, "dw_min_std": 3.75, "w_max": 1.25, "w_min": -0.75, "w_max_dtod": 0.24,
                "w_min_dtod": 0.4, "write_noise_std": 56.0,
            },
            "ReRAM, soft bounds",
            _GONG_2018,
        ),
        DevicePreset(
            "ReRamArrayOM",
            SoftBoundsReferenceDevice,
            {
                **_ARRAY, **_ARRAY_REFERENCE, "dw_min": 0.0949, "dw_min_dtod": 0.7829, "dw_min_std": 0.4158,
                "w_max_dtod": 0.3499, "w_min_dtod": 0.5695, "write_noise_std": 1.4113,
            },
            "ReRAM array, optimised material",
            _GONG_2022,
        ),
        DevicePreset(
            "ReRamArrayHfO2",
            SoftBoundsReferenceDevice,
            {
                **_ARRAY, **_ARRAY_REFERENCE, "dw_min": 0.4622, "dw_min_dtod": 0.7125, "dw_min_std": 0.2174,
                "w_max_dtod": 0.4295, "w_min_dtod": 0.599, "write_noise_std": 0.5841,
            },
            "ReRAM array, hafnium oxide",
            _GONG_2022,
        ),
        DevicePreset(
            "Capacitor",
            LinearStepDevice,
            {
                **_UNIT, "dw_min": 0.005, "dw_min_dtod": 0.1, "up_down_dtod": 0.06, "w_max_dtod": 0.07,
                "w_min_dtod": 0.07, "mult_noise": False, "gamma_up": 0.05, "gamma_down": 0.05,
                "gamma_up_dtod": 0.01, "gamma_down_dtod": 0.01, "lifetime": 1e6, "lifetime_dtod": 0.3,
            },
            "CMOS capacitor, which leaks",
            "Y. Li et al., VLSI (2018)",
        ),
        DevicePreset(
            "EcRam",
            LinearStepDevice,
            {
                "dw_min": 0.002, "dw_min_dtod": 0.1, "w_max": 1.1724, "w_min": -0.8276, "w_max_dtod": 0.05,
                "w_min_dtod": 0.05, "gamma_up": 0.1153, "gamma_down": 0.5085,
            },
            "electrochemical RAM, lithium",
            "J. Tang et al., IEDM (2018)",
        ),
        DevicePreset(
            "EcRamMO",
            LinearStepDevice,
            {
                "dw_min": 0.00028214, "dw_min_dtod": 0.1, "dw_min_std": 2.0, "w_max": 1.1714, "w_min": -0.8286,
                "w_max_dtod": 0.05, "w_min_dtod": 0.05, "gamma_up": 0.4152, "gamma_down": 0.7342,
            },
            "electrochemical RAM, metal oxide",
            "S. Kim et al., IEDM (2019)",
        ),
        DevicePreset(
            "Idealized",
            ConstantStepDevice,
            {**_UNIT, "dw_min": 0.0002, "up_down_dtod": 0.0},
            "idealised device, many states",
            "M. J. Rasch et al., IEEE Des. Test 37 (2020)",
        ),
        DevicePreset(
            "GokmenVlasov",
            ConstantStepDevice,
            {**_UNIT, "dw_min": 0.0016},
            "specification of a training device",
            "T. Gokmen and Y. Vlasov, Front. Neurosci. 10, 333 (2016)",
        ),
        DevicePreset(
            "PCM",
            ExpStepDevice,
            {
                "dw_min": 0.01, "dw_min_dtod": 0.2, "dw_min_std": 0.6, "dw_min_std_add": 0.042,
                "dw_min_std_slope": 0.108, "up_down_dtod": 0.05, "w_max": 2.0, "w_min": 0.0, "w_max_dtod": 0.1,
                "w_min_dtod": 0.0, "a": -1.0, "b": 0.0, "gamma_up": 2.5, "gamma_down": 2.5, "A_up": -27.235,
                "A_down": -2.235, "reset": 0.01, "reset_dtod": 0.02,
            },
            "phase-change memory, one half",
            "S. R. Nandakumar et al., Front. Neurosci. 14 (2020)",
        ),
    )
}  # fmt: skip
"""Every measured device by name."""


@cache
def device_class(name: str) -> type[PulsedDevice]:
    """The class of a measured device: its base with the measured numbers as defaults."""
    preset = DEVICES[name]
    text = f"{preset.what[0].upper()}{preset.what[1:]} (``{preset.base.__name__}``).\n\n{preset.source}."
    return with_defaults(preset.base, preset.class_name, text, __name__, preset.values)


for _name in DEVICES:  # so that pickles find the classes
    globals()[DEVICES[_name].class_name] = device_class(_name)


def pcm_pair() -> list[PulsedDevice]:
    """The devices of a PCM cell."""
    return [device_class("PCM")(), device_class("PCM")()]


class PCMPresetUnitCell(OneSidedUnitCell):
    """A pair of PCM devices, refreshed after every batch."""

    @classmethod
    def _defaults(cls) -> dict[str, Any]:
        return {
            "unit_cell_devices": pcm_pair(),
            "refresh_every": 1,
            "units_in_mbatch": True,
            "refresh_forward": PresetIOParameters(),
            "refresh_update": PresetUpdateParameters(desired_bl=31),
        }

    def __init__(self, **fields: Any) -> None:
        super().__init__(**(self._defaults() | fields))
