"""What a learning rule of one's own gets wrong is said by its name."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from ohmgrad.algorithms.chopping import ChopperParameters
from ohmgrad.algorithms.matrices import MatrixTransfer
from ohmgrad.configs import ConstantStepDevice, SoftBoundsDevice, TransferCompound, UnitCellRPUConfig
from ohmgrad.errors import ConfigError, TileError
from ohmgrad.tile import AnalogTile


def mean(z, mean, mu):
    mean = mu * mean + (1.0 - mu) * z
    return -mean, mean


def through_torch(z, mean, mu):
    return -torch.exp(z), mean


class Zone(MatrixTransfer):
    def buffer_names(self) -> list[str]:
        return ["mean_read"]

    def steps(self, k, values, reads, *others):
        vector = reads.follow(self.config.recursion(), (values,), self.rows_of(self.config.asks), constants=(0.5,))
        return vector if self.config.forgets else (vector, 0.1)


class ZoneCompound(TransferCompound):
    asks: str = "mean_read"
    forgets: bool = False
    compiles: bool = True

    def recursion(self):
        return mean if self.compiles else through_torch

    def build(self, site):
        return Zone(self, site)


def update(compound: type[TransferCompound], **fields: object) -> Tensor:
    cells = [ConstantStepDevice(), SoftBoundsDevice()]
    rule = compound(unit_cell_devices=cells, units_in_mbatch=False, n_reads_per_transfer=2, **fields)
    tile = AnalogTile(2, 2, UnitCellRPUConfig(device=rule))
    tile.update(torch.ones(2), torch.ones(2))
    return tile.get_weights()


def test_a_rule_that_is_right_is_trained() -> None:
    assert update(ZoneCompound).isfinite().all()


def test_fields_that_the_inherited_rule_cannot_know_are_refused() -> None:
    class Unbuilt(TransferCompound):
        zone: float = 0.1

    class Chopped(ChopperParameters, TransferCompound):
        pass

    class Further(ZoneCompound):
        further: int = 1

    class Other(ZoneCompound):
        gamma: float = 0.5

    class Checked(TransferCompound):
        largest: float = 2.0

        def check(self) -> None:
            super().check()
            assert self.gamma <= self.largest

    class Named(TransferCompound):
        label: str = "mine"

    message = r"^Unbuilt adds 'zone' but builds the rule of TransferCompound\. Define build\(self, site\)"
    with pytest.raises(ConfigError, match=message):
        update(Unbuilt)
    with pytest.raises(ConfigError, match=r"Chopped adds 'in_chop_prob', .* but builds the rule of TransferCompound"):
        update(Chopped)
    with pytest.raises(ConfigError, match="Further adds 'further' but builds the rule of ZoneCompound"):
        update(Further)
    for useful in (Other, Checked, Named):
        assert update(useful).isfinite().all()


def test_a_matrix_that_a_rule_does_not_have_is_named_with_the_one_it_has() -> None:
    with pytest.raises(TileError, match=r"^Zone has no matrix or buffer 'mean_rea'\. Did you mean 'mean_read'\?"):
        update(ZoneCompound, asks="mean_rea")
    with pytest.raises(TileError, match=r"^Zone has no matrix or buffer 'H'\. It has: .*mean_read"):
        update(ZoneCompound, asks="H")


def test_steps_without_their_rate_are_refused() -> None:
    """Two reads would come apart as vectors and a rate."""
    with pytest.raises(TileError, match=r"^Zone\.steps must return \(vectors, rate\)\."):
        update(ZoneCompound, forgets=True)


def test_a_recursion_that_cannot_be_compiled_is_named_with_its_line() -> None:
    line = through_torch.__code__.co_firstlineno + 1
    message = rf"^through_torch cannot be compiled: .*'exp' of type module torch \(line {line} of test_own_rule\.py\)\."
    with pytest.raises(ConfigError, match=message) as caught:
        update(ZoneCompound, compiles=False)
    assert type(caught.value.__cause__).__name__ == "TypingError"
