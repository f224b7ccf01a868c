"""What the test cases share: implementations, ways of saving, and comparisons to the bit or to rounding."""

from __future__ import annotations

import copy
import io
import pickle
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from ohmgrad.algorithms.buffered import BufferedTransferCompound
from ohmgrad.algorithms.chopped import ChoppedTransferCompound
from ohmgrad.algorithms.chopping import ChopperParameters
from ohmgrad.algorithms.dynamic import DynamicTransferCompound
from ohmgrad.algorithms.low_rank import LowRankTransferCompound
from ohmgrad.algorithms.mixed_precision import MixedPrecisionCompound
from ohmgrad.algorithms.multi_tile import MultiTileTransferCompound
from ohmgrad.algorithms.residual import ResidualTransferCompound
from ohmgrad.algorithms.rider import ERiderTransferCompound, RiderTransferCompound
from ohmgrad.algorithms.transfer import TransferCompound
from ohmgrad.configs import DigitalRankUpdateRPUConfig, PulsedDevice, RPUConfig, SingleRPUConfig, UnitCellRPUConfig
from ohmgrad.tile import AnalogTile

Size = tuple[int, int]
"""Outputs and inputs of a tile."""

SMALL_SIZES: tuple[Size, ...] = ((1, 1), (3, 5))
"""For kernels that are interpreted."""
SIZES: tuple[Size, ...] = ((1, 1), (3, 1), (1, 3), (3, 63), (500, 2))
"""On both sides of the widths that kernels are made for, with either side the longer."""


class Implementation(NamedTuple):
    """One way to compute, and the kind of PyTorch device that it computes on."""

    name: Literal["reference", "cpu", "gpu"]
    place: str

    @property
    def exists(self) -> bool:
        """Whether this machine has it."""
        return self.place != "cuda" or torch.cuda.is_available()


REFERENCE = Implementation("reference", "cpu")
"""The definition of all others."""
COMPILED = Implementation("cpu", "cpu")
GPU = Implementation("gpu", "cuda")
INTERPRETED = Implementation("gpu", "cpu")
"""The kernels of the GPU, interpreted: a thousand times slower, so only where they meet the reference."""
IMPLEMENTATIONS = (REFERENCE, COMPILED, GPU)
"""Every implementation that a test may run at length, the reference first. A new one is one entry."""

COMPOUNDS: dict[str, type[TransferCompound]] = {
    "ttv1": TransferCompound,
    "ttv2": BufferedTransferCompound,
    "ttv3": ChoppedTransferCompound,
    "ttv4": DynamicTransferCompound,
    "rlv2": ResidualTransferCompound,
    "rider": RiderTransferCompound,
    "e-rider": ERiderTransferCompound,
}
"""The compounds of the learning rules with two arrays, by short name."""


def implementations() -> list[Implementation]:
    """Those that this machine has."""
    return [each for each in IMPLEMENTATIONS if each.exists]


def by_rule(name: str, device: PulsedDevice, **fields: Any) -> RPUConfig:
    """A configuration that trains a device by a rule.

    ``"sgd"``, one of the compounds, ``"mrl"`` (multi-tile residual learning, on three arrays), ``"mp"`` (mixed
    precision) or ``"lrtt"`` (low-rank Tiki-taka).

    Transfers happen after every second vector (after every batch in the last two), so that in a few steps every part
    of a rule has acted. ``fields`` are those of the compound.
    """
    if name == "sgd":
        return SingleRPUConfig(device=device)
    if name == "mp":
        return DigitalRankUpdateRPUConfig(device=MixedPrecisionCompound(device=device, **fields))
    if name == "lrtt":
        fields = {"rank": 2, "transfer_every": 1, "transfer_lr": 0.3, "reinit_gain": 1.0, **fields}
        return UnitCellRPUConfig(device=LowRankTransferCompound(unit_cell_devices=[device] * 3, **fields))
    if name == "mrl":
        counted = {"units_in_mbatch": False, "transfer_every": 2.0, "period_growth": 2.0}
        fields = {**counted, "gamma": 0.5, "transfer_lr": 0.05, **fields}
        return UnitCellRPUConfig(device=MultiTileTransferCompound(unit_cell_devices=[device] * 3, **fields))
    chopped = {"in_chop_prob": 0.4} if issubclass(COMPOUNDS[name], ChopperParameters) else {}
    fields = {"units_in_mbatch": False, "transfer_every": 2.0, "fast_lr": 1.0, **chopped, **fields}
    return UnitCellRPUConfig(device=COMPOUNDS[name](unit_cell_devices=[device, device], **fields))


def check(case: type) -> None:
    """Run every test of a test case without pytest, for instance in a notebook, and print how many passed.

    :raises AssertionError: by the first that fails, with its name.
    """
    names = sorted(name for name in dir(case) if name.startswith("test_"))
    for name in names:
        try:
            getattr(case(), name)()
        except AssertionError as error:
            raise AssertionError(f"{case.__name__}.{name}: {error}") from error
    print(f"{case.__name__}: {len(names)} checks passed.")


# --- tiles -----------------------------------------------------------------------------------------------------------


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Let torch's generator begin with a seed, and put it back in the end."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def make_tile(
    config: RPUConfig, size: Size, implementation: Implementation = COMPILED, seed: int = 0, rate: float = 0.03
) -> AnalogTile:
    """A tile with a seed, an implementation and a learning rate."""
    config = config.model_copy(deep=True)
    config.runtime.implementation = implementation.name
    with seeded(seed):
        tile = AnalogTile(*size, config).to(implementation.place)
    tile.set_learning_rate(rate)
    return tile


def a_batch(count: int, size: Size, seed: int = 0, place: str = "cpu") -> tuple[Tensor, Tensor]:
    """Inputs ``[count, in]`` and gradients ``[count, out]`` of standard normal numbers."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(count, size[1], generator=generator)
    return x.to(place), torch.randn(count, size[0], generator=generator).to(place)


def everything(tile: AnalogTile) -> dict[str, Tensor]:
    """All that a tile remembers and shows, as copies on the processor."""
    found = {**tile.state_dict(), **tile.get_hidden_parameters(), **tile.algorithm_state(), "W": tile.get_weights()}
    return {name: value.detach().cpu().clone() for name, value in found.items()}


def live(tile: AnalogTile, steps: int = 3, first: int = 0) -> AnalogTile:
    """Some optimizer steps, each with everything that can happen to a tile; the tile itself."""
    size, place = (tile.out_size, tile.in_size), str(tile.weight.device)
    for step in range(first, first + steps):
        tile.update(*a_batch(2, size, seed=step, place=place))
        tile.post_update_step()
        tile.drift_weights(1.0)
        tile.reset(0.1)
        tile(torch.ones(tile.in_size, device=place))
    return tile


@contextmanager
def poisoned_memory() -> Iterator[None]:
    """Memory that nobody has written yet holds the worst it can hold, so that what a kernel forgets to write shows."""
    before = torch.empty

    def poisoned(*size: Any, **options: Any) -> Tensor:
        memory = before(*size, **options)
        return memory.fill_(torch.nan if memory.is_floating_point() else -1)

    torch.empty = poisoned
    try:
        yield
    finally:
        torch.empty = before


# --- saving ----------------------------------------------------------------------------------------------------------


def _load(tile: AnalogTile, fresh: Callable[[], AnalogTile]) -> AnalogTile:
    other = fresh()
    other.load_state_dict(copy.deepcopy(tile.state_dict()))
    return other


def _assign(tile: AnalogTile, fresh: Callable[[], AnalogTile]) -> AnalogTile:
    other = fresh()
    other.load_state_dict({name: value.clone() for name, value in tile.state_dict().items()}, assign=True)
    return other


def _save(tile: AnalogTile, fresh: Callable[[], AnalogTile]) -> AnalogTile:
    file, other = io.BytesIO(), fresh()
    torch.save(tile.state_dict(), file)
    file.seek(0)
    other.load_state_dict(torch.load(file))
    return other


COPIES: dict[str, Callable[[AnalogTile, Callable[[], AnalogTile]], AnalogTile]] = {
    "load_state_dict": _load,
    "load_state_dict(assign=True)": _assign,
    "torch.save": _save,
    "copy.deepcopy": lambda tile, fresh: copy.deepcopy(tile),
    "pickle": lambda tile, fresh: pickle.loads(pickle.dumps(tile)),
}
"""Ways to save and restore a tile; ``fresh`` makes another one of its kind."""


# --- what holds for every tile ---------------------------------------------------------------------------------------


def after(what: str) -> Callable[[str], str]:
    """The message of a failed comparison, after what was compared."""
    return lambda text: f"{what}: {text}"


def assert_same_bits(found: Mapping[str, Tensor], wanted: Mapping[str, Tensor], what: str) -> None:
    """Every tensor is the same, bit for bit."""
    assert found.keys() == wanted.keys(), f"{what}: {sorted(set(found) ^ set(wanted))}"
    odd = [name for name, value in wanted.items() if not torch.equal(found[name], value)]
    assert not odd, f"{what}: other bits in {', '.join(odd)}"


def assert_same_but_for_rounding(found: Mapping[str, Tensor], wanted: Mapping[str, Tensor], what: str) -> None:
    """Whole numbers are the same, and weights to a few roundings in float32."""
    assert found.keys() == wanted.keys(), f"{what}: {sorted(set(found) ^ set(wanted))}"
    for name, value in wanted.items():
        if value.is_floating_point():
            torch.testing.assert_close(found[name], value, rtol=1e-5, atol=1e-5, msg=after(f"{what}: {name}"))
        else:
            assert torch.equal(found[name], value), f"{what}: {name}"


def assert_implementations_agree(config: RPUConfig, sizes: tuple[Size, ...] = SIZES) -> None:
    """Every implementation does what the reference does, from memory that held nothing good."""
    tried = [(each, sizes) for each in implementations()[1:]]
    if find_spec("triton") and not GPU.exists:
        tried.append((INTERPRETED, SMALL_SIZES))
    for implementation, its_sizes in tried:
        for size in its_sizes:
            wanted = everything(live(make_tile(config, size, REFERENCE)))
            with poisoned_memory():
                found = everything(live(make_tile(config, size, implementation)))
            assert_same_but_for_rounding(found, wanted, f"{implementation} at size {size}")


def assert_goes_on(config: RPUConfig, size: Size) -> None:
    """Stopping, saving and continuing equals never having stopped."""
    for implementation in implementations():
        tile = live(make_tile(config, size, implementation))
        copies = {
            name: saved(tile, lambda: make_tile(config, size, implementation, seed=99))  # noqa: B023
            for name, saved in COPIES.items()
            if implementation is not REFERENCE or saved is _load  # how it is saved is the same for all
        }
        wanted = everything(live(tile, first=3))
        for name, other in copies.items():
            assert_same_bits(everything(live(other, first=3)), wanted, f"{name}, {implementation}")


def assert_seeds_decide(config: RPUConfig, size: Size) -> None:
    """One seed gives one result, and another seed another."""
    for implementation in implementations():
        first, again, other = (everything(live(make_tile(config, size, implementation, seed))) for seed in (1, 1, 2))
        assert_same_bits(again, first, f"the same seed, {implementation}")
        assert not torch.equal(other["W"], first["W"]), f"{implementation}: the seed changes nothing"


def assert_cuts_change_nothing(config: RPUConfig, size: Size, count: int = 6) -> None:
    """A batch may be cut anywhere without changing a bit."""
    for implementation in implementations():
        x, d = a_batch(count, size, place=implementation.place)
        whole = make_tile(config, size, implementation)
        whole.update(x, d)
        wanted = everything(whole)
        every = [[cut] for cut in range(1, count)]
        for cuts in (*(every[:1] if implementation is REFERENCE else every), list(range(1, count))):
            tile = make_tile(config, size, implementation)
            for begin, end in zip([0, *cuts], [*cuts, count], strict=True):
                tile.update(x[begin:end], d[begin:end])
            assert_same_bits(everything(tile), wanted, f"cut at {cuts}, {implementation}")


def assert_within_bounds(tile: AnalogTile, what: str) -> None:
    """No cell of any array is outside its bounds, or no number at all."""
    for k, cells in enumerate(tile.rule.cells()):
        lower, upper = cells.limits()
        outside = ~((cells.state >= lower) & (cells.state <= upper))
        assert not outside.any(), f"{what}: {int(outside.sum())} cells of array {k} are outside their bounds"
