"""Random numbers of operations on all cells of an array, addressed by the number of the operation."""

from __future__ import annotations

import torch
from torch import Tensor

from ohmgrad.engine.draws import Draws


def fresh_noise(counter: Tensor, stream: int, like: Tensor, draws: Draws, happens: Tensor | None = None) -> Tensor:
    """Standard normal numbers for the next operation, ``[out, in]``; counts it in ``counter`` (int64 scalar).

    :param happens: a truth value on the device: whether it is an operation at all, and counts; None: it is.
    """
    rows = torch.arange(like.shape[0], device=like.device)
    noise = draws.normal(stream, rows, like.shape[1], counter + 1)
    counter += 1 if happens is None else happens
    return noise


def choose_columns(
    counter: Tensor, stream: int, like: Tensor, columns: Tensor, probability: float, draws: Draws
) -> Tensor:
    """Cells in some columns, each chosen with a probability: bool ``[out, in]``."""
    chosen = torch.zeros_like(like, dtype=torch.bool)
    chosen[:, columns] = True
    if probability < 1.0:
        rows = torch.arange(like.shape[0], device=like.device)
        chosen &= draws.uniform(stream, rows, like.shape[1], counter) <= probability
    return chosen
