"""Analog products of small matrices, for the tests of their parts."""

import torch

from ohmgrad.engine.draws import Draws, Stream
from ohmgrad.engine.mvm import mvm
from ohmgrad.engine.periphery import Direction, Periphery
from ohmgrad.parameters.enums import AnalogMVType, BoundManagementType, NoiseManagementType, WeightNoiseType
from ohmgrad.parameters.io import IOParameters

FORWARD, BACKWARD = Stream.FORWARD.of(0), Stream.BACKWARD.of(0)


def quiet(**fields):
    """Everything that is random or coarse switched off, unless asked for."""
    return IOParameters(**{"out_noise": 0.0, "inp_res": 0.0, "out_res": 0.0, **fields})


def circuits(weight, io, draws):
    """The circuits around a matrix."""
    return Periphery(io, *weight.shape, draws, Direction.FORWARD.stream())


def product(weight, x, io, implementation="reference", drawn=None, **more):
    """The product of some vectors; ``drawn`` replaces drawn values."""
    x = torch.as_tensor(x, dtype=torch.float32)
    weight = torch.as_tensor(weight, dtype=torch.float32)
    draws = Draws(7, implementation)
    periphery = circuits(weight, io, draws)
    periphery.set_values(drawn or {})
    return mvm(weight, x, io, draws, FORWARD, torch.arange(len(x)), periphery=periphery, **more)


def identity_product(x, io, **more):
    """What the periphery makes of inputs that the array passes on unchanged."""
    return product(torch.eye(len(x[0])), x, io, **more)


NM, BM, MV = NoiseManagementType, BoundManagementType, AnalogMVType
EVERYTHING = {
    "inp_noise": 0.01,
    "inp_sto_round": True,
    "inp_asymmetry": 0.1,
    "ir_drop": 1.0,
    "ir_drop_g_ratio": 400.0,
    "v_offset_std": 0.1,
    "r_series": 0.01,
    "out_nonlinearity": 0.5,
    "out_nonlinearity_std": 0.3,
    "slope_calibration": 0.5,
    "w_read_asymmetry_dtod": 0.1,
    "out_asymmetry": 0.05,
    "out_noise": 0.05,
    "out_noise_std": 0.4,
    "out_scale": 1.5,
    "w_noise": 0.02,
    "w_noise_type": WeightNoiseType.PCM_READ,
    "out_sto_round": True,
    "out_bound": 1.5,
    "bound_management": BM.ITERATIVE_WORST_CASE,
    "mv_type": MV.POS_NEG_SEPARATE_DIGITAL_SUM,
}
SETTINGS = {
    "nothing": quiet(),
    "default": IOParameters(),
    "input steps by chance": quiet(inp_res=1 / 6, inp_sto_round=True),
    "input noise": quiet(inp_noise=0.1),
    "input asymmetry": quiet(inp_asymmetry=0.2),
    "no input bound": quiet(noise_management=NM.NONE, inp_bound=0.0),
    "output steps": quiet(out_res=1 / 62),
    "output steps by chance": quiet(out_res=1 / 62, out_sto_round=True),
    "output noise": quiet(out_noise=0.1),
    "output noise of its own": quiet(out_noise=0.1, out_noise_std=0.5),
    "output asymmetry": quiet(out_asymmetry=0.2),
    "output scale": quiet(out_scale=-2.5),
    "no output bound": IOParameters(out_bound=0.0),
    "weight noise": quiet(w_noise=0.1, w_noise_type=WeightNoiseType.ADDITIVE_CONSTANT),
    "weight noise of weights": quiet(w_noise=0.1, w_noise_type=WeightNoiseType.PCM_READ),
    "wires": quiet(ir_drop=1.0, ir_drop_g_ratio=400.0),
    "offsets": quiet(v_offset_std=0.1),
    "resistance": quiet(r_series=0.02),
    "offsets and resistance": quiet(v_offset_std=0.1, r_series=0.02, v_offset_w_min=-0.6),
    "saturation": quiet(out_nonlinearity=0.5, out_nonlinearity_std=0.3),
    "calibration": quiet(out_nonlinearity=0.5, slope_calibration=0.5),
    "separate": IOParameters(mv_type=MV.POS_NEG_SEPARATE, w_read_asymmetry_dtod=0.3),
    "separate, digital": IOParameters(mv_type=MV.POS_NEG_SEPARATE_DIGITAL_SUM),
    "bounds": quiet(out_bound=1.0),
    "bounds, once": quiet(out_bound=1.0, max_bm_factor=1),
    "bounds, one side": IOParameters(out_bound=1.0, bm_test_negative_bound=False),
    "bounds, worst case": IOParameters(out_bound=1.0, bound_management=BM.ITERATIVE_WORST_CASE, inp_noise=0.01),
    "bounds, loud": IOParameters(out_bound=0.5, out_noise=0.3, bound_management=BM.ITERATIVE_WORST_CASE),
    "bounds, loud zeros": IOParameters(
        out_bound=0.5, out_noise=0.3, bound_management=BM.ITERATIVE_WORST_CASE, noise_management=NM.NONE
    ),
    "bounds, not managed": IOParameters(out_bound=1.0, bound_management=BM.NONE),
    "bounds, steps": IOParameters(out_bound=1.0),
    "bounds, digital": IOParameters(out_bound=1.0, mv_type=MV.POS_NEG_SEPARATE_DIGITAL_SUM, w_read_asymmetry_dtod=0.3),
    **{f"scale {kind.name}": IOParameters(noise_management=kind, out_bound=2.0, nm_thres=1.3) for kind in NM},
    "perfect": IOParameters(is_perfect=True, out_scale=2.0),
    "everything": IOParameters(**EVERYTHING),
    "everything, separate": IOParameters(**{**EVERYTHING, "mv_type": MV.POS_NEG_SEPARATE, "out_sto_round": False}),
}
"""Everything that a product can be asked for."""


def dyadic(rows, columns, seed):
    """Numbers in [-1, 1] with few bits, whose products and sums a float32 holds exactly in any order."""
    return torch.randint(-64, 65, (rows, columns), generator=torch.Generator().manual_seed(seed)) / 64


def vectors(count, width):
    """Vectors of several magnitudes, the third all zeros."""
    return dyadic(count, width, 2) * torch.tensor([1.0, 4.0, 0.0, 0.25, 16.0])[:count, None]
