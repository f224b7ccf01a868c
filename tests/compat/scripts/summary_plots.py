"""Model summary and device response plots, written to a temporary folder."""
import os
import tempfile

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402
from torch import nn  # noqa: E402

from aihwkit.inference import PCMLikeNoiseModel  # noqa: E402
from aihwkit.nn import AnalogConv2d, AnalogLinear, AnalogLinearMapped, AnalogSequential  # noqa: E402
from aihwkit.simulator.configs import InferenceRPUConfig, SingleRPUConfig  # noqa: E402
from aihwkit.simulator.configs.compounds import VectorUnitCell  # noqa: E402
from aihwkit.simulator.configs.devices import ConstantStepDevice, SoftBoundsDevice  # noqa: E402
from aihwkit.simulator.presets import EcRamPresetDevice  # noqa: E402
from aihwkit.utils.analog_info import analog_summary  # noqa: E402
from aihwkit.utils.visualization import (  # noqa: E402
    compute_pulse_response,
    compute_pulse_statistics,
    estimate_n_steps,
    get_tile_for_plotting,
    plot_device,
    plot_device_compact,
    plot_device_symmetry,
    plot_response_overview,
    plot_weight_drift,
)

torch.manual_seed(6)
np.random.seed(6)

rpu = InferenceRPUConfig()
model = AnalogSequential(
    AnalogConv2d(1, 4, 3, rpu_config=rpu), nn.ReLU(), nn.Flatten(),
    AnalogLinear(144, 16, rpu_config=rpu), nn.ReLU(), AnalogLinearMapped(16, 3, rpu_config=rpu))
info = analog_summary(model, (1, 1, 8, 8), rpu)
text = str(info)
assert "AnalogLinear" in text and "AnalogConv2d" in text and "tiles" in text.lower()
assert info.total_tile_number == 3 and info.total_nb_analog == 3

device = ConstantStepDevice(dw_min=0.02, w_max_dtod=0.1, w_min_dtod=0.1, dw_min_std=0.1)
config = SingleRPUConfig(device=device)
n_steps = estimate_n_steps(config)
assert 20 < n_steps < 200
tile = get_tile_for_plotting(config, n_traces=3)
direction = np.sign(np.sin(np.pi * (np.arange(4 * n_steps) + 1) / n_steps))
trace = compute_pulse_response(tile, direction, use_forward=False)
assert trace.shape == (4 * n_steps, 3, 1)
assert trace.max() > 0.2 and trace.min() < 0.0
nodes = np.linspace(trace.min(), trace.max(), 20)
mean, std = compute_pulse_statistics(nodes, trace, direction, up_direction=True)
assert mean.shape == (20, 3, 1) and np.nanmean(mean) > 0

with tempfile.TemporaryDirectory() as folder:
    def save(name):
        plt.savefig(os.path.join(folder, name))
        plt.close("all")

    plot_device(device, w_noise=0.0, n_steps=40, n_traces=2, n_loops=1)
    save("device.png")
    figure = plot_device_compact(SoftBoundsDevice(dw_min=0.03), n_steps=40, n_traces=2, n_loops=1)
    figure.savefig(os.path.join(folder, "compact.png"))
    axes = plt.figure().add_subplot()
    back = plot_device_compact(EcRamPresetDevice(), n_steps=60, n_traces=2, n_loops=1, axes=axes)
    assert back is axes
    save("axes.png")
    cell = VectorUnitCell(unit_cell_devices=[ConstantStepDevice(dw_min=0.05) for _ in range(2)])
    plot_device_compact(cell, n_steps=30, n_traces=2, n_loops=1)
    save("cell.png")
    plot_device_symmetry(device, n_pulses=100, n_traces=2)
    save("symmetry.png")
    plot_response_overview(config, n_loops=1, n_steps=30, n_traces=2)
    save("overview.png")
    plot_weight_drift(PCMLikeNoiseModel(), t_inference_list=np.logspace(0, 5, 4), n_repeats=5)
    save("drift.png")
    files = os.listdir(folder)
    assert len(files) == 7 and all(os.path.getsize(os.path.join(folder, f)) > 1000 for f in files)
print(f"summary_plots: {info.total_tile_number} tiles, {n_steps} steps, {len(files)} figures")
