"""Configurations say what is wrong with them, stay assignable, and carry the names of the field."""

from __future__ import annotations

import copy
import json
import math
import pickle
from enum import Enum
from typing import Any

import numpy as np
import pytest
import torch

import ohmgrad.configs
from ohmgrad.configs import (
    AnalogMVType,
    BoundManagementType,
    BufferedTransferCompound,
    ChoppedTransferCompound,
    Config,
    ConstantStepDevice,
    DigitalRankUpdateRPUConfig,
    DynamicTransferCompound,
    IdealDevice,
    IOParameters,
    LinearStepDevice,
    MixedPrecisionCompound,
    PulseType,
    SingleRPUConfig,
    SoftBoundsDevice,
    TransferCompound,
    UnitCellRPUConfig,
    UpdateParameters,
    VectorUnitCell,
)
from ohmgrad.errors import ConfigError
from ohmgrad.nn import AnalogLinear
from ohmgrad.tile import AnalogTile

NEEDS_ARGUMENTS = {
    "Cell", "Compound", "DigitalRankUpdateCell", "DigitalRankUpdateRPUConfig", "UnitCellRPUConfig",
}  # fmt: skip
PUBLIC = [getattr(ohmgrad.configs, name) for name in ohmgrad.configs.__all__ if name not in NEEDS_ARGUMENTS]
EVERYTHING = [kind for kind in PUBLIC if isinstance(kind, type) and issubclass(kind, Config)]


def test_every_public_name_exists_and_every_config_is_made_without_arguments() -> None:
    assert all(hasattr(ohmgrad.configs, name) for name in ohmgrad.configs.__all__)
    assert len(EVERYTHING) >= 14
    for kind in EVERYTHING:
        assert isinstance(kind(), Config)


@pytest.mark.parametrize("kind", EVERYTHING, ids=lambda kind: kind.__name__)
def test_every_field_is_described_where_it_first_appears(kind: type[Config]) -> None:
    family = [parent for parent in kind.__mro__ if issubclass(parent, Config)]
    for name in kind.model_fields:
        first = [parent for parent in family if name in parent.model_fields][-1]
        assert first.model_fields[name].description, f"{first.__name__}.{name}"


# Defaults are those of the field


@pytest.mark.parametrize(
    ("config", "defaults"),
    [
        (
            ConstantStepDevice(),
            {
                "construction_seed": 0, "corrupt_devices_prob": 0.0, "corrupt_devices_range": 0.1, "diffusion": 0.0,
                "diffusion_dtod": 0.0, "dw_min": 0.001, "dw_min_dtod": 0.3, "dw_min_dtod_log_normal": False,
                "dw_min_std": 0.3, "enforce_consistency": True, "lifetime": 0.0, "lifetime_dtod": 0.0, "reset": 0.0,
                "reset_dtod": 0.0, "reset_std": 0.01, "up_down": 0.0, "up_down_dtod": 0.01, "w_max": 0.6,
                "w_max_dtod": 0.3, "w_min": -0.6, "w_min_dtod": 0.3,
            },
        ),
        (
            LinearStepDevice(),
            {
                "gamma_up": 0.0, "gamma_down": 0.0, "gamma_up_dtod": 0.05, "gamma_down_dtod": 0.05,
                "allow_increasing": False, "mean_bound_reference": True, "mult_noise": True, "write_noise_std": 0.0,
                "apply_write_noise_on_set": True, "reverse_up": False, "reverse_down": False, "reverse_offset": 0.01,
            },
        ),
        (IdealDevice(), {"diffusion": 0.0, "lifetime": 0.0, "reset_std": 0.01}),
        (
            UpdateParameters(),
            {
                "desired_bl": 31, "fixed_bl": True, "pulse_type": PulseType.STOCHASTIC_COMPRESSED, "res": 0.0,
                "sto_round": False, "update_bl_management": True, "update_management": True, "um_grad_scale": 1.0,
            },
        ),
        (
            TransferCompound(),
            {
                "gamma": 0.0, "transfer_every": 1.0, "units_in_mbatch": True, "n_reads_per_transfer": 1,
                "transfer_columns": True, "with_reset_prob": 0.0, "random_selection": False, "fast_lr": 1.0,
                "scale_fast_lr": True, "transfer_lr": 1.0, "scale_transfer_lr": True, "no_self_transfer": True,
            },
        ),
        (
            MixedPrecisionCompound(),
            {
                "device": VectorUnitCell(), "construction_seed": 0, "transfer_every": 1, "n_rows_per_transfer": -1,
                "random_row": False, "granularity": 0.0, "transfer_lr": 1.0, "n_x_bins": 0, "n_d_bins": 0,
                "stoc_round_x": True, "stoc_round_d": True,
            },
        ),
        (BufferedTransferCompound(), {"thres_scale": 1.0, "step": 1.0, "momentum": 0.1, "forget_buffer": True}),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Config) else "",
)  # fmt: skip
def test_defaults_are_those_users_know(config: Config, defaults: dict[str, Any]) -> None:
    assert {name: getattr(config, name) for name in defaults} == defaults


def test_a_buffer_writes_one_certain_pulse_by_default() -> None:
    for kind in (BufferedTransferCompound, ChoppedTransferCompound, DynamicTransferCompound):
        update = kind().transfer_update
        assert (update.desired_bl, update.update_management, update.update_bl_management) == (1, False, False)


# Wrong fields and wrong values


@pytest.mark.parametrize(
    ("kind", "name", "nearest"),
    [
        (SoftBoundsDevice, "dw_minn", "dw_min"),
        (SoftBoundsDevice, "wmax", "w_max"),
        (IOParameters, "out_noize", "out_noise"),
        (UpdateParameters, "desired_BL", "desired_bl"),
        (TransferCompound, "transfer_evry", "transfer_every"),
        (SingleRPUConfig, "devices", "device"),
    ],
)
def test_an_unknown_field_is_refused_and_the_nearest_is_named(kind: type[Config], name: str, nearest: str) -> None:
    message = rf"{kind.__name__} has no field '{name}' \(given 1\.5\)\. Did you mean '{nearest}'\?"
    with pytest.raises(ConfigError, match=message):
        kind(**{name: 1.5})
    config = kind()
    with pytest.raises(ConfigError, match=message):
        setattr(config, name, 1.5)
    assert not hasattr(config, name)


@pytest.mark.parametrize("name", ["gamma", "thickness", "noise_gait"])
def test_nothing_is_suggested_that_is_not_near(name: str) -> None:
    with pytest.raises(ConfigError, match=rf"no field '{name}' \(given 1\)\. It has: .*dw_min"):
        SoftBoundsDevice(**{name: 1})


def test_a_class_made_in_a_function_may_name_the_types_of_that() -> None:
    class Mode(Enum):
        SOFT = "soft"

    class Own(SoftBoundsDevice):
        mode: Mode = Mode.SOFT

    assert Own().mode is Mode.SOFT


def test_a_field_like_no_other_is_refused_with_the_list_of_fields() -> None:
    with pytest.raises(ConfigError, match=r"UpdateParameters has no field 'zzz'.*It has: desired_bl, fixed_bl"):
        UpdateParameters(zzz=1)


WRONG = [
    (SoftBoundsDevice, "dw_min", True),
    (SoftBoundsDevice, "dw_min", "0.1"),
    (SoftBoundsDevice, "dw_min", None),
    (SoftBoundsDevice, "dw_min", [0.1]),
    (SoftBoundsDevice, "dw_min", 0.0),
    (SoftBoundsDevice, "dw_min", -0.1),
    (SoftBoundsDevice, "dw_min", math.nan),
    (SoftBoundsDevice, "dw_min", math.inf),
    (SoftBoundsDevice, "dw_min_std", -0.1),
    (SoftBoundsDevice, "w_max", -0.1),
    (SoftBoundsDevice, "w_min", 0.1),
    (SoftBoundsDevice, "diffusion", -1.0),
    (SoftBoundsDevice, "lifetime", -1.0),
    (SoftBoundsDevice, "corrupt_devices_prob", 1.5),
    (SoftBoundsDevice, "construction_seed", -1),
    (SoftBoundsDevice, "construction_seed", 1.0),
    (SoftBoundsDevice, "mult_noise", 1),
    (SoftBoundsDevice, "mult_noise", "True"),
    (UpdateParameters, "desired_bl", 0),
    (UpdateParameters, "desired_bl", 31.0),
    (UpdateParameters, "desired_bl", True),
    (UpdateParameters, "um_grad_scale", 0.0),
    (UpdateParameters, "pulse_type", "None"),
    (UpdateParameters, "pulse_type", "StochasticCompressed"),
    (TransferCompound, "gamma_vec", [math.nan, 1.0]),
    (TransferCompound, "gamma_vec", 1.0),
    (TransferCompound, "gamma_vec", ["1"]),
    (TransferCompound, "with_reset_prob", -0.1),
    (TransferCompound, "fast_lr", -1.0),
    (MixedPrecisionCompound, "transfer_every", 0.5),
    (MixedPrecisionCompound, "transfer_every", -1),
    (MixedPrecisionCompound, "n_rows_per_transfer", -2),
    (MixedPrecisionCompound, "granularity", -0.1),
    (MixedPrecisionCompound, "transfer_lr", -1.0),
    (MixedPrecisionCompound, "n_x_bins", -1),
    (SingleRPUConfig, "forward", UpdateParameters()),
    (SingleRPUConfig, "device", "SoftBoundsDevice"),
    (SingleRPUConfig, "device", None),
    (SingleRPUConfig, "device", SoftBoundsDevice),
    (SingleRPUConfig, "device", {"dw_min": 0.1}),
]


@pytest.mark.parametrize(("kind", "name", "value"), WRONG)
def test_a_wrong_value_is_refused_when_made_and_when_assigned(kind: type[Config], name: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=rf"{kind.__name__}\.{name}"):
        kind(**{name: value})
    config = kind()
    before = getattr(config, name)
    with pytest.raises(ConfigError, match=rf"{kind.__name__}\.{name}"):
        setattr(config, name, value)
    assert getattr(config, name) == before


def test_a_message_names_the_value_once_and_stays_short() -> None:
    with pytest.raises(ConfigError) as error:
        SingleRPUConfig(device=TransferCompound())
    message = str(error.value)
    assert "UnitCellRPUConfig" in message
    assert len(message) < 300


@pytest.mark.parametrize("value", [1, np.float64(0.25), np.float32(0.25)])
def test_every_kind_of_real_number_is_a_float(value: Any) -> None:
    assert SoftBoundsDevice(dw_min=value).dw_min == float(value)


def test_a_whole_number_of_numpy_is_a_whole_number() -> None:
    assert UpdateParameters(desired_bl=np.int64(7)).desired_bl == 7


def test_a_compound_goes_into_its_own_config_and_a_device_into_the_other() -> None:
    with pytest.raises(ConfigError, match="SingleRPUConfig"):
        UnitCellRPUConfig(device=SoftBoundsDevice())
    with pytest.raises(ConfigError, match=r"UnitCellRPUConfig\.device"):
        UnitCellRPUConfig()
    with pytest.raises(ConfigError, match=r"DigitalRankUpdateRPUConfig\.device"):
        DigitalRankUpdateRPUConfig()
    compound = TransferCompound(unit_cell_devices=[SoftBoundsDevice(), SoftBoundsDevice()])
    assert UnitCellRPUConfig(device=compound).device.unit_cell_devices[0] == SoftBoundsDevice()


@pytest.mark.parametrize(
    ("config", "device", "remedy"),
    [
        (SingleRPUConfig, TransferCompound(), "a compound goes into UnitCellRPUConfig"),
        (SingleRPUConfig, VectorUnitCell(), "a compound goes into UnitCellRPUConfig"),
        (SingleRPUConfig, MixedPrecisionCompound(), "a rule with .* goes into DigitalRankUpdateRPUConfig"),
        (UnitCellRPUConfig, IdealDevice(), "a single device goes into SingleRPUConfig"),
        (UnitCellRPUConfig, MixedPrecisionCompound(), "a rule with .* goes into DigitalRankUpdateRPUConfig"),
        (DigitalRankUpdateRPUConfig, SoftBoundsDevice(), "a device or cell goes into .*MixedPrecisionCompound"),
        (DigitalRankUpdateRPUConfig, VectorUnitCell(), "a device or cell goes into .*MixedPrecisionCompound"),
        (DigitalRankUpdateRPUConfig, TransferCompound(), "a compound goes into UnitCellRPUConfig"),
        (DigitalRankUpdateRPUConfig, IdealDevice(), "a single device goes into SingleRPUConfig"),
        (DigitalRankUpdateRPUConfig, 3, "give a rule, for example MixedPrecisionCompound"),
        (MixedPrecisionCompound, IdealDevice(), "give a pulsed device"),
        (MixedPrecisionCompound, TransferCompound(), "give a pulsed device"),
    ],
)
def test_what_goes_elsewhere_is_refused_with_the_place_where_it_goes(
    config: type[Config], device: Any, remedy: str
) -> None:
    with pytest.raises(ConfigError, match=rf"{config.__name__}\.device.*{remedy}"):
        config(device=device)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"unit_cell_devices": []}, "0 devices.*at least 2"),
        ({"unit_cell_devices": [SoftBoundsDevice()]}, "1 devices.*at least 2"),
        ({"unit_cell_devices": [SoftBoundsDevice(), IdealDevice()]}, "IdealDevice"),
        ({"unit_cell_devices": [SoftBoundsDevice(), 3]}, "int"),
        ({"gamma_vec": [1.0]}, "gamma_vec has 1 entries for 2 devices"),
        ({"gamma_vec": [1.0, 0.0]}, "gamma_vec ends with 0"),
        ({"transfer_every_vec": [1.0, 2.0, 3.0]}, "transfer_every_vec has 3 entries"),
        ({"transfer_lr_vec": [1.0]}, "transfer_lr_vec has 1 entries"),
        ({"with_reset_prob": 0.5, "transfer_columns": False}, "transfer_columns=True"),
    ],
)
def test_what_does_not_fit_together_is_refused_when_used(fields: dict[str, Any], message: str) -> None:
    devices = {"unit_cell_devices": [SoftBoundsDevice(), SoftBoundsDevice()]}
    config = UnitCellRPUConfig(device=TransferCompound(**{**devices, **fields}))
    with pytest.raises(ConfigError, match=rf"TransferCompound.*{message}"):
        AnalogTile(2, 3, config)


@pytest.mark.parametrize(
    "wrong",
    [SoftBoundsDevice(), TransferCompound(), MixedPrecisionCompound(), {"device": 1}, "config", 3],
)
def test_what_is_not_a_tile_config_is_refused_with_the_remedy(wrong: Any) -> None:
    with pytest.raises(ConfigError, match=r"rpu_config is a .*SingleRPUConfig\(device=\.\.\.\).*UnitCellRPUConfig"):
        AnalogTile(2, 3, wrong)


@pytest.mark.parametrize("size", [0, -1, 2.0, 2.5, "2", True, None, math.nan])
def test_a_size_that_is_not_a_positive_whole_number_is_refused(size: Any) -> None:
    with pytest.raises(ConfigError, match="out_size = "):
        AnalogTile(size, 3)
    with pytest.raises(ConfigError, match="in_size = "):
        AnalogTile(3, size)


@pytest.mark.parametrize("size", [0, -1, 2.5])
def test_a_layer_of_no_size_is_refused(size: Any) -> None:
    with pytest.raises(ConfigError, match="in_size = "):
        AnalogLinear(size, 3)
    with pytest.raises(ConfigError, match="out_size = "):
        AnalogLinear(3, size)


# Configs as objects


@pytest.mark.parametrize(
    ("kind", "name"),
    [(BoundManagementType, "SHIFT"), (AnalogMVType, "SPLIT_MODE"), (AnalogMVType, "BIT_WISE")],
)
def test_what_nothing_could_do_has_no_name(kind: type[Enum], name: str) -> None:
    assert name not in kind.__members__


def test_fields_stay_assignable() -> None:
    config = SingleRPUConfig()
    config.device = SoftBoundsDevice()
    config.device.dw_min = 0.02
    config.update.desired_bl = 7
    config.forward.is_perfect = True
    tile = AnalogTile(2, 3, config)
    assert tile.rpu_config == config
    assert (tile.rpu_config.device.dw_min, tile.rpu_config.update.desired_bl) == (0.02, 7)


def test_a_tile_keeps_its_own_copy() -> None:
    config = SingleRPUConfig(device=SoftBoundsDevice())
    tile = AnalogTile(2, 3, config)
    config.device.dw_min = 0.5
    config.forward.is_perfect = True
    assert tile.rpu_config.device.dw_min == 0.001
    assert not tile.rpu_config.forward.is_perfect


def test_no_two_configs_share_a_default() -> None:
    first, second = SingleRPUConfig(), SingleRPUConfig()
    first.forward.out_noise = 0.5
    first.device.dw_min = 0.5
    assert second == SingleRPUConfig()
    one, two = TransferCompound(), TransferCompound()
    one.unit_cell_devices.append(SoftBoundsDevice())
    assert two.unit_cell_devices == []


@pytest.mark.parametrize("kind", EVERYTHING, ids=lambda kind: kind.__name__)
def test_configs_copy_pickle_and_compare(kind: type[Config]) -> None:
    config = kind()
    for other in (copy.deepcopy(config), pickle.loads(pickle.dumps(config)), config.replaced()):
        assert other == config
        assert other is not config


def test_a_replaced_config_differs_in_the_named_fields_only() -> None:
    config = SingleRPUConfig(device=SoftBoundsDevice(dw_min=0.02))
    other = config.replaced(update=UpdateParameters(desired_bl=5))
    assert (other.update.desired_bl, config.update.desired_bl) == (5, 31)
    other.device.dw_min = 0.5
    assert config.device.dw_min == 0.02
    with pytest.raises(ConfigError, match="Did you mean 'update'"):
        config.replaced(updat=1)


@pytest.mark.parametrize("kind", EVERYTHING, ids=lambda kind: kind.__name__)
def test_a_description_is_plain_json_that_names_every_field(kind: type[Config]) -> None:
    plain = json.loads(json.dumps(kind().describe(), allow_nan=False))
    assert plain["$"] == kind.__name__
    assert set(plain) == {"$", *kind.model_fields}


def test_a_description_reaches_all_the_way_down() -> None:
    device = SoftBoundsDevice(dw_min=0.02)
    config = UnitCellRPUConfig(device=ChoppedTransferCompound(unit_cell_devices=[device, device]))
    plain = config.describe()
    assert plain["device"]["$"] == "ChoppedTransferCompound"
    assert plain["device"]["unit_cell_devices"][1]["dw_min"] == 0.02
    assert plain["update"]["pulse_type"] == "STOCHASTIC_COMPRESSED"


def test_a_device_of_ones_own_is_a_config_like_any_other() -> None:
    class Mine(ConstantStepDevice):
        sharpness: float = 2.0

        @property
        def weight_granularity(self):
            return self.dw_min / self.sharpness

    with pytest.raises(ConfigError, match=r"Mine has no field 'sharpnes'.*'sharpness'"):
        Mine(sharpnes=1.0)
    torch.manual_seed(0)
    assert AnalogTile(2, 2, SingleRPUConfig(device=Mine(sharpness=3))).rpu_config.device.sharpness == 3.0
