"""What is fixed in the circuits around an array: how it is drawn, and that the tile keeps it."""

import copy
import io as files
import pickle

import pytest
import torch
from scipy import stats

from ohmgrad.configs import ConstantStepDevice, IOParameters, SingleRPUConfig
from ohmgrad.engine.draws import Draws
from ohmgrad.engine.mvm import mvm
from ohmgrad.engine.periphery import Direction, Periphery
from ohmgrad.errors import ConfigError, TileError
from ohmgrad.parameters.enums import AnalogMVType
from ohmgrad.tile import AnalogTile

UNEVEN = {
    "out_noise": 0.05,
    "out_noise_std": 0.3,
    "out_nonlinearity": 0.4,
    "out_nonlinearity_std": 0.2,
    "slope_calibration": 0.5,
    "v_offset_std": 0.1,
    "r_series": 0.01,
    "w_read_asymmetry_dtod": 0.2,
    "mv_type": AnalogMVType.POS_NEG_SEPARATE,
    "out_bound": 4.0,
}
"""Every imperfection that is drawn."""
NAMES = ["v_offset", "out_nonlinearity", "out_nonlinearity_factor", "w_asymmetry", "out_noise_values"]


def periphery(outputs=3000, inputs=4, seed=5, implementation="reference", transposed=False, **fields):
    settings = IOParameters(**{**UNEVEN, **fields})
    return Periphery(settings, outputs, inputs, Draws(seed, implementation), Direction.FORWARD.stream(), transposed)


def tile_of(out_size=3, in_size=4, seed=0, forward=UNEVEN, backward=UNEVEN, **fields):
    torch.manual_seed(seed)
    config = SingleRPUConfig(device=ConstantStepDevice(w_max=1.0, w_min=-1.0, w_max_dtod=0.0, w_min_dtod=0.0))
    config.forward, config.backward = IOParameters(**forward), IOParameters(**backward)
    tile = AnalogTile(out_size, in_size, config)
    tile.set_weights(torch.rand(out_size, in_size, generator=torch.Generator().manual_seed(3)) - 0.5)
    return tile


def everything(tile):
    return {**tile.get_forward_parameters(), **{f"back {k}": v for k, v in tile.get_backward_parameters().items()}}


def same(first, second):
    one, two = everything(first), everything(second)
    return list(one) == list(two) and all(torch.equal(one[name], two[name]) for name in one)


# How they are drawn


@pytest.mark.parametrize("implementation", ["reference", "cpu"])
def test_what_is_drawn_has_its_distribution(implementation):
    drawn = periphery(implementation=implementation).values()
    laws = {
        "v_offset": stats.halfnorm(scale=0.1),
        "out_nonlinearity": stats.foldnorm(1 / 0.2, scale=0.2 * 0.1),
        "w_asymmetry": stats.norm(1.0, 0.2),
        "out_noise_values": stats.foldnorm(1 / 0.3, scale=0.3 * 0.05),
    }
    for name, law in laws.items():
        values = drawn[name].flatten().double().numpy()
        assert stats.kstest(values, law.cdf).pvalue > 0.001, name


def test_the_slope_is_calibrated_for_the_mean_of_the_curves_that_were_drawn():
    drawn = periphery(outputs=5).values()
    slope = 1 + (drawn["out_nonlinearity"].mean() + 0.01) * 0.5 * 4.0
    assert drawn["out_nonlinearity_factor"].item() == pytest.approx(slope.item() ** 2)


def test_a_wide_spread_folds_at_zero():
    drawn = periphery(out_noise_std=3.0, out_nonlinearity_std=3.0).values()
    assert all((drawn[name] >= 0).all() for name in ("out_noise_values", "out_nonlinearity", "v_offset"))


def test_nothing_that_is_drawn_hangs_together():
    first, second = (
        periphery(),
        Periphery(IOParameters(**UNEVEN), 3000, 4, Draws(5, "reference"), Direction.READ.stream()),
    )
    other_array = Periphery(IOParameters(**UNEVEN), 3000, 4, Draws(5, "reference"), Direction.REFRESH.stream(3))
    rows = []
    for circuits in (first, second, other_array):
        drawn = circuits.values()
        rows += [drawn[name] for name in ("v_offset", "out_nonlinearity", "out_noise_values")]
        rows += list(drawn["w_asymmetry"].t())
        rows += [(drawn[name] - drawn[name].mean()).square() for name in ("out_nonlinearity", "out_noise_values")]
    correlation = torch.corrcoef(torch.stack(rows)) - torch.eye(len(rows))
    assert correlation.abs().max() < 5 / 3000**0.5


def test_values_depend_on_the_seed_and_on_nothing_else():
    first, again, other = periphery(), periphery(), periphery(seed=6)
    fewer = periphery(outputs=7, inputs=2)
    for name in set(NAMES) - {"out_nonlinearity_factor"}:
        assert torch.equal(first[name], again[name])
        assert not torch.isclose(first[name], other[name], rtol=1e-4).all()
        few = fewer[name]
        assert torch.equal(first[name][:7, :2] if few.ndim == 2 else first[name][:7], few)


@pytest.mark.parametrize(
    ("name", "off"),
    [
        ("v_offset", {"v_offset_std": 0.0}),
        ("out_nonlinearity", {"out_nonlinearity": 0.0}),
        ("out_nonlinearity_factor", {"slope_calibration": 0.0}),
        ("w_asymmetry", {"w_read_asymmetry_dtod": 0.0}),
        ("out_noise_values", {"out_noise_std": 0.0}),
        ("out_noise_values", {"out_noise": 0.0}),
    ],
)
def test_only_what_the_settings_need_is_drawn(name, off):
    assert list(periphery().values()) == NAMES
    assert list(periphery(**off).values()) == [other for other in NAMES if other != name]


def test_ideal_products_draw_nothing():
    assert not periphery(is_perfect=True).values()
    assert not periphery(mv_type=AnalogMVType.IDEAL).values()


# What the tile makes of them


def test_a_tile_without_them_has_no_state_for_them():
    tile = tile_of(forward={}, backward={})
    assert not [name for name in tile.state_dict() if "periphery" in name]
    assert not tile.get_forward_parameters()
    assert not tile.get_backward_parameters()


def test_both_directions_have_their_own_and_of_their_own_size():
    tile = tile_of(3, 4)
    forward, backward = tile.get_forward_parameters(), tile.get_backward_parameters()
    assert list(forward) == list(backward) == NAMES
    assert [tuple(value.shape) for value in forward.values()] == [(3,), (3,), (), (3, 4), (3,)]
    assert [tuple(value.shape) for value in backward.values()] == [(4,), (4,), (), (3, 4), (4,)]
    assert not torch.equal(forward["w_asymmetry"], backward["w_asymmetry"])
    assert not torch.isclose(forward["v_offset"], backward["v_offset"][:3]).any()


def test_they_follow_the_seed_of_the_tile():
    assert same(tile_of(seed=1), tile_of(seed=1))
    assert not same(tile_of(seed=1), tile_of(seed=2))


def test_the_tile_uses_them_in_the_direction_they_belong_to():
    plain = {"out_noise": 0.0, "inp_res": 0.0, "out_res": 0.0}
    offset = {**plain, "v_offset_std": 0.1, "v_offset_w_min": 0.0}
    uneven = {**plain, "w_read_asymmetry_dtod": 0.3, "mv_type": AnalogMVType.POS_NEG_SEPARATE}
    x, d = torch.tensor([[1.0, -0.5, 0.25, -1.0]]), torch.tensor([[1.0, -1.0, 0.5]])

    tile = tile_of(forward=offset, backward=offset)
    w = tile.get_weights()
    there, back = tile.get_forward_parameters()["v_offset"], tile.get_backward_parameters()["v_offset"]
    assert torch.allclose(tile.forward(x).detach(), (x @ w.t()) * (1 - there), atol=1e-6)
    assert torch.allclose(tile.backward(d), (d @ w) * (1 - back), atol=1e-6)

    tile = tile_of(forward=uneven, backward=uneven)
    there, back = tile.get_forward_parameters()["w_asymmetry"], tile.get_backward_parameters()["w_asymmetry"]
    forward = x.clamp(min=0) @ w.t() + x.clamp(max=0) @ (w * there).t()
    assert torch.allclose(tile.forward(x).detach(), forward, atol=1e-6)
    assert torch.allclose(tile.backward(d), d.clamp(min=0) @ w + d.clamp(max=0) @ (w * back), atol=1e-6)


def test_the_backward_product_meets_the_wires_of_the_other_side():
    wired = {"out_noise": 0.0, "inp_res": 0.0, "out_res": 0.0, "ir_drop": 1.0, "ir_drop_g_ratio": 10.0}
    tile, d = tile_of(forward=wired, backward=wired), torch.randn(5, 3, generator=torch.Generator().manual_seed(1))
    transposed = tile.get_weights().t().contiguous()
    expected = mvm(transposed, d, IOParameters(**wired), Draws(0, "reference"), 0, torch.arange(5), forward=False)
    assert torch.allclose(tile.backward(d), expected, atol=1e-6)
    assert (tile.backward(d) - d @ tile.get_weights()).abs().max() > 1e-3


def test_a_batch_of_a_tile_with_them_may_be_cut_anywhere():
    x = torch.randn(20, 4, generator=torch.Generator().manual_seed(1))
    d = torch.randn(20, 3, generator=torch.Generator().manual_seed(2))

    def products(sizes):
        tile = tile_of()
        forward = [tile.forward(part).detach() for part in x.split(sizes)]
        return torch.cat(forward), torch.cat([tile.backward(part) for part in d.split(sizes)])

    for whole, cut in zip(products([20]), products([1, 12, 7]), strict=True):
        assert torch.allclose(whole, cut, atol=1e-5)


def test_saving_loading_copying_and_pickling_keep_them():
    tile, x = tile_of(seed=1), torch.ones(2, 4)
    stored, file = tile_of(seed=2), files.BytesIO()
    torch.save(tile.state_dict(), file)
    file.seek(0)
    stored.load_state_dict(torch.load(file))
    copies = [stored, copy.deepcopy(tile), pickle.loads(pickle.dumps(tile))]
    expected = tile.forward(x)
    for other in copies:
        assert same(other, tile)
        assert torch.equal(other.forward(x), expected)


def test_an_update_and_new_weights_leave_them_alone():
    tile, before = tile_of(), everything(tile_of())
    tile.update(torch.ones(2, 4), torch.ones(2, 3))
    tile.set_weights(torch.zeros(3, 4))
    assert all(torch.equal(value, before[name]) for name, value in everything(tile).items())


# Setting them


@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_what_was_got_can_be_set(direction):
    first, second = tile_of(seed=1), tile_of(seed=2)
    get, put = f"get_{direction}_parameters", f"set_{direction}_parameters"
    getattr(second, put)(getattr(first, get)())
    one, two = getattr(first, get)(), getattr(second, get)()
    assert all(torch.equal(one[name], two[name]) for name in NAMES)
    assert not same(first, second)  # the other direction


def test_some_can_be_set_and_a_matrix_may_be_given_in_a_row():
    tile = tile_of()
    before = tile.get_forward_parameters()
    tile.set_forward_parameters({"w_asymmetry": torch.arange(12.0), "v_offset": [0.1, 0.2, 0.3]})
    after = tile.get_forward_parameters()
    assert torch.equal(after["w_asymmetry"], torch.arange(12.0).reshape(3, 4))
    assert after["v_offset"].tolist() == pytest.approx([0.1, 0.2, 0.3])
    assert torch.equal(after["out_nonlinearity"], before["out_nonlinearity"])


def test_what_was_got_is_a_copy():
    tile = tile_of()
    tile.get_forward_parameters()["v_offset"].zero_()
    assert tile.get_forward_parameters()["v_offset"].any()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"v_offsets": torch.zeros(3)}, r"no drawn value 'v_offsets'\. It has: v_offset, .*out_noise_values"),
        ({"v_offset": torch.zeros(4)}, r"v_offset was given 4 values\. Give 3"),
        ({"v_offset": torch.tensor([0.0, float("nan"), 0.0])}, r"'v_offset' is NaN"),
    ],
)
def test_values_that_do_not_fit_are_refused_and_nothing_changes(given, message):
    tile, before = tile_of(), tile_of()
    with pytest.raises(TileError, match=message):
        tile.set_forward_parameters({"out_noise_values": torch.zeros(3), **given})
    assert same(tile, before)


def test_a_tile_without_any_says_that_there_is_nothing_to_set():
    with pytest.raises(TileError, match="It has none: switch its imperfections on"):
        tile_of(forward={}).set_forward_parameters({"v_offset": torch.zeros(3)})


def test_an_imperfection_that_is_switched_on_too_late_is_an_error():
    tile = tile_of(forward={})
    tile.rpu_config.forward.v_offset_std = 0.1
    with pytest.raises(TileError, match=r"v_offset was not drawn.*Make a new tile"):
        tile.forward(torch.ones(1, 4))


@pytest.mark.parametrize(
    "name",
    [
        "inp_noise", "out_noise", "out_noise_std", "w_noise", "ir_drop", "out_nonlinearity", "out_nonlinearity_std",
        "slope_calibration", "v_offset_std", "r_series", "w_read_asymmetry_dtod",
    ],
)  # fmt: skip
def test_no_strength_is_negative(name):
    with pytest.raises(ConfigError, match=rf"IOParameters\.{name} = -0\.1"):
        IOParameters(**{name: -0.1})
