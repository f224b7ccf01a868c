"""Pictures of what pulses do to the cells of a tile, by the names of aihwkit, in the current figure of matplotlib."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy import ndarray

from ohmgrad.analysis.plots.response import COLOURS, UNIT, frame
from ohmgrad.compat.pulse_response import (
    compute_pulse_response,
    compute_pulse_statistics,
    estimate_n_steps,
    get_tile_for_plotting,
    silent_twin,
    there_and_back,
)
from ohmgrad.compat.tiles import AnalogTile
from ohmgrad.configs import RPUConfig

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NAMED = 6
"""Cells up to which a legend names each of them."""


def plot_pulse_response(analog_tile: AnalogTile, direction: ndarray, use_forward: bool = False) -> ndarray:
    """Send pulses to the cells of a tile, and draw their weights; gives :func:`compute_pulse_response`."""
    import matplotlib.pyplot as plt

    trace = compute_pulse_response(analog_tile, direction, use_forward)
    how = "weights as products read them" if use_forward else "weights of the cells"
    draw_trace(plt.gca(), trace, f"{name_of(analog_tile)}: {how}")
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
    for number, (middle, spread) in enumerate(zip(curves_of(mean), curves_of(std), strict=True)):
        colour = COLOURS[number % len(COLOURS)]
        axes.fill_between(nodes, middle - spread, middle + spread, color=colour, alpha=0.25, linewidth=0)
        axes.plot(nodes, middle, color=colour, linewidth=1.2, label=f"cell {number + 1}")
    frame(axes, f"Steps {'up' if up_direction else 'down'}", UNIT)
    axes.set_ylabel("mean step (normalised units)", fontsize=9)
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
    direction = there_and_back(enough(n_loops, steps), steps)
    figure = plt.gcf()
    figure.clf()
    tile = get_tile_for_plotting(rpu_config, n_traces, use_cuda)
    name = name_of(tile)
    grid = figure.add_gridspec(3, 2)
    noisy = compute_pulse_response(tile, direction, use_forward=True)
    silent = compute_pulse_response(silent_twin(tile, rpu_config), direction)
    draw_trace(figure.add_subplot(grid[0, :]), noisy, f"{name}, as products read it", linewidth=0.8)
    draw_trace(figure.add_subplot(grid[1, :]), silent, "The same cells without noise of steps and reads", legend=0)
    for column, up in enumerate((True, False)):
        figure.add_subplot(grid[2, column])
        plot_pulse_statistics(silent, direction, up, nodes_for(steps), smoothness)
    figure.tight_layout()


def draw_trace(axes: Axes, trace: ndarray, title: str, legend: int = NAMED, **look: Any) -> None:
    """One curve for each cell over the pulses, in its colour."""
    curves = curves_of(trace)
    for number, curve in enumerate(curves):
        own: dict[str, Any] = {"linewidth": 1.0, "color": COLOURS[number % len(COLOURS)], "label": f"cell {number + 1}"}
        axes.plot(np.arange(1, len(trace) + 1), curve, **(own | look))
    frame(axes, title, "pulses sent", legend=legend if len(curves) <= NAMED else 0)
    axes.set_ylabel(UNIT, fontsize=9)
    axes.margins(x=0)


def curves_of(values: ndarray) -> ndarray:
    """``[points, out, in]`` as one row for each cell."""
    return values.reshape(len(values), -1).T


def enough(loops: int, steps: int) -> int:
    """Pulses of so many loops: not too few for statistics, and not so many that nobody would wait for them."""
    return min(max(2 * loops * steps, 1000), max(50000, 2 * steps))


def nodes_for(steps: int) -> int:
    """Weights at which steps are worked out."""
    return max(2, min(steps, 100))


def name_of(tile: AnalogTile) -> str:
    """The class of its device."""
    return type(tile.rpu_config.device).__name__
