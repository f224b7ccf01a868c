"""The test case of a learning rule."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from ohmgrad.configs import (
    ConstantStepDevice,
    IOParameters,
    PulsedDevice,
    PulseType,
    RPUConfig,
    SoftBoundsDevice,
    UpdateParameters,
)
from ohmgrad.testing import common
from ohmgrad.testing.common import Implementation
from ohmgrad.tile import AnalogTile

STEP = 0.01
"""Step of the cells for what is worked out by hand."""


class RuleTestCase(ABC):
    """What must hold for every learning rule. A class of yours gives :meth:`make_config` and :meth:`expected_weights`.

    Take a period of a few vectors, counted in vectors (``units_in_mbatch=False``), so that everything that the rule
    does is done in a short test, and so that a batch may be cut. If a batch is one step of the rule, say so by
    :attr:`batch_is_a_step`.
    """

    size: common.Size = (3, 4)
    """Size of the tiles."""
    learning_rate: float = 0.1
    r"""Learning rate :math:`\lambda` of all tests."""
    vectors: int = 30
    """Length of what is worked out by hand, in vectors."""
    batch_is_a_step: bool = False
    """Whether the rule takes one step for a whole batch, so that a batch which is cut is another step. What is worked
    out by hand is then compared with batches of one vector only."""
    learning_steps: int = 1000
    """Steps, of 10 vectors each, in which the error of a linear layer becomes less than half."""

    @abstractmethod
    def make_config(self, device: PulsedDevice, update: UpdateParameters, io: IOParameters) -> RPUConfig:
        """The rule to test.

        :param device: for every array; :param update: how gradients become pulses, and what else the rule writes if
            that is no single pulse; :param io: converters and noise of every product that the rule reads with.
        """

    @abstractmethod
    def expected_weights(self, x: Tensor, d: Tensor) -> Tensor:
        """The visible weight after every vector, a batch of its own, worked out by hand, float64 ``[n, out, in]``.

        All weights are 0 in the beginning. Every update is exact, every product too, and cells have constant steps of
        0.01 between bounds of +-10, so that the recursion of the paper holds as it stands.

        :param x: inputs, float64 ``[n, in]``; :param d: gradients of the outputs, float64 ``[n, out]``.
        """

    def expected_visible(self, hidden: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> Tensor | None:
        """The visible weight by its formula, from hidden parameters and the state of the rule; None: not checked."""
        return None

    # --- what it does ------------------------------------------------------------------------------------------------

    def test_weights_follow_the_recursion_worked_by_hand(self) -> None:
        """Vector by vector, and in one batch (unless that is a step)."""
        x, d = common.a_batch(self.vectors, self.size)
        wanted = self.expected_weights(x.double(), d.double())
        assert bool(wanted.any()), "the weight worked by hand never moves"
        for implementation in common.implementations():
            tile, whole = self._certain(implementation), self._certain(implementation)
            place = implementation.place
            for n in range(self.vectors):
                tile.update(x[n : n + 1].to(place), d[n : n + 1].to(place))
                torch.testing.assert_close(
                    tile.get_weights(), wanted[n], rtol=1e-4, atol=1e-5, check_dtype=False,
                    msg=common.after(f"after vector {n}, {implementation}, against expected_weights"),
                )  # fmt: skip
            if self.batch_is_a_step:
                continue
            whole.update(x.to(place), d.to(place))
            torch.testing.assert_close(
                whole.get_weights(), wanted[-1], rtol=1e-4, atol=1e-5, check_dtype=False,
                msg=common.after(f"in one batch, {implementation}, against the last of expected_weights"),
            )  # fmt: skip

    def test_it_learns(self) -> None:
        """A linear layer of cells with variation and noise goes more than half of the way to its target."""
        device = SoftBoundsDevice(dw_min=0.01, w_max=1.0, w_min=-1.0, dw_min_dtod=0.1, w_max_dtod=0.1, w_min_dtod=0.1)
        config = self.make_config(device, UpdateParameters(), IOParameters())
        tile = common.make_tile(config, self.size, rate=self.learning_rate)
        generator = torch.Generator().manual_seed(1)
        target = 0.6 * torch.rand(self.size, generator=generator) - 0.3
        for step in range(self.learning_steps):
            x, _ = common.a_batch(10, self.size, seed=step)
            tile.update(x, (tile(x).detach() - x @ target.t()) / 10)
        left = float((tile.get_weights() - target).norm() / target.norm())
        assert left <= 0.5, f"{left:.2f} of the error is left after {self.learning_steps} steps"

    # --- the visible weight ------------------------------------------------------------------------------------------

    def test_the_visible_weight_is_right_after_every_event(self) -> None:
        """Updates, operations, saving and loading."""
        for implementation in common.implementations():
            tile = self._lively(implementation)
            x, d = common.a_batch(5, self.size, place=implementation.place)
            events: dict[str, Callable[[AnalogTile], object]] = {
                "update": lambda tile, x=x, d=d: tile.update(x, d),  # type: ignore[misc]
                "set_weights": lambda tile: tile.set_weights(torch.full(self.size, 0.2)),
                "decay_weights": AnalogTile.decay_weights,
                "diffuse_weights": AnalogTile.diffuse_weights,
                "clip_weights": lambda tile: tile.clip_weights(0.1),
                "reset_columns": lambda tile: tile.reset_columns(1, 2, 0.7),
                "drift_weights": AnalogTile.drift_weights,
                "set_hidden_parameters": lambda tile: tile.set_hidden_parameters(_shrunk(tile)),
            }
            for name, event in events.items():
                for what in (events["update"], event):
                    what(tile)
                self._assert_shown(tile, f"{name}, {implementation}")
            for name, saved in common.COPIES.items():
                again = saved(tile, lambda: self._lively(implementation, seed=9))  # noqa: B023
                self._assert_shown(again, f"{name}, {implementation}")
                events["update"](again)
                self._assert_shown(again, f"update after {name}, {implementation}")

    def test_what_is_set_is_what_is_shown_and_the_rule_starts_anew(self) -> None:
        """Whatever it was doing."""
        used, fresh = self._certain(), self._certain()
        used.update(*common.a_batch(7, self.size))
        weights = torch.linspace(-0.5, 0.5, self.size[0] * self.size[1]).reshape(self.size)
        for tile in (used, fresh):
            tile.set_weights(weights)
            shown, what = tile.get_weights(), common.after("what is shown, against what was set")
            torch.testing.assert_close(shown, weights, rtol=0.0, atol=1e-6, msg=what)
        common.assert_same_bits(used.algorithm_state(), fresh.algorithm_state(), "state after set_weights")
        common.assert_same_bits(used.get_hidden_parameters(), fresh.get_hidden_parameters(), "after set_weights")

    def test_no_cell_leaves_its_bounds(self) -> None:
        """However large the gradients are."""
        for implementation in common.implementations():
            tile = self._lively(implementation)
            for step in range(4):
                x, d = common.a_batch(3, self.size, seed=step, place=implementation.place)
                tile.update(10.0 * x, 10.0 * d)
                common.assert_within_bounds(tile, str(implementation))

    # --- when nothing may change -------------------------------------------------------------------------------------

    def test_a_learning_rate_of_0_and_an_empty_batch_move_nothing(self) -> None:
        """No counter, no pointer, no chopper."""
        tile = self._lively()
        tile.update(*common.a_batch(5, self.size))
        before = common.everything(tile)
        tile.update(*common.a_batch(0, self.size))
        tile.set_learning_rate(0.0)
        tile.update(*common.a_batch(5, self.size))
        tile.set_learning_rate(self.learning_rate)
        common.assert_same_bits(common.everything(tile), before, "after nothing")

    def test_hidden_parameters_set_to_what_they_are_change_nothing(self) -> None:
        """They are restored exactly."""
        tile = self._lively()
        tile.update(*common.a_batch(5, self.size))
        before = common.everything(tile)
        tile.set_hidden_parameters(tile.get_hidden_parameters())
        common.assert_same_bits(common.everything(tile), before, "after setting what was there")

    # --- the same for every tile -------------------------------------------------------------------------------------

    def test_every_implementation_does_what_the_reference_does(self) -> None:
        """The same pulses, counters and choppers, and weights to rounding."""
        common.assert_implementations_agree(self._lively_config(), ((1, 1), (3, 63), self.size))

    def test_continuing_equals_never_having_stopped(self) -> None:
        """Bit for bit, however it was saved."""
        common.assert_goes_on(self._lively_config(), self.size)

    def test_the_seed_decides(self) -> None:
        """One seed gives one result, and another seed another."""
        common.assert_seeds_decide(self._lively_config(), self.size)

    def test_a_batch_may_be_cut_anywhere(self) -> None:
        """Without changing a bit; unless a batch is a step: then by more than rounding."""
        if not self.batch_is_a_step:
            common.assert_cuts_change_nothing(self._lively_config(), self.size, 12)
            return
        x, d = common.a_batch(12, self.size)
        whole, cut = self._certain(), self._certain()
        whole.update(x, d)
        for part in (slice(0, 5), slice(5, 12)):
            cut.update(x[part], d[part])
        difference = float((whole.get_weights() - cut.get_weights()).abs().max())
        assert difference > 1e-4, "a batch is said to be a step, but it makes no difference where it is cut"

    # --- inside ------------------------------------------------------------------------------------------------------

    def _certain(self, implementation: Implementation = common.COMPILED) -> AnalogTile:
        """A tile without chance: the conditions of :meth:`expected_weights`."""
        device = ConstantStepDevice(
            dw_min=STEP, dw_min_dtod=0.0, dw_min_std=0.0, up_down_dtod=0.0, w_max=10.0, w_min=-10.0, w_max_dtod=0.0,
            w_min_dtod=0.0, reset_std=0.0,
        )  # fmt: skip
        exact, perfect = UpdateParameters(pulse_type=PulseType.NONE_WITH_DEVICE), IOParameters(is_perfect=True)
        config = self.make_config(device, exact, perfect)
        config.update = exact  # type: ignore[misc]
        return common.make_tile(config, self.size, implementation, rate=self.learning_rate)

    def _lively_config(self) -> RPUConfig:
        """Everything that the rule meets in use."""
        device = SoftBoundsDevice(dw_min=0.02, write_noise_std=0.3, diffusion=1e-3, lifetime=200.0)
        return self.make_config(device, UpdateParameters(), IOParameters())

    def _lively(self, implementation: Implementation = common.COMPILED, seed: int = 0) -> AnalogTile:
        return common.make_tile(self._lively_config(), self.size, implementation, seed, self.learning_rate)

    def _assert_shown(self, tile: AnalogTile, what: str) -> None:
        shown = tile.weight.detach().cpu()
        assert torch.equal(tile.rule.visible().cpu(), shown), f"{what}: the tile shows an old weight"
        assert torch.equal(tile.get_weights(), shown), what
        wanted = self.expected_visible(tile.get_hidden_parameters(), tile.algorithm_state())
        if wanted is not None:
            against = common.after(f"{what}, against expected_visible")
            torch.testing.assert_close(shown, wanted, rtol=1e-5, atol=1e-6, check_dtype=False, msg=against)


def _shrunk(tile: AnalogTile) -> dict[str, Tensor]:
    """The hidden parameters of a tile, with weights half as large."""
    hidden = tile.get_hidden_parameters()
    return {name: value * 0.5 if "weight" in name else value for name, value in hidden.items()}
