"""Every learning rule passes the test case that a rule of one's own inherits; recursions read off the papers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

from ohmgrad.configs import (
    BufferedTransferCompound,
    ChoppedTransferCompound,
    DynamicTransferCompound,
    ERiderTransferCompound,
    IOParameters,
    LowRankTransferCompound,
    MultiTileTransferCompound,
    PulsedDevice,
    ResidualTransferCompound,
    RiderTransferCompound,
    RPUConfig,
    SingleRPUConfig,
    TransferCompound,
    UnitCellRPUConfig,
    UpdateParameters,
)
from ohmgrad.testing import RuleTestCase

LR, G = 0.1, 0.01
"""The learning rate of the tests, and the step of their cells."""


class TestAnalogSGD(RuleTestCase):
    def make_config(self, device: PulsedDevice, update: UpdateParameters, io: IOParameters) -> RPUConfig:
        return SingleRPUConfig(device=device, update=update, forward=io, backward=io)

    def expected_weights(self, x: Tensor, d: Tensor) -> Tensor:
        return -LR * torch.einsum("no,ni->noi", d, x).cumsum(0)

    def expected_visible(self, hidden: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> Tensor | None:
        return None  # a single array has no name for its weight


class Compound(RuleTestCase):
    """Two arrays; column s of A is read after every second vector, s in turn."""

    kind: type[TransferCompound]
    gamma = 0.2
    fields: ClassVar[dict[str, Any]] = {}
    zero: ClassVar[str] = ""
    """The matrix that is subtracted from A where it is seen."""

    def make_config(self, device: PulsedDevice, update: UpdateParameters, io: IOParameters) -> RPUConfig:
        rule = self.kind(
            unit_cell_devices=[device, device], gamma=self.gamma, transfer_every=2.0, units_in_mbatch=False,
            transfer_forward=io, **self.fields,
        )  # fmt: skip
        if not issubclass(self.kind, BufferedTransferCompound):
            rule.transfer_update = update
        return UnitCellRPUConfig(device=rule, forward=io, backward=io, update=update)

    def expected_weights(self, x: Tensor, d: Tensor) -> Tensor:
        outputs, inputs = d.shape[1], x.shape[1]
        self.a, self.c, self.h = (torch.zeros(outputs, inputs, dtype=torch.float64) for _ in range(3))
        self.start()
        seen = []
        for n in range(len(x)):
            self.a -= self.fast_rate() * self.signs() * torch.outer(d[n], x[n])
            if n % 2 == 1:
                self.transfer((n // 2) % inputs)
            seen.append(self.gamma * self.signs() * (self.a - self.reference()) + self.c)
        return torch.stack(seen)

    def start(self) -> None:
        pass

    def fast_rate(self) -> float:
        return 1.0 * LR

    def signs(self) -> Tensor:
        return torch.ones_like(self.a)

    def reference(self) -> Tensor:
        return torch.zeros_like(self.a)

    def transfer(self, s: int) -> None:
        raise NotImplementedError

    def fire(self, s: int, threshold: float, kept: float, writes: bool = True) -> None:
        """One step where the buffer is full, which then keeps a share."""
        full = (self.h[:, s].abs() >= threshold).double() * self.h[:, s].sign()
        self.c[:, s] += G * full * writes
        self.h[:, s] *= torch.where(full != 0, kept, 1.0)

    def expected_visible(self, hidden: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> Tensor:
        signs = torch.ones(self.size)
        if "in_chopper" in state:
            c_in, c_out = (1 - 2 * state[name].float() for name in ("in_chopper", "out_chopper"))
            signs = c_out[:, None] * c_in[None, :]
        fast = hidden["hidden_weights_0"] - (hidden[self.zero] if self.zero else 0.0)
        return self.gamma * signs * fast + hidden["hidden_weights_1"]


class TestTTv1(Compound):
    kind = TransferCompound
    fields: ClassVar[dict[str, Any]] = {"transfer_lr": 0.5}

    def transfer(self, s: int) -> None:
        self.c[:, s] += self.fields["transfer_lr"] * LR * self.a[:, s]


class TestTTv1WithoutResidual(TestTTv1):
    gamma = 0.0
    fields: ClassVar[dict[str, Any]] = {"transfer_lr": 0.1}


class TestTTv2(Compound):
    kind = BufferedTransferCompound
    fields: ClassVar[dict[str, Any]] = {"transfer_lr": 2.0}

    def transfer(self, s: int) -> None:
        self.h[:, s] += 2.0 * LR * self.gamma * self.a[:, s]  # gamma_A / gamma_C
        self.fire(s, G, 0.1)


class TestTTv3(Compound):
    kind = ChoppedTransferCompound
    fields: ClassVar[dict[str, Any]] = {"fast_lr": 0.1, "in_chop_prob": 1.0}

    def start(self) -> None:
        self.chopper = torch.ones(self.a.shape[1], dtype=torch.float64)

    def fast_rate(self) -> float:
        return 0.1

    def signs(self) -> Tensor:
        return self.chopper.expand_as(self.a)

    def transfer(self, s: int) -> None:
        self.h[:, s] += LR * self.gamma / G * self.chopper[s] * self.a[:, s]
        self.fire(s, 1.0, 0.0)
        self.chopper[s] *= -1


class TestTTv4(TestTTv3):
    kind = DynamicTransferCompound
    fields: ClassVar[dict[str, Any]] = {"fast_lr": 0.1, "in_chop_prob": 0.5, "tail_weightening": 1.0}
    vectors = 80
    phase = 2

    def start(self) -> None:
        super().start()
        self.mean, self.past = torch.zeros_like(self.a), torch.zeros_like(self.a)
        self.sweeps, self.flipped = 0, torch.zeros(self.a.shape[1], dtype=torch.bool)

    def transfer(self, s: int) -> None:
        z = self.a[:, s].clone()
        if self.flipped[s]:
            self.past[:, s] = self.mean[:, s]
        self.h[:, s] += LR * self.gamma / G * self.chopper[s] * (z - self.past[:, s])
        self.fire(s, 1.0, 0.0, writes=self.sweeps > self.phase)
        self.mean[:, s] = 0.5 * self.mean[:, s] + 0.5 * z
        self.flipped[s] = self.sweeps % self.phase == self.phase - 1  # the last sweep of a phase
        if self.flipped[s]:
            self.chopper[s] *= -1
        self.sweeps += s == self.a.shape[1] - 1


class TestTTv4WithANoiseGate(TestTTv4):
    fields: ClassVar[dict[str, Any]] = {
        "fast_lr": 0.1, "in_chop_prob": 0.25, "tail_weightening": 2.0, "noise_gate": 1.0,
    }  # fmt: skip
    phase = 4

    def start(self) -> None:
        super().start()
        self.spread = torch.zeros_like(self.a)

    def transfer(self, s: int) -> None:
        z, c, h = self.a[:, s], self.c[:, s].clone(), self.h[:, s].clone()
        self.spread[:, s] = 0.5 * self.spread[:, s] + 0.5 * (z - self.mean[:, s]) ** 2
        super().transfer(s)
        closed = (self.mean[:, s] - self.past[:, s]).abs() <= 1.0 * (0.5 * self.spread[:, s]).sqrt()
        self.c[:, s] = torch.where(closed, c, self.c[:, s])
        self.h[:, s] = torch.where(closed, h, self.h[:, s])


class TestRLv2(Compound):
    kind = ResidualTransferCompound
    taken = 1.0
    fields: ClassVar[dict[str, Any]] = {"transfer_lr": 0.05, "leak": 0.1}

    def transfer(self, s: int) -> None:
        self.h[:, s] = 0.9 * self.h[:, s] + 0.05 * self.a[:, s]
        full = (self.h[:, s].abs() >= G).double() * self.h[:, s].sign()
        self.c[:, s] += G * full
        self.h[:, s] -= self.taken * G * full


class TestRIDER(Compound):
    kind = RiderTransferCompound
    zero = "reference"
    fields: ClassVar[dict[str, Any]] = {"transfer_lr": 0.1, "eta": 0.04}

    def start(self) -> None:
        self.q = torch.zeros_like(self.a)

    def reference(self) -> Tensor:
        return self.q

    def transfer(self, s: int) -> None:
        self.c[:, s] += 0.1 * (self.a[:, s] - self.q[:, s])
        self.q[:, s] = 0.96 * self.q[:, s] + 0.04 * self.a[:, s]


class TestERIDER(TestRIDER):
    """Every slice flips in every second sweep."""

    kind = ERiderTransferCompound
    zero = "programmed_reference"
    fields: ClassVar[dict[str, Any]] = {
        "transfer_lr": 0.1, "eta": 0.04, "in_chop_prob": 0.5, "in_chop_random": False,
    }  # fmt: skip

    def start(self) -> None:
        super().start()
        self.programmed, self.sweeps = torch.zeros_like(self.a), 0
        self.chopper = torch.ones(self.a.shape[1], dtype=torch.float64)

    def signs(self) -> Tensor:
        return self.chopper.expand_as(self.a)

    def reference(self) -> Tensor:
        return self.programmed

    def transfer(self, s: int) -> None:
        self.c[:, s] += 0.1 * self.chopper[s] * (self.a[:, s] - self.programmed[:, s])
        self.q[:, s] = 0.96 * self.q[:, s] + 0.04 * self.a[:, s]
        if self.sweeps % 2 == 1:
            self.chopper[s] *= -1
            self.programmed[:, s] = self.q[:, s]
        self.sweeps += s == self.a.shape[1] - 1

    def test_it_learns(self) -> None:
        """In phases that are long enough to learn in."""
        super(TestERIDER, SeldomChopped()).test_it_learns()


class SeldomChopped(TestERIDER):
    fields: ClassVar[dict[str, Any]] = {"transfer_lr": 0.02, "in_chop_prob": 0.05}


# Variants, of which only the recursion is new.


class TTv4BeyondItsReference(TestTTv4):
    fields: ClassVar[dict[str, Any]] = {**TestTTv4.fields, "visible_beyond_reference": True}
    zero = "past_mean_weight"

    def reference(self) -> Tensor:
        return self.past


class RLv2OfItsAuthors(TestRLv2):
    """What was written stays in the buffer."""

    fields: ClassVar[dict[str, Any]] = {**TestRLv2.fields, "momentum": 1.0}
    taken = 0.0


class ByRows(TestERIDER):
    """Rows are read: the transpose of what is done by columns."""

    fields: ClassVar[dict[str, Any]] = {**TestERIDER.fields, "transfer_columns": False}

    def expected_weights(self, x: Tensor, d: Tensor) -> Tensor:
        return super().expected_weights(d, x).transpose(1, 2)

    def expected_visible(self, hidden: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> Tensor:
        turned = {"in_chopper": state["out_chopper"], "out_chopper": state["in_chopper"]}
        return super().expected_visible(hidden, turned)


@pytest.mark.parametrize("variant", [TTv4BeyondItsReference, RLv2OfItsAuthors, ByRows])
def test_a_variant_follows_its_recursion_and_shows_it(variant: type[Compound]) -> None:
    variant().test_weights_follow_the_recursion_worked_by_hand()
    variant().test_the_visible_weight_is_right_after_every_event()


class TestMultiTile(RuleTestCase):
    """Three arrays; column by column A goes to B after every second vector, B to C after every fourth."""

    def make_config(self, device: PulsedDevice, update: UpdateParameters, io: IOParameters) -> RPUConfig:
        rule = MultiTileTransferCompound.of(
            device, 3, gamma=0.5, transfer_every=2.0, period_growth=2.0, transfer_lr=0.01, transfer_lr_growth=1.2,
            units_in_mbatch=False, transfer_forward=io, transfer_update=update, warm_start=self.warm_start,
        )  # fmt: skip
        return UnitCellRPUConfig(device=rule, forward=io, backward=io, update=update)

    warm_start = False

    def expected_weights(self, x: Tensor, d: Tensor) -> Tensor:
        outputs, inputs = d.shape[1], x.shape[1]
        w = [torch.zeros(outputs, inputs, dtype=torch.float64) for _ in range(3)]
        seen = []
        for n in range(1, len(x) + 1):
            w[0] -= LR * torch.outer(d[n - 1], x[n - 1])
            self.transfer(w, n, inputs)
            seen.append(0.25 * w[0] + 0.5 * w[1] + w[2])
        return torch.stack(seen)

    def transfer(self, w: list[Tensor], n: int, inputs: int) -> None:
        for k, period, rate in ((0, 2, 0.01), (1, 4, 0.012)):
            if n % period == 0:
                s = (n // period - 1) % inputs
                w[k + 1][:, s] += rate * w[k][:, s]

    def expected_visible(self, hidden: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> Tensor:
        return 0.25 * hidden["hidden_weights_0"] + 0.5 * hidden["hidden_weights_1"] + hidden["hidden_weights_2"]


class InItsWarmStart(TestMultiTile):
    """In phase 0, A goes to C, and B is left alone."""

    warm_start = True

    def transfer(self, w: list[Tensor], n: int, inputs: int) -> None:
        if n % 2 == 0:
            s = (n // 2 - 1) % inputs
            w[2][:, s] += 0.01 * w[0][:, s]


def test_the_first_phase_of_a_warm_start_follows_the_recursion_worked_by_hand_and_learns() -> None:
    InItsWarmStart().test_weights_follow_the_recursion_worked_by_hand()
    with pytest.warns(UserWarning, match="no WarmStart ends its phases"):  # which nobody does here
        InItsWarmStart().test_it_learns()


class TestLowRank(RuleTestCase):
    """A transfer after every tenth batch; where B begins anew is drawn, and read off the tile."""

    batch_is_a_step = True
    rank, alpha, transfer_lr, period = 2, 0.5, 0.3, 10

    def make_config(self, device: PulsedDevice, update: UpdateParameters, io: IOParameters) -> RPUConfig:
        rule = LowRankTransferCompound(
            unit_cell_devices=[device] * 3, rank=self.rank, lora_alpha=self.alpha, transfer_lr=self.transfer_lr,
            transfer_every=self.period, reinit_gain=1.0, transfer_forward=io, transfer_update=update,
        )  # fmt: skip
        return UnitCellRPUConfig(device=rule, forward=io, backward=io, update=update)

    def expected_weights(self, x: Tensor, d: Tensor) -> Tensor:
        beginnings = self.beginnings_of_b(x, d)
        a, b, c = (
            torch.zeros(d.shape[1], self.rank).double(),
            beginnings[0],
            torch.zeros(d.shape[1], x.shape[1]).double(),
        )
        seen = []
        for n in range(len(x)):
            u, v = b @ x[n], a.T @ d[n]
            a, b = a - LR * self.alpha * torch.outer(d[n], u), b - LR * self.alpha * torch.outer(v, x[n])
            if (n + 1) % self.period == 0:
                c = c + self.transfer_lr * self.alpha * a @ b
                a, b = torch.zeros_like(a), beginnings[(n + 1) // self.period]
            seen.append(c + self.alpha * a @ b)
        return torch.stack(seen)

    def beginnings_of_b(self, x: Tensor, d: Tensor) -> list[Tensor]:
        """B in the beginning and after every transfer."""
        tile, found = self._certain(), []
        for n in range(len(x) + 1):
            if n % self.period == 0:
                found.append(tile.get_hidden_parameters()["hidden_weights_1"].double())
            tile.update(*(values[n : n + 1].float() for values in (x, d)))
        return found

    def expected_visible(self, hidden: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> Tensor:
        return hidden["hidden_weights_2"] + self.alpha * hidden["hidden_weights_0"] @ hidden["hidden_weights_1"]


# A case finds what is wrong.


class Forgetful(RuleTestCase):
    """Its recursion by hand is another one: the transfers go the other way."""

    make_config = TestTTv1().make_config

    def expected_weights(self, x: Tensor, d: Tensor) -> Tensor:
        return -TestTTv1().expected_weights(x, d)


def test_a_case_finds_another_recursion() -> None:
    with pytest.raises(AssertionError, match=r"after vector 0, .*, against expected_weights: Tensor"):
        Forgetful().test_weights_follow_the_recursion_worked_by_hand()


def test_a_case_finds_another_formula_of_the_weight() -> None:
    class Hidden(TestTTv1):
        def expected_visible(self, hidden: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> Tensor:
            return hidden["hidden_weights_1"]

    with pytest.raises(AssertionError, match=r"^update, .*, against expected_visible: Tensor"):
        Hidden().test_the_visible_weight_is_right_after_every_event()


def test_a_case_finds_a_rule_that_does_not_learn() -> None:
    class Still(TestAnalogSGD):
        learning_rate = 1e-6

    with pytest.raises(AssertionError, match="of the error is left"):
        Still().test_it_learns()


def test_a_case_finds_out_whether_a_batch_is_a_step() -> None:
    class Whole(TestAnalogSGD):
        batch_is_a_step = True

    class Cut(TestLowRank):
        batch_is_a_step = False

    with pytest.raises(AssertionError, match="no difference where it is cut"):
        Whole().test_a_batch_may_be_cut_anywhere()
    with pytest.raises(AssertionError, match="cut at"):
        Cut().test_a_batch_may_be_cut_anywhere()
