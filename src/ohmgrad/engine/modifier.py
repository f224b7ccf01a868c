r"""The weights that products see in training: disturbed, so that a model bears the errors of a chip.

A law is a plain function of the weights ``w`` ``[out, in]``, of ``a``, the largest there is (or is assumed), and of
random numbers for each weight: ``noise`` is standard normal, ``chance`` uniform.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ohmgrad.engine.draws import Draws, Stream
from ohmgrad.engine.host import HostModule
from ohmgrad.parameters.enums import WeightModifierType
from ohmgrad.parameters.modifier import WeightModifierParameter


def discretized(w: Tensor, a: Tensor, res: float, chance: Tensor | None = None) -> Tensor:
    """A few values, evenly spaced from ``-a`` to ``a``."""
    return a * rounded(_share(w, a), res, chance)


def with_noise(w: Tensor, a: Tensor, std: float, noise: Tensor) -> Tensor:
    """All weights are equally noisy."""
    return w + std * a * noise


def with_relative_noise(w: Tensor, a: Tensor, std: float, noise: Tensor) -> Tensor:
    """The noise grows with the weight."""
    return w * (1.0 + std * a * noise)


def with_polynomial_noise(w: Tensor, a: Tensor, std: float, coeffs: Sequence[float], noise: Tensor) -> Tensor:
    """How noisy a weight is, is a polynomial of its size."""
    size, sigma = _share(w, a).abs(), torch.zeros_like(w)
    for c in reversed(coeffs):
        sigma = sigma * size + c
    return w + a * std * sigma * noise


def as_programmed(w: Tensor, a: Tensor, std: float, coeffs: Sequence[float], noise: Tensor) -> Tensor:
    """The same, but the sign stays: what was not meant to be there is on the cell that was meant."""
    return w.sign() * with_polynomial_noise(w, a, std, coeffs, noise).abs()


def dorefa(w: Tensor, a: Tensor, clip: float, res: float, chance: Tensor | None = None) -> Tensor:
    """A few values from ``-clip`` to ``clip``, closer for large weights."""
    return rounded(clip * _share(w.tanh(), a.tanh()), res, chance)


def dropped(w: Tensor, pdrop: float, chance: Tensor) -> Tensor:
    """Each weight is 0 with a probability."""
    return torch.where(chance <= pdrop, 0.0, w)


def rounded(v: Tensor, res: float, chance: Tensor | None) -> Tensor:
    """In whole steps: halves away from 0, or up or down by chance. Steps of 1 / ``res`` above 1; 0 or less: none."""
    if res <= 0.0:
        return v
    steps = v * (res if res > 1.0 else 1.0 / res)
    steps = steps.sign() * (steps.abs() + 0.5).floor() if chance is None else (steps + (chance - 0.5)).round()
    return steps * (1.0 / res if res > 1.0 else res)


def _share(w: Tensor, a: Tensor) -> Tensor:
    return torch.where(a > 0.0, w / a, 0.0)


class Modifier(HostModule):
    """The disturbed weights of a tile.

    They follow from the weights, the seed of the tile and the number of steps of the optimizer, so that this number is
    all that is saved. Whoever changes the weights says so, and they are made anew when they are next needed, in the
    same memory.

    :param parameters: what is done to the weights; :param like: the weights.
    """

    steps: Tensor
    """Steps of the optimizer so far; it stays on the device, so that a step can be captured."""
    modified: Tensor

    def __init__(self, parameters: WeightModifierParameter, like: Tensor) -> None:
        super().__init__()
        self.parameters_of_modifier = parameters
        self.register_counter("steps")
        self.register_buffer("modified", torch.zeros_like(like), persistent=False)
        self._is_current = False

    def acts(self, training: bool) -> bool:
        """Whether products see disturbed weights now."""
        return training or self.parameters_of_modifier.enable_during_test

    def forget(self) -> None:
        """The weights are, or may be, others than before."""
        self._is_current = False

    def seen(self, weights: Tensor, draws: Draws) -> Tensor:
        """What products see of the weights ``[out, in]``; its memory stays the same."""
        if not self._is_current:
            self.modified.copy_(self._disturbed(weights, draws))
            self._is_current = True
        return self.modified

    def step(self, weights: Tensor, draws: Draws) -> None:
        """The optimizer has stepped: draw anew."""
        self.steps += 1
        self.forget()
        self.seen(weights, draws)  # now, so that a captured step ends with what its repetition begins with

    def _disturbed(self, w: Tensor, draws: Draws) -> Tensor:
        given, rows = self.parameters_of_modifier, torch.arange(w.shape[0], device=w.device)
        kind, width = given.type, w.shape[1]
        a = w.abs().amax() if given.rel_to_actual_wmax else torch.full_like(w[0, 0], given.assumed_wmax)

        def noise() -> Tensor:
            return draws.normal(Stream.MODIFIER.of(0), rows, width, self.steps)

        def chance(stream: Stream) -> Tensor:
            return draws.uniform(stream.of(0), rows, width, self.steps)

        rounds = given.sto_round and given.res > 0.0
        rounding = chance(Stream.MODIFIER_ROUND) if rounds and kind in _ROUNDED else None
        v = w
        if kind in (WeightModifierType.DISCRETIZE, WeightModifierType.DISCRETIZE_ADD_NORMAL):
            v = discretized(w, a, given.res, rounding)
        if kind in (WeightModifierType.ADD_NORMAL, WeightModifierType.DISCRETIZE_ADD_NORMAL):
            v = with_noise(v, a, given.std_dev, noise())
        elif kind is WeightModifierType.MULT_NORMAL:
            v = with_relative_noise(w, a, given.std_dev, noise())
        elif kind is WeightModifierType.POLY:
            v = with_polynomial_noise(w, a, given.std_dev, given.coeffs, noise())
        elif kind is WeightModifierType.PROG_NOISE:
            v = as_programmed(w, a, given.std_dev / given.g_max, given.coeffs, noise())
        elif kind is WeightModifierType.DOREFA:
            v = dorefa(w, a, given.dorefa_clip, given.res, rounding)
        if given.pdrop > 0.0:
            v = dropped(v, given.pdrop, chance(Stream.MODIFIER_DROP))
        return torch.cat([v[:, :-1], w[:, -1:]], 1) if given.copy_last_column else v


_ROUNDED = (WeightModifierType.DISCRETIZE, WeightModifierType.DISCRETIZE_ADD_NORMAL, WeightModifierType.DOREFA)
