"""How long the pulse trains of a sample are, and with what scales its values become probabilities."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ohmgrad.engine import peaks
from ohmgrad.engine.compiler import compile_function
from ohmgrad.engine.fingerprint import fingerprint, named
from ohmgrad.engine.implementation import Implementation
from ohmgrad.engine.kernel_cache import compile_kernel
from ohmgrad.engine.peaks import row_peak, row_peaks
from ohmgrad.parameters.update import UpdateParameters
from ohmgrad.words import double, floor, maximum, minimum, single, sqrt, where

_LARGEST = 3.4028234663852886e38


@dataclass
class Lengths:
    """Train length and line scales of every sample.

    ``bl`` int64 ``[n]``; ``a`` and ``b`` float32 ``[n]``: line j of x fires with probability ``b |x_j|`` in every slot,
    line i of d with ``a |d_i|``. ``longest``: no train is longer, as is known without asking the device; 0: unknown.
    """

    bl: Tensor
    a: Tensor
    b: Tensor
    longest: int = 0


Settings = tuple[float, float, float, bool, bool, bool]
"""The arguments of :func:`train_length` that are the same for all samples."""


def train_length(top_x, top_d, rate, granularity, longest, grad_scale, managed, bl_managed, lengthens):  # type: ignore[no-untyped-def]
    r"""Train length and scales of one sample, in double precision.

    Without management :math:`BL = M` and :math:`A = B = \sqrt{\lambda / (g M)}`, with M = ``desired_bl``; if
    :math:`\lambda > g M` and the length is not fixed, :math:`BL = \lceil \lambda / g \rceil` and :math:`A = B = 1`.
    With update BL management :math:`BL = \min(\lceil k \rceil, M)` where :math:`k = \lambda X \alpha_{um} D / g`
    is the number of pulses that the strongest cross point asks for. With update management
    :math:`A = \sqrt{\lambda X / (g\, BL\, D')}`, :math:`B = \sqrt{\lambda D' / (g\, BL\, X)}`, where :math:`D'`
    is :math:`\alpha_{um} D`, lowered by :math:`BL / k` if k is above BL, so that the largest gradients saturate.

    :param top_x: the largest :math:`|x_j|`, X; :param top_d: the largest :math:`|d_i|`, D; :param rate: the learning
        rate :math:`\lambda`, not negative; :param granularity: g; :param longest: M; :param grad_scale:
        :math:`\alpha_{um}`; :param managed: update management; :param bl_managed: update BL management;
        :param lengthens: the length is not fixed, and trains get longer at high rates.
    :returns: BL, A and B.
    """
    wanted = top_d * grad_scale
    # Rounded to single precision before ceil: a product that is whole on paper must not gain a slot from rounding.
    k = double(single(minimum(rate * top_x * wanted / granularity, _LARGEST)))
    overflows = lengthens & (rate > granularity * longest)
    bl = where(overflows, maximum(_ceil(double(single(rate / granularity))), 1.0), longest)
    bl = where(bl_managed, minimum(_ceil(k), longest), bl)
    silent = (rate <= 0.0) | (bl <= 0.0) | ((managed | bl_managed) & ((top_x <= 0.0) | (top_d <= 0.0)))
    bl = where(silent, 0.0, bl)
    scale = where(overflows, 1.0, sqrt(rate / (granularity * maximum(bl, 1.0))))
    x = where(silent, 1.0, top_x)
    limit = bl * granularity / (where(silent, 1.0, rate) * x)
    wanted = where(silent, 1.0, where(k > bl, limit, wanted))
    balance = where(managed | bl_managed, sqrt(x / wanted), 1.0)
    return bl, minimum(scale * balance, _LARGEST), minimum(scale / balance, _LARGEST)


def _ceil(a):  # type: ignore[no-untyped-def]
    return -floor(-a)


def length_settings(granularity: float, up: UpdateParameters) -> tuple[Settings, int]:
    """The settings of an update, and the ``longest`` of :class:`Lengths`."""
    managed, bl_managed, most = up.update_management, up.update_bl_management, up.desired_bl
    lengthens = not (up.fixed_bl or bl_managed)
    return (granularity, float(most), up.um_grad_scale, managed, bl_managed, lengthens), 0 if lengthens else most


def pulse_lengths(
    x: Tensor,
    d: Tensor,
    rate: Tensor,
    granularity: float,
    up: UpdateParameters,
    implementation: Implementation = "reference",
) -> Lengths:
    r"""Train length and scales of every sample of a batch; see :func:`train_length`.

    :param x: ``[n, in]``; :param d: ``[n, out]``; :param rate: learning rate of every sample, float64 ``[n]``, not
        negative; :param granularity: g of the device that is pulsed.
    """
    settings, longest = length_settings(granularity, up)
    if implementation == "gpu":
        from ohmgrad.engine.plan_gpu import pulse_lengths as on_gpu

        return Lengths(*on_gpu(x, d, rate, settings), longest)
    if implementation == "cpu":
        bl, a, b = x.new_empty(len(x), dtype=torch.int64), *x.new_empty(2, len(x), dtype=torch.float32)
        arrays = [tensor.contiguous().numpy() for tensor in (bl, a, b, x, d, rate)]
        _compiled()(*arrays, settings)
        return Lengths(bl, a, b, longest)
    top_x, top_d = (row_peaks(values, implementation).double() for values in (x, d))
    bl, a, b = train_length(top_x, top_d, rate, *settings)
    return Lengths(bl.long(), a.float(), b.float(), longest)


@cache
def sample_length() -> Any:
    """The compiled form for one sample: a function of its rows of x and d, its rate and the settings."""
    import numba

    length, peak = compile_function(train_length), row_peak()

    def of_sample(x, d, rate, settings):  # type: ignore[no-untyped-def]
        slots, scale_d, scale_x = length(np.float64(peak(x)), np.float64(peak(d)), rate, *settings)
        return np.int64(slots), np.float32(scale_d), np.float32(scale_x)

    tag = fingerprint(sys.modules[__name__], peaks)
    return numba.njit(named(of_sample, tag), error_model="numpy", nogil=True)


@cache
def _compiled() -> Any:
    length = sample_length()

    def fill(bl, a, b, x, d, rate, settings):  # type: ignore[no-untyped-def]
        for n in range(len(x)):
            bl[n], a[n], b[n] = length(x[n], d[n], rate[n], settings)

    return compile_kernel(fill, __name__, peaks)
