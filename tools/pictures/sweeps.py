"""How the error of the experiment depends on one hyperparameter at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from ohmgrad.analysis.plots.response import COLOURS, frame
from ohmgrad.configs import BufferedTransferCompound, ChoppedTransferCompound, DynamicTransferCompound
from pictures.drawing import figure_of, save
from pictures.experiment import learn
from pictures.rules import CHOPPED, OFFSET, SLOW, two

SAMPLES = 1500


def errors(name: str, values: Iterable[float], config: Callable[[float], Any], rate: float | None = 0.1) -> list[float]:
    """The error for each value; ``rate`` None: the value is the learning rate."""
    found = []
    for value in values:
        traces = learn(config(value), SAMPLES, value if rate is None else rate, ("hidden_weights_0",))
        fast, slow = (float(counts.total.sum()) / traces.weights[0].numel() for counts in traces.tile.pulse_counts())
        full = float((traces.parts["hidden_weights_0"].abs() > 0.85).float().mean())
        print(
            f"{name} {value:<6g} error {traces.error:.3f}, pulses a sample to a cell of A {fast / SAMPLES:.2f}, to one"
            f" of C {slow / SAMPLES:.4f}, A near a bound {100 * full:.0f} %",
            flush=True,
        )
        found.append(traces.error)
    return found


def draw_hyperparameters(folder: Path) -> None:
    """The error over the learning rate, the rate and period of the transfer, and the probability of a flip."""
    figure, panels = figure_of(
        "One hyperparameter at a time",
        "The experiment of the learning rules. Left and middle TTv2 with symmetric points at 0, right at 0.3.",
        panels=3,
    )
    rates, transfers, flips = (0.01, 0.03, 0.1, 0.3, 1.0), (0.002, 0.005, 0.02, 0.1, 0.4), (0.02, 0.05, 0.1, 0.2, 0.5)
    left, middle, right = panels
    plain = two(BufferedTransferCompound, **SLOW)(0.0)
    _curve(left, 0, "TTv2", rates, errors("lr           ", rates, lambda _: plain, None))

    def transfer(value: float, period: float = 1.0) -> Any:
        fields: dict[str, Any] = SLOW | {"transfer_lr": value * period, "transfer_every": period}
        return two(BufferedTransferCompound, **fields)(0.0)

    _curve(middle, 0, "every sample", transfers, errors("transfer_lr  ", transfers, transfer))
    _curve(middle, 1, "every 4th, rate x 4", transfers, errors("and period 4 ", transfers, lambda v: transfer(v, 4.0)))

    def chopped(rule: Any) -> Callable[[float], Any]:
        return lambda value: two(rule, **(CHOPPED | {"in_chop_prob": value}))(OFFSET)

    _curve(right, 3, "TTv3", flips, errors("TTv3 flips   ", flips, chopped(ChoppedTransferCompound)))
    _curve(right, 4, "TTv4", flips, errors("TTv4 flips   ", flips, chopped(DynamicTransferCompound)))
    titles = {"Learning rate": "lr", "Rate of the transfer": "transfer_lr", "Chance of a flip": "in_chop_prob"}
    left.set_ylabel("error of a weight (normalised units)", fontsize=9)
    for axes, (title, field), values in zip(panels, titles.items(), (rates, transfers, flips), strict=True):
        frame(axes, title, field, legend=2)
        axes.set_xscale("log")
        axes.minorticks_off()
        axes.set_xticks(values, [f"{value:g}" for value in values])
        axes.set_ylim(0.0, 0.24)
    save(figure, folder, "hyperparameters")


def _curve(axes: Any, colour: int, label: str, values: Iterable[float], found: list[float]) -> None:
    axes.plot(list(values), found, "o-", color=COLOURS[colour], markersize=4.5, linewidth=1.0, label=label)


PICTURES: dict[str, Any] = {"hyperparameters": draw_hyperparameters}
"""What draws each picture."""
