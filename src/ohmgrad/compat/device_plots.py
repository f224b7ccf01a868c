"""Pictures of devices, by the names of aihwkit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ohmgrad.analysis.plots.response import COLOURS, UNIT
from ohmgrad.analysis.plots.style import FAINT, tidy
from ohmgrad.analysis.steps import SampledCells
from ohmgrad.compat.configs import SingleRPUConfig, UnitCellRPUConfig
from ohmgrad.compat.pulse_response import (
    compute_pulse_response,
    compute_pulse_statistics,
    estimate_n_steps,
    get_tile_for_plotting,
    silent_twin,
    there_and_back,
)
from ohmgrad.compat.response_plots import (
    NAMED,
    curves_of,
    draw_trace,
    enough,
    name_of,
    nodes_for,
    plot_response_overview,
)
from ohmgrad.compat.tiles import AnalogTile
from ohmgrad.configs import (
    BoundManagementType,
    IOParameters,
    NoiseManagementType,
    PulsedDevice,
    UnitCell,
    WeightNoiseType,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


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
        axes.set(title=name_of(tile), xlabel="pulses sent", ylabel=UNIT, xlim=(1, len(trace)), ylim=(-limit, limit))
        return axes
    figure = plt.figure(figsize=(12, 4), layout="constrained")
    up, middle, down = figure.subplots(1, 3, sharey=True, width_ratios=(1, 4.5, 1))
    draw_trace(middle, trace, f"{name_of(tile)}, as products read it", legend=0, **look)
    middle.set_ylabel("")
    if n_traces <= NAMED:
        middle.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=NAMED, fontsize=8, frameon=False)
    direction = there_and_back(enough(1, steps), steps)
    silent = compute_pulse_response(silent_twin(tile, config, w_init), direction)
    nodes = np.linspace(silent.min(), silent.max(), nodes_for(steps))
    largest = 0.0
    for panel, is_up in ((up, True), (down, False)):
        sizes = np.abs(compute_pulse_statistics(nodes, silent, direction, is_up)[0])
        for number, curve in enumerate(curves_of(sizes)):
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
    """A new figure with pulses up and down in turns, which lead every cell to its symmetric point.

    :param w_noise: without effect, since the weights of the cells are drawn; :param w_init: the first weight.
    """
    import matplotlib.pyplot as plt

    tile = get_tile_for_plotting(_config(device, w_noise), n_traces, use_cuda, w_init=w_init)
    trace = compute_pulse_response(tile, there_and_back(n_pulses, 1))
    axes = plt.figure(figsize=(10, 5), layout="constrained").add_subplot()
    if isinstance(device, PulsedDevice):
        _mark_symmetry(axes, tile, n_pulses)
    draw_trace(axes, trace, f"{name_of(tile)}: pulses up and down in turns", linewidth=0.8)
    limit = max(1.0, 1.05 * float(np.abs(trace).max()))
    axes.set_ylim(-limit, limit)


def _mark_symmetry(axes: Axes, tile: AnalogTile, end: int) -> None:
    """Arrowheads where the law puts the symmetric points of cells; some have none."""
    hidden = tile.get_hidden_parameters()
    cells = {name: hidden[name].cpu().reshape(-1) for name in hidden if name != "persistent_weights"}
    device: Any = tile.rpu_config.device
    points = SampledCells(device, cells).symmetry_points()
    for number, point in enumerate(points.tolist()):
        colour = COLOURS[number % len(COLOURS)]
        look: dict[str, Any] = {"marker": "<", "markersize": 8, "markeredgecolor": "white", "clip_on": False}
        axes.plot([end], [point], color=colour, zorder=5, **look)
    if bool(points.isfinite().any()):
        axes.plot([], [], color=FAINT, linestyle="", marker="<", label="symmetric point by the law")


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
