"""What a wished change does to cells in the limit of infinitely fine pulses."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from ohmgrad.engine.array import CellArray


def analog_updates(array: CellArray, granularity: float) -> Callable[[Tensor], Tensor]:
    r"""The function from wished changes :math:`\Delta` ``[out, in]`` of the cells of an array to what they change.

    Pulses of a granularity g, of which a change asks for :math:`|\Delta| / g`, move a cell by
    :math:`|\Delta|\, s_\pm(w) / g` on average, where :math:`s_\pm` is the step of its law without noise up or down.
    With the responses :math:`q_\pm = \pm s_\pm / g` this is the analog update of the papers,

    .. math:: \Delta F(w) - |\Delta|\, G(w), \qquad F = (q_- + q_+)/2, \qquad G = (q_- - q_+)/2

    In double precision, since steps may be tiny beside the weight. A step is that of the law with its bounds: within
    one step of a hard bound it is as long as what is left.
    """
    law, like = array.law, array.state
    own: dict[str, Tensor] = array.cell_values(*law.cell) if law.cell else {}
    cells = [own[name].double() for name in law.cell]
    constants: list[Any] = [like.new_tensor(c).double() if isinstance(c, tuple) else c for c in law.constants]
    arguments = law.arguments(cells, constants)

    def update(change: Tensor) -> Tensor:
        weight = array.state.double()
        step = law.function(weight, change > 0.0, torch.zeros_like(weight), *arguments) - weight
        moved: Tensor = change.double().abs() * (step / granularity)
        return moved

    return update
