"""One tile that learns a target weight from inputs: the synthetic problem of most papers."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from ohmgrad.tile import AnalogTile

REPORTS = 40
"""How often a run tells how it goes."""


def programmed(
    tile: AnalogTile,
    target: Tensor,
    inputs: Callable[[torch.Generator], Tensor],
    steps: int,
    seed: int,
    noise: float = 0.0,
    scale: float = 1.0,
) -> Iterator[int]:
    r"""Train a tile towards a target: :math:`d = s\,(W - W_*)\,x`, plus noise; yields the number of steps done.

    :param target: ``[out, in]``; :param inputs: gives the vectors of the next step ``[n, in]``.
    :param noise: standard deviation of what is added to d; :param scale: s, such as 1/n for a mean over a batch.
    """
    random = torch.Generator().manual_seed(seed)
    every = max(1, steps // REPORTS)
    with torch.no_grad():
        for step in range(1, steps + 1):
            x = inputs(random)
            d = scale * (tile(x) - x @ target.t())
            if noise > 0.0:
                d = d + noise * torch.randn(d.shape, generator=random)
            tile.update(x, d)
            if step % every == 0 or step == steps:
                yield step


def half_square(inputs: Tensor, weights: Tensor, target: Tensor) -> float:
    r"""The loss of least squares, :math:`\tfrac{1}{2n}\,\|X (w - w_*)\|^2` over n inputs ``[n, in]``."""
    return float((inputs @ (weights - target).t()).square().mean() / 2.0)


def rms(values: Tensor) -> float:
    """Root mean square."""
    return float(values.square().mean().sqrt())
