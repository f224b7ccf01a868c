"""Cells without noise, pulses without chance, and small tiles made of them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ohmgrad.configs import (
    BufferedTransferCompound,
    ChoppedTransferCompound,
    ConstantStepDevice,
    DynamicTransferCompound,
    IOParameters,
    PulsedDevice,
    PulseType,
    RuntimeParameter,
    TransferCompound,
    UnitCellRPUConfig,
    UpdateParameters,
)
from ohmgrad.tile import AnalogTile

RULES: tuple[type[TransferCompound], ...] = (
    TransferCompound,
    BufferedTransferCompound,
    ChoppedTransferCompound,
    DynamicTransferCompound,
)
"""TTv1 to TTv4."""

EXACT = UpdateParameters(pulse_type=PulseType.NONE)
"""Writes as if there were no pulses."""

ONE_PULSE = UpdateParameters(desired_bl=1, update_management=False, update_bl_management=False)
"""One slot: with a learning rate of one step and values of +-1, one certain pulse."""


def cell(dw_min: float = 0.01, bound: float = 10.0, **fields: Any) -> ConstantStepDevice:
    """Constant steps without noise or variation; a reset leads to exactly 0."""
    silent = dict.fromkeys(("dw_min_std", "dw_min_dtod", "up_down_dtod", "w_max_dtod", "w_min_dtod", "reset_std"), 0.0)
    return ConstantStepDevice(**{"dw_min": dw_min, "w_max": bound, "w_min": -bound, **silent, **fields})


def compound(
    rule: type[TransferCompound], devices: list[PulsedDevice] | None = None, **fields: Any
) -> TransferCompound:
    """A compound of two silent arrays that is read perfectly and counts its periods in vectors."""
    common = {
        "unit_cell_devices": [cell(), cell()] if devices is None else devices,
        "units_in_mbatch": False,
        "transfer_forward": IOParameters(is_perfect=True),
    }
    return rule(**{**common, **fields})


def tile_of(
    shape: tuple[int, int],
    device: TransferCompound,
    implementation: str = "cpu",
    rate: float = 0.3,
    seed: int = 0,
    update: UpdateParameters | None = None,
) -> AnalogTile:
    """A tile ``[out, in]`` with its own seed and learning rate."""
    torch.manual_seed(seed)
    config = UnitCellRPUConfig(
        device=device,
        update=UpdateParameters() if update is None else update,
        runtime=RuntimeParameter(implementation=implementation),
    )
    tile = AnalogTile(*shape, config)
    tile.set_learning_rate(rate)
    return tile


def put(tile: AnalogTile, values: dict[str, Tensor | float]) -> None:
    """Set some hidden parameters of a tile and leave the others."""
    hidden = tile.get_hidden_parameters()
    for name, value in values.items():
        hidden[name] = torch.as_tensor(value, dtype=torch.float32).expand_as(hidden[name]).clone()
    tile.set_hidden_parameters(hidden)


def pass_time(tile: AnalogTile, vectors: int = 1, at_once: bool = False) -> None:
    """Vectors without any gradient, one after the other or as one batch."""
    for count in [vectors] if at_once else [1] * vectors:
        tile.update(torch.zeros(count, tile.in_size), torch.zeros(count, tile.out_size))


def fast(tile: AnalogTile) -> Tensor:
    """A, as stored."""
    return tile.get_hidden_parameters()["hidden_weights_0"]


def slow(tile: AnalogTile) -> Tensor:
    """C of two arrays."""
    return tile.get_hidden_parameters()["hidden_weights_1"]


def buffer(tile: AnalogTile) -> Tensor:
    """H of two arrays, whatever the rule calls it."""
    hidden = tile.get_hidden_parameters()
    return hidden["buffered_FP_weight_0" if "buffered_FP_weight_0" in hidden else "buffered_FP_weight"]


def pointer(tile: AnalogTile, source: int = 0) -> int:
    """The slice that a source gives next."""
    return int(tile.algorithm_state()["current_slice_indices"][source])


def close(got: Tensor, want: Any, tolerance: float = 1e-6) -> None:
    """Equal up to rounding."""
    want = torch.as_tensor(want, dtype=got.dtype).expand_as(got)
    torch.testing.assert_close(got, want, atol=tolerance, rtol=tolerance)


def everything(tile: AnalogTile) -> dict[str, Tensor]:
    """All that a tile remembers, and what it shows."""
    return {**{name: value.clone() for name, value in tile.state_dict().items()}, "visible": tile.get_weights()}


def same_bits(first: dict[str, Tensor], second: dict[str, Tensor]) -> None:
    """Every tensor is the same, bit for bit."""
    assert first.keys() == second.keys()
    for name, value in first.items():
        assert torch.equal(value, second[name]), name
