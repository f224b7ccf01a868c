"""Pictures of the lab: learning curves, the arrays of a layer, the response of a cell."""

from pathlib import Path

from ohmgrad.analysis.plots.response import draw_portrait, draw_response
from ohmgrad.analysis.portrait import portray
from ohmgrad.analysis.response import measure_response
from ohmgrad.lab.catalogue import Entry
from ohmgrad.lab.cells import CELLS, make_cell
from ohmgrad.lab.compare import Comparison
from ohmgrad.lab.plots.arrays import draw_arrays
from ohmgrad.lab.plots.curves import draw_curves
from ohmgrad.lab.plots.panels import draw_panels
from ohmgrad.lab.storage import write_json
from ohmgrad.lab.studies.reproduction import Reproduction
from ohmgrad.lab.sweep.panels import sweep_panels
from ohmgrad.lab.sweep.search import Sweep

__all__ = [
    "draw_arrays",
    "draw_comparison",
    "draw_curves",
    "draw_device",
    "draw_reproduction",
    "draw_response",
    "draw_sweep",
]

CELLS_MEASURED = 400
"""Cells whose response is measured."""


def draw_comparison(comparison: Comparison) -> dict[str, Path]:
    """Draw everything about a comparison into its folder; gives the pictures by what they show.

    The numbers behind ``device.png`` go to ``device.json``; those of the others are in the records of the runs.
    """
    setting, folder = comparison.setting, comparison.folder
    records = {row.algorithm: comparison.records(row.algorithm) for row in comparison.rows()}
    pictures = {
        "learning curves": folder / "curves.png",
        "A, C and W": folder / "arrays.png",
        "response of the cells": folder / "device.png",
    }
    seeds = f"{setting.seeds} seed{'s' if setting.seeds > 1 else ''}"
    curves, arrays, device = pictures.values()
    draw_curves(records, f"{comparison.title}, {seeds}", curves)
    draw_arrays({name: runs[0] for name, runs in records.items()}, f"{comparison.title}, seed 0", arrays)
    response = measure_response(make_cell(setting.device, setting.states), CELLS_MEASURED)
    cells = f"{setting.device} cells with {setting.states} states: {CELLS[setting.device]}"
    draw_response(response, cells, device)
    write_json(folder / "device.json", response.plain())
    return pictures


def draw_device(entry: Entry, cells: int, folder: Path) -> Path:
    """Draw how the cells of a device answer to pulses, ``cells`` of them one by one; gives the picture."""
    device, path = entry.device, folder / f"{entry.name}.png"
    facts = [
        entry.source,
        f"{device.num_states:.0f} states",
        f"step noise {100 * device.dw_min_std:.3g} %",
        f"write noise {device.write_noise:.2g}, in the dots only" if device.write_noise else "",
    ]
    title = f"{entry.name}: response of the cells to pulses"
    draw_portrait(portray(device, cells), title, "; ".join(filter(None, facts)), device.weight_granularity, path)
    return path


def draw_sweep(sweep: Sweep) -> dict[str, Path]:
    """Draw the score over each hyperparameter of a search; gives the picture, if any of them had several values."""
    path, panels = sweep.folder / "figure.png", sweep_panels(sweep)
    if not panels:
        return {}
    draw_panels(panels, f"Hyperparameters of {sweep.recipe.title}", sweep.subtitle, path)
    return {"picture": path}


def draw_reproduction(reproduction: Reproduction) -> Path:
    """Draw what a reproduction found beside the numbers of the paper; gives the picture."""
    study, results, path = reproduction.study, reproduction.results(), reproduction.folder / "figure.png"
    seeds = len({record["seed"] for record in results.records})
    subtitle = f"{study.paper}; {f'mean, lowest and highest of {seeds} seeds' if seeds > 1 else 'one seed'}"
    draw_panels(study.panels(results), study.title, subtitle, path)
    return path
