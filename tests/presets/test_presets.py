"""Presets hold the published numbers, and every one of them trains."""

from __future__ import annotations

import copy
import pickle
import re
from pathlib import Path
from typing import Any

import pytest
import torch

from ohmgrad import AnalogLinear, AnalogSGD, presets
from ohmgrad.configs import (
    BoundManagementType,
    BufferedTransferCompound,
    ChoppedTransferCompound,
    ConstantStepDevice,
    DigitalRankUpdateRPUConfig,
    DynamicTransferCompound,
    ERiderTransferCompound,
    ExpStepDevice,
    InferenceRPUConfig,
    InputRangeParameter,
    IOParameters,
    LinearStepDevice,
    LowRankTransferCompound,
    MappingParameter,
    MixedPrecisionCompound,
    MultiTileTransferCompound,
    NoiseManagementType,
    OneSidedUnitCell,
    ResidualTransferCompound,
    RiderTransferCompound,
    SingleRPUConfig,
    SoftBoundsDevice,
    SoftBoundsReferenceDevice,
    TransferCompound,
    UnitCellRPUConfig,
    UpdateParameters,
    VectorUnitCell,
    VectorUnitCellUpdatePolicy,
    WeightClipParameter,
    WeightClipType,
    WeightModifierParameter,
    WeightModifierType,
    WeightNoiseType,
    WeightRemapParameter,
    WeightRemapType,
)
from ohmgrad.engine.mvm import unmanaged
from ohmgrad.errors import ConfigError
from ohmgrad.presets import CONFIGS, DEVICES, build_config
from ohmgrad.tile import AnalogTile

SIX = ("ReRamES", "ReRamSB", "Capacitor", "EcRam", "EcRamMO", "Idealized")

# Typed from the published table, field by field; what is not named has the default of the base.
DEFAULTS = {
    "corrupt_devices_range": 0.1, "dw_min": 0.001, "dw_min_dtod": 0.3, "dw_min_dtod_log_normal": False,
    "dw_min_std": 0.3, "lifetime": 0.0, "lifetime_dtod": 0.0, "reset": 0.0, "reset_dtod": 0.0, "up_down": 0.0,
    "up_down_dtod": 0.01, "w_max": 0.6, "w_max_dtod": 0.3, "w_min": -0.6, "w_min_dtod": 0.3, "reset_std": 0.01,
    "corrupt_devices_prob": 0.0, "diffusion": 0.0, "enforce_consistency": True, "perfect_bias": False,
}  # fmt: skip
EXPECTED: dict[str, tuple[type, float, dict[str, Any]]] = {
    "ReRamES": (ExpStepDevice, 1151.8, {
        "dw_min": 0.00135, "dw_min_dtod": 0.2, "dw_min_std": 5.0, "up_down": 0.259359, "up_down_dtod": 0.05,
        "w_max": 1.0, "w_min": -1.0, "A_up": -1.18445, "A_down": -0.081404, "gamma_up": 5.0, "gamma_down": 5.0,
        "a": -0.5, "b": -0.5, "dw_min_std_add": 0.0, "dw_min_std_slope": 0.0, "write_noise_std": 75.0,
        "apply_write_noise_on_set": True}),
    "ReRamSB": (SoftBoundsReferenceDevice, 1000.0, {
        "dw_min": 0.002, "dw_min_std": 3.75, "w_max": 1.25, "w_max_dtod": 0.24, "w_min": -0.75, "w_min_dtod": 0.4,
        "write_noise_std": 56.0, "mult_noise": False, "slope_up_dtod": 0.0, "slope_down_dtod": 0.0,
        "reference_mean": 0.0, "reference_std": 0.0, "subtract_symmetry_point": False}),
    "ReRamArrayOM": (SoftBoundsReferenceDevice, 21.1, {
        "corrupt_devices_range": 0.01, "dw_min": 0.0949, "dw_min_dtod": 0.7829, "dw_min_dtod_log_normal": True,
        "dw_min_std": 0.4158, "w_max": 1.0, "w_max_dtod": 0.3499, "w_min": -1.0, "w_min_dtod": 0.5695,
        "write_noise_std": 1.4113, "mult_noise": False, "reference_std": 0.05, "subtract_symmetry_point": True}),
    "ReRamArrayHfO2": (SoftBoundsReferenceDevice, 4.3, {
        "corrupt_devices_range": 0.01, "dw_min": 0.4622, "dw_min_dtod": 0.7125, "dw_min_dtod_log_normal": True,
        "dw_min_std": 0.2174, "w_max": 1.0, "w_max_dtod": 0.4295, "w_min": -1.0, "w_min_dtod": 0.599,
        "write_noise_std": 0.5841, "mult_noise": False, "reference_std": 0.05, "subtract_symmetry_point": True}),
    "Capacitor": (LinearStepDevice, 400.0, {
        "dw_min": 0.005, "dw_min_dtod": 0.1, "lifetime": 1e6, "lifetime_dtod": 0.3, "up_down_dtod": 0.06,
        "w_max": 1.0, "w_max_dtod": 0.07, "w_min": -1.0, "w_min_dtod": 0.07, "gamma_up": 0.05, "gamma_down": 0.05,
        "gamma_up_dtod": 0.01, "gamma_down_dtod": 0.01, "mult_noise": False, "write_noise_std": 0.0,
        "mean_bound_reference": True}),
    "EcRam": (LinearStepDevice, 1000.0, {
        "dw_min": 0.002, "dw_min_dtod": 0.1, "w_max": 1.1724, "w_max_dtod": 0.05, "w_min": -0.8276,
        "w_min_dtod": 0.05, "gamma_up": 0.1153, "gamma_down": 0.5085, "gamma_up_dtod": 0.05,
        "gamma_down_dtod": 0.05, "mult_noise": True}),
    "EcRamMO": (LinearStepDevice, 7088.7, {
        "dw_min": 0.00028214, "dw_min_dtod": 0.1, "dw_min_std": 2.0, "w_max": 1.1714, "w_max_dtod": 0.05,
        "w_min": -0.8286, "w_min_dtod": 0.05, "gamma_up": 0.4152, "gamma_down": 0.7342, "gamma_up_dtod": 0.05,
        "gamma_down_dtod": 0.05, "mult_noise": True}),
    "Idealized": (ConstantStepDevice, 10000.0, {"dw_min": 0.0002, "up_down_dtod": 0.0, "w_max": 1.0, "w_min": -1.0}),
    "GokmenVlasov": (ConstantStepDevice, 1250.0, {"dw_min": 0.0016, "w_max": 1.0, "w_min": -1.0}),
    "PCM": (ExpStepDevice, 12.7, {
        "dw_min": 0.01, "dw_min_dtod": 0.2, "dw_min_std": 0.6, "reset": 0.01, "reset_dtod": 0.02,
        "up_down_dtod": 0.05, "w_max": 2.0, "w_max_dtod": 0.1, "w_min": 0.0, "w_min_dtod": 0.0, "A_up": -27.235,
        "A_down": -2.235, "gamma_up": 2.5, "gamma_down": 2.5, "a": -1.0, "b": 0.0, "dw_min_std_add": 0.042,
        "dw_min_std_slope": 0.108, "write_noise_std": 0.0}),
}  # fmt: skip

# algorithm -> device -> (in_chop_prob, fast_lr, auto_granularity, tail_weightening, desired_bl of the gradient)
BUFFERED: dict[str, dict[str, tuple[float, float, float, float | None, int]]] = {
    "TTv2": {
        "ReRamES": (0.0, 0.5, 1000, None, 31), "ReRamSB": (0.0, 0.5, 1000, None, 31),
        "Capacitor": (0.0, 0.1, 1000, None, 31), "EcRam": (0.0, 0.1, 500, None, 100),
        "EcRamMO": (0.0, 0.1, 500, None, 100), "Idealized": (0.0, 0.1, 500, None, 100),
    },
    "ChoppedTTv2": {
        "ReRamES": (0.01, 0.5, 1000, None, 31), "ReRamSB": (0.01, 0.5, 1000, None, 31),
        "Capacitor": (0.01, 0.1, 1000, None, 31), "EcRam": (0.01, 1.0, 500, None, 100),
        "EcRamMO": (0.001, 0.1, 500, None, 100), "Idealized": (0.001, 0.1, 500, None, 100),
    },
    "AGAD": {
        "ReRamES": (0.02, 0.5, 1000, 5, 31), "ReRamSB": (0.02, 0.5, 1000, 5, 31),
        "Capacitor": (0.01, 0.1, 1000, 20, 31), "EcRam": (0.005, 0.1, 750, 50, 31),
        "EcRamMO": (0.005, 0.1, 500, 50, 100), "Idealized": (0.005, 0.1, 500, 50, 100),
    },
}  # fmt: skip


@pytest.mark.parametrize("name", EXPECTED)
def test_a_measured_device_has_the_published_numbers(name: str) -> None:
    base, states, values = EXPECTED[name]
    device = getattr(presets, f"{name}PresetDevice")()
    assert isinstance(device, base)
    assert {field: getattr(device, field) for field in DEFAULTS | values} == DEFAULTS | values
    others = set(base.model_fields) - set(DEFAULTS) - set(values)
    plain = base()
    assert all(getattr(device, field) == getattr(plain, field) for field in others)
    assert device.num_states == pytest.approx(states, abs=0.05)
    assert DEVICES[name].source


def test_all_ten_devices_and_all_52_configurations_are_there() -> None:
    assert set(DEVICES) == set(EXPECTED)
    names = [f"{device}Preset" for device in (*SIX, "GokmenVlasov", "PCM")]
    names += [f"{device}{n}Preset" for n in (2, 4) for device in SIX]
    names += [f"{rule}{device}Preset" for rule in ("TikiTaka", "TTv2", "ChoppedTTv2", "AGAD") for device in SIX]
    names += [f"MixedPrecision{device}Preset" for device in (*SIX, "GokmenVlasov", "PCM")]
    assert len(names) == 52
    assert set(CONFIGS) == set(names)
    assert set(names) | {f"{device}PresetDevice" for device in EXPECTED} < set(presets.__all__) == set(dir(presets))


@pytest.mark.parametrize("name", CONFIGS)
def test_every_configuration_trains(name: str) -> None:
    torch.manual_seed(0)
    config = getattr(presets, name)()
    assert config.forward == config.backward == presets.PresetIOParameters()
    tile = AnalogTile(4, 3, config)
    tile.set_learning_rate(0.1)
    for _ in range(3):
        tile.forward(torch.randn(10, 3))
        tile.update(torch.randn(10, 3), torch.randn(10, 4))
    assert torch.isfinite(tile.get_weights()).all()
    assert any(counts.total.any() for counts in tile.pulse_counts())


@pytest.mark.parametrize("device", [*SIX, "GokmenVlasov"])
def test_one_device_is_trained_by_analog_sgd(device: str) -> None:
    config = CONFIGS[f"{device}Preset"]()
    assert isinstance(config, SingleRPUConfig)
    assert config.device == presets.device_class(device)()
    assert config.update.desired_bl == 31


@pytest.mark.parametrize("device", SIX)
@pytest.mark.parametrize("count", [2, 4])
def test_several_devices_take_turns_at_random(device: str, count: int) -> None:
    cell = CONFIGS[f"{device}{count}Preset"]().device
    assert isinstance(cell, VectorUnitCell)
    assert cell.unit_cell_devices == [presets.device_class(device)()] * count
    assert cell.update_policy is VectorUnitCellUpdatePolicy.SINGLE_RANDOM


def shifted(device: str) -> Any:
    fields = {"subtract_symmetry_point": True} if device == "ReRamSB" else {}
    return presets.device_class(device)(**fields)


def is_unmanaged(io: IOParameters) -> bool:
    plain = presets.PresetIOParameters(
        noise_management=NoiseManagementType.NONE, bound_management=BoundManagementType.NONE
    )
    return io == plain


@pytest.mark.parametrize("device", SIX)
def test_tiki_taka_transfers_after_every_batch(device: str) -> None:
    rule = CONFIGS[f"TikiTaka{device}Preset"]().device
    assert type(rule) is TransferCompound
    assert rule.unit_cell_devices == [shifted(device)] * 2
    assert is_unmanaged(rule.transfer_forward)
    assert rule.transfer_update == presets.PresetUpdateParameters()
    assert rule.units_in_mbatch
    assert (rule.transfer_every, rule.gamma, rule.fast_lr, rule.transfer_lr) == (1.0, 0.0, 1.0, 1.0)
    assert rule.scale_fast_lr
    assert rule.scale_transfer_lr


@pytest.mark.parametrize("device", SIX)
@pytest.mark.parametrize("prefix", BUFFERED)
def test_buffered_rules_have_the_published_numbers(prefix: str, device: str) -> None:
    config = CONFIGS[f"{prefix}{device}Preset"]()
    rule = config.device
    assert type(rule) is (DynamicTransferCompound if prefix == "AGAD" else ChoppedTransferCompound)
    chance, fast_lr, granularity, tail, bl = BUFFERED[prefix][device]
    assert (rule.in_chop_prob, rule.fast_lr, rule.auto_granularity) == (chance, fast_lr, granularity)
    assert tail is None or rule.tail_weightening == tail
    assert config.update.desired_bl == bl
    assert rule.unit_cell_devices == [shifted(device)] * 2
    assert is_unmanaged(rule.transfer_forward)
    once = UpdateParameters(desired_bl=1, update_bl_management=False, update_management=False)
    assert rule.transfer_update == once
    assert rule.auto_scale
    assert not rule.units_in_mbatch
    assert rule.in_chop_random == (prefix != "AGAD")


@pytest.mark.parametrize("device", [*SIX, "GokmenVlasov", "PCM"])
def test_mixed_precision_holds_the_device(device: str) -> None:
    config = CONFIGS[f"MixedPrecision{device}Preset"]()
    assert isinstance(config, DigitalRankUpdateRPUConfig)
    assert config.device.device == (presets.PCMPresetUnitCell() if device == "PCM" else presets.device_class(device)())


def test_a_pcm_cell_is_a_pair_that_is_refreshed_after_every_batch() -> None:
    cell = presets.PCMPresetUnitCell()
    assert isinstance(cell, OneSidedUnitCell)
    assert (cell.refresh_every, cell.units_in_mbatch, cell.copy_inverted) == (1, True, False)
    assert (cell.refresh_upper_thres, cell.refresh_lower_thres) == (0.75, 0.25)
    assert cell.refresh_forward == presets.PresetIOParameters()
    assert presets.PCMPresetUnitCell(refresh_every=3).refresh_every == 3
    assert CONFIGS["PCMPreset"]().device == cell


def test_input_and_output_presets_have_the_published_numbers() -> None:
    io, standard = presets.PresetIOParameters(), presets.StandardIOParameters()
    assert (io.inp_res, io.out_res, io.out_bound, io.out_noise) == (1 / 126, 1 / 510, 20.0, 0.1)
    assert (standard.inp_res, standard.out_res, standard.out_bound, standard.out_noise) == (
        1 / 254,
        1 / 254,
        10.0,
        0.04,
    )


def test_a_measured_device_can_be_changed_copied_and_pickled() -> None:
    device = presets.ReRamESPresetDevice(dw_min_dtod=0.0)
    assert (device.dw_min_dtod, device.dw_min) == (0.0, 0.00135)
    assert pickle.loads(pickle.dumps(device)) == copy.deepcopy(device) == device
    assert device.describe()["$"] == "ReRamESPresetDevice"
    with pytest.raises(ConfigError, match=re.escape("ReRamESPresetDevice.dw_min = -1.0")):
        presets.ReRamESPresetDevice(dw_min=-1.0)
    with pytest.raises(AttributeError, match="NoSuchPreset"):
        _ = presets.NoSuchPreset


def test_a_preset_gives_a_new_configuration_every_time() -> None:
    first, second = CONFIGS["TTv2EcRamPreset"](), CONFIGS["TTv2EcRamPreset"]()
    first.device.fast_lr = 9.0
    first.device.unit_cell_devices[0].dw_min = 0.5
    assert second.device.fast_lr == 0.1
    assert second.device.unit_cell_devices[0].dw_min == 0.002
    assert CONFIGS["TTv2EcRamPreset"](forward=IOParameters(is_perfect=True)).forward.is_perfect


NAMES = {
    "sgd": None, "tt": TransferCompound, "tiki-taka": TransferCompound, "TTv1": TransferCompound,
    "ttv2": ChoppedTransferCompound, "ttv3": ChoppedTransferCompound, "c-ttv2": ChoppedTransferCompound,
    "chopped-ttv2": ChoppedTransferCompound, "agad": DynamicTransferCompound, "ttv4": DynamicTransferCompound,
    "rlv2": ResidualTransferCompound, "residual-v2": ResidualTransferCompound, "rider": RiderTransferCompound,
    "e-rider": ERiderTransferCompound, "erider": ERiderTransferCompound,
    "mp": MixedPrecisionCompound, "mixed-precision": MixedPrecisionCompound, "mrl": MultiTileTransferCompound,
    "multi-tile": MultiTileTransferCompound, "lrtt": LowRankTransferCompound, "low-rank": LowRankTransferCompound,
}  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_build_config_knows_every_name_of_a_rule(name: str) -> None:
    config = build_config(name, SoftBoundsDevice)
    kind = NAMES[name]
    if kind is None:
        assert config.device == SoftBoundsDevice()
    else:
        assert type(config.device) is kind
    assert config.update.desired_bl == (5 if kind and issubclass(kind, BufferedTransferCompound) else 31)
    AnalogTile(2, 3, config).update(torch.ones(2, 3), torch.ones(2, 2))


def test_a_number_of_devices_is_that_of_the_tiles_of_a_chain() -> None:
    for name, given, count in (("mrl", None, 4), ("mrl", 1, 1), ("mrl", 6, 6), ("lrtt", None, 3), ("lrtt", 1, 3)):
        assert len(build_config(name, SoftBoundsDevice, n_devices=given).device.unit_cell_devices) == count
    with pytest.raises(ConfigError, match="low-rank Tiki-taka has a number of devices of its own"):
        build_config("lrtt", SoftBoundsDevice, n_devices=2)


def test_gradients_that_low_rank_tiki_taka_reads_are_scaled_as_in_the_layer() -> None:
    io = IOParameters(out_noise=0.01)
    assert build_config("lrtt", SoftBoundsDevice, io).device.transfer_forward == io
    assert build_config("mrl", SoftBoundsDevice, io).device.transfer_forward == unmanaged(io)


def test_the_training_for_a_mature_chip_has_the_published_numbers_and_trains() -> None:
    config = presets.StandardHWATrainingPreset()
    assert isinstance(config, InferenceRPUConfig)
    assert config.mapping == MappingParameter(
        weight_scaling_omega=1.0, weight_scaling_columnwise=True, learn_out_scaling=True, out_scaling_columnwise=True,
        max_input_size=512, max_output_size=0,
    )  # fmt: skip
    io = config.forward
    assert (io.inp_res, io.out_res, io.out_bound, io.out_noise) == (1 / 254, 1 / 254, 10.0, 0.04)
    assert (io.w_noise, io.w_noise_type, io.ir_drop) == (0.0175, WeightNoiseType.PCM_READ, 1.0)
    assert (io.noise_management, io.nm_thres) == (NoiseManagementType.CONSTANT, 1.0)
    assert io.bound_management is BoundManagementType.NONE
    assert config.pre_post.input_range == InputRangeParameter(enable=True)
    assert config.clip == WeightClipParameter(type=WeightClipType.FIXED_VALUE, fixed_value=1.0)
    assert config.remap == WeightRemapParameter(type=WeightRemapType.CHANNELWISE_SYMMETRIC)
    assert pickle.loads(pickle.dumps(config)) == copy.deepcopy(config) == presets.StandardHWATrainingPreset()
    config.modifier = WeightModifierParameter(type=WeightModifierType.ADD_NORMAL, std_dev=0.05)
    torch.manual_seed(0)
    layer = AnalogLinear(6, 4, rpu_config=config)
    optimizer, x = AnalogSGD(layer.parameters(), lr=0.1), torch.randn(50, 6)
    target, losses = x @ torch.randn(6, 4), []
    for _ in range(60):
        optimizer.zero_grad()
        loss = (layer(x) - target).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.25 * losses[0]
    torch.testing.assert_close(layer.tile.get_weights().abs().amax(1), torch.ones(4))


def test_a_name_has_one_definition_in_build_config_and_in_presets() -> None:
    numbers = {"in_chop_prob", "fast_lr", "auto_granularity", "tail_weightening"}
    for name, preset in (("ttv1", "TikiTaka"), ("ttv2", "TTv2"), ("ttv3", "ChoppedTTv2"), ("ttv4", "AGAD")):
        parameters = presets.PresetIOParameters, presets.PresetUpdateParameters()
        built = build_config(name, presets.EcRamPresetDevice, *parameters).device
        given = CONFIGS[f"{preset}EcRamPreset"]().device
        differ = {field for field in type(built).model_fields if getattr(built, field) != getattr(given, field)}
        assert differ <= numbers, name


def test_build_config_copies_what_it_is_given() -> None:
    device, io = SoftBoundsDevice(dw_min=0.01), IOParameters(out_noise=0.01)
    config = build_config("ttv1", device, io, UpdateParameters(desired_bl=7))
    config.device.unit_cell_devices[0].dw_min = 0.5
    config.forward.out_noise = 0.5
    config.update.desired_bl = 9
    assert config.device.unit_cell_devices[1].dw_min == device.dw_min == 0.01
    assert config.backward.out_noise == io.out_noise == 0.01
    assert config.device.transfer_update.desired_bl == 7


@pytest.mark.parametrize("name", ["ttv2", "ttv3", "ttv4", "rlv2"])
def test_transfers_of_buffered_rules_write_single_pulses_unless_told_otherwise(name: str) -> None:
    asked = UpdateParameters(desired_bl=7)
    config = build_config(name, SoftBoundsDevice, IOParameters, asked)
    assert config.update == asked
    assert config.device.transfer_update.desired_bl == 1
    told = build_config(name, SoftBoundsDevice, IOParameters, asked, transfer_update=UpdateParameters(desired_bl=3))
    assert told.device.transfer_update.desired_bl == 3


def test_several_devices_may_share_a_weight_under_sgd_only() -> None:
    config = build_config("sgd", lambda: SoftBoundsDevice(dw_min=0.02), n_devices=3, construction_seed=5)
    assert isinstance(config, UnitCellRPUConfig)
    assert len(config.device.unit_cell_devices) == 3
    assert config.device.construction_seed == 5
    with pytest.raises(ConfigError, match="n_devices = 3: TTv1 has a number of devices of its own"):
        build_config("ttv1", SoftBoundsDevice, n_devices=3)


@pytest.mark.parametrize("algorithm", ["sgd", "ttv1", "mp"])
def test_what_a_function_returns_is_copied_too(algorithm: str) -> None:
    device, io, up = SoftBoundsDevice(dw_min=0.01), IOParameters(), UpdateParameters()
    config = build_config(algorithm, lambda: device, lambda: io, lambda: up)
    for part in (config.forward, config.backward):
        part.out_noise = 0.5
    config.update.desired_bl = 9
    cell = config.device
    devices = {"sgd": lambda: [cell], "ttv1": lambda: cell.unit_cell_devices, "mp": lambda: [cell.device]}[algorithm]()
    for number, one in enumerate(devices):
        one.dw_min = 0.1 + number
    assert [one.dw_min for one in devices] == [0.1 + number for number in range(len(devices))]
    assert (device, io, up) == (SoftBoundsDevice(dw_min=0.01), IOParameters(), UpdateParameters())


@pytest.mark.parametrize(
    ("arguments", "fields", "message"),
    [
        (("ttv2", "SoftBoundsDevice"), {}, r"device = 'SoftBoundsDevice'\. Give a device or a cell"),
        (("sgd", None), {}, r"device = None\. Give a device or a cell"),
        (("mp", lambda: 3), {}, r"device = 3\. Give a device or a cell"),
        (("ttv1", TransferCompound), {}, r"device = TransferCompound\. Give a device or a cell"),
        (("ttv3", presets.ReRamESPreset), {}, r"device = SingleRPUConfig\. Give a device or a cell"),
        (("ttv3", SoftBoundsDevice, UpdateParameters), {}, r"io_parameters = UpdateParameters\. Give IOParameters"),
        (("ttv3", SoftBoundsDevice, None), {}, r"io_parameters = None\. Give IOParameters"),
        (("ttv3", SoftBoundsDevice, IOParameters, 31), {}, r"up_parameters = 31\. Give UpdateParameters"),
        (("sgd", SoftBoundsDevice), {"n_devices": 0}, r"n_devices = 0\. Give a whole number from 1"),
        (("sgd", SoftBoundsDevice), {"n_devices": 2.0}, r"n_devices = 2\.0\. Give a whole number from 1"),
        (("ttv1", SoftBoundsDevice), {"n_devices": True}, r"n_devices = True\. Give a whole number from 1"),
        (("ttv1", SoftBoundsDevice), {"unit_cell_devices": []}, "makes unit_cell_devices from its argument device"),
        (("ttv1", SoftBoundsDevice), {"construction_seed": -1}, "construction_seed = -1"),
        (("qqqq", SoftBoundsDevice), {}, r"no learning rule 'qqqq'\. There are: sgd"),
        ((None, SoftBoundsDevice), {}, "no learning rule None"),
    ],
)
def test_what_cannot_be_built_is_refused_with_the_remedy(
    arguments: tuple[Any, ...], fields: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        build_config(*arguments, **fields)


@pytest.mark.parametrize("table", [DEVICES, CONFIGS, presets.ALGORITHMS], ids=["devices", "configs", "algorithms"])
def test_entries_of_the_tables_can_be_counted_compared_and_pickled(table: dict[str, Any]) -> None:
    assert len(set(table.values())) == len(table)
    for entry in table.values():
        assert pickle.loads(pickle.dumps(entry)) == copy.deepcopy(entry) == entry


def test_a_field_that_a_configuration_lacks_is_refused_and_the_nearest_is_named() -> None:
    with pytest.raises(ConfigError, match=r"no field 'foward'.*'forward'"):
        CONFIGS["TTv2EcRamPreset"](foward=IOParameters())


def test_mistakes_name_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"no learning rule 'ttv5'\. Did you mean 'ttv"):
        build_config("ttv5", SoftBoundsDevice)
    with pytest.raises(ConfigError, match=r"no field 'fast_rl'.*Did you mean 'fast_lr'"):
        build_config("ttv2", SoftBoundsDevice, fast_rl=0.1)
    with pytest.raises(ConfigError, match=r"no field 'foo'.*It has: unit_cell_devices"):
        build_config("ttv2", SoftBoundsDevice, foo=0.1)


@pytest.mark.parametrize("name", ["rl", "rttv3", "fp"])
def test_rules_that_only_the_comparison_names_are_explained(name: str) -> None:
    what = {
        "rl": r"build_config\('ttv1', device, gamma=0.1\)",
        "rttv3": r"build_config\('ttv3', device, gamma=0.1\)",
        "fp": r"FloatingPointRPUConfig\(\)",
    }
    with pytest.raises(ConfigError, match=what[name]):
        build_config(name, SoftBoundsDevice)


@pytest.mark.parametrize("rule", ["sgd", "ttv1", "ttv4", "mp"])
def test_a_learning_rate_is_sent_to_the_optimizer(rule: str) -> None:
    for name in ("lr", "learning_rate"):
        with pytest.raises(ConfigError, match=rf"'{name}'.*AnalogSGD\(model.parameters\(\), lr=0.3\)"):
            build_config(rule, SoftBoundsDevice, **{name: 0.3})


def test_a_field_of_other_rules_is_refused_with_their_names() -> None:
    with pytest.raises(ConfigError, match=r"analog SGD.*'gamma' \(given 0.1\), as it has no fast array: .*ttv1, ttv2"):
        build_config("sgd", SoftBoundsDevice, gamma=0.1)
    with pytest.raises(ConfigError, match=r"analog SGD has no field 'transfer_every'.*ttv1"):
        build_config("sgd", SoftBoundsDevice, n_devices=2, transfer_every=2)
    with pytest.raises(ConfigError, match=r"TTv1 has no field 'in_chop_prob'.*it belongs to ttv3, ttv4, e-rider\."):
        build_config("ttv1", SoftBoundsDevice, in_chop_prob=0.1)


def test_ttv2_takes_no_choppers_which_would_make_ttv3_of_it() -> None:
    for name in ("in_chop_prob", "out_chop_prob"):
        with pytest.raises(ConfigError, match=rf"TTv2 has no field '{name}' \(given 0.1\): use 'ttv3'"):
            build_config("ttv2", SoftBoundsDevice, **{name: 0.1})
    config: Any = build_config("ttv2", SoftBoundsDevice, in_chop_prob=0.0)
    assert config.device.in_chop_prob == 0.0


def test_the_page_of_presets_shows_the_data() -> None:
    page = Path(__file__).parents[2].joinpath("docs/presets.md").read_text(encoding="utf-8")
    for preset in DEVICES.values():
        states = f"{preset_states(preset.name):,.0f}"
        row = f"| `{preset.class_name}` | {preset.base.__name__} | {states} | {preset.what} | {preset.source} |"
        assert row in page, row


def preset_states(name: str) -> float:
    return float(presets.device_class(name)().num_states)
