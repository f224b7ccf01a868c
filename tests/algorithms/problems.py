"""Random compounds, tiles and batches for properties that must hold for all of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from hypothesis import strategies as st
from torch import Tensor

from algorithms.cells import EXACT, ONE_PULSE, RULES, cell, compound, tile_of
from ohmgrad.configs import (
    BufferedTransferCompound,
    ChoppedTransferCompound,
    DynamicTransferCompound,
    IOParameters,
    NoiseManagementType,
    SoftBoundsDevice,
    TransferCompound,
    UpdateParameters,
)
from ohmgrad.tile import AnalogTile

PERFECT = IOParameters(is_perfect=True)
NOISY_READ = IOParameters(out_noise=0.02, noise_management=NoiseManagementType.NONE)
NOISY_LINES = NOISY_READ.replaced(inp_noise=0.02)
"""A read that depends on every slice of the array."""

SIZES = st.one_of(st.integers(1, 5), st.integers(1, 40))
SEEDS = st.integers(0, 2**31)


@dataclass
class Problem:
    """A tile to be made, and where its gradients come from."""

    shape: tuple[int, int]
    device: TransferCompound
    seed: int
    rate: float = 0.1
    update: UpdateParameters | None = None
    certain: bool = False

    def tile(self, implementation: str = "cpu", seed: int | None = None) -> AnalogTile:
        """A new tile; with the same seed it is the same every time."""
        seed = self.seed if seed is None else seed
        return tile_of(self.shape, self.device, implementation, self.rate, seed, self.update)

    def batch(self, count: int, number: int = 0) -> tuple[Tensor, Tensor]:
        """Inputs ``[count, in]`` and gradients ``[count, out]``; -1, 0 or 1 where pulses must be certain."""
        generator = torch.Generator().manual_seed(self.seed + number)
        x, d = (torch.randn(count, size, generator=generator) for size in reversed(self.shape))
        return (x.clamp(-1.4, 1.4).round(), d.clamp(-1.4, 1.4).round()) if self.certain else (x, d)


@st.composite
def gammas(draw: st.DrawFn, arrays: int) -> dict[str, Any]:
    """No share of the fast arrays, a small one, one above 1, or one for every array."""
    if draw(st.booleans()):
        return {"gamma": draw(st.sampled_from([0.0, 0.25, 1.5]))}
    return {"gamma_vec": [*(draw(st.sampled_from([0.0, 0.5, -0.5, 2.0])) for _ in range(arrays - 1)), 2.0]}


@st.composite
def choppers(draw: st.DrawFn) -> dict[str, Any]:
    """Regular or random, on slices and lanes."""
    return {
        "in_chop_prob": draw(st.sampled_from([0.0, 0.25, 0.5, 1.0])),
        "in_chop_random": draw(st.booleans()),
        "out_chop_prob": draw(st.sampled_from([0.0, 0.5])),
    }


@st.composite
def compounds(draw: st.DrawFn, rules: tuple[type[TransferCompound], ...] = RULES, **fixed: Any) -> TransferCompound:
    """Any rule, with noisy cells of every kind of variation."""
    rule = draw(st.sampled_from(rules))
    is_chopped = issubclass(rule, ChoppedTransferCompound)
    noisy = SoftBoundsDevice(
        dw_min=draw(st.sampled_from([0.002, 0.02])),
        write_noise_std=draw(st.sampled_from([0.0, 0.5])),
        lifetime=draw(st.sampled_from([0.0, 20.0])),
        diffusion=draw(st.sampled_from([0.0, 0.01])),
        reset_dtod=0.05,
    )
    arrays = 2 if is_chopped else draw(st.integers(2, 3))
    devices = [noisy, *(noisy.replaced(dw_min=0.01) for _ in range(arrays - 1))]
    fields: dict[str, Any] = {
        "transfer_columns": draw(st.booleans()),
        "transfer_every": draw(st.sampled_from([1.0, 2.0, 3.0])),
        "fast_lr": draw(st.sampled_from([0.0, 0.02])),
        "scale_fast_lr": False,
        "transfer_forward": draw(st.sampled_from([PERFECT, NOISY_READ, NOISY_LINES])),
        **draw(gammas(arrays)),
    }
    if rule is TransferCompound:
        fields["with_reset_prob"] = draw(st.sampled_from([0.0, 0.5])) if fields["transfer_columns"] else 0.0
    else:
        fields |= {"forget_buffer": draw(st.booleans()), "momentum": draw(st.sampled_from([0.0, 0.1, 1.0]))}
    if is_chopped:
        fields |= draw(choppers())
        fields |= {
            "correct_gradient_magnitudes": draw(st.booleans()),
            "auto_granularity": draw(st.sampled_from([0.0, 100.0])),
        }
    else:
        fields |= {"n_reads_per_transfer": draw(st.integers(1, 3)), "random_selection": draw(st.booleans())}
    if rule is DynamicTransferCompound:
        fields |= {
            "buffer_cap": draw(st.sampled_from([0.0, 2.0])),
            "experimental_correct_accumulation": draw(st.booleans()),
        }
    elif is_chopped:
        fields["no_buffer"] = draw(st.booleans())
    return compound(rule, devices, **{**fields, **fixed})


@st.composite
def problems(draw: st.DrawFn, rules: tuple[type[TransferCompound], ...] = RULES, **fixed: Any) -> Problem:
    """Any rule on a tile of any small shape."""
    return Problem((draw(SIZES), draw(SIZES)), draw(compounds(rules, **fixed)), draw(SEEDS))


@st.composite
def certain_problems(draw: st.DrawFn, rules: tuple[type[TransferCompound], ...] = RULES) -> Problem:
    """Any rule without chance: silent cells, steps that are powers of 2, one certain pulse for every gradient."""
    rule = draw(st.sampled_from(rules))
    is_chopped, is_buffered = issubclass(rule, ChoppedTransferCompound), issubclass(rule, BufferedTransferCompound)
    arrays = 2 if is_chopped else draw(st.integers(2, 3))
    silent = [cell(2.0**-7), *(cell(2.0**-6) for _ in range(arrays - 1))]
    fields: dict[str, Any] = {
        "transfer_columns": draw(st.booleans()),
        "fast_lr": 2.0**-7,
        "scale_fast_lr": False,
        "transfer_lr": draw(st.sampled_from([0.25, 1.0])),
    }
    if draw(st.booleans()):
        fields["gamma"] = draw(st.sampled_from([0.0, 0.5, 2.0]))
    else:
        fields["gamma_vec"] = [*([0.5, -0.5][: arrays - 1]), 2.0]
    if draw(st.booleans()):
        fields["transfer_every"] = draw(st.sampled_from([1.0, 2.0, 3.0]))
    else:
        fields["transfer_every_vec"] = [float(draw(st.integers(0, 5))) for _ in range(arrays)]
    if is_buffered:
        fields |= {"forget_buffer": draw(st.booleans()), "momentum": draw(st.sampled_from([0.0, 0.5]))}
    else:
        fields["transfer_update"] = EXACT
        fields["with_reset_prob"] = draw(st.sampled_from([0.0, 1.0])) if fields["transfer_columns"] else 0.0
    if is_chopped:
        fields |= draw(choppers())
    else:
        fields["n_reads_per_transfer"] = draw(st.integers(1, 3))
    if rule is DynamicTransferCompound:
        fields |= {"tail_weightening": draw(st.sampled_from([1.0, 100.0]))}
    elif is_chopped:
        fields["no_buffer"] = draw(st.booleans())
    device = compound(rule, silent, **fields)
    return Problem((draw(SIZES), draw(SIZES)), device, draw(SEEDS), 0.25, ONE_PULSE, certain=True)
