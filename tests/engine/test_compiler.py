"""Functions written in the vocabulary of laws compute the same, in single precision, when they are compiled."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from builders import RULES, perfect, rule
from ohmgrad import words
from ohmgrad.configs import ConstantStepDevice, PulsedDevice, SingleRPUConfig, WriteNoiseDevice
from ohmgrad.engine import elementary, random, replay_cpu
from ohmgrad.engine.compiler import compile_function
from ohmgrad.engine.fingerprint import fingerprint
from ohmgrad.engine.kernel_cache import compile_kernel
from ohmgrad.errors import ConfigError
from ohmgrad.tile import AnalogTile
from ohmgrad.words import absolute, clip, exp, floor, interpolate, log, maximum, minimum, power, sqrt, where

THIRD = 1.0 / 3.0
FOUR = 4
TABLE = [0.5, 2.0, -1.0]


def result_of(function: FunctionType, *arguments: float) -> tuple[float, Any]:
    """What the compiled function gives for float32 arguments, and the type of it."""
    compiled = compile_function(function, whole_numbers=True)
    value = compiled(*(np.float32(argument) for argument in arguments))
    return value, compiled.nopython_signatures[-1].return_type


def single(value: float) -> np.float32:
    return np.float32(value)


def test_literals_are_bound_in_single_precision() -> None:
    def tenth(w):
        return w * 0.1 + 1e-3

    value, kind = result_of(tenth, 0.7)
    assert str(kind) == "float32"
    assert value == single(0.7) * single(0.1) + single(1e-3)
    assert value != 0.7 * 0.1 + 1e-3


def test_whole_numbers_in_a_law_are_real_numbers() -> None:
    def half(w):
        return 1 / (2 + w)

    value, kind = result_of(half, 0.5)
    assert str(kind) == "float32"
    assert value == single(1) / single(2.5)


def test_constants_of_the_module_are_bound_in_single_precision() -> None:
    def scaled(w):
        return w * THIRD / FOUR

    value, kind = result_of(scaled, 0.7)
    assert str(kind) == "float32"
    assert value == pytest.approx(0.7 / 12, rel=1e-6)


def test_closures_are_bound_in_single_precision() -> None:
    def made(slope, offset):
        def line(w):
            return slope * w + offset

        return line

    for slope, offset in ((0.1, 0.2), (0.3, -1.0), (2, 1)):
        value, kind = result_of(made(slope, offset), 0.7)
        assert str(kind) == "float32"
        assert value == single(slope) * single(0.7) + single(offset)


def _scaled(w):
    return w * THIRD


def _shifted(w, by=0.25):
    return _scaled(w) + by


def test_helper_functions_are_compiled_with_it() -> None:
    def outer(w):
        return clip(_shifted(w), 0.0, 0.3)

    value, kind = result_of(outer, 0.09)
    assert str(kind) == "float32"
    assert value == pytest.approx(0.28, rel=1e-6)
    assert result_of(outer, 0.9)[0] == single(0.3)


def test_helpers_in_a_closure_are_compiled_too() -> None:
    def inner(w):
        return sqrt(w)

    def outer(w):
        return inner(w) + 1.0

    value, kind = result_of(outer, 0.25)
    assert (value, str(kind)) == (1.5, "float32")


WORDS = {
    where: lambda a, b: where(a > b, a, -b),
    minimum: minimum,
    maximum: maximum,
    exp: lambda a, b: exp(a) + b,
    log: lambda a, b: log(a * a + 0.1) + b,
    sqrt: lambda a, b: sqrt(a * a) - b,
    power: lambda a, b: power(absolute(a) + 0.1, b),
    floor: lambda a, b: floor(4.0 * a + b),
    absolute: lambda a, b: absolute(a - b),
    interpolate: lambda a, b: interpolate(TABLE, a) + b,
}


def test_every_word_is_tried() -> None:
    assert set(WORDS) == set(words.LAW_WORDS)


@pytest.mark.parametrize("word", WORDS, ids=lambda word: word.__name__)
def test_every_word_means_the_same_compiled(word: Any) -> None:
    grid = torch.linspace(-1.3, 1.4, 10)
    a, b = (side.flatten() for side in torch.meshgrid(grid, grid, indexing="ij"))
    function = WORDS[word]
    plain = function if isinstance(function, FunctionType) and function.__name__ == "<lambda>" else _call(word)
    compiled = compile_function(plain, whole_numbers=True)
    pairs = zip(a.numpy(), b.numpy(), strict=True)
    values = torch.tensor([compiled(first, second) for first, second in pairs])
    torch.testing.assert_close(values, plain(a, b).float(), rtol=3e-7, atol=3e-7)


def _call(word: Any) -> Any:
    def expression(a, b):
        return word(a, b)

    return expression


# Laws of one's own


class RootDevice(PulsedDevice):
    """Steps that shrink with the square root of the room that is left."""

    sharpness: float = 1.0

    @staticmethod
    def law(w, up, noise, dwmin_up, dwmin_down, min_bound, max_bound, dw_min_std, sharpness):
        room = where(up, max_bound - w, w - min_bound) / (max_bound - min_bound)
        step = where(up, dwmin_up, -dwmin_down) * sqrt(maximum(sharpness * room, 0))
        return clip(w + step * (1 + dw_min_std * noise), min_bound, max_bound)


def task(tile: AnalogTile, updates: int) -> tuple[Tensor, Tensor]:
    """Weights before and after learning a linear map by its gradients."""
    generator = torch.Generator().manual_seed(6)
    target = 0.4 * torch.rand(4, 5, generator=generator) - 0.2
    before = (tile.get_weights() - target).square().mean()
    for _ in range(updates):
        x = torch.randn(10, 5, generator=generator)
        tile.update(x, x @ (tile.get_weights() - target).t())
    return before, (tile.get_weights() - target).square().mean()


def small_steps(implementation: str, name: str) -> AnalogTile:
    torch.manual_seed(8)
    device = RootDevice(dw_min=0.005, w_max_dtod=0.1, w_min_dtod=0.1, up_down_dtod=0.0)
    tile = AnalogTile(4, 5, perfect(rule(name, device, implementation)))
    tile.set_learning_rate(0.05)
    return tile


@pytest.mark.parametrize("name", RULES)
def test_a_law_of_five_lines_trains_under_every_rule(name: str) -> None:
    before, after = task(small_steps("cpu", name), updates=200)
    assert after < 0.2 * before


@pytest.mark.parametrize("name", RULES)
def test_a_law_of_five_lines_gives_what_the_reference_gives(name: str) -> None:
    tiles = [small_steps(implementation, name) for implementation in ("reference", "cpu")]
    for tile in tiles:
        task(tile, updates=4)
    for first, second in zip(*(tile.get_hidden_parameters().items() for tile in tiles), strict=True):
        torch.testing.assert_close(first[1], second[1], rtol=0.0, atol=1e-5, msg=lambda m, n=first[0]: f"{n}: {m}")
    for first, second in zip(*(tile.pulse_counts() for tile in tiles), strict=True):
        assert all(map(torch.equal, first, second))


def test_an_unknown_argument_of_a_law_is_named() -> None:
    class Misspelt(ConstantStepDevice):
        @staticmethod
        def law(w, up, noise, dwmin_upp):
            return w

    with pytest.raises(ConfigError, match=r"Misspelt\.law has an argument 'dwmin_upp'.*dwmin_up, dwmin_down"):
        AnalogTile(2, 2, SingleRPUConfig(device=Misspelt()))


def test_a_law_must_begin_with_weight_direction_and_noise() -> None:
    class Unordered(ConstantStepDevice):
        @staticmethod
        def law(w, noise, up):
            return w

    with pytest.raises(ConfigError, match=r"Unordered\.law must begin with the arguments w, up, noise"):
        AnalogTile(2, 2, SingleRPUConfig(device=Unordered()))


def test_a_law_that_is_a_method_is_told_the_decorator_that_is_missing() -> None:
    class NoDecorator(ConstantStepDevice):
        def law(w, up, noise, dwmin_up):
            return w

    class WithSelf(ConstantStepDevice):
        def law(self, w, up, noise, dwmin_up):
            return w

    for kind in (NoDecorator, WithSelf):
        with pytest.raises(ConfigError, match=rf"{kind.__name__}\.law is a method\. Write @staticmethod above it"):
            AnalogTile(2, 2, SingleRPUConfig(device=kind()))


def test_a_law_that_cannot_be_compiled_is_named_with_its_line_and_what_it_may_use() -> None:
    class ByTorch(ConstantStepDevice):
        @staticmethod
        def law(w, up, noise, dwmin_up):
            return torch.exp(-w) * dwmin_up

    tile = AnalogTile(2, 2, SingleRPUConfig(device=ByTorch()))
    line = ByTorch.law.__code__.co_firstlineno + 2
    message = (
        r"^ByTorch\.law cannot be compiled: Unknown attribute 'exp' of type module torch"
        rf" \(line {line} of test_compiler\.py\)\. Use .*ohmgrad\.words, imported by name: where, .*, exp, .*, clip\.$"
    )
    with pytest.raises(ConfigError, match=message) as caught:
        tile.update(torch.ones(2), torch.ones(2))
    assert type(caught.value.__cause__).__name__ == "TypingError"


def test_a_field_that_nothing_in_a_device_knows_is_refused() -> None:
    class Idle(ConstantStepDevice):
        steepness: float = 3.0

    with pytest.raises(ConfigError, match=r"Idle adds 'steepness', but nothing.*Define law or sample"):
        AnalogTile(2, 2, SingleRPUConfig(device=Idle()))

    class Named(Idle):
        of: str = "the sample of Monday"  # words are no numbers of a law

        def sample(self, draw):
            return super().sample(draw)

    class Noisy(WriteNoiseDevice, Named):
        pass

    class Narrow(ConstantStepDevice):
        w_max: float = 0.1

    for kind in (Named, Noisy, Narrow):
        AnalogTile(2, 2, SingleRPUConfig(device=kind()))


def test_a_device_without_a_law_is_refused() -> None:
    with pytest.raises(ConfigError, match="PulsedDevice has no law"):
        AnalogTile(2, 2, SingleRPUConfig(device=PulsedDevice()))


def test_a_field_that_is_not_a_number_cannot_be_an_argument() -> None:
    class Worded(ConstantStepDevice):
        kind: str = "fast"

        @staticmethod
        def law(w, up, noise, kind):
            return w

    with pytest.raises(ConfigError, match="'kind'"):
        AnalogTile(2, 2, SingleRPUConfig(device=Worded()))


# Kernels are kept on disk under a name that says all they are made from


def test_laws_that_differ_in_any_way_have_kernels_of_their_own() -> None:
    def helper(value):
        def with_default(w, scale=value):
            return w * scale

        return with_default

    def made(slope, inner):
        def law(w):
            return slope * inner(w)

        return law

    laws = [made(1.0, helper(0.5)), made(2.0, helper(0.5)), made(1.0, helper(0.25)), made(1, helper(0.5)), _scaled]
    names = [fingerprint(law) for law in laws]
    assert len(set(names)) == len(laws)
    assert fingerprint(made(1.0, helper(0.5))) == names[0]
    assert len({fingerprint(laws[0], number) for number in (0, 1, 1.0, True, "1")}) == 5


def test_a_changed_constant_of_a_module_changes_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    before = fingerprint(replay_cpu)
    assert fingerprint(replay_cpu) == before
    monkeypatch.setattr(replay_cpu, "BLOCK", 64)
    assert fingerprint(replay_cpu) != before


@pytest.mark.parametrize("module", [elementary, random])
def test_a_changed_constant_of_what_laws_are_made_of_changes_the_kernel(
    module: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    def content() -> str:
        def kernel(w):
            return w

        return compile_kernel(kernel, replay_cpu.__name__)._cache.content

    before = content()
    assert content() == before
    monkeypatch.setattr(module, "_LN2_LOW" if module is elementary else "ROUNDS", 8)
    assert content() != before


TWO_KERNELS = """
import sys
from ohmgrad.engine.compiler import compile_function
from ohmgrad.engine.kernel_cache import compile_kernel

def made(factor):
    def law(w):
        return factor * w
    inner = compile_function(law, whole_numbers=True)
    def kernel(w):
        return inner(w)
    return compile_kernel(kernel, __name__, law)

print(*(made(float(factor))(1.0) for factor in sys.argv[1:]))
"""


def test_kernels_kept_by_different_processes_live_together_in_a_third(tmp_path: Path) -> None:
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}

    def start(*factors: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", TWO_KERNELS, *factors]
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)

    alone = [start("2"), start("3")]
    assert [process.communicate()[0].split() for process in alone] == [["2.0"], ["3.0"]]
    assert start("2", "3").communicate()[0].split() == ["2.0", "3.0"]
