"""What scripts do after training: responses of cells, summaries, and pictures of them."""

import inspect
import math
import subprocess
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from torch import nn

from ohmgrad import nn as native
from ohmgrad.compat import visualization as pictures
from ohmgrad.compat.base import AnalogSequential
from ohmgrad.compat.configs import InferenceRPUConfig, SingleRPUConfig, UnitCellRPUConfig
from ohmgrad.compat.finder import SOURCES, resolved
from ohmgrad.compat.inference import PCMLikeNoiseModel
from ohmgrad.compat.layers import AnalogConv2d, AnalogLinear, AnalogLinearMapped
from ohmgrad.compat.names import MODULES
from ohmgrad.compat.pulse_response import silent_twin, there_and_back
from ohmgrad.compat.recurrent import AnalogLSTMCell, AnalogRNN
from ohmgrad.compat.summary import analog_summary
from ohmgrad.configs import (
    ConstantStepDevice,
    IdealDevice,
    IOParameters,
    MappingParameter,
    OneSidedUnitCell,
    SoftBoundsDevice,
    SoftBoundsReferenceDevice,
    TransferCompound,
    VectorUnitCell,
)
from ohmgrad.errors import ConfigError, TileError

SCRIPTS = Path(__file__).parent / "scripts"
EQUAL = {"dw_min_dtod": 0.0, "dw_min_std": 0.0, "up_down_dtod": 0.0, "w_max_dtod": 0.0, "w_min_dtod": 0.0}
PERFECT = IOParameters(is_perfect=True)


@pytest.fixture(autouse=True)
def backend():
    was = plt.get_backend()
    plt.switch_backend("Agg")
    torch.manual_seed(5)
    yield
    plt.close("all")
    plt.switch_backend(was)


def tile_of(device, cells=3, **named):
    return pictures.get_tile_for_plotting(SingleRPUConfig(device=device, forward=PERFECT), cells, **named)


# --- responses -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("use_forward", [False, True])
def test_constant_steps_make_a_staircase(use_forward):
    tile = tile_of(ConstantStepDevice(dw_min=0.1, w_min=-0.5, w_max=0.5, **EQUAL))
    direction = np.array([1.0] * 12 + [-1.0, -1.0, 0.0])
    trace = pictures.compute_pulse_response(tile, direction, use_forward)
    stairs = [-0.4, -0.3, -0.2, -0.1, 0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.5, 0.5, 0.4, 0.3, 0.3]
    assert trace.shape == (15, 3, 1)
    assert np.allclose(trace, np.array(stairs)[:, None, None], atol=1e-6)


def test_soft_bounds_are_approached_exponentially():
    tile = tile_of(SoftBoundsDevice(dw_min=0.05, w_min=-0.5, w_max=0.5, **EQUAL), w_init=0.0)
    trace = pictures.compute_pulse_response(tile, np.ones(40))
    wanted = 0.5 * (1.0 - (1.0 - 0.05 / 0.5) ** np.arange(1, 41))
    assert np.allclose(trace, wanted[:, None, None], atol=1e-5)


def test_every_input_and_output_of_a_tile_gets_the_pulse():
    config = SingleRPUConfig(device=ConstantStepDevice(dw_min=0.1, **EQUAL), forward=PERFECT)
    config.update.desired_bl = 1
    config.update.update_management = config.update.update_bl_management = False
    tile = config.create_tile(2, 3)
    tile.set_learning_rate(1.0)
    tile.set_weights(torch.tensor([[0.0, 0.1, 0.2], [-0.1, -0.2, -0.3]]))
    trace = pictures.compute_pulse_response(tile, np.array([1, 1]), use_forward=True)
    assert np.allclose(trace[1], [[0.2, 0.3, 0.4], [0.1, 0.0, -0.1]], atol=1e-6)


def test_the_tile_starts_at_the_mean_lower_bound_or_where_it_is_told():
    assert torch.allclose(tile_of(ConstantStepDevice(w_min=-0.4, **EQUAL)).get_weights()[0], torch.tensor(-0.4))
    assert torch.allclose(tile_of(ConstantStepDevice(**EQUAL), w_init=0.1).get_weights()[0], torch.tensor(0.1))
    assert torch.allclose(tile_of(IdealDevice()).get_weights()[0], torch.tensor(-1.0))


def test_the_configuration_of_the_user_stays_as_it_is():
    config = SingleRPUConfig(device=SoftBoundsReferenceDevice(write_noise_std=1.0))
    before = config.model_copy(deep=True)
    pictures.get_tile_for_plotting(config, 2, noise_free=True)
    assert config == before


@pytest.mark.parametrize(
    "device",
    [
        ConstantStepDevice(dw_min=0.02, dw_min_std=1.0),
        SoftBoundsReferenceDevice(dw_min=0.02, dw_min_std=1.0, write_noise_std=1.0),
        VectorUnitCell(unit_cell_devices=[ConstantStepDevice(dw_min=0.02, dw_min_std=1.0)] * 2),
        OneSidedUnitCell(unit_cell_devices=[SoftBoundsDevice(dw_min=0.02, dw_min_std=1.0)], refresh_every=5),
        TransferCompound(unit_cell_devices=[SoftBoundsDevice(dw_min=0.02, dw_min_std=1.0)] * 2),
    ],
    ids=lambda device: type(device).__name__,
)
def test_a_silent_twin_has_the_same_cells_and_always_the_same_response(device):
    kind = SingleRPUConfig if hasattr(device, "w_max") else UnitCellRPUConfig
    config = kind(device=device)
    tile = pictures.get_tile_for_plotting(config, 4, w_init=-0.2)
    direction = there_and_back(40, 10)
    pictures.compute_pulse_response(tile, direction)
    twins = [silent_twin(tile, config, -0.2) for _ in range(2)]
    hidden = tile.get_hidden_parameters()
    same = [name for name in hidden if "bound" in name or "dwmin" in name]
    assert same
    for name in same:
        assert torch.equal(twins[0].get_hidden_parameters()[name], hidden[name])
    one, other = (pictures.compute_pulse_response(twin, direction, use_forward=True) for twin in twins)
    assert np.allclose(one, other, atol=1e-5)  # write noise is not quite nothing
    assert np.ptp(one, axis=0).min() > 0.02


def test_steps_from_bound_to_bound():
    assert pictures.estimate_n_steps(SingleRPUConfig(device=ConstantStepDevice(dw_min=0.02))) == 60
    assert pictures.estimate_n_steps(SingleRPUConfig(device=ConstantStepDevice(dw_min=5.0))) == 1
    cell = VectorUnitCell(unit_cell_devices=[ConstantStepDevice()])
    assert pictures.estimate_n_steps(UnitCellRPUConfig(device=cell)) == 1000
    with pytest.raises(ConfigError, match=r"IdealDevice has no bounds\. Say n_steps"):
        pictures.estimate_n_steps(SingleRPUConfig(device=IdealDevice()))


# --- statistics ------------------------------------------------------------------------------------------------------


def test_statistics_of_steps_by_hand():
    # One cell: steps up from 0.0 (0.2 and 0.4), from 0.4 (0.6), which counts at 0.5, and from 1.0 (0.6).
    trace = np.array([0.0, 0.2, 0.0, 0.0, 0.4, 1.0, 1.6, 1.0, 0.9])[:, None, None]
    direction = np.array([1.0, 1.0, -1.0, 1.0, 1.0, 1.0, 1.0, -1.0, -1.0])
    nodes = np.array([0.0, 0.5, 1.0])
    mean, std = pictures.compute_pulse_statistics(nodes, trace, direction, up_direction=True, smoothness=0.2)
    assert mean.shape == std.shape == (3, 1, 1)
    assert np.allclose(mean.ravel(), [0.3, 0.6, 0.6])
    assert np.allclose(std.ravel(), [0.1, 0.0, 0.0], atol=1e-9)
    mean, std = pictures.compute_pulse_statistics(nodes, trace, direction, up_direction=False, smoothness=0.2)
    assert np.isnan(mean.ravel()[:2]).all()
    assert np.isnan(std.ravel()[:2]).all()
    assert np.isclose(mean[2], -0.1)


def test_statistics_find_the_law_of_soft_bounds():
    tile = tile_of(SoftBoundsDevice(dw_min=0.01, w_min=-0.5, w_max=0.5, **EQUAL), cells=2)
    direction = there_and_back(800, 200)
    trace = pictures.compute_pulse_response(tile, direction)
    nodes = np.linspace(-0.3, 0.3, 13)
    for is_up, sign in ((True, 1.0), (False, -1.0)):
        mean, std = pictures.compute_pulse_statistics(nodes, trace, direction, is_up)
        law = sign * 0.01 * (1.0 - sign * nodes / 0.5)
        assert np.allclose(mean, law[:, None, None], atol=2e-4)
        assert std.max() < 5e-4


def test_cells_that_never_move_have_statistics():
    nodes, trace = np.zeros(2), np.zeros((5, 2, 1))
    mean, std = pictures.compute_pulse_statistics(nodes, trace, np.ones(5), up_direction=True)
    assert (mean == 0.0).all()
    assert (std == 0.0).all()


# --- pictures --------------------------------------------------------------------------------------------------------


def labelled(axes):
    return [(each.get_xlabel(), each.get_ylabel()) for each in axes]


def test_a_picture_of_a_response_gives_its_numbers():
    tile = tile_of(ConstantStepDevice(dw_min=0.1, w_min=-0.5, w_max=0.5, **EQUAL))
    trace = pictures.plot_pulse_response(tile, np.ones(4))
    axes = plt.gca()
    assert labelled([axes]) == [("pulses sent", "weight (normalised units)")]
    assert axes.get_title(loc="left") == "ConstantStepDevice: weights of the cells"
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["cell 1", "cell 2", "cell 3"]
    x, y = axes.lines[0].get_data()
    assert list(x) == [1, 2, 3, 4]
    assert np.array_equal(y, trace[:, 0, 0])


@pytest.mark.parametrize(("up", "title"), [(True, "Steps up"), (False, "Steps down")])
def test_a_picture_of_steps_gives_its_numbers(up, title):
    tile = tile_of(ConstantStepDevice(dw_min=0.1, w_min=-0.5, w_max=0.5, **EQUAL))
    direction = there_and_back(40, 10)
    trace = pictures.compute_pulse_response(tile, direction)
    nodes, mean, std = pictures.plot_pulse_statistics(trace, direction, up, num_nodes=7)
    assert nodes.shape == (7,)
    assert mean.shape == std.shape == (7, 3, 1)
    assert labelled([plt.gca()]) == [("weight (normalised units)", "mean step (normalised units)")]
    assert plt.gca().get_title(loc="left") == title


@pytest.mark.parametrize("n_steps", [1, None])
def test_the_overview_has_traces_and_steps(n_steps):
    pictures.plot_device(ConstantStepDevice(dw_min=0.1), w_noise=0.01, n_steps=n_steps, n_traces=2, n_loops=1)
    axes = plt.gcf().axes
    assert len(axes) == 4
    assert all(x and y for x, y in labelled(axes))
    assert len(axes[0].lines[0].get_xdata()) == 1000


def test_noise_of_reads_is_in_the_first_panel_of_the_overview_only():
    device = ConstantStepDevice(dw_min=0.1, **EQUAL)
    pictures.plot_device(device, w_noise=0.02, n_traces=1, n_loops=1)
    noisy, silent = (np.asarray(axes.lines[0].get_ydata()) for axes in plt.gcf().axes[:2])
    # 1000 reads: five standard errors of a standard deviation are 11 %.
    assert abs(np.std(noisy - silent) / 0.02 - 1.0) < 0.11


def test_the_compact_picture_is_a_figure_with_three_panels():
    figure = pictures.plot_device_compact(ConstantStepDevice(dw_min=0.1), n_steps=12, n_traces=2, n_loops=1)
    up, middle, down = figure.axes
    assert up.get_ylabel() == "weight (normalised units)"
    assert middle.get_xlabel() == "pulses sent"
    assert up.get_xlabel() == down.get_xlabel() == "size (normalised units)"
    assert up.get_xlim() == down.get_xlim()


def test_the_compact_picture_draws_on_given_axes():
    axes = plt.figure().add_subplot()
    cell = VectorUnitCell(unit_cell_devices=[ConstantStepDevice(dw_min=0.1)] * 2)
    given = pictures.plot_device_compact(cell, n_steps=5, n_traces=2, n_loops=1, axes=axes, color="k", label="mine")
    assert given is axes
    assert [(line.get_color(), line.get_label()) for line in axes.lines] == [("k", "mine")] * 2
    assert axes.get_title() == "VectorUnitCell"
    assert labelled([axes]) == [("pulses sent", "weight (normalised units)")]


def test_pulses_in_turns_end_at_the_symmetry_point():
    # Soft bounds b+ = 0.6 and b- = -0.3 with equal steps: they are equal at 0 whatever the bounds; with an asymmetry
    # of the steps, 1.5 (1 - w/0.6) = 0.5 (1 + w/0.3) at w = 0.24.
    device = SoftBoundsDevice(dw_min=0.01, w_min=-0.3, w_max=0.6, up_down=0.0, **EQUAL)
    tile = tile_of(device)
    hidden = tile.get_hidden_parameters()
    hidden["dwmin_up"] *= 1.5
    hidden["dwmin_down"] *= 0.5
    hidden["slope_up"] *= 1.5
    hidden["slope_down"] *= 0.5
    tile.set_hidden_parameters(hidden)
    trace = pictures.compute_pulse_response(tile, there_and_back(1000, 1))
    assert np.allclose(trace[-2:].mean(axis=0), 0.24, atol=0.003)


def test_the_picture_of_symmetry_marks_where_cells_end():
    device = SoftBoundsDevice(dw_min=0.02, dw_min_std=0.0, up_down_dtod=0.2)
    pictures.plot_device_symmetry(device, n_pulses=1500, n_traces=3)
    axes = plt.gca()
    assert labelled([axes]) == [("pulses sent", "weight (normalised units)")]
    marks = [line.get_ydata()[0] for line in axes.lines if line.get_marker() == "<" and len(line.get_ydata())]
    curves = [np.asarray(line.get_ydata()) for line in axes.lines if len(line.get_ydata()) == 1500]
    assert len(marks) == len(curves) == 3
    for mark, curve in zip(marks, curves, strict=True):
        assert abs(curve[-2:].mean() - mark) < 0.02


def test_cells_without_a_symmetry_point_get_no_mark():
    pictures.plot_device_symmetry(ConstantStepDevice(dw_min=0.1, **EQUAL), n_pulses=20, n_traces=2)
    assert [text.get_text() for text in plt.gca().get_legend().get_texts()] == ["cell 1", "cell 2"]


# --- programmed weights ----------------------------------------------------------------------------------------------


def test_weights_drift_by_the_power_law():
    model = PCMLikeNoiseModel(prog_noise_scale=0.0, read_noise_scale=0.0)
    pictures.plot_weight_drift(model, np.array([1.0, 1e6]), np.array([1.0, -0.5]), n_repeats=200)
    axes = plt.gca()
    assert labelled([axes]) == [("time after programming (s)", "weight (normalised units)")]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["1", "-0.5"]
    # The exponent of the largest conductance has the mean 0.049; its deviation of 0.008 hardly bends the mean.
    large, small = (np.asarray(line.get_ydata()) for line in axes.lines)
    assert np.isclose(large[1], ((1e6 + 20.0) / 20.0) ** -0.049, rtol=0.03)
    assert -0.5 < small[1] < -0.2


def test_default_weights_and_times_of_drift():
    pictures.plot_weight_drift(n_repeats=1)
    assert len(plt.gca().lines) == 9
    assert len(plt.gca().lines[0].get_xdata()) == 15


def errors(axes):
    """Targets and mean errors of the first curve."""
    line, *_ = axes.containers[0]
    return np.asarray(line.get_xdata()), np.asarray(line.get_ydata())


def test_programming_without_errors_has_none():
    model = PCMLikeNoiseModel(prog_noise_scale=0.0, read_noise_scale=0.0, drift_scale=0.0)
    axes = pictures.plot_programming_error(InferenceRPUConfig(noise_model=model), n_rows=20, n_bins=11, label="chip")
    centres, found = errors(axes)
    assert np.allclose(centres, np.linspace(-0.9, 0.9, 10))
    assert np.allclose(found, 0.0, atol=1e-4)
    assert labelled([axes]) == [("target weight (normalised units)", "programming error (% of the largest weight)")]
    assert axes.get_legend().get_texts()[0].get_text() == "chip"


def test_errors_of_phase_change_memory_by_its_law():
    weights = np.full((100, 100), 0.5)
    weights[0, 0] = 1.0  # has the largest conductance
    axes = pictures.plot_programming_error(InferenceRPUConfig(), w_init=weights, n_bins=3)
    _, found = errors(axes)
    sigma = (-1.1731 * 0.5**2 + 1.9650 * 0.5 + 0.2635) / 25.0
    # The mean of |x| is 0.798 sigma, its standard error over 10 000 cells 0.6 % of sigma.
    assert np.isnan(found[0])
    assert abs(found[1] / (100.0 * math.sqrt(2.0 / math.pi) * sigma) - 1.0) < 0.04


def test_time_makes_errors_larger_and_compensation_smaller():
    settings = {"n_rows": 30, "n_bins": 3, "t_inference": 86400}
    fresh = errors(pictures.plot_programming_error(InferenceRPUConfig(), n_rows=30, n_bins=3, axes=plt.subplots()[1]))
    old = errors(pictures.plot_programming_error(InferenceRPUConfig(), **settings, axes=plt.subplots()[1]))
    read = errors(
        pictures.plot_programming_error(
            InferenceRPUConfig(), **settings, realistic_read=True, axes=plt.subplots()[1]
        )
    )  # fmt: skip
    assert (old[1] > 4.0 * fresh[1]).all()
    assert (read[1] < 0.6 * old[1]).all()


@pytest.mark.parametrize(
    "device",
    [ConstantStepDevice(dw_min=0.01), VectorUnitCell(unit_cell_devices=[ConstantStepDevice(dw_min=0.01)])],
    ids=lambda device: type(device).__name__,
)
def test_devices_are_programmed_by_pulses(device):
    axes = pictures.plot_programming_error(device, w_range=(-0.2, 0.2), n_rows=5, n_bins=3, max_iter=100)
    assert (errors(axes)[1] < 30.0).all()


def programmed_model():
    model = AnalogSequential(
        AnalogLinear(20, 30, rpu_config=InferenceRPUConfig(forward=PERFECT)),
        AnalogLinear(30, 10, rpu_config=InferenceRPUConfig(forward=PERFECT)),
    ).eval()
    model.program_analog_weights()
    return model


def test_errors_of_a_model_leave_it_as_it_is():
    model = programmed_model()
    x = torch.randn(4, 20)
    model.drift_analog_weights(3600.0)
    twin = {name: value.clone() for name, value in model.state_dict().items() if isinstance(value, torch.Tensor)}
    weights = [tile.get_weights()[0] for tile in model.analog_tiles()]
    before = model(x)
    axes = pictures.plot_model_programming_error(model, n_bins=6, label="an hour", color="k")
    assert (errors(axes)[1] < 20.0).all()
    assert (errors(axes)[1] > 0.5).all()
    assert all(axes.xaxis.get_label_text() and axes.yaxis.get_label_text() for axes in plt.gcf().axes)
    assert all(torch.equal(model.state_dict()[name], value) for name, value in twin.items())
    assert all(
        torch.equal(tile.get_weights()[0], weight) for tile, weight in zip(model.analog_tiles(), weights, strict=True)
    )
    assert torch.equal(model(x), before)


def test_errors_of_a_model_with_its_scales():
    config = InferenceRPUConfig(
        forward=PERFECT,
        mapping=MappingParameter(weight_scaling_omega=1.0),
        noise_model=PCMLikeNoiseModel(prog_noise_scale=0.0, read_noise_scale=0.0, drift_scale=0.0),
    )
    model = AnalogSequential(AnalogLinear(8, 6, rpu_config=config)).eval()
    model.program_analog_weights()
    reaches = []
    for scaled in (False, True):
        axes = pictures.plot_model_programming_error(model, 5, apply_weight_scaling=scaled, axes=plt.subplots()[1])
        centres, found = errors(axes)
        reaches.append(centres[-1])
        assert axes.get_xlabel() == f"target weight ({'units of the layer' if scaled else 'normalised units'})"
        assert np.allclose(found[np.isfinite(found)], 0.0, atol=1e-2)
    assert np.isclose(reaches[0], 0.75)  # the cells' largest weight is 1
    assert reaches[1] < 0.3  # that of a new layer with 8 inputs is at most 0.354


def test_a_model_must_be_programmed_for_its_errors():
    model = AnalogSequential(AnalogLinear(3, 2, rpu_config=InferenceRPUConfig()))
    with pytest.raises(TileError, match="is not programmed"):
        pictures.plot_model_programming_error(model)
    with pytest.raises(TileError, match="no analog tiles"):
        pictures.plot_model_programming_error(AnalogSequential(nn.Linear(3, 2)))


# --- summaries -------------------------------------------------------------------------------------------------------


def some_model():
    limited = SingleRPUConfig(mapping=MappingParameter(max_input_size=10, max_output_size=20))
    return AnalogSequential(
        AnalogConv2d(1, 4, 3, rpu_config=SingleRPUConfig()),
        nn.Dropout(),
        nn.Flatten(),
        AnalogLinear(144, 16, rpu_config=limited),
        AnalogLinearMapped(16, 3, rpu_config=SingleRPUConfig()),
    )


def test_numbers_of_a_summary_by_hand():
    info = analog_summary(some_model(), (2, 1, 8, 8))
    conv, dropout, flatten, split, mapped = info.layer_summary
    assert info.total_tile_number == 1 + 15 + 1
    assert info.total_nb_analog == 3
    assert [row.name for row in info.layer_summary] == [
        "AnalogConv2d", "Dropout", "Flatten", "AnalogLinear", "AnalogLinearMapped",
    ]  # fmt: skip
    assert [row.isanalog for row in info.layer_summary] == [True, False, False, True, True]
    assert (conv.input_size, conv.output_size, conv.kernel_size) == ([2, 1, 8, 8], [2, 4, 6, 6], (3, 3))
    assert [row.reuse_factor for row in info.layer_summary] == [2 * 36, 0, 0, 2, 2]
    assert (dropout.num_tiles, flatten.output_size) == (0, [2, 144])
    (tile,) = conv.tiles_info
    assert (tile.log_out_size, tile.log_in_size, tile.is_mapped, tile.utilization) == (4, 9, False, 100.0)
    assert split.num_tiles == 15  # inputs in pieces of 10 and 9
    assert {tile.utilization for tile in split.tiles_info} == {100 * 160 / 200, 100 * 144 / 200}
    (tile,) = mapped.tiles_info
    assert (tile.phy_out_size, tile.phy_in_size, tile.is_mapped) == (512, 512, True)
    assert tile.utilization == 100 * 48 / 512**2


def test_a_summary_is_a_table():
    text = str(analog_summary(some_model(), (2, 1, 8, 8)))
    assert text.startswith("AnalogSequential with an input of 2x1x8x8")
    assert text == repr(analog_summary(some_model(), (2, 1, 8, 8)))
    for words in ("AnalogConv2d", "2x4x6x6", "3x3", "1 tile 4x9", "9 tiles 16x10", "72", "< 1 %", "17 tiles",
                  "3 analog layers", "2 digital"):  # fmt: skip
        assert words in text
    assert max(map(len, text.splitlines())) < 120


def test_a_summary_changes_nothing_of_the_model():
    model = some_model().train()
    modules, seed = list(model.modules()), torch.get_rng_state()
    counts = [(len(each._forward_hooks), len(each._forward_pre_hooks)) for each in modules]
    weights = [tile.get_weights()[0] for tile in model.analog_tiles()]
    info = analog_summary(model, (2, 1, 8, 8))
    assert [row.module for row in info.layer_summary] == list(model)
    assert all(each.training for each in modules)
    assert [(len(each._forward_hooks), len(each._forward_pre_hooks)) for each in modules] == counts
    assert torch.equal(torch.get_rng_state(), seed)
    for tile, weight in zip(model.analog_tiles(), weights, strict=True):
        assert torch.equal(tile.get_weights()[0], weight)
        assert not tile.analog_ctx.has_gradient()


def test_a_layer_that_is_called_several_times_is_one_row():
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn = AnalogRNN(AnalogLSTMCell, 4, 3, rpu_config=SingleRPUConfig())
            self.unused = AnalogLinear(3, 2)

        def forward(self, x):
            return self.rnn(x)[0]

    info = analog_summary(Model(), (5, 2, 4))
    assert [row.reuse_factor for row in info.layer_summary] == [5 * 2, 5 * 2]
    assert info.total_tile_number == 2


def test_layers_of_ohmgrad_and_of_torch_are_in_a_summary_too():
    model = nn.Sequential(native.AnalogLinear(4, 3), nn.LSTM(3, 2))
    info = analog_summary(model, (5, 4))
    linear, lstm = info.layer_summary
    assert (linear.isanalog, linear.num_tiles, linear.reuse_factor) == (True, 1, 5)
    assert (lstm.isanalog, lstm.input_size, lstm.output_size) == (False, [5, 3], [5, 2])
    (alone,) = analog_summary(model[0], (2, 4)).layer_summary
    assert (alone.path, alone.reuse_factor) == ("", 2)
    assert "(the model)" in str(analog_summary(model[0], (2, 4)))


# --- as modules of aihwkit -------------------------------------------------------------------------------------------


def test_names_of_aihwkit_are_found():
    for module in ("aihwkit.utils.analog_info", "aihwkit.utils.visualization"):
        for name in MODULES[module].split():
            assert callable(resolved(name))
    assert MODULES["aihwkit.utils.visualization"].split() == sorted(
        pictures.__all__, key=MODULES["aihwkit.utils.visualization"].split().index
    )
    assert {"ohmgrad.compat.summary", "ohmgrad.compat.visualization"} <= set(SOURCES)


SIGNATURES = {
    "compute_pulse_response": "analog_tile direction use_forward=False",
    "plot_pulse_response": "analog_tile direction use_forward=False",
    "compute_pulse_statistics": "w_nodes w_trace direction up_direction smoothness=0.5",
    "plot_pulse_statistics": "w_trace direction up_direction num_nodes=100 smoothness=0.5",
    "get_tile_for_plotting": "rpu_config n_traces use_cuda=False noise_free=False w_init=None",
    "estimate_n_steps": "rpu_config",
    "plot_response_overview": "rpu_config n_loops=5 n_steps=None n_traces=5 use_cuda=False smoothness=0.1",
    "plot_device": "device w_noise=0.0 kwargs",
    "plot_device_compact": "device w_noise=0.0 n_steps=None n_traces=3 n_loops=2 w_init=None use_cuda=False axes=None"
    " plot_kwargs",
    "plot_device_symmetry": "device w_noise=0.0 n_pulses=10000 n_traces=3 use_cuda=False w_init=1.0",
    "plot_weight_drift": "noise_model=None t_inference_list=None w_inits=None n_repeats=25",
    "plot_programming_error": "config w_range=(-1.0, 1.0) w_init=None n_rows=100 realistic_read=False n_bins=101"
    " use_cuda=False label=None axes=None t_inference=None kwargs",
    "plot_model_programming_error": "analog_model n_bins=51 apply_weight_scaling=False axes=None kwargs",
}
"""As aihwkit has them."""


@pytest.mark.parametrize("name", pictures.__all__)
def test_arguments_are_those_of_aihwkit(name):
    given = inspect.signature(getattr(pictures, name)).parameters.values()
    shown = [each.name if each.default is each.empty else f"{each.name}={each.default}" for each in given]
    assert " ".join(shown) == SIGNATURES[name]


def test_importing_the_pictures_imports_no_matplotlib():
    code = "import sys, ohmgrad.compat.visualization, ohmgrad.compat.summary; print('matplotlib' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "False"


def test_a_script_written_for_aihwkit_runs_unchanged():
    command = [sys.executable, "-m", "ohmgrad.compat", str(SCRIPTS / "summary_plots.py")]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "summary_plots: 3 tiles, 60 steps, 7 figures"
