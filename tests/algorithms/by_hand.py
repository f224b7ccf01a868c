"""The learning rules once more, read off their papers: one vector, one slice and one cell at a time, without chance.

It shares nothing with the library but the parameters, and holds where every pulse is certain, with silent cells far
from their bounds. Which choppers flipped is told to it, since that may be chance.
"""

from __future__ import annotations

import math

import numpy as np

from ohmgrad.configs import (
    BufferedTransferCompound,
    ChoppedTransferCompound,
    DynamicTransferCompound,
    TransferCompound,
)


class ByHand:
    """The state of a compound, seen so that slices are columns."""

    def __init__(self, rule: TransferCompound, out_size: int, in_size: int) -> None:
        self.rule = rule
        shape = (out_size, in_size) if rule.transfer_columns else (in_size, out_size)
        self.lanes, self.slices = shape
        n = len(rule.unit_cell_devices)
        self.weights = [np.zeros(shape) for _ in range(n)]
        self.buffers = [np.zeros(shape) for _ in range(n - 1)]
        self.running, self.past = np.zeros(shape), np.zeros(shape)
        self.pulses = [np.zeros(shape, dtype=int) for _ in range(n)]
        self.pointers = [0] * n
        self.vectors = self.sweeps = 0
        self.c_in, self.c_out = np.ones(self.slices), np.ones(self.lanes)
        self.switched = np.zeros(self.slices, dtype=bool)

    def steps(self) -> list[float]:
        return [device.dw_min for device in self.rule.unit_cell_devices]

    def gammas(self) -> list[float]:
        n = len(self.weights)
        return self.rule.gamma_vec or [self.rule.gamma ** (n - 1 - k) for k in range(n)]

    def as_rows(self, values: np.ndarray) -> np.ndarray:
        """From lanes and slices to ``[out, in]``."""
        return values if self.rule.transfer_columns else values.T

    def visible(self) -> np.ndarray:
        """What the tile must show, ``[out, in]``, an element at a time."""
        weight = np.zeros((self.lanes, self.slices))
        for i in range(self.lanes):
            for s in range(self.slices):
                for k, gamma in enumerate(self.gammas()):
                    sign = self.c_out[i] * self.c_in[s] if k == 0 else 1.0
                    weight[i, s] += gamma * sign * self.weights[k][i, s]
        return self.as_rows(weight)

    def vector(self, x: np.ndarray, d: np.ndarray, rate: float) -> None:
        """Steps 2 to 4 of the rules; entries of x and d are -1, 0 or 1, each a pulse."""
        by_slice, by_lane = (x, d) if self.rule.transfer_columns else (d, x)
        for i in range(self.lanes):
            for s in range(self.slices):
                gradient = by_lane[i] * by_slice[s]
                self.weights[0][i, s] -= self.steps()[0] * gradient * self.c_out[i] * self.c_in[s]
                self.pulses[0][i, s] += int(gradient != 0)
        self.vectors += 1
        for k in range(len(self.weights) - 1):
            period = self.period(k)
            if period and self.vectors % period == 0:
                for _ in range(min(self.rule.n_reads_per_transfer, self.slices)):
                    self.transfer(k, self.pointers[k], rate)
                    self.pointers[k] = (self.pointers[k] + 1) % self.slices

    def period(self, k: int) -> int:
        if self.rule.transfer_every_vec:
            return math.floor(self.rule.transfer_every_vec[k] + 0.5)
        reads = min(self.rule.n_reads_per_transfer, self.slices)
        return math.floor(self.rule.transfer_every * (self.slices / reads) ** k + 0.5)

    def transfer(self, k: int, s: int, rate: float) -> None:
        """Read slice s of array k and write what follows to the next array."""
        rule, g = self.rule, self.steps()
        z = self.weights[k][:, s].copy()
        if rule.with_reset_prob == 1.0:
            self.weights[k][:, s] = 0.0
            self.pulses[k][:, s] += 1  # a reset wears a cell like a pulse
        alpha = rule.transfer_lr * rate
        if not isinstance(rule, BufferedTransferCompound):
            self.weights[k + 1][:, s] += alpha * z
            return
        source, target = self.gammas()[k : k + 2]
        alpha *= source / target if source > 0.0 and target > 0.0 else 1.0
        gain, threshold, writes = alpha, g[k + 1], True
        if isinstance(rule, ChoppedTransferCompound):
            gain, threshold = alpha / g[0], 1.0
            z_signed = z * self.c_in[s] * self.c_out
        else:
            z_signed = z
        if isinstance(rule, DynamicTransferCompound):
            n = max(math.ceil(1.0 / rule.in_chop_prob), 2) if rule.in_chop_prob > 0.0 else 2
            if self.switched[s]:
                self.past[:, s] = self.running[:, s]
            z_signed = (z - self.past[:, s]) * self.c_in[s] * self.c_out
            beta = min(rule.tail_weightening / n, 1.0)
            self.running[:, s] = (1.0 - beta) * self.running[:, s] + beta * z
            writes = self.sweeps > n
        self.switched[s] = False
        for i in range(self.lanes):
            held = 0.0 if isinstance(rule, ChoppedTransferCompound) and rule.no_buffer else self.buffers[k][i, s]
            held += gain * z_signed[i]
            n = max(-1, min(1, math.trunc(held / threshold)))
            if n:
                held = rule.momentum * held if rule.forget_buffer else held - (1.0 - rule.momentum) * n * threshold
            self.buffers[k][i, s] = held
            if n and writes:
                self.weights[k + 1][i, s] += n * g[k + 1]
                self.pulses[k + 1][i, s] += 1
        if s == self.slices - 1:
            self.sweeps += 1

    def told(self, in_flips: list[bool], out_flips: list[bool]) -> None:
        """What the choppers are after a vector."""
        c_in, c_out = 1.0 - 2.0 * np.array(in_flips), 1.0 - 2.0 * np.array(out_flips)
        self.switched |= c_in != self.c_in
        self.c_in, self.c_out = c_in, c_out

    def hidden(self) -> dict[str, np.ndarray]:
        """Hidden weights and digital matrices by the library's names, ``[out, in]``."""
        values = {f"hidden_weights_{k}": weight for k, weight in enumerate(self.weights)}
        if isinstance(self.rule, DynamicTransferCompound):
            values |= {
                "buffered_FP_weight": self.buffers[0],
                "running_mean_weight": self.running,
                "past_mean_weight": self.past,
            }
        elif isinstance(self.rule, BufferedTransferCompound):
            values |= {f"buffered_FP_weight_{k}": held for k, held in enumerate(self.buffers)}
        return {name: self.as_rows(value) for name, value in values.items()}
