"""The analog product in Triton: what it computes, how many launches that takes, and that nothing waits for the device.

Without a GPU, Triton's interpreter runs the kernels.
"""

from collections import Counter

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from conformance.cases import build, load
from engine.products import BACKWARD, FORWARD, SETTINGS, circuits, dyadic, quiet, vectors
from machine_code import compiled, launches_of
from ohmgrad.configs import SingleRPUConfig
from ohmgrad.engine import mvm_gpu
from ohmgrad.engine.compiler_gpu import Kernel
from ohmgrad.engine.crossbar import Array, Crossbar
from ohmgrad.engine.draws import Draws
from ohmgrad.engine.management import new_average, repeats
from ohmgrad.engine.mvm import mvm, read_slices, unmanaged
from ohmgrad.engine.noise import Source
from ohmgrad.parameters.enums import AnalogMVType, NoiseManagementType, WeightNoiseType
from ohmgrad.parameters.io import IOParameters
from ohmgrad.testing.common import Implementation, make_tile, poisoned_memory

NM, MV = NoiseManagementType, AnalogMVType
SIZES = ((1, 1), (3, 63), (63, 3), (17, 129))


def both(weight, x, io, forward=True, other="reference"):
    """What two implementations give: products, marks of clipping, running averages."""
    results = []
    for implementation in (other, "gpu"):
        draws, average = Draws(7, implementation), new_average()
        clipped = torch.zeros(len(x), len(weight), dtype=torch.bool)
        numbers, periphery = torch.arange(40, 40 + len(x)), circuits(weight, io, Draws(7, "reference"))
        with poisoned_memory():
            y = mvm(weight, x, io, draws, FORWARD, numbers, average, forward, periphery, clipped)
        results.append((y, clipped, average))
    return results


# --- against the reference -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("forward", [True, False], ids=["forward", "backward"])
@pytest.mark.parametrize("name", SETTINGS)
def test_every_setting_does_what_it_does_on_the_reference(name, forward):
    io = SETTINGS[name]
    for size in SIZES:
        weight = dyadic(*size, 1)
        if not forward or size[0] > size[1]:
            weight = dyadic(*reversed(size), 1).t()
        x = vectors(5, weight.shape[1])
        (y, clipped, average), (found, found_clipped, found_average) = both(weight, x, io, forward)
        torch.testing.assert_close(found, y, rtol=1e-5, atol=1e-5)
        assert torch.equal(found_clipped, clipped)
        assert torch.equal(found_average, average)


@pytest.mark.parametrize("name", ["default", "bounds, steps", "separate, digital", "offsets", "saturation"])
def test_where_sums_are_exact_the_bits_are_those_of_the_processor(name):
    io = SETTINGS[name].replaced(noise_management=NM.CONSTANT, nm_thres=16.0, inp_res=1 / 2048)
    weight, x = dyadic(17, 129, 1), vectors(5, 129)
    (y, _, _), (found, _, _) = both(weight, x, io, other="cpu")
    assert torch.equal(found, y)


RECORDED = list(load("mvm"))


@pytest.mark.parametrize("case", RECORDED, ids=lambda case: case["name"])
def test_recorded_products_are_those_of_the_kernels(case):
    forward, backward = build(case["config"]["forward"]), build(case["config"]["backward"])
    weight, x, d = (torch.tensor(case[name]) for name in ("weight", "x", "d"))
    average, draws, numbers = new_average(), Draws(1, "gpu"), torch.arange(len(x))
    there, back = circuits(weight, forward, draws), circuits(weight.t(), backward, draws)
    y = mvm(weight, x, forward, draws, FORWARD, numbers, average, periphery=there)
    dx = mvm(weight.t(), d, backward, draws, BACKWARD, numbers, average, forward=False, periphery=back)
    assert torch.allclose(y, torch.tensor(case["y"]), rtol=0, atol=1e-5)
    assert torch.allclose(dx, torch.tensor(case["dx"]), rtol=0, atol=1e-5)


def test_vectors_are_tried_again_one_by_one():
    # Scaled to 1, the vectors give 0.5, 3, 12, 12 with a zero before, and 400: 0, 2, 4 rounds more, and all of them.
    io = quiet(out_bound=1.0, out_noise=1e-3, max_bm_factor=16)
    weight, x = torch.zeros(2, 400), torch.zeros(5, 400)
    weight[0] = 1.0
    for n, (first, ones) in enumerate([(0, 1), (0, 3), (0, 12), (1, 12), (0, 400)]):
        x[n, first : first + ones] = 1.0
    x[0, 0], x[0, 1] = 1.0, -0.5
    assert repeats(io) == 5
    (y, clipped, _), (found, found_clipped, _) = both(weight, x, io)
    torch.testing.assert_close(found, y, rtol=1e-6, atol=1e-6)
    assert found[:, 0].tolist() == pytest.approx([0.5, 3.0, 12.0, 12.0, 32.0], abs=0.05)
    assert torch.equal(found_clipped, clipped)
    assert clipped.nonzero().tolist() == [[4, 0]]


@pytest.mark.parametrize("name", ["default", "everything", "bounds, worst case"])
def test_the_sizes_of_blocks_change_nothing(name):
    io = SETTINGS[name].replaced(inp_noise=0.0, inp_res=1 / 2048, noise_management=NM.CONSTANT, nm_thres=16.0)
    weight, x, draws = dyadic(17, 129, 1), vectors(5, 129), Draws(7, "gpu")
    array = Array.of(Crossbar(weight, 129), io, circuits(weight, io, Draws(7, "reference")))
    source, scale = Source(draws, FORWARD, torch.arange(5)), torch.full((5, 1), 0.5)
    wanted = None
    for blocks in (
        ((4, 256), (4, 128), (16, 32, 16)),
        ((1, 64), (8, 8), (4, 8, 256)),
        ((8, 32), (1, 16), (8, 32, 256)),
    ):
        clipped = torch.zeros(5, 17, dtype=torch.bool)
        with poisoned_memory():
            y = mvm_gpu.rounds(array, x, scale, 0.0, source, repeats(io), clipped, *blocks)
        if wanted is None:
            wanted = y, clipped
        torch.testing.assert_close(y, wanted[0], rtol=1e-6, atol=1e-6)
        assert torch.equal(clipped, wanted[1])


@pytest.mark.parametrize("name", [name for name, io in SETTINGS.items() if io.inp_noise == 0.0] + ["everything"])
def test_reads_of_slices_are_those_of_the_processor(name):
    io = SETTINGS[name].replaced(inp_noise=0.0)
    for lanes, lines in ((1, 1), (3, 5), (63, 2)):
        weight = dyadic(lanes, lines, 3)
        slices, numbers = torch.arange(7) % lines, torch.arange(90, 97)
        for stored in (weight.t()[slices], weight[:, slices].t()):
            results = []
            for implementation in ("cpu", "gpu"):  # the random numbers of the reference differ in their last bits
                draws, periphery = Draws(5, implementation), circuits(weight, io, Draws(5, "reference"))
                with poisoned_memory():
                    results.append(read_slices(stored, slices, lines, io, draws, FORWARD, numbers, periphery))
            # The square root of torch is not always the nearest number.
            near = 1e-6 if io.w_noise_type is WeightNoiseType.PCM_READ else 0.0
            torch.testing.assert_close(*results, rtol=near, atol=near)


def test_the_largest_input_of_a_vector_is_the_same_number_on_every_device():
    x = vectors(5, 63)
    assert torch.equal(torch.linalg.vector_norm(x, torch.inf, 1, keepdim=True), x.abs().amax(1, keepdim=True))


def test_no_vectors_give_no_results():
    io, draws, none = SETTINGS["everything"], Draws(1, "gpu"), torch.arange(0)
    assert mvm(torch.ones(3, 4), torch.ones(0, 4), io, draws, FORWARD, none).shape == (0, 3)
    io = io.replaced(inp_noise=0.0)
    assert read_slices(torch.ones(0, 3), none, 3, io, draws, FORWARD, none).shape == (0, 3)


def test_weights_and_inputs_are_left_alone():
    weight, x = torch.rand(3, 4), torch.rand(5, 4)
    before = weight.clone(), x.clone()
    for name in ("bounds", "everything"):
        both(weight, x, SETTINGS[name].replaced(noise_management=NM.NONE))
        assert torch.equal(weight, before[0])
        assert torch.equal(x, before[1])


def test_a_tile_trains_as_on_the_reference():
    uneven = {"mv_type": MV.POS_NEG_SEPARATE, "w_read_asymmetry_dtod": 0.2}
    config = SingleRPUConfig(forward=IOParameters(out_bound=0.3, **uneven), backward=IOParameters(**uneven))
    x = torch.randn(2, 3, 7, generator=torch.Generator().manual_seed(1))
    results = []
    for name in ("reference", "gpu"):
        tile = make_tile(config, (5, 7), Implementation(name, "cpu"))
        inputs = x.clone().requires_grad_()
        with poisoned_memory():
            y = tile(inputs)
            y.square().sum().backward()
            tile.learn()
        results.append((y.detach(), inputs.grad, tile.get_weights(), tile(x)))
    for found, wanted in zip(*results, strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)


# --- launches --------------------------------------------------------------------------------------------------------

NO_LAUNCH = {f"aten::{name}" for name in ("empty", "t", "select", "unsqueeze", "slice", "detach")}
"""What is done by the host alone."""


class Launches(TorchDispatchMode):
    """Counts what a device is asked to do."""

    def __init__(self):
        super().__init__()
        self.names = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if (name := function.name().split(".")[0]) not in NO_LAUNCH:
            self.names.append(name)
        return function(*args, **kwargs or {})


@pytest.fixture
def launches(monkeypatch):
    """Launches of work on tensors that hold no data: whoever waits for some raises an error."""
    mode = Launches()
    monkeypatch.setattr(Kernel, "launch", lambda self, *_, **__: mode.names.append(self.function.__name__))
    return mode


def on_meta(io, launches, forward=True, shape=(64, 17, 31)):
    """The launches of one product."""
    count, outputs, inputs = shape
    weight = torch.empty(outputs, inputs, device="meta")
    periphery = circuits(weight, io, Draws(1, "reference")).to("meta")
    x, numbers = torch.empty(count, inputs, device="meta"), torch.empty(count, dtype=torch.int64, device="meta")
    launches.names.clear()
    with launches:
        y = mvm(weight, x, io, Draws(1, "gpu"), FORWARD, numbers, None, forward, periphery)
    assert y.shape == (count, outputs)
    return Counter(launches.names)


def test_a_product_takes_few_launches_and_always_as_many(launches):
    for shape in ((1, 1, 1), (64, 17, 31), (1000, 512, 784)):
        found = on_meta(IOParameters(), launches, shape=shape)
        assert found == {"aten::linalg_vector_norm": 1, "_lines": 1, "aten::mm": 1, "_outputs": 1, "_again": 4}
        back = on_meta(IOParameters(), launches, forward=False, shape=shape)
        assert back == {"aten::linalg_vector_norm": 1, "_lines": 1, "aten::mm": 1, "_outputs": 1}


@pytest.mark.parametrize("forward", [True, False], ids=["forward", "backward"])
@pytest.mark.parametrize(
    "name", [name for name, io in SETTINGS.items() if io.noise_management is not NM.AVERAGE_ABS_MAX]
)
def test_no_setting_waits_for_the_device(name, forward, launches):
    found = on_meta(SETTINGS[name], launches, forward)
    assert found == on_meta(SETTINGS[name], launches, forward, (1, 1, 1))
    assert found.total() <= 60


def test_a_read_takes_one_launch(launches):
    stored = torch.empty(9, 33, device="meta")
    number = torch.empty(9, dtype=torch.int64, device="meta")
    for name in ("default", "everything"):
        io = unmanaged(SETTINGS[name]).replaced(inp_noise=0.0)
        periphery = circuits(torch.empty(33, 12), io, Draws(1, "reference")).to("meta")
        launches.names.clear()
        with launches:
            read_slices(stored, number, 12, io, Draws(1, "gpu"), FORWARD, number, periphery)
        assert launches.names == ["_reads"]


# --- compiled for processors that are not here -----------------------------------------------------------------------


@pytest.mark.parametrize("capability", [80, 90])
@pytest.mark.parametrize("name", ["default", "everything"])
def test_kernels_are_compiled_without_spilling_registers(name, capability):
    io, draws = SETTINGS[name], Draws(1, "gpu")
    weight, stored = torch.empty(33, 50, device="meta"), torch.empty(50, 33, device="meta")
    periphery, numbers = circuits(weight, io, Draws(1, "reference")).to("meta"), torch.arange(50, device="meta")

    def products():
        mvm(weight, torch.empty(5, 50, device="meta"), io, draws, FORWARD, numbers[:5], None, True, periphery)
        if name == "default":  # sizes of 1 are compiled in
            one = torch.empty(1, 1, device="meta")
            mvm(one, one, io, draws, FORWARD, numbers[:1])
        read_slices(stored, numbers, 50, io.replaced(inp_noise=0.0), draws, FORWARD, numbers, periphery)

    found = {id(launch.kernel): launch for launch in launches_of(products)}
    assert {launch.kernel.__name__ for launch in found.values()} == {"_lines", "_outputs", "_again", "_reads"}
    for launch in found.values():
        code = compiled(launch, capability)
        assert code.spilled == 0, code.name
        # Only the products of later rounds are fused, which no other implementation computes in their order.
        assert ("fma.rn" in code.text) == (code.name == "_again")


# --- precision -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("implementation", ["reference", "gpu"])
def test_the_product_is_that_of_float32_whatever_torch_is_asked_for(implementation):
    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            if function.name() == "aten::mm":
                seen.append(torch.backends.mkldnn.matmul.fp32_precision)
            return function(*args, **kwargs or {})

    seen, before = [], torch.get_float32_matmul_precision()
    weight, x, io = torch.rand(3, 4), torch.rand(5, 4), IOParameters()
    torch.set_float32_matmul_precision("medium")
    try:
        with Watch():
            mvm(weight, x, io, Draws(1, implementation), FORWARD, torch.arange(5))
        assert torch.get_float32_matmul_precision() == "medium"
        assert torch.backends.mkldnn.matmul.fp32_precision == "bf16"
    finally:
        torch.set_float32_matmul_precision(before)
    assert seen
    assert set(seen) == {"ieee"}
