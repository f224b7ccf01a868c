"""A weight as the difference of two conductances, only one of which is meant to be there."""

from __future__ import annotations

import torch
from torch import Tensor


def to_pair(weight: Tensor, w_max: Tensor, g_max: float) -> Tensor:
    r"""The target conductances :math:`g^\pm = g_{max} \min(\max(\pm w, 0) / w_{max}, 1)`, ``[2, out, in]``.

    :param weight: ``[out, in]``; :param w_max: the weight of the largest conductance; if it is 0, so are they all.
    """
    share = torch.where(w_max > 0.0, weight / w_max, 0.0).clamp(-1.0, 1.0)
    return g_max * torch.stack([share.clamp(min=0.0), (-share).clamp(min=0.0)])


def from_pair(pair: Tensor, w_max: Tensor, g_max: float) -> Tensor:
    r"""The weight of two conductances, :math:`w = (g^+ - g^-)\, w_{max} / g_{max}`, ``[out, in]``."""
    return (pair[0] - pair[1]) * (w_max / g_max)
