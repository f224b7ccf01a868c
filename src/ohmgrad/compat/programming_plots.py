"""Pictures of programmed weights, by the names of aihwkit: how they drift, and how far from the target they are."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy import ndarray
from torch import Tensor

from ohmgrad.analysis.plots.response import UNIT
from ohmgrad.analysis.plots.style import FAINT, tidy
from ohmgrad.compat.configs import InferenceRPUConfig, SingleRPUConfig, UnitCellRPUConfig
from ohmgrad.compat.inference import InferenceTile, PCMLikeNoiseModel
from ohmgrad.compat.kinds import tile_class_of
from ohmgrad.configs import InferenceRPUConfig as NativeInference
from ohmgrad.configs import PulsedDevice, UnitCell
from ohmgrad.errors import TileError
from ohmgrad.inference.pair import from_pair
from ohmgrad.presets import PresetIOParameters

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@torch.no_grad()
def plot_weight_drift(
    noise_model: Any = None,
    t_inference_list: ndarray | None = None,
    w_inits: ndarray | None = None,
    n_repeats: int = 25,
) -> None:
    """A new figure with programmed weights as time passes, without compensation of drift.

    Curves are means over cells, bands one standard deviation of what has changed since programming.

    :param noise_model: default phase-change memory; :param t_inference_list: seconds, default from 1 s to 115 days.
    :param w_inits: weights to program, the largest of which has the largest conductance; :param n_repeats: cells each.
    """
    import matplotlib.pyplot as plt

    times = np.logspace(0.0, 7.0, 15) if t_inference_list is None else np.asarray(t_inference_list)
    targets = np.sort(np.linspace(-1.0, 1.0, 9) if w_inits is None else np.asarray(w_inits).flatten())
    model = PCMLikeNoiseModel() if noise_model is None else noise_model
    config = InferenceRPUConfig(noise_model=model, drift_compensation=None)
    tile = InferenceTile(n_repeats, len(targets), config)
    tile.set_weights(torch.from_numpy(np.tile(targets, (n_repeats, 1))))
    tile.program_weights()
    programmed, means, spreads = _programmed(tile), [], []
    for seconds in times.tolist():
        tile.drift_weights(seconds)
        now = tile.get_weights()[0]
        means.append(now.mean(0))
        spreads.append((now - programmed).std(0, correction=0))
    axes = plt.figure(figsize=(10, 5), layout="constrained").add_subplot()
    colours = plt.get_cmap("coolwarm")(np.linspace(0.0, 1.0, len(targets)))
    curves = zip(targets, torch.stack(means, 1).numpy(), torch.stack(spreads, 1).numpy(), colours, strict=True)
    for target, mean, spread, colour in reversed(list(curves)):  # the legend has the largest weight at the top
        axes.fill_between(times, mean - spread, mean + spread, color=colour, alpha=0.3, linewidth=0)
        axes.plot(times, mean, color=colour, linewidth=1.6, label=f"{target:.3g}")
    tidy(axes, f"{type(model).__name__}: drift of programmed weights")
    axes.set_xscale("log")
    axes.set_xlabel("time after programming (s)", fontsize=9)
    axes.set_ylabel(UNIT, fontsize=9)
    axes.legend(title="target", loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=8, frameon=False)
    axes.margins(x=0)


@torch.no_grad()
def plot_programming_error(
    config: Any,
    w_range: tuple[float, float] = (-1.0, 1.0),
    w_init: ndarray | None = None,
    n_rows: int = 100,
    realistic_read: bool = False,
    n_bins: int = 101,
    use_cuda: bool = False,
    label: str | None = None,
    axes: Axes | None = None,
    t_inference: int | None = None,
    **kwargs: Any,
) -> Axes:
    """Draw over the target how far weights are from it after ``program_weights``: the mean, and its standard error.

    :param config: a configuration, or a device or compound, which is read through the circuits of
        ``PresetIOParameters``.
    :param w_init: weights to program, default ``n_rows`` x ``n_rows`` random ones in ``w_range``.
    :param realistic_read: read them through the forward product; else exactly, and without compensation of drift.
    :param n_bins: edges of the intervals of weights; :param t_inference: seconds since programming, where time counts.
    :param kwargs: of ``program_weights``; :returns: the axes, default the current ones.
    """
    import matplotlib.pyplot as plt

    axes = plt.gca() if axes is None else axes
    if isinstance(config, (PulsedDevice, UnitCell)):
        kind: Any = UnitCellRPUConfig if isinstance(config, UnitCell) else SingleRPUConfig
        config = kind(device=config, forward=PresetIOParameters())
    if isinstance(config, NativeInference) and not realistic_read:
        config = config.replaced(drift_compensation=None)  # it is digital, behind what is read here
    low, high = w_range
    if w_init is None:
        w_init = np.random.default_rng(_seed()).uniform(low, high, (n_rows, n_rows))
    target = torch.as_tensor(w_init, dtype=torch.float32)
    tile = tile_class_of(config)(target.shape[0], target.shape[1], config)
    if use_cuda and torch.cuda.is_available():
        tile.cuda()
    tile.set_weights(target, apply_weight_scaling=False)
    if isinstance(tile, InferenceTile) and t_inference is not None:
        tile.drift_weights(t_inference)
    else:
        tile.program_weights(**kwargs)
    if isinstance(tile, InferenceTile) and t_inference is None and not realistic_read:
        weights = _programmed(tile)
    else:
        weights, _ = tile.get_weights(apply_weight_scaling=False, realistic=realistic_read)
    _draw_errors(axes, target.numpy().ravel(), weights.numpy().ravel(), w_range, n_bins, label=label)
    axes.set_ylabel("programming error (% of the largest weight)", fontsize=9)
    return axes


@torch.no_grad()
def plot_model_programming_error(
    analog_model: Any,
    n_bins: int = 51,
    apply_weight_scaling: bool = False,
    axes: Axes | None = None,
    **kwargs: Any,
) -> Axes:
    """Draw how far the weights of a programmed model, as products read them now, are from those that were trained.

    :param apply_weight_scaling: weights as the layer has them, with the scales of the mapping; else those of the cells.
    :param kwargs: of the curve, such as ``label``; :returns: the axes, default the current ones.
    :raises TileError: if a tile of the model is not programmed.
    """
    import matplotlib.pyplot as plt

    axes = plt.gca() if axes is None else axes
    targets, weights = [], []
    for tile in analog_model.analog_tiles():
        trained = tile.__dict__.get("trained")
        if trained is None:
            raise TileError(
                f"plot_model_programming_error: {tile.get_brief_info()} is not programmed. Call"
                " model.program_analog_weights() or drift_analog_weights(model, seconds) before."
            )
        target, scale = trained.get_weights()[:, : tile.in_size], tile.get_scales()
        if apply_weight_scaling and scale is not None:
            target = target * scale.cpu().reshape(-1, 1)
        reader = copy.deepcopy(tile)  # reads count, and so have an effect on the noise of those that follow
        targets.append(target.flatten())
        weights.append(reader.get_weights(apply_weight_scaling=apply_weight_scaling, realistic=True)[0].flatten())
    if not targets:
        raise TileError("plot_model_programming_error: the model has no analog tiles. Give one that has.")
    target, reached = torch.cat(targets).numpy(), torch.cat(weights).numpy()
    largest = float(np.abs(target).max()) or 1.0
    _draw_errors(axes, target, reached, (-largest, largest), n_bins, **kwargs)
    axes.set_ylabel("programming error (% of the largest weight)", fontsize=9)
    if apply_weight_scaling:
        axes.set_xlabel("target weight (units of the layer)", fontsize=9)
    axes.set_xlim(-1.02 * largest, 1.02 * largest)
    return axes


def _draw_errors(
    axes: Axes, target: ndarray, reached: ndarray, w_range: tuple[float, float], n_bins: int, **look: Any
) -> None:
    """The mean error in intervals of the target with its standard error, in percent of half the range."""
    low, high = w_range
    edges = np.linspace(low, high, n_bins)
    inside = (target >= low) & (target <= high)
    error = 100.0 / ((high - low) / 2.0) * np.abs(reached - target)[inside]
    where = np.clip(np.digitize(target[inside], edges) - 1, 0, n_bins - 2)
    count = np.bincount(where, minlength=n_bins - 1)
    known = count > 0
    mean, spread = (np.full(n_bins - 1, np.nan) for _ in range(2))
    mean[known] = np.bincount(where, error, n_bins - 1)[known] / count[known]
    squares = np.bincount(where, (error - mean[where]) ** 2, n_bins - 1)[known] / count[known]
    spread[known] = np.sqrt(squares / count[known])
    axes.errorbar((edges[:-1] + edges[1:]) / 2.0, mean, spread, **({"linewidth": 1.2, "elinewidth": 0.8} | look))
    tidy(axes)
    axes.axhline(0, color=FAINT, linewidth=0.8)
    axes.set_xlabel("target weight (normalised units)", fontsize=9)
    if look.get("label"):
        axes.legend(loc="upper center", fontsize=8.5, frameon=False)  # errors are least in the middle


def _programmed(tile: InferenceTile) -> Tensor:
    """The weights that the cells were given, before any read with its noise."""
    programmed: Any = tile.cells
    cells = programmed.cells
    return from_pair(cells.g_programmed, cells.w_max, cells.noise_model.g_max).cpu()


def _seed() -> int:
    """From torch's generator, so that ``torch.manual_seed`` says which weights are drawn."""
    return int(torch.randint(2**62, ()))
