"""What `ohmgrad fit` does: a device by its name is fitted to a file, printed, and written."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

from ohmgrad.analysis import DeviceFit, Measurements, fit_measurements
from ohmgrad.lab.catalogue import find
from ohmgrad.lab.device_tables import describe, plain
from ohmgrad.lab.storage import versions, write_json
from ohmgrad.lab.tables import new_table

if TYPE_CHECKING:
    from rich.console import Console


def fit_file(path: Path, name: str, vary: list[str] | None, method: str, **normalisation: float | None) -> DeviceFit:
    """The fit of a device to a file.

    :param name: of the device, see :func:`~ohmgrad.lab.catalogue.find`; :param normalisation: what was given of it.
    :raises ConfigError: if there is no such device, or the file or a number is not right.
    """
    device = find(name).device
    as_it_comes = device == type(device)()
    given = {each: value for each, value in normalisation.items() if value is not None}
    measured = Measurements.read(path)
    return fit_measurements(measured, type(device) if as_it_comes else device, vary, method, **given)


def show_fit(fit: DeviceFit, console: Console) -> None:
    """Print the values with their uncertainties, and how to make the device; it fits 80 characters."""
    kind, cells = type(fit.device), len(fit.cells)
    pulses = sum(len(cell.up) for cell in fit.cells.values())
    some = f"{cells} cell{'s' if cells > 1 else ''} and {pulses} pulses"
    console.print(f"[bold]{kind.__name__}[/bold], fitted to {some}; {fit.normalisation}", highlight=False)
    table = new_table("", "parameter", "value", "error", "meaning")
    rows = [(name, value, fit.errors[name]) for name, value in fit.values.items()]
    rows += [("dw_min_std", *fit.dw_min_std), *((name, *pair) for name, pair in fit.spread.items())]
    for name, value, error in rows:
        field = name if name in kind.model_fields else name.rpartition("_")[0]
        shown = f"{error:.2g}" if math.isfinite(error) else ""
        table.add_row(name, f"{value:.4g}", shown, plain(describe(kind, field)))
    console.print(table)
    pairs = sorted(fit.correlations.items(), key=lambda pair: -abs(pair[1]))
    strongest = [f"{a} and {b} {value:+.2f}" for (a, b), value in pairs if abs(value) >= 0.1][:3]
    if strongest:
        console.print(f"Correlations of the errors: {'; '.join(strongest)}.", highlight=False)
    if fit.read_noise > 0.0:
        console.print(f"Errors of reading: {fit.read_noise:.3g} in weights.", highlight=False)
    if fit.advice:
        console.print(fit.advice, style="bold", highlight=False)


def write_fit(fit: DeviceFit, source: Path, folder: Path) -> dict[str, Path]:
    """Write numbers and picture; gives the paths by what they are."""
    numbers, picture = (folder / f"{source.stem}.{kind}" for kind in ("json", "png"))
    write_json(numbers, {"file": str(source), "versions": versions(), **fit.plain()})
    return {"picture": fit.plot(picture), "numbers": numbers}
