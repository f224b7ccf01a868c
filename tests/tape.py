"""Records what a step does on a device, and does it again without the program: what a CUDA graph is, on any machine.

A graph remembers the kernels of one step and the memory that they work on. What the program decided from the host's
own numbers, when the step was recorded, is decided for good. So a step may be captured only if all that changes from
step to step is on the device, and that can be tried without a GPU: every operation of torch is called again on the
memory it had, and so is every kernel.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from ohmgrad.engine import host, watch
from ohmgrad.engine.compiler_gpu import Kernel
from ohmgrad.engine.host import HostModule

ASKS = {
    torch.ops.aten._local_scalar_dense.default,
    torch.ops.aten.nonzero.default,
    torch.ops.aten.masked_select.default,
    torch.ops.aten.is_nonzero.default,
    torch.ops.aten.equal.default,
}
"""Operations whose result the host must know."""


class Tape(TorchDispatchMode):
    """What happened while it was on.

    :param module: whose state is on the device, except for what it keeps in the memory of the host.
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.names: list[str] = []
        self._done: list[Callable[[], None]] = []
        self._paused = False
        hosts = [each for each in module.modules() if isinstance(each, HostModule)]
        kept = [each._buffers[name] for each in hosts for name in each._host_names]
        self._of_host = {tensor.data_ptr() for tensor in kept if tensor is not None}

    def __torch_dispatch__(self, function: Any, _: Any, arguments: Any = (), options: Any = None) -> Any:
        options = options or {}
        result = function(*arguments, **options)
        given = [leaf for leaf in tree_leaves((arguments, options)) if isinstance(leaf, Tensor)]
        if self._paused or any(tensor.data_ptr() in self._of_host for tensor in given):
            return result
        assert function not in ASKS, f"{function} makes the host wait for the device"
        assert not _has_mask(function, arguments), f"{function} with a mask makes the host wait for the device"
        memory = {tensor.untyped_storage().data_ptr() for tensor in given}
        results = [leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor)]
        is_fresh = [tensor.untyped_storage().data_ptr() not in memory for tensor in results]

        def again() -> None:
            news = [leaf for leaf in tree_leaves(function(*arguments, **options)) if isinstance(leaf, Tensor)]
            for old, new, fresh in zip(results, news, is_fresh, strict=True):
                if fresh:
                    old.copy_(new)

        self.names.append(str(function))
        self._done.append(again)
        return result

    def launch(self, kernel: Kernel, launch: Callable[[], None]) -> None:
        """A kernel, which the interpreter runs by means of torch."""
        self._paused = True
        launch()
        self._paused = False
        self.names.append(kernel.function.__name__)
        self._done.append(launch)

    def play(self) -> None:
        """All of it again."""
        for again in self._done:
            again()


def _has_mask(function: Any, arguments: Any) -> bool:
    """Whether elements are chosen by truth values, whose number only the device knows."""
    if function not in (torch.ops.aten.index.Tensor, torch.ops.aten.index_put_.default):
        return False
    return any(index is not None and index.dtype == torch.bool for index in arguments[1])


def recorded(module: nn.Module, step: Callable[[], Any]) -> Tape:
    """The tape of a step that a module makes."""
    tape, original = Tape(module), Kernel.launch

    def launch(self: Kernel, *arguments: Any, **options: Any) -> None:
        tape.launch(self, lambda: original(self, *arguments, **options))

    def waits(*_: Any, **__: Any) -> Any:
        raise AssertionError("the host waits for the device")

    with pytest.MonkeyPatch.context() as patch, torch.no_grad(), tape:
        patch.setattr(Kernel, "launch", launch)
        for module_with_it in (host, watch):  # while a graph is captured, nothing is asked that can wait
            patch.setattr(module_with_it, "is_captured", lambda _: True)
        for name in ("numpy", "tolist", "cpu"):
            patch.setattr(Tensor, name, waits)
        step()
    return tape
