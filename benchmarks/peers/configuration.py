"""Every configuration that is compared, made from the names of either library."""

from __future__ import annotations

from typing import Any

from peers.cases import MIXED

GRANULARITY = 1e-4
"""Small steps, so that no cell comes to a bound while it is measured."""
DEVICES: dict[str, tuple[str, dict[str, Any]]] = {
    "constant_step": ("ConstantStepDevice", {}),
    "linear_step": ("LinearStepDevice", {"gamma_up": 0.3, "gamma_down": 0.3}),
    "soft_bounds": ("SoftBoundsDevice", {}),
    "exp_step": ("ExpStepDevice", {}),
    "pow_step": ("PowStepDevice", {}),
    "soft_bounds_reference": ("SoftBoundsReferenceDevice", {}),
    "pow_step_reference": ("PowStepReferenceDevice", {}),
    "piecewise_step": ("PiecewiseStepDevice", {}),
}
RULES = {
    "ttv1": "TransferCompound",
    "ttv2": "BufferedTransferCompound",
    "ttv3": "ChoppedTransferCompound",
    "ttv4": "DynamicTransferCompound",
}
ALIKE = {"dw_min_dtod": 0.0, "dw_min_std": 0.0, "w_max_dtod": 0.0, "w_min_dtod": 0.0, "up_down_dtod": 0.0}
"""Fields that make all cells of a device the same, and their pulses too."""


def config(names: Any, subject: str, granularity: float = GRANULARITY, **fields: Any) -> Any:
    """A device trained by SGD, or a rule on two soft-bounds devices; one column is transferred after every sample.

    :param names: the module of either library that holds the configurations.
    :param fields: of the device.
    """
    if subject in DEVICES:
        return names.SingleRPUConfig(device=_device(names, subject, granularity, fields))
    if subject == MIXED:
        return names.DigitalRankUpdateRPUConfig(
            device=names.MixedPrecisionCompound(device=_device(names, "soft_bounds", granularity, fields))
        )
    compound = getattr(names, RULES[subject])(
        unit_cell_devices=[_device(names, "soft_bounds", granularity, fields) for _ in range(2)],
        fast_lr=0.0,  # that of the tile
        units_in_mbatch=False,
        transfer_every=1.0,
    )
    return names.UnitCellRPUConfig(device=compound)


def same_cells(names: Any, subject: str) -> Any:
    """The device that gradients reach, its cells alike and without noise: then its pulses can be counted."""
    return config(names, subject if subject in DEVICES else "soft_bounds", **ALIKE)


def with_circuits(names: Any, circuits: str) -> Any:
    """A soft-bounds tile whose products are ``ideal`` or have the ``default`` converters and noise."""
    made = config(names, "soft_bounds")
    if circuits == "ideal":
        made.forward, made.backward = names.IOParameters(is_perfect=True), names.IOParameters(is_perfect=True)
    return made


def _device(names: Any, subject: str, granularity: float, fields: dict[str, Any]) -> Any:
    """A device with the default variations between cells and pulses."""
    kind, own = DEVICES[subject]
    return getattr(names, kind)(dw_min=granularity, **own, **fields)
