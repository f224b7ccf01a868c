"""The picture of a calibration of symmetric points."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ohmgrad.analysis.plots.response import DOWN, UNIT, UP, frame
from ohmgrad.analysis.plots.style import FAINT, new_figure, save

if TYPE_CHECKING:
    from ohmgrad.analysis.zero_shift import ZeroShift


INSIDE = 0.99
"""Share of what is read that the histogram shows: a single cell far away would squeeze all others."""


def draw_zero_shift(found: ZeroShift, path: Path) -> None:
    """Draw estimates over the exact points (left), and what is read at these, before and after (right)."""
    known = found.exact.isfinite()
    exact, estimate = found.exact[known].numpy(), found.estimate[known].numpy()
    error = found.error[known].numpy()
    some = f"{len(exact)} cells with a symmetric point" if len(exact) else "no cell has a symmetric point"
    figure = new_figure(11, 4.7, "Zero-shifting", f"{found.pulses} pulses up and down in turns; {some}")
    left, right = (figure.add_axes((x, 0.125, width, 0.6)) for x, width in ((0.065, 0.4), (0.55, 0.425)))
    left.plot(exact, estimate, linestyle="", marker=".", markersize=4, color=UP, alpha=0.6, label="cells")
    if len(exact):
        ends = [float(exact.min()), float(exact.max())]
        left.plot(ends, ends, color=FAINT, linewidth=1.0, label="exact")
    frame(left, "Estimates", f"symmetric point by the law, {UNIT}", legend=2)
    left.set_ylabel("as read after the pulses", fontsize=9)
    reach = 1.05 * float(np.quantile(np.abs([*exact, *error, 1e-3]), INSIDE))
    bins = np.linspace(-reach, reach, 60)
    outside = int(((np.abs(exact) > reach) | (np.abs(error) > reach)).sum())
    beyond = f"; {outside} of {len(exact)} cells lie beyond" if outside else ""
    for values, colour, label in ((exact, DOWN, "before"), (-error, UP, "after")):
        right.hist(values, bins=bins, color=colour, alpha=0.6, label=label)
    frame(right, f"What is read at the symmetric points{beyond}", UNIT, legend=2)
    right.set_ylabel("cells", fontsize=9)
    right.yaxis.get_major_locator().set_params(integer=True)
    save(figure, path)
