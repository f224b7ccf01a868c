"""What can be varied: any number of a rule or its cells, by its name."""

from typing import Any

import pytest

from ohmgrad.errors import ConfigError
from ohmgrad.lab.cells import make_cell
from ohmgrad.lab.fields import configure
from ohmgrad.lab.recipes import RECIPES, Choice, LinearRange, LogRange, WholeRange
from ohmgrad.lab.vary import space_of


def space(*texts: str, rule: str = "ttv4") -> dict[str, Any]:
    return space_of(RECIPES[rule], make_cell("soft-bounds", 10), texts)


def test_without_a_word_the_space_is_that_of_the_recipe() -> None:
    assert space() == RECIPES["ttv4"].space


@pytest.mark.parametrize(
    ("text", "scale"),
    [
        ("lr=0.1..1:log", LogRange(0.1, 1.0)),
        ("transfer_every=1,2,5", Choice((1.0, 2.0, 5.0))),
        ("transfer_every=1..20:int:log", WholeRange(1, 20, log=True)),
        ("in_chop_prob=0.01..0.5", LinearRange(0.01, 0.5)),
        ("construction_seed=1..4", WholeRange(1, 4)),
        ("gamma=0.3", Choice((0.3,))),
        ("w_max_dtod=1e-2..3e-1", LinearRange(0.01, 0.3)),
        ("no_self_transfer=true,false", Choice((1.0, 0.0))),
    ],
)
def test_a_text_gives_a_range_or_a_choice(text: str, scale: Any) -> None:
    found = space(text)
    assert found[text.partition("=")[0]] == scale
    assert found.keys() >= RECIPES["ttv4"].space.keys()


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("in_chop=0..1", "TTv4 on this device has nothing called 'in_chop' to vary. Did you mean 'in_chop_prob'?"),
        ("unit_cell_devices=1", "nothing called 'unit_cell_devices'"),
        ("in_chop_prob=0..2", "in_chop_prob = 2"),
        ("n_reads_per_transfer=1.5,2", "n_reads_per_transfer = 1.5"),
        ("n_reads_per_transfer=1.5..2", "Give whole ends"),
        ("lr", "give NAME=LOW..HIGH"),
        ("lr=fast", "give NAME=LOW..HIGH"),
        ("lr=0..inf", "give NAME=LOW..HIGH"),
        ("lr=1..0.1", "Give the lower end first"),
        ("lr=0..1:log", "Give a lower end above 0"),
        ("lr=0.1..1:lag", "there is no 'lag'"),
        ("lr=-1..0", "lr = -1. Give a learning rate of 0 or above"),
        ("ttv3 thres_scale=0.5..2", "thres_scale = 0.5. Use buffer_granularity"),
        ("e-rider transfer_every=-3..-1", "transfer_every = -3"),
        ("lrtt gamma=0.1..1", "nothing called 'gamma' to vary"),
        ("mrl warm_start=true,false", "Leave it out, and train with ohmgrad.optim.WarmStart"),
    ],
)
def test_a_mistake_gets_one_line_before_anything_runs(text: str, remedy: str) -> None:
    name, _, text = text.rpartition(" ")
    with pytest.raises(ConfigError) as caught:
        space(text, rule=name or "ttv4")
    assert remedy in str(caught.value)
    assert "\n" not in str(caught.value)


class Seen(dict[str, float]):
    """Notes what is asked for."""

    def __init__(self, *values: Any) -> None:
        super().__init__(*values)
        self.names: set[str] = set()

    def __getitem__(self, name: str) -> float:
        self.names.add(name)
        return super().__getitem__(name)

    def get(self, name: str, default: Any = None) -> Any:
        self.names.add(name)
        return super().get(name, default)


@pytest.mark.parametrize("name", RECIPES)
def test_the_knobs_of_a_recipe_are_what_it_reads(name: str) -> None:
    knobs = Seen(dict.fromkeys(("lr", "transfer_every", "transfer_lr", "gamma", "eta"), 1.0))
    RECIPES[name].build(make_cell("soft-bounds", 10), knobs)
    assert knobs.names | {"lr"} == set(RECIPES[name].knobs)


def test_a_recipe_says_what_it_lacks() -> None:
    with pytest.raises(ConfigError, match=r"TTv4: transfer_lr is missing\. Give it a value"):
        configure(RECIPES["ttv4"], make_cell("soft-bounds", 10), {"lr": 0.1, "transfer_every": 2.0})


def test_a_field_of_the_rule_and_of_every_cell_reach_the_configuration() -> None:
    knobs = {"lr": 0.1, "transfer_every": 2.0, "transfer_lr": 0.3, "in_chop_prob": 0.2, "up_down_dtod": 0.01,
             "construction_seed": 2.0}  # fmt: skip
    device = configure(RECIPES["ttv4"], make_cell("linear", 10), knobs).device
    assert (device.in_chop_prob, device.construction_seed) == (0.2, 2)
    assert [cell.up_down_dtod for cell in device.unit_cell_devices] == [0.01, 0.01]


def test_a_rule_of_one_array_has_the_fields_of_its_cell() -> None:
    config = configure(RECIPES["sgd"], make_cell("soft-bounds", 10), {"lr": 0.1, "dw_min_std": 0.0})
    assert config.device.dw_min_std == 0.0
    with pytest.raises(ConfigError, match="nothing called 'in_chop_prob'"):
        space("in_chop_prob=0..1", rule="sgd")
