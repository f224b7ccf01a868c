"""The picture of what was recorded in training."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ohmgrad.analysis.plots.style import new_figure, save, tidy

if TYPE_CHECKING:
    from ohmgrad.analysis.recorder import Recorder

TITLES = {
    "residual": "Residual, share of W",
    "saturation": "Cells at a bound",
    "fill": "Fill of the buffer, thresholds",
    "pulses_per_step": "Pulses per step, logarithmic",
    "distance": "Distance from symmetric points",
    "flipped": "Choppers flipped",
    "phase": "Phase of the warm start",
}
COLOURS = ("#0b7a75", "#c8553d", "#3d5a80", "#8f6593", "#b08900", "#5a8f3d")
STYLES = ("-", "--", ":", "-.")
LOGARITHMIC, DOTS = "pulses_per_step", "flipped"
"""C is pulsed a hundred times less often than A; choppers flip between two rows, so that a line would show nothing."""

NAMED, NUMBERED = {2: "solid A, dashed C"}, "solid A, then dashed, dotted, dash-dotted: one array after the other"


def draw_recorder(recorder: Recorder, path: Path) -> None:
    """Draw a panel for every quantity that was recorded: a colour for each layer, a kind of line for each array."""
    from ohmgrad.analysis.recorder import kind_of

    panels = [kind for kind in TITLES if any(kind_of(name) == kind for name in recorder.columns)]
    layers = list(dict.fromkeys(row["layer"] for row in recorder.rows))
    across, down = 3, -(-len(panels) // 3)
    height = 1.0 + 2.5 * down
    arrays = len([name for name in recorder.columns if kind_of(name) == "saturation"])
    what = f"{recorder.steps} steps" + (f"; {NAMED.get(arrays, NUMBERED)}" if arrays > 1 else "")
    figure = new_figure(11, height, "What happened inside", what)
    grid: Any = figure.subplots(down, across, squeeze=False)
    figure.subplots_adjust(
        left=0.07,
        right=0.98,
        bottom=0.55 / (1.0 + 2.5 * down),
        top=1.0 - 1.1 / (1.0 + 2.5 * down),
        hspace=0.5,
        wspace=0.3,
    )
    for axes, kind in zip(grid.flat, panels, strict=False):
        columns = [name for name in recorder.columns if kind_of(name) == kind]
        for number, layer in enumerate(layers):
            steps = [row["step"] for row in recorder.rows if row["layer"] == layer]
            for k, name in enumerate(columns):
                colour, line = COLOURS[number % len(COLOURS)], STYLES[k % len(STYLES)]
                label = layer if k == 0 else None
                look = "." if kind == DOTS else line
                axes.plot(steps, recorder.column(layer, name), look, color=colour, linewidth=1.3, label=label)
        if kind == LOGARITHMIC and any(line.get_ydata().max(initial=0.0) > 0.0 for line in axes.lines):
            axes.set_yscale("log", nonpositive="mask")
        tidy(axes, TITLES[kind])
    for axes in list(grid.flat)[len(panels) :]:
        axes.set_visible(False)
    if layers:
        grid[0, 0].legend(title="layer", title_fontsize=8, fontsize=8, frameon=False)
    for axes in grid[-1]:
        axes.set_xlabel("step", fontsize=9)
    save(figure, path)
