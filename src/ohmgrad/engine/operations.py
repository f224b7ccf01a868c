"""Random numbers of operations on all cells of an array, addressed by the number of the operation."""

from __future__ import annotations

import torch
from torch import Tensor

from ohmgrad.engine.draws import Draws

_WORD = 0xFFFFFFFF


def fresh_noise(counter: Tensor, stream: int, like: Tensor, draws: Draws) -> Tensor:
    """Standard normal numbers for the next operation, ``[out, in]``; counts it in ``counter`` (int64 scalar)."""
    counter += 1
    rows = torch.arange(like.shape[0])
    return draws.normal(stream, rows, like.shape[1], int(counter) & _WORD).to(like.device)


def choose_columns(
    counter: Tensor, stream: int, like: Tensor, columns: Tensor, probability: float, draws: Draws
) -> Tensor:
    """Cells in some columns, each chosen with a probability: bool ``[out, in]``."""
    chosen = torch.zeros_like(like, dtype=torch.bool)
    chosen[:, columns] = True
    if probability < 1.0:
        rows = torch.arange(like.shape[0])
        coins = draws.uniform(stream, rows, like.shape[1], int(counter) & _WORD)
        chosen &= coins.to(like.device) <= probability
    return chosen
