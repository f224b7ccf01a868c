"""What pulses do to the cells of a tile, as numbers."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
from numpy import ndarray

from ohmgrad.compat.tiles import AnalogTile
from ohmgrad.configs import IOParameters, PulseType, RPUConfig, SingleRPUConfig
from ohmgrad.errors import ConfigError

STEPS_OF_A_CELL = 1000
"""Pulses from one bound to the other that are assumed of cells of several devices."""
FAINTEST = 0.1
"""Steps that must lie at a weight, each counted by how near it is, for there to be statistics."""


@torch.no_grad()
def compute_pulse_response(analog_tile: AnalogTile, direction: ndarray, use_forward: bool = False) -> ndarray:
    """Weights ``[pulses, out, in]`` after each pulse that all cells are sent.

    :param direction: 1: up; -1: down; 0: none. :param use_forward: read the weights through the forward product, with
        its noise; else they are those of the cells.
    """
    rows, columns, where = analog_tile.out_size, analog_tile.in_size, analog_tile.device
    each_input, x = torch.eye(columns, device=where), -torch.ones(1, columns, device=where)
    trace = np.zeros((len(direction), rows, columns))
    for number, sign in enumerate(direction):
        analog_tile.update(x, torch.full((1, rows), float(sign), device=where))
        weights = analog_tile(each_input).t() if use_forward else analog_tile.get_weights()[0]
        trace[number] = weights.cpu().numpy()
    return trace


def compute_pulse_statistics(
    w_nodes: ndarray, w_trace: ndarray, direction: ndarray, up_direction: bool, smoothness: float = 0.5
) -> tuple[ndarray, ndarray]:
    r"""Mean and standard deviation of the step of every cell over its weight, each ``[nodes, out, in]``.

    Every step counts by :math:`\exp(-\frac12 (w - w_{node})^2 / \lambda^2)`, w the weight before it, and
    :math:`\lambda` half the distance of two nodes times ``smoothness``. NaN where a cell hardly ever was.

    :param w_nodes: weights at equal distances; :param w_trace: of :func:`compute_pulse_response`;
    :param direction: of its pulses; :param up_direction: whether steps up or steps down are meant.
    """
    sign = 1.0 if up_direction else -1.0
    # The first pulse after a turn is left out, as in aihwkit.
    wanted = (np.sign(direction[:-1]) == sign) & (np.diff(direction) == 0)
    before, steps = w_trace[:-1][wanted], np.diff(w_trace, axis=0)[wanted]
    width = (w_nodes[1] - w_nodes[0]) / 2.0 * smoothness or 1.0  # of cells that never move, any will do
    mean, std = (np.full((len(w_nodes), *w_trace.shape[1:]), np.nan) for _ in range(2))
    for number, node in enumerate(w_nodes):
        nearness = np.exp(-0.5 * ((before - node) / width) ** 2)
        total = nearness.sum(axis=0)
        known = total >= FAINTEST
        share = nearness[:, known] / total[known]
        mean[number, known] = (share * steps[:, known]).sum(axis=0)
        squares = (steps[:, known] - mean[number, known]) ** 2
        std[number, known] = np.sqrt((share * squares).sum(axis=0))
    return mean, std


def get_tile_for_plotting(
    rpu_config: RPUConfig,
    n_traces: int,
    use_cuda: bool = False,
    noise_free: bool = False,
    w_init: float | None = None,
) -> AnalogTile:
    """A tile with one input, whose every sample is one pulse for all of its ``n_traces`` cells.

    :param noise_free: without noise of steps, writes and reads; its cells are sampled as ever.
    :param w_init: the first weight; None: the mean lower bound, or -1 if the device has none.
    """
    config: Any = copy.deepcopy(rpu_config)
    config.update.update_bl_management = False
    config.update.update_management = False
    config.update.desired_bl = 1
    if noise_free:
        config.forward.is_perfect = True
        _silence(config.device)
    tile = AnalogTile(n_traces, 1, config)
    tile.set_learning_rate(1.0)
    _begin(tile, w_init)
    return tile.cuda() if use_cuda and torch.cuda.is_available() else tile


def silent_twin(tile: AnalogTile, rpu_config: RPUConfig, w_init: float | None = None) -> AnalogTile:
    """A tile for plotting without noise, that has the same cells as another one had."""
    twin = get_tile_for_plotting(rpu_config, tile.out_size, tile.is_cuda, noise_free=True, w_init=w_init)
    twin.set_hidden_parameters(tile.get_hidden_parameters())
    _begin(twin, w_init)  # at other bounds than before, and some hidden weights came along
    return twin


def estimate_n_steps(rpu_config: RPUConfig) -> int:
    """Pulses from the lower to the upper bound, if all had the size of the mean step.

    :raises ConfigError: if the device has no bounds.
    """
    if not isinstance(rpu_config, SingleRPUConfig):
        return STEPS_OF_A_CELL
    states = getattr(rpu_config.device, "num_states", None)
    if states is None:
        kind = type(rpu_config.device).__name__
        raise ConfigError(f"estimate_n_steps: {kind} has no bounds. Say n_steps where it is plotted.")
    return max(1, round(states))


def there_and_back(pulses: int, steps: int) -> ndarray:
    """Directions of so many pulses: ``steps`` up, as many down, and so on."""
    return np.where(np.arange(pulses) // steps % 2 == 0, 1.0, -1.0)


def _begin(tile: AnalogTile, w_init: float | None) -> None:
    """Set all cells to the first weight, as far as their bounds let them."""
    first = getattr(tile.rpu_config.device, "w_min", -1.0) if w_init is None else w_init
    tile.set_weights(torch.full((tile.out_size, tile.in_size), float(first)))


def _silence(device: Any) -> None:
    """Set noise to 0 in a device and all that it consists of."""
    if hasattr(device, "dw_min_std"):
        device.dw_min_std = 0.0
    for name in ("refresh_forward", "transfer_forward"):
        if hasattr(device, name):
            setattr(device, name, IOParameters(is_perfect=True))
    for name in ("refresh_update", "transfer_update"):
        update = getattr(device, name, None)
        if update is not None:  # counts are not drawn; exact updates would go past the bounds
            setattr(device, name, update.replaced(pulse_type=PulseType.DETERMINISTIC_IMPLICIT))
    if getattr(device, "write_noise_std", 0.0) > 0.0:
        device.write_noise_std = 1e-6  # at 0 there would be no persistent weights, and other hidden parameters
    inside = getattr(device, "device", None)
    for each in [*(getattr(device, "unit_cell_devices", None) or []), *([] if inside is None else [inside])]:
        _silence(each)
