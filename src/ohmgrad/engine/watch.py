"""Numbers that are not finite: noticed at once where that costs nothing, late where the program would have to wait.

Whether a batch is finite is a truth value in the memory of its device. The processor's is read at once. An accelerator
works behind the program, and reading from it waits until it has caught up, in every product and update; there, the
answer stays on the device, where it masks the batch, and a copy of it travels to the program beside the work.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from ohmgrad.engine.host import is_captured

WATCHED = ("input", "gradient")
"""What batches are made of."""


def complaint(what: str, is_nan: bool, dtype: torch.dtype) -> str:
    """What is wrong with numbers that are not finite.

    :param what: such as ``"input"``; :param is_nan: whether any is NaN; :param dtype: in which they came.
    """
    overflow = " (float16 ends at 65504: bfloat16 does not, and trains here without a scaler)"
    return f"the {what} is {'NaN' if is_nan else 'infinite'} in places{overflow if dtype == torch.float16 else ''}"


class Messenger(Protocol):
    """Carries a few numbers from a device to the program."""

    def send(self, values: Tensor) -> None:
        """Set out, without waiting; nothing else is under way."""

    def arrived(self) -> Sequence[float] | None:
        """What was sent, if it is there by now; without waiting."""


class _AtOnce:
    """From memory that the program reads anyway."""

    def send(self, values: Tensor) -> None:
        self._values = values

    def arrived(self) -> Sequence[float] | None:
        return self._values.tolist()


class _Pinned:
    """From a GPU, by a copy that nobody waits for and an event behind it."""

    def __init__(self, values: Tensor) -> None:
        self._copy = torch.empty(values.shape, dtype=values.dtype, device="cpu", pin_memory=True)
        self._event = torch.cuda.Event()

    def send(self, values: Tensor) -> None:
        self._copy.copy_(values, non_blocking=True)
        self._event.record(torch.cuda.current_stream(values.device))

    def arrived(self) -> Sequence[float] | None:
        return self._copy.tolist() if self._event.query() else None


def _messenger(values: Tensor) -> Messenger:
    return _Pinned(values) if values.is_cuda else _AtOnce()


class Watch:
    """Remembers on the device of a tile whether it was given numbers that are not finite.

    It is no state: a copy of a tile starts with a clean record.
    """

    def __init__(self) -> None:
        self.types: dict[str, torch.dtype] = {}
        """In which type each of ``WATCHED`` came last."""
        self._worst: Tensor | None = None  # the largest magnitude of each; NaN is larger than all
        self._messenger: Messenger | None = None
        self._under_way = self._unsent = False

    def __reduce__(self) -> tuple[type[Watch], tuple[()]]:
        return Watch, ()

    def note(self, **batch: Tensor) -> Tensor:
        """Look at a batch without waiting.

        :param batch: float32 tensors, by names of ``WATCHED``.
        :returns: whether all of it is finite, a truth value on the device.
        """
        where = next(iter(batch.values())).device
        if self._worst is None or self._worst.device != where:  # a move may wait
            with torch.inference_mode(False):  # an evaluation may come first, and training goes on with them
                before = torch.zeros(len(WATCHED), device="cpu") if self._worst is None else self._worst
                self._worst = before.to(where)
                self._messenger, self._under_way = _messenger(self._worst), False
        sound = None
        for name, values in batch.items():
            # One pass, which NaN survives; there is no largest of nothing.
            peak = torch.linalg.vector_norm(values, math.inf) if values.numel() else values.new_zeros(())
            worst = self._worst[WATCHED.index(name)]
            torch.maximum(worst, peak, out=worst)
            finite = peak < math.inf
            sound = finite if sound is None else sound & finite
        self._unsent = True
        self._send()
        assert sound is not None
        return sound

    def report(self, wait: bool) -> str | None:
        """What was not finite since the last report that found something, as far as it is known; None: nothing.

        :param wait: until all is known.
        """
        if self._worst is None or self._worst.is_meta or is_captured(self._worst):
            return None
        if wait:
            return self._found(self._worst.tolist())
        found = None
        while found is None and self._under_way and self._messenger is not None:
            peaks = self._messenger.arrived()
            if peaks is None:
                return None
            self._under_way = False
            found = self._found(peaks)
            self._send()  # what has been noted since
        return found

    def _send(self) -> None:
        if self._worst is None or self._messenger is None or self._worst.is_meta or is_captured(self._worst):
            return
        if self._unsent and not self._under_way:
            self._messenger.send(self._worst)
            self._under_way, self._unsent = True, False

    def _found(self, peaks: Sequence[float]) -> str | None:
        """What is wrong with the numbers that were noted, which begin anew then."""
        bad = [(name, peak) for name, peak in zip(WATCHED, peaks, strict=True) if not math.isfinite(peak)]
        if not bad:
            return None
        assert self._worst is not None
        self._worst.zero_()
        self._under_way = self._unsent = False
        return ", ".join(complaint(name, math.isnan(peak), self.types[name]) for name, peak in bad)
