"""Kernels that were compiled in an earlier process give what they gave there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

# Trains one tile for each device, in the order of the arguments, on both implementations; a law whose module cannot be
# imported stands for one from a notebook.
SCRIPT = """
import json, sys, torch
from ohmgrad.configs import ConstantStepDevice, LinearStepDevice, PulsedDevice, SingleRPUConfig, SoftBoundsDevice
from ohmgrad.tile import AnalogTile
from ohmgrad.words import clip, where

source = '''
def law(w, up, noise, dwmin_up, dwmin_down, min_bound, max_bound):
    return clip(w + 0.5 * where(up, dwmin_up, -dwmin_down), min_bound, max_bound)
'''
scope = {"clip": clip, "where": where}
exec(source, scope)

class Own(PulsedDevice):
    law = staticmethod(scope["law"])

devices = {"constant": ConstantStepDevice, "linear": LinearStepDevice, "soft": SoftBoundsDevice, "own": Own}
results = {}
for name in sys.argv[1:]:
    weights = []
    for implementation in ("cpu", "reference"):
        torch.manual_seed(0)
        config = SingleRPUConfig(device=devices[name]())
        config.runtime.implementation = implementation
        tile = AnalogTile(3, 4, config)
        tile.update(torch.randn(8, 4), torch.randn(8, 3))
        weights.append(tile.get_weights())
    torch.testing.assert_close(*weights, atol=1e-6, rtol=0.0)
    results[name] = weights[0].tolist()
print(json.dumps(results))
"""


def train(cache: Path, *devices: str) -> dict[str, list[list[float]]]:
    environment = {**os.environ, "XDG_CACHE_HOME": str(cache)}
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT, *devices], env=environment, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)  # type: ignore[no-any-return]


def test_kernels_of_several_processes_live_together(tmp_path: Path) -> None:
    apart = {**train(tmp_path, "soft"), **train(tmp_path, "constant", "own"), **train(tmp_path, "linear")}
    assert train(tmp_path, "linear", "own", "constant", "soft") == apart
    assert train(tmp_path, "own", "soft", "linear") == {name: apart[name] for name in ("own", "soft", "linear")}


def test_a_damaged_kernel_is_compiled_again(tmp_path: Path) -> None:
    first = train(tmp_path, "constant")
    kernels = list(tmp_path.rglob("*.kernel"))
    assert kernels
    for kernel in kernels:
        kernel.write_bytes(b"half a fi")
    assert train(tmp_path, "constant") == first
