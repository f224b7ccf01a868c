"""Pictures of what pulses do to cells, by the names of aihwkit; they go into the current figure of matplotlib."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy import ndarray

from ohmgrad.compat.configs import SingleRPUConfig, UnitCellRPUConfig
from ohmgrad.compat.programming_plots import plot_model_programming_error, plot_programming_error, plot_weight_drift
from ohmgrad.compat.pulse_response import (
    compute_pulse_response,
    compute_pulse_statistics,
    estimate_n_steps,
    get_tile_for_plotting,
    silent_twin,
    there_and_back,
)
from ohmgrad.compat.tiles import AnalogTile
from ohmgrad.configs import BoundManagementType, IOParameters, NoiseManagementType, PulsedDevice, UnitCell
from ohmgrad.configs import RPUConfig, WeightNoiseType
from ohmgrad.lab.plots.response import COLOURS, UNIT, frame
from ohmgrad.lab.plots.style import FAINT, INK, tidy
from ohmgrad.lab.steps import SampledCells

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "compute_pulse_response",
    "compute_pulse_statistics",
    "estimate_n_steps",
    "get_tile_for_plotting",
    "plot_device",
    "plot_device_compact",
    "plot_device_symmetry",
    "plot_model_programming_error",
    "plot_programming_error",
    "plot_pulse_response",
    "plot_pulse_statistics",
    "plot_response_overview",
    "plot_weight_drift",
]

NAMED = 6
"""Cells up to which a legend names each of them."""
STEP = "mean step (normalised units)"


def plot_pulse_response(analog_tile: AnalogTile, direction: ndarray, use_forward: bool = False) -> ndarray:
    """Send pulses to the cells of a tile, and draw their weights; gives :func:`compute_pulse_response`."""
    import matplotlib.pyplot as plt

    trace = compute_pulse_response(analog_tile, direction, use_forward)
    how = "weights as products read them" if use_forward else "weights of the cells"
    _draw_trace(plt.gca(), trace, f"{_name(analog_tile)}: {how}")
    return trace


def plot_pulse_statistics(
    w_trace: ndarray, direction: ndarray, up_direction: bool, num_nodes: int = 100, smoothness: float = 0.5
) -> tuple[ndarray, ndarray, ndarray]:
    """Draw the step over the weight, a band of one standard deviation around its mean.

    Gives the weights, and there :func:`compute_pulse_statistics`.
    """
    import matplotlib.pyplot as plt

    axes = plt.gca()
    nodes = np.linspace(w_trace.min(), w_trace.max(), num_nodes)
    mean, std = compute_pulse_statistics(nodes, w_trace, direction, up_direction, smoothness)
    for number, (middle, spread) in enumerate(zip(_curves(mean), _curves(std), strict=True)):
        colour = COLOURS[number % len(COLOURS)]
        axes.fill_between(nodes, middle - spread, middle + spread, color=colour, alpha=0.25, linewidth=0)
        axes.plot(nodes, middle, color=colour, linewidth=1.2, label=f"cell {number + 1}")
    frame(axes, f"Steps {'up' if up_direction else 'down'}", UNIT)
    axes.set_ylabel(STEP, fontsize=9)
    return nodes, mean, std


def plot_response_overview(
    rpu_config: RPUConfig,
    n_loops: int = 5,
    n_steps: int | None = None,
    n_traces: int = 5,
    use_cuda: bool = False,
    smoothness: float = 0.1,
) -> None:
    """Draw pulses up and down as they are read, the same cells without noise, and the steps of these.

    :param n_loops: how often up and down, but at least 1000 pulses and not too many; :param n_steps: pulses of one way,
        default :func:`estimate_n_steps`; :param n_traces: cells.
    """
    import matplotlib.pyplot as plt

    steps = estimate_n_steps(rpu_config) if n_steps is None else n_steps
    direction = there_and_back(_enough(n_loops, steps), steps)
    figure = plt.gcf()
    figure.clf()
    tile = get_tile_for_plotting(rpu_config, n_traces, use_cuda)
    name = _name(tile)
    grid = figure.add_gridspec(3, 2)
    noisy = compute_pulse_response(tile, direction, use_forward=True)
    silent = compute_pulse_response(silent_twin(tile, rpu_config), direction)
    _draw_trace(figure.add_subplot(grid[0, :]), noisy, f"{name}, as products read it", linewidth=0.8)
    _draw_trace(figure.add_subplot(grid[1, :]), silent, "The same cells without noise of steps and reads", name=False)
    for column, up in enumerate((True, False)):
        figure.add_subplot(grid[2, column])
        plot_pulse_statistics(silent, direction, up, min(steps, 100), smoothness)
    figure.tight_layout()


def plot_device(device: PulsedDevice | UnitCell, w_noise: float = 0.0, **kwargs: Any) -> None:
    """A new figure with the overview of a device.

    :param w_noise: standard deviation of the noise of weights when they are read.
    :param kwargs: of :func:`plot_response_overview`.
    """
    import matplotlib.pyplot as plt

    plt.figure(figsize=(7.5, 8))
    plot_response_overview(_config(device, w_noise), **kwargs)


def plot_device_compact(
    device: PulsedDevice | UnitCell,
    w_noise: float = 0.0,
    n_steps: int | None = None,
    n_traces: int = 3,
    n_loops: int = 2,
    w_init: float | None = None,
    use_cuda: bool = False,
    axes: Axes | None = None,
    **plot_kwargs: Any,
) -> Figure | Axes:
    """Draw pulses up and down as they are read, between the steps up and the steps down without noise.

    :param w_noise: standard deviation of the noise of weights when they are read; :param w_init: the first weight.
    :param axes: draw the pulses only, and there; :param plot_kwargs: of their curves.
    :returns: the figure, or the axes that were given.
    """
    import matplotlib.pyplot as plt

    config = _config(device, w_noise)
    steps = estimate_n_steps(config) if n_steps is None else n_steps
    tile = get_tile_for_plotting(config, n_traces, use_cuda, w_init=w_init)
    trace = compute_pulse_response(tile, there_and_back(2 * n_loops * steps, steps), use_forward=True)
    limit = 1.2 * float(np.abs(trace).max()) or 1.0
    look = {"linewidth": 1.0} | plot_kwargs
    if axes is not None:  # its colours are its own, for there may be other devices
        axes.plot(np.arange(1, len(trace) + 1), trace.reshape(len(trace), -1), **look)
        axes.set(title=_name(tile), xlabel="pulses sent", ylabel=UNIT, xlim=(1, len(trace)), ylim=(-limit, limit))
        return axes
    figure = plt.figure(figsize=(12, 4), layout="constrained")
    up, middle, down = figure.subplots(1, 3, sharey=True, width_ratios=(1, 4.5, 1))
    _draw_trace(middle, trace, f"{_name(tile)}, as products read it", **look)
    middle.set_ylabel("")
    direction = there_and_back(_enough(1, steps), steps)
    silent = compute_pulse_response(silent_twin(tile, config, w_init), direction)
    nodes = np.linspace(silent.min(), silent.max(), min(steps, 100))
    largest = 0.0
    for panel, is_up in ((up, True), (down, False)):
        sizes = np.abs(compute_pulse_statistics(nodes, silent, direction, is_up)[0])
        for number, curve in enumerate(_curves(sizes)):
            panel.plot(curve, nodes, color=COLOURS[number % len(COLOURS)], linewidth=1.2)
        tidy(panel, f"Steps {'up' if is_up else 'down'}, no noise")
        panel.axhline(0, color=FAINT, linewidth=0.8)
        panel.set_xlabel("size (normalised units)", fontsize=9)
        largest = max(largest, float(np.max(sizes, where=np.isfinite(sizes), initial=0.0)))
    for panel in (up, down):
        panel.set_xlim(0.0, 1.2 * largest or 1.0)
    up.set_ylabel(UNIT, fontsize=9)
    up.set_ylim(-limit, limit)
    return figure


def plot_device_symmetry(
    device: PulsedDevice,
    w_noise: float = 0.0,
    n_pulses: int = 10000,
    n_traces: int = 3,
    use_cuda: bool = False,
    w_init: float = 1.0,
) -> None:
    """A new figure with pulses up and down in turns, which lead every cell to its symmetry point.

    :param w_noise: without effect, since the weights of the cells are drawn; :param w_init: the first weight.
    """
    import matplotlib.pyplot as plt

    tile = get_tile_for_plotting(_config(device, w_noise), n_traces, use_cuda, w_init=w_init)
    trace = compute_pulse_response(tile, there_and_back(n_pulses, 1))
    axes = plt.figure(figsize=(10, 5), layout="constrained").add_subplot()
    _draw_trace(axes, trace, f"{_name(tile)}: pulses up and down in turns", linewidth=0.8)
    limit = max(1.0, 1.05 * float(np.abs(trace).max()))
    axes.set_ylim(-limit, limit)
    if isinstance(device, PulsedDevice):
        _mark_symmetry(axes, tile, n_pulses)


def _mark_symmetry(axes: Axes, tile: AnalogTile, end: int) -> None:
    """Arrowheads where the law puts the symmetry points of cells; some have none."""
    hidden = tile.get_hidden_parameters()
    cells = {name: hidden[name].cpu().reshape(-1) for name in hidden if name != "persistent_weights"}
    device: Any = tile.rpu_config.device
    points = SampledCells(device, cells).symmetry_points()
    for number, point in enumerate(points.tolist()):
        colour = COLOURS[number % len(COLOURS)]
        look = {"marker": "<", "markersize": 8, "markeredgecolor": "white", "clip_on": False, "zorder": 5}
        axes.plot([end], [point], color=colour, **look)
    if bool(points.isfinite().any()):
        mark = axes.plot([], [], color=FAINT, linestyle="", marker="<", label="symmetry point by the law")
        axes.legend(handles=mark, loc="upper right", fontsize=8, frameon=False)


def _draw_trace(axes: Axes, trace: ndarray, title: str, name: bool = True, **look: Any) -> None:
    """One curve for each cell over the pulses, in its colour."""
    curves = _curves(trace)
    for number, curve in enumerate(curves):
        own = {"linewidth": 1.0, "color": COLOURS[number % len(COLOURS)], "label": f"cell {number + 1}"}
        axes.plot(np.arange(1, len(trace) + 1), curve, **(own | look))
    frame(axes, title, "pulses sent")
    if name and 1 < len(curves) <= NAMED:
        axes.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=NAMED, fontsize=8, frameon=False)
    axes.set_ylabel(UNIT, fontsize=9)
    axes.margins(x=0)


def _curves(values: ndarray) -> ndarray:
    """``[points, out, in]`` as one row for each cell."""
    return values.reshape(len(values), -1).T


def _enough(loops: int, steps: int) -> int:
    """Pulses of so many loops: not too few for statistics, and not so many that nobody would wait for them."""
    return min(max(2 * loops * steps, 1000), max(50000, 2 * steps))


def _name(tile: AnalogTile) -> str:
    return type(tile.rpu_config.device).__name__


def _config(device: Any, w_noise: float) -> Any:
    """A configuration whose forward product reads weights exactly, but for noise of the weights."""
    forward = IOParameters(
        out_noise=0.0,
        w_noise=w_noise,
        w_noise_type=WeightNoiseType.ADDITIVE_CONSTANT,
        inp_res=-1.0,
        out_res=-1.0,
        out_bound=100.0,
        bound_management=BoundManagementType.NONE,
        noise_management=NoiseManagementType.NONE,
    )
    kind = UnitCellRPUConfig if isinstance(device, UnitCell) else SingleRPUConfig
    return kind(device=device, forward=forward)
