"""Curves of a page, as plotly draws them: from the same panels as the pictures."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ohmgrad.analysis.plots.style import INK
from ohmgrad.lab.studies.study import Line, Panel

DASHES = {"-": "solid", "--": "dash", ":": "dot"}
BAND = "26"
"""Opacity of a band, in hexadecimal: 15 %."""
DECADES = 1e4
"""On a logarithmic axis that spans less, 2 and 5 are named between the powers of ten."""
Look = Mapping[str, tuple[str, str]]
"""Colour and dash of every series."""


def figure(panel: Panel, look: Look) -> dict[str, Any]:
    """Data and layout of a panel; the colours of paper, ink and grid are those of the reader, put in by the page.

    Every line is up to three traces of one group, which its entry in the legend shows and hides: the band from the
    lowest to the highest seed, the means, and the numbers of the paper as circles. What is drawn in ink is marked
    with ``meta``, since ink is light on a dark page.
    """
    floor = _floor(panel)
    data = [trace for line in panel.lines for trace in _traces(line, panel, *look[line.series], floor)]
    layout = {
        "title": {"text": html.escape(panel.title)},
        "xaxis": _axis(panel.x_label, panel.log_x, [value for trace in data for value in trace["x"]]),
        "yaxis": _axis(panel.y_label, panel.log_y, [value for trace in data for value in trace["y"]]),
    }
    if panel.joined and panel.markers and panel.log_x:  # few places: name each of them
        places = sorted({x for line in panel.lines for x in line.x})
        layout["xaxis"] |= {"tickvals": places, "ticktext": [f"{x:g}" for x in places]}
    return {"data": data, "layout": layout}


def accuracy_figure(panel: Panel, look: Look, ticks: Sequence[float], closest: float) -> dict[str, Any]:
    """A panel of accuracies, drawn on an axis that is logarithmic in the share of wrong answers.

    :param ticks: accuracies on the axis; :param closest: least share of wrong answers that is drawn.
    """

    def wrong(values: Sequence[float]) -> list[float]:
        return [max(1.0 - value, closest) for value in values]

    lines = [replace(line, y=wrong(line.y), low=wrong(line.high), high=wrong(line.low)) for line in panel.lines]
    drawn = figure(replace(panel, lines=lines, log_y=True), look)
    for trace in drawn["data"]:
        if trace.get("customdata"):
            line = next(line for line in panel.lines if line.title == trace["meta"]["title"])
            trace["customdata"] = [_range(line, k, 100.0, "%") for k in range(len(line.y))]
    most = max(1.0 - min(line.low or line.y) for line in panel.lines)
    shown = [tick for tick in ticks if 1.0 - tick <= most]
    drawn["layout"]["yaxis"] |= {
        "tickvals": [*(1.0 - tick for tick in shown), closest],
        "ticktext": [*(f"{100 * tick:g}" for tick in shown), "100"],
        "autorange": "reversed",
    }
    return drawn


def _axis(label: str, log: bool, values: Sequence[float]) -> dict[str, Any]:
    axis: dict[str, Any] = {"title": {"text": html.escape(label)}, "type": "log" if log else "linear"}
    positive = [value for value in values if value > 0.0]
    if log and positive and max(positive) < DECADES * min(positive):
        axis |= {"dtick": "D2", "tickformat": ".3~g"}  # 1, 2, 5, 10
    return axis


def _traces(line: Line, panel: Panel, colour: str, dash: str, floor: float) -> list[dict[str, Any]]:
    name = html.escape(line.title)
    shared = {"name": name, "legendgroup": name, "meta": {"ink": colour == INK, "title": line.title}}
    traces: list[dict[str, Any]] = []
    if len(line.low) and list(line.low) != list(line.high):
        edge = [max(value, floor) for value in (*line.high, *reversed(line.low))]
        band = {"x": [*line.x, *reversed(line.x)], "y": edge, "fill": "toself", "fillcolor": colour + BAND}
        traces.append(shared | band | {"mode": "none", "hoverinfo": "skip", "showlegend": False})
    mode = "markers" if not panel.joined else "lines+markers" if panel.markers else "lines"
    known = [(x, value) for x, value in zip(line.x, line.published, strict=False) if value is not None]
    traces.append(
        shared
        | {
            "x": list(line.x),
            "y": list(line.y),
            "mode": mode,
            "line": {"color": colour, "dash": DASHES[dash], "width": 2},
            "marker": {"color": colour, "size": 6},
            "customdata": [_range(line, k) for k in range(len(line.y))],
            "hovertemplate": f"{html.escape(panel.x_label)} %{{x:.4~g}}<br>%{{customdata}}",
        }
    )
    if known:
        circles = {"color": colour, "size": 11, "symbol": "circle-open", "line": {"width": 1.5}}
        traces.append(
            shared
            | {
                "name": f"{name}, the paper",
                "x": [x for x, _ in known],
                "y": [value for _, value in known],
                "mode": "markers",
                "marker": circles,
                "hovertemplate": f"{html.escape(panel.x_label)} %{{x:.4~g}}<br>%{{y:.4~g}}",
                "showlegend": False,
            }
        )
    return traces


def _range(line: Line, k: int, scale: float = 1.0, unit: str = "") -> str:
    """A mean, and between what it is one, for the pointer."""
    text = f"{scale * line.y[k]:.4g}"
    if len(line.low) and line.low[k] != line.high[k]:
        text += f" ({scale * line.low[k]:.4g} to {scale * line.high[k]:.4g})"
    return f"{text} {unit}".rstrip()


def _floor(panel: Panel) -> float:
    """On a logarithmic axis, bands end at half the least mean rather than at zero."""
    means = [value for line in panel.lines for value in line.y if value > 0.0]
    return 0.5 * min(means) if panel.log_y and means else float("-inf")
