"""The cells of a tile after training: programmed once, drifting since, and read with noise."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ohmgrad.engine.draws import Draws, Stream
from ohmgrad.engine.host import HostModule
from ohmgrad.engine.implementation import choose
from ohmgrad.engine.kept import Kept
from ohmgrad.errors import TileError
from ohmgrad.inference.pair import from_pair, to_pair
from ohmgrad.parameters.memory_noise import NoiseModel
from ohmgrad.parameters.runtime import RuntimeParameter


class ProgrammedCells(HostModule):
    """Pairs of conductances, and the weights that they are at some time.

    All that they remember are buffers, so a copy is exact. Their random numbers are addressed by ``seed`` and
    ``index``; those of reads also by how often the time was set.

    :param weight: ``[out, in]``, meant; :param noise_model: what becomes of conductances.
    :param w_max: the weight of the largest conductance, beyond which weights are clipped; None: the largest there is.
    :param index: which tile of the chip it is; :param runtime: how random numbers are computed.
    """

    seed: Tensor
    index: Tensor
    """The address of the random numbers."""
    g_target: Tensor
    """The conductances meant, of the positive and the negative cells: ``[2, out, in]`` (microsiemens)."""
    g_programmed: Tensor
    """The conductances after programming."""
    nu: Tensor
    """How each of them drifts."""
    w_max: Tensor
    """The weight of the largest conductance."""
    seconds: Tensor
    """How old they are."""
    reads: Tensor
    """How often that was set since they were programmed."""
    weight: Tensor
    """The weights that the cells are now ``[out, in]``."""

    def __init__(
        self, weight: Tensor, noise_model: NoiseModel, w_max: float | None, index: int, runtime: RuntimeParameter
    ) -> None:
        super().__init__()
        self.noise_model, self.runtime = noise_model, runtime
        self._drawing: Kept[Draws] = Kept()
        largest = weight.abs().max() if w_max is None else weight.new_tensor(w_max)
        self.register_buffer("w_max", largest)
        self.register_buffer("g_target", to_pair(weight, largest, noise_model.g_max))
        self.register_buffer("g_programmed", torch.zeros_like(self.g_target))
        self.register_buffer("nu", torch.zeros_like(self.g_target))
        self.register_buffer("weight", torch.zeros_like(weight, memory_format=torch.contiguous_format))
        for name, number in (("seed", 0), ("index", index), ("reads", 0)):
            self.register_host_buffer(name, torch.tensor(number, dtype=torch.int64, device="cpu"))
        self.register_host_buffer("seconds", torch.tensor(0.0, dtype=torch.float64, device="cpu"))

    def program(self, seed: int) -> None:
        """Program the cells as a chip of this seed would be; they are 0 seconds old then."""
        self.seed.fill_(seed)
        self.reads.zero_()
        model, target = self.noise_model, self.g_target
        self.g_programmed.copy_(self._sound("program", model.program(target, self._noise(Stream.PROGRAM))).clamp(0.0))
        self.nu.copy_(self._sound("exponent", model.exponent(target, self._noise(Stream.PROGRAM_DRIFT))))
        self._let_be(0.0)

    def let_be(self, seconds: float) -> None:
        """Let the cells be so old, and read them anew."""
        self.reads += 1
        self._let_be(seconds)

    def draws(self) -> Draws:
        """The random numbers of the seed, where the cells are."""
        seed, asked, where = int(self.seed), self.runtime.implementation, self.weight.device
        return self._drawing.of((seed, asked, where), lambda: Draws(seed, choose(asked, where)))

    def stream(self, stream: Stream) -> int:
        """The random numbers of these cells, of all those of a chip."""
        return stream.of(int(self.index))

    def _let_be(self, seconds: float) -> None:
        model, noise = self.noise_model, self._noise(Stream.PROGRAM_READ, int(self.reads))
        held = self._sound("drift", model.drift(self.g_programmed, self.nu, seconds)).clamp(0.0)
        seen = self._sound("read", model.read(held, self.g_target, seconds, noise)).clamp(0.0)
        self.seconds.fill_(seconds)
        self.weight.copy_(from_pair(seen, self.w_max, model.g_max))

    def _noise(self, stream: Stream, part: int = 0) -> Tensor:
        """A standard normal number for every cell, ``[2, out, in]``."""
        signs, rows, columns = self.g_target.shape
        numbers = torch.arange(signs * rows, device=self.g_target.device)
        return self.draws().normal(self.stream(stream), numbers, columns, part).reshape(signs, rows, columns)

    def _sound(self, what: str, values: Tensor) -> Tensor:
        """What the noise model gave, if it can be used."""
        called = f"{type(self.noise_model).__name__}.{what}"
        if values.shape != self.g_target.shape:
            raise TileError(f"{called} gave {tuple(values.shape)}. Give {tuple(self.g_target.shape)}, as the targets.")
        if not bool(values.isfinite().all()):
            raise TileError(f"{called} gave a number that is not finite. Look at its formula for a conductance of 0.")
        return values

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> ProgrammedCells:
        super()._apply(lambda tensor: tensor.to(fn(tensor).device), recurse)  # they stay in single precision
        return self
