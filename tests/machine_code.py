"""Compiles for a GPU, on a machine without one, whatever kernels some code launches.

Tensors on torch's meta device have shapes but no memory: code that runs on them does everything but compute, and asks
for no value, since there is none. Its launches are recorded and compiled for a given GPU.
"""

from __future__ import annotations

import re
import subprocess
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
import torch
import triton
from torch import Tensor
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from triton.runtime import driver

from ohmgrad.engine.compiler_gpu import PRECISE, Kernel

TYPES = {
    torch.float16: "fp16",
    torch.bfloat16: "bf16",
    torch.float32: "fp32",
    torch.float64: "fp64",
    torch.int32: "i32",
    torch.int64: "i64",
    torch.bool: "i1",
}


class Launch(NamedTuple):
    """A kernel, and what it was launched with."""

    kernel: Any
    grid: tuple[int, ...]
    arguments: tuple[Any, ...]
    options: dict[str, Any]


class NoGPU:
    """A driver that knows what it would drive."""

    target = GPUTarget("cuda", 90, 32)

    def get_current_target(self) -> GPUTarget:
        return self.target

    def get_current_device(self) -> int:
        return 0

    def get_current_stream(self, _: int) -> int:
        return 0


@contextmanager
def bound_launches() -> Iterator[list[str]]:
    """Launches on meta tensors go as far as Triton's own compiler, which only notes what it was asked for."""
    asked: list[str] = []
    met: set[int] = set()

    def compiles(self: Any, key: Any, signature: Any, device: Any, *_: Any) -> Any:
        asked.append(f"{self.fn.__qualname__} {key}")
        kernel = SimpleNamespace(signature=signature)
        self.device_caches[device][0][key] = kernel
        return kernel

    with pytest.MonkeyPatch.context() as patch:

        def launch(self: Kernel, grid: tuple[int, ...], *arguments: Any, **options: Any) -> None:
            assert not self.refused, self.refused
            assert min(grid) > 0, grid
            assert all(size < 65536 for size in grid[1:]), grid
            if id(self.function) not in met:  # nobody shall take what is noted for a kernel
                met.add(id(self.function))
                patch.setattr(self.function, "device_caches", defaultdict(self.function.create_binder))
            self.function.run(*arguments, grid=grid, warmup=True, **options, **PRECISE)

        patch.setattr(Kernel, "launch", launch)
        patch.setattr(triton.JITFunction, "_do_compile", compiles)
        patch.setattr(driver, "_active", NoGPU())
        yield asked


class MachineCode(NamedTuple):
    """What became of a kernel."""

    name: str
    registers: int
    spilled: int
    """Bytes that did not fit into registers."""
    text: str
    """In PTX."""


def launches_of(code: Callable[[], Any]) -> list[Launch]:
    """The launches that some code makes on meta tensors."""
    found: list[Launch] = []

    def record(self: Kernel, grid: tuple[int, ...], *arguments: Any, **options: Any) -> None:
        assert not self.refused, self.refused
        assert isinstance(self.function, triton.JITFunction)
        found.append(Launch(self.function, grid, arguments, options))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Kernel, "launch", record)
        code()
    return found


def built(launch: Launch, capability: int) -> Any:
    """What Triton makes of a launch, for NVIDIA GPUs of a compute capability such as 90."""
    names = launch.kernel.arg_names
    given = dict(zip(names, launch.arguments, strict=False)) | launch.options
    signature, constants, attributes = {}, {}, {}
    for n, name in enumerate(names):
        if n in launch.kernel.constexprs:
            signature[name], constants[(n,)] = "constexpr", given[name]
        else:
            is_varying = launch.kernel.params[n].do_not_specialize
            signature[name] = _type(given[name], (n,), constants, attributes, is_varying)
    options = {name: value for name, value in launch.options.items() if name not in names} | PRECISE
    source = ASTSource(launch.kernel, signature, constants, attributes)
    return triton.compile(source, target=GPUTarget("cuda", capability, 32), options=options)


def compiled(launch: Launch, capability: int) -> MachineCode:
    """The machine code of a launch."""
    text = built(launch, capability).asm["ptx"]
    return MachineCode(launch.kernel.__name__, *_assembled(text, capability), text)


def _type(
    value: Any, place: tuple[int, ...], constants: dict[Any, Any], attributes: dict[Any, Any], is_varying: bool
) -> Any:
    """The type of an argument as Triton writes it; what is compiled in of it is added to the others."""
    if isinstance(value, tuple):
        parts = [_type(part, (*place, n), constants, attributes, is_varying) for n, part in enumerate(value)]
        return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
    if value is None or (type(value) is int and value == 1 and not is_varying):
        constants[place] = value
        return "constexpr"
    if isinstance(value, Tensor) or (type(value) is int and value % 16 == 0 and not is_varying):
        attributes[place] = [["tt.divisibility", 16]]  # memory is given in larger pieces
    if isinstance(value, Tensor):
        return "*" + TYPES[value.dtype]
    if isinstance(value, float):
        return "fp32"
    assert isinstance(value, int)
    return "i32" if -(2**31) <= value < 2**31 else "i64"


def _assembled(text: str, capability: int) -> tuple[int, int]:
    """Registers of every thread, and bytes spilled, as the assembler reports them."""
    assembler = Path(triton.__file__).parent / "backends/nvidia/bin/ptxas"
    architecture = f"sm_{capability}" + ("a" if capability >= 90 else "")
    with TemporaryDirectory() as folder:
        file = Path(folder, "kernel.ptx")
        file.write_text(text)
        command = [assembler, "-v", "--fmad=false", f"--gpu-name={architecture}", file, "-o", "/dev/null"]
        report = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    registers = re.findall(r"Used (\d+) registers", report)
    spilled = re.findall(r"(\d+) bytes spill (?:stores|loads)", report)
    assert len(registers) == 1
    assert len(spilled) == 2
    return int(registers[0]), sum(map(int, spilled))
