"""Two narrow arrays that learn as in analog SGD, and what becomes of them at a transfer."""

from __future__ import annotations

from itertools import count
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from algorithms.cells import cell, put
from ohmgrad import AnalogLinear
from ohmgrad.configs import (
    IOParameters,
    LowRankTransferCompound,
    NoiseManagementType,
    PulsedDevice,
    PulseType,
    SingleRPUConfig,
    SoftBoundsDevice,
    UnitCellRPUConfig,
    UpdateParameters,
)
from ohmgrad.engine.array import CellArray
from ohmgrad.engine.draws import Draws
from ohmgrad.engine.samples import Samples
from ohmgrad.engine.site import Site
from ohmgrad.errors import ConfigError, TileError
from ohmgrad.testing import common
from ohmgrad.tile import AnalogTile

SIZE, RANK = (3, 5), 2
PERFECT = IOParameters(is_perfect=True)
EXACT = UpdateParameters(pulse_type=PulseType.NONE_WITH_DEVICE)
NOISY = SoftBoundsDevice(dw_min=0.02, write_noise_std=0.3, apply_write_noise_on_set=False)


def config(device: PulsedDevice | None = None, update: UpdateParameters | None = None, **fields: Any) -> Any:
    """Exact products and, unless given, exact updates of silent cells."""
    device, update = cell() if device is None else device, EXACT if update is None else update
    given = {"rank": RANK, "transfer_every": 0, "transfer_forward": PERFECT, "transfer_update": update, **fields}
    return UnitCellRPUConfig(device=LowRankTransferCompound([device] * 3, **given), update=update)


def arrays_of(tile: AnalogTile) -> tuple[Tensor, Tensor, Tensor]:
    hidden = tile.get_hidden_parameters()
    a, b, c = (hidden[f"hidden_weights_{k}"] for k in range(3))
    return a, b, c


def filled(**fields: Any) -> AnalogTile:
    """A tile whose three arrays hold something."""
    tile = common.make_tile(config(**fields), SIZE)
    generator = torch.Generator().manual_seed(1)
    values = {"hidden_weights_0": (3, RANK), "hidden_weights_1": (RANK, 5), "hidden_weights_2": SIZE}
    put(tile, {name: 0.5 * torch.randn(*shape, generator=generator) for name, shape in values.items()})
    return tile


# --- what it reduces to ----------------------------------------------------------------------------------------------


def test_without_transfers_it_is_lora_by_torch() -> None:
    tile, alpha, rate = filled(lora_alpha=0.7), 0.7, 0.05
    tile.set_learning_rate(rate)
    a, b, c = (array.clone().requires_grad_() for array in arrays_of(tile))
    optimizer = torch.optim.SGD([a, b], lr=rate)
    for step in range(20):
        x, d = common.a_batch(6, SIZE, seed=step)
        optimizer.zero_grad()
        ((x @ c.T + alpha * (x @ b.T) @ a.T) * d).sum().backward()
        optimizer.step()
        tile.update(x, d)
    for found, wanted in zip(arrays_of(tile), (a, b, c), strict=True):
        torch.testing.assert_close(found, wanted.detach(), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(tile.get_weights(), (c + alpha * a @ b).detach(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("size", [(3, 5), (5, 3), (1, 1)])
def test_without_transfers_a_and_b_learn_as_in_analog_sgd(size: tuple[int, int]) -> None:
    outputs, inputs = size
    tile = common.make_tile(config(NOISY, UpdateParameters(), lora_alpha=0.5), size, rate=0.2)
    alone = common.make_tile(SingleRPUConfig(device=NOISY), (outputs, RANK), rate=0.1)
    draws = Draws(int(tile.seed), "cpu")
    second = CellArray(NOISY, Site(RANK, inputs, draws, indices=count(1)))  # the cells and pulses of array 1
    second.set(arrays_of(tile)[1], draws)
    for step in range(5):
        x, d = common.a_batch(4, size, seed=step)
        a, b, c = arrays_of(tile)
        assert not c.any()
        alone.update(x @ b.T, d)
        rates = torch.full((4,), 0.1, dtype=torch.float64)
        second.update(Samples.of(x, d @ a, rates), UpdateParameters(), draws)
        tile.update(x, d)
    assert torch.equal(arrays_of(tile)[0], alone.get_weights())
    assert torch.equal(arrays_of(tile)[1], second.visible())


# --- a transfer ------------------------------------------------------------------------------------------------------


def test_a_whole_transfer_leaves_the_weight_as_it_is() -> None:
    tile = filled(transfer_every=1, lora_alpha=0.5)
    before = tile.get_weights()
    tile.update(torch.zeros(1, 5), torch.zeros(1, 3))
    a, _, c = arrays_of(tile)
    torch.testing.assert_close(c, before)
    assert not a.any()
    assert torch.equal(tile.get_weights(), c)


def test_a_share_is_transferred_and_the_rest_is_forgotten() -> None:
    tile = filled(transfer_every=1, lora_alpha=0.5, transfer_lr=0.25)
    a, b, c = arrays_of(tile)
    tile.update(torch.zeros(1, 5), torch.zeros(1, 3))
    torch.testing.assert_close(tile.get_weights(), c + 0.25 * 0.5 * a @ b)


def test_batches_are_counted_and_not_vectors() -> None:
    tile = filled(transfer_every=3)
    moved = []
    for size in (1, 7, 2, 5, 1, 1):
        before = arrays_of(tile)[2]
        tile.update(*common.a_batch(size, SIZE))
        moved.append(not torch.equal(arrays_of(tile)[2], before))
    assert moved == [False, False, True, False, False, True]
    assert int(tile.algorithm_state()["current_update_index"]) == 6


def test_b_begins_with_kaiming_numbers_and_others_every_time() -> None:
    big = config(rank=40, transfer_every=1, reinit_gain=0.1)
    tile = common.make_tile(big, (2, 400))
    seen = [arrays_of(tile)[1]]
    for _ in range(2):
        tile.update(torch.zeros(1, 400), torch.zeros(1, 2))
        seen.append(arrays_of(tile)[1])
    for b in seen:
        assert float(b.std()) == pytest.approx(0.1 / 20.0, rel=5 / (2 * b.numel()) ** 0.5)
        assert abs(float(b.mean())) < 5 * (0.1 / 20.0) / b.numel() ** 0.5
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert abs(float((seen[one] * seen[other]).mean())) < 5 * (0.1 / 20.0) ** 2 / seen[0].numel() ** 0.5


def test_to_set_the_arrays_anew_wears_no_cell() -> None:
    tile = filled(transfer_every=1)
    tile.update(torch.zeros(1, 5), torch.zeros(1, 3))
    assert [int(counts.total.sum()) for counts in tile.pulse_counts()[:2]] == [0, 0]


@pytest.mark.parametrize("on_set", [False, True])
def test_write_noise_of_a_is_part_of_the_weight_where_setting_draws_it(on_set: bool) -> None:
    device = SoftBoundsDevice(write_noise_std=1.0, apply_write_noise_on_set=on_set)
    tile = common.make_tile(config(device), SIZE)
    a, b, c = arrays_of(tile)
    assert bool(a.any()) == on_set
    torch.testing.assert_close(tile.get_weights(), c + a @ b)


def test_what_is_set_is_seen_although_b_is_not_0() -> None:
    tile = filled(transfer_every=1)
    weights = torch.linspace(-0.5, 0.5, 15).reshape(SIZE)
    tile.set_weights(weights)
    assert torch.equal(tile.get_weights(), weights)
    assert torch.equal(arrays_of(tile)[1], arrays_of(common.make_tile(config(), SIZE))[1])


# --- reads -----------------------------------------------------------------------------------------------------------


def test_products_with_a_and_b_go_through_the_read_circuits() -> None:
    """With converters of one step to either side, an input is 0 or the largest."""
    tile = filled(transfer_forward=IOParameters(inp_res=0.5, out_res=-1.0, out_noise=0.0))
    x, d = torch.tensor([[1.0, 0.9, -0.7, 0.1, 0.0]]), torch.tensor([[0.5, -0.4, 0.05]])
    a, b, _ = arrays_of(tile)
    tile.set_learning_rate(0.1)
    tile.update(x, d)
    signs_x, signs_d = torch.tensor([[1.0, 1.0, -1.0, 0.0, 0.0]]), torch.tensor([[0.5, -0.5, 0.0]])
    torch.testing.assert_close(arrays_of(tile)[0], a - 0.1 * d.T @ (signs_x @ b.T))
    torch.testing.assert_close(arrays_of(tile)[1], b - 0.1 * (signs_d @ a).T @ x)


def test_small_gradients_are_scaled_before_they_are_read() -> None:
    io = IOParameters(noise_management=NoiseManagementType.ABS_MAX)
    tile, perfect = (filled(transfer_forward=each) for each in (io, PERFECT))
    x, d = common.a_batch(50, SIZE)
    before = arrays_of(tile)[1]
    for each in (tile, perfect):
        each.set_learning_rate(1000.0)
        each.update(x, 1e-6 * d)
    step, wanted = (arrays_of(each)[1] - before for each in (tile, perfect))
    assert float((step - wanted).norm() / wanted.norm()) < 0.5


# --- shapes ----------------------------------------------------------------------------------------------------------


def test_every_array_has_a_shape_of_its_own() -> None:
    tile = common.make_tile(config(NOISY), SIZE)
    shapes = {name: tuple(value.shape) for name, value in tile.get_hidden_parameters().items()}
    for k, shape in enumerate([(3, RANK), (RANK, 5), SIZE]):
        assert {shapes[name] for name in shapes if name.endswith(f"_{k}")} == {shape}
        assert {tuple(counts.shape) for counts in tile.pulse_counts()[k]} == {shape}


def test_a_reset_of_columns_leaves_a_alone() -> None:
    tile = filled()
    a, b, c = arrays_of(tile)
    tile.reset_columns(4, 2)  # the last and the first
    for array, before in zip(arrays_of(tile)[1:], (b, c), strict=True):
        assert not array[:, [0, 4]].any()
        assert torch.equal(array[:, 1:4], before[:, 1:4])
    assert torch.equal(arrays_of(tile)[0], a)


def test_time_passes_for_all_three_arrays() -> None:
    device = SoftBoundsDevice(lifetime=10.0, diffusion=0.01)
    device.drift.nu = 0.1
    tile = filled(device=device)
    for pass_time in (tile.decay_weights, tile.diffuse_weights, lambda: tile.drift_weights(5.0)):
        before = arrays_of(tile)
        pass_time()
        assert all(not torch.equal(now, then) for now, then in zip(arrays_of(tile), before, strict=True))
        a, b, c = arrays_of(tile)
        torch.testing.assert_close(tile.get_weights(), c + a @ b)
    tile.clip_weights(0.01)
    assert max(float(array.abs().max()) for array in arrays_of(tile)) <= 0.01


def test_hidden_parameters_of_another_rank_are_refused() -> None:
    tile, other = common.make_tile(config(), SIZE), common.make_tile(config(rank=3), SIZE)
    with pytest.raises(TileError, match=r"'max_bound_0' has shape \(3, 3\); this tile needs \(3, 2\)"):
        tile.set_hidden_parameters(other.get_hidden_parameters())


def test_a_state_of_another_rank_names_the_layer_and_the_arrays() -> None:
    two, three = (nn.Sequential(AnalogLinear(5, 3, rpu_config=config(rank=rank))) for rank in (2, 3))
    with pytest.raises(RuntimeError, match="layer '0', tile 0 has 3 x 2 cells, that of the state 3 x 3"):
        two.load_state_dict(three.state_dict())


def test_implicit_cells_train_to_the_same_bits() -> None:
    made = [config(NOISY, UpdateParameters(), transfer_every=1) for _ in range(2)]
    made[1].runtime.implicit_cells = True
    first, second = (common.live(common.make_tile(each, SIZE)).get_weights() for each in made)
    assert torch.equal(first, second)


def test_an_analog_bias_is_a_column_of_b_and_c() -> None:
    torch.manual_seed(0)
    tile = AnalogTile(3, 5, config(transfer_every=1), has_bias=True)
    a, b, c = arrays_of(tile)
    assert (a.shape, b.shape, c.shape) == ((3, RANK), (RANK, 6), (3, 6))
    tile.set_learning_rate(0.1)
    tile.update(torch.zeros(1, 5), torch.ones(1, 3))  # only the input of the bias is not 0
    torch.testing.assert_close(tile.get_weights(), -0.1 * (b[:, 5:] * b).sum(0).expand(3, 6))


# --- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"unit_cell_devices": [cell()] * 2}, r"has 2 devices\. Give 3: for A, B and C"),
        ({"rank": 0}, "rank = 0"),
        ({"lora_alpha": 0.0}, "lora_alpha = 0.0"),
        ({"reinit_gain": 0.0}, "reinit_gain = 0.0"),
        (
            {"transfer_forward": IOParameters(noise_management=NoiseManagementType.AVERAGE_ABS_MAX)},
            r"AVERAGE_ABS_MAX, but there is no average.*Give ABS_MAX",
        ),
    ],
)
def test_what_does_not_fit_is_refused(fields: dict[str, Any], message: str) -> None:
    def make() -> None:
        rule = LowRankTransferCompound(**{"unit_cell_devices": [cell()] * 3, **fields})
        AnalogTile(2, 2, UnitCellRPUConfig(device=rule))

    with pytest.raises(ConfigError, match=message):
        make()


def test_transfers_that_only_some_batches_make_cannot_be_captured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ohmgrad.engine.host.is_captured", lambda _: True)
    batch = common.a_batch(1, SIZE)
    with pytest.raises(TileError, match="transfer_every above 1"):
        filled(transfer_every=2).update(*batch)
    filled(transfer_every=1).update(*batch)
