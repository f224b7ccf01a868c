"""Chains of tiles that learn one weight."""

from dataclasses import replace

from ohmgrad.lab.studies.li_2026 import Chain, learned

TWO = Chain(tiles=2, states=4, gamma=0.3, fast_lr=1.0, period_growth=10.0)


def last(chain: Chain, steps: int) -> float:
    """The median loss at the end."""
    *_, (_, loss) = learned(chain, steps, 0)
    return loss


def test_a_single_tile_comes_as_near_as_its_large_steps_let_it() -> None:
    assert 1e-4 < last(replace(TWO, tiles=1, lr=0.1), 400) < 0.05


def test_with_four_tiles_as_stated_the_coarse_one_goes_on_to_swing() -> None:
    stated = Chain(tiles=4, states=4, gamma=0.1, fast_lr=0.01, period_growth=2.0)
    assert last(stated, 1500) > 5.0 * last(replace(stated, tiles=1), 1500)
