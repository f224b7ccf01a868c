"""The outputs of an array: their saturation, its calibration, and the noise of every single one."""

import pytest
import torch

from engine.products import identity_product, product, quiet

CURVED = {"out_nonlinearity": 0.4, "out_bound": 2.0}
"""An output of y saturates as y / (1 + 0.2 |y|)."""


def test_outputs_saturate_by_hand_worked_numbers():
    y = product([[1.0], [-0.5]], [[1.0]], quiet(**CURVED))
    assert y[0].tolist() == pytest.approx([1 / 1.2, -0.5 / 1.1])


def test_without_an_output_bound_the_nonlinearity_is_relative_to_1():
    assert product([[1.0]], [[1.0]], quiet(out_nonlinearity=0.4, out_bound=0.0)).item() == pytest.approx(1 / 1.4)


def test_each_output_has_its_own_curve():
    drawn = {"out_nonlinearity": torch.tensor([0.0, 0.5])}
    y = product([[1.0], [1.0]], [[1.0]], quiet(**CURVED, out_nonlinearity_std=0.1), drawn=drawn)
    assert y[0].tolist() == pytest.approx([1.0, 1 / 1.5])


def test_a_calibrated_output_has_the_slope_1_at_its_share_of_the_bound():
    io = quiet(**CURVED, slope_calibration=0.5)
    below, at, above = (product([[1.0 + h]], [[1.0]], io).item() for h in (-1e-2, 0.0, 1e-2))
    assert at == pytest.approx((1 + 0.2 * 0.5 * 2) ** 2 / 1.2)
    assert (above - below) / 2e-2 == pytest.approx(1.0, abs=1e-4)


def test_the_calibration_makes_up_for_the_series_resistance_too():
    io = quiet(r_series=0.1, slope_calibration=0.5, out_bound=2.0, v_offset_w_min=0.0)
    assert product([[1.0]], [[1.0]], io).item() == pytest.approx((1 + 0.1 * 0.5 * 2) ** 2 / 1.1)
    both = io.replaced(out_nonlinearity=0.4)
    saturated = (1 / 1.1) / (1 + 0.2 / 1.1)
    assert product([[1.0]], [[1.0]], both).item() == pytest.approx((1 + 0.3 * 0.5 * 2) ** 2 * saturated)


def test_an_output_saturates_before_its_asymmetry_and_its_converter():
    io = quiet(**CURVED, out_asymmetry=0.5)
    assert product([[-1.0]], [[1.0]], io).item() == pytest.approx(-0.5 / 1.2)
    assert product([[1.0]], [[1.0]], io.replaced(out_res=0.25)).item() == 1.0  # 0.83 in steps of 1


def test_each_output_has_its_own_noise():
    sigma = torch.tensor([0.0, 0.1, 0.2])
    drawn = {"out_noise_values": sigma}
    x = torch.tensor([[1.0, 0.5, 0.25]]).expand(20000, -1)
    noise = identity_product(x, quiet(out_noise=0.1, out_noise_std=0.5), drawn=drawn) - x
    assert (noise[:, 0] == 0).all()
    assert torch.allclose(noise.std(0), sigma, atol=5 * 0.2 / 20000**0.5)


def test_outputs_without_noise_are_silent_whatever_its_spread():
    assert identity_product([[0.5]], quiet(out_noise_std=0.5)).item() == 0.5
