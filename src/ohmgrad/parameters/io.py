"""Parameters of the analog matrix-vector product."""

from pydantic import Field

from ohmgrad.parameters.base import Config
from ohmgrad.parameters.enums import AnalogMVType, BoundManagementType, NoiseManagementType, WeightNoiseType


class IOParameters(Config):
    """Converters, noise and management of one direction (forward or backward) of the analog product.

    Inputs are scaled to the input bound, quantised, multiplied by the weights, disturbed, quantised again and
    scaled back. Values are in units of the scaled input (``inp_*``) and of the scaled output (``out_*``). In the
    formulas, u is what the input lines carry and y what an output gives; i counts outputs, j inputs, N is a standard
    normal number.
    """

    is_perfect: bool = False
    """Skip every non-ideality: ``y = out_scale * W x``."""
    mv_type: AnalogMVType = AnalogMVType.ONE_PASS
    """Whether positive and negative inputs are multiplied at once or one after the other; IDEAL is ``is_perfect``."""
    inp_bound: float = 1.0
    """Clipping value of the input converter; 0 or less: no clipping. Must be 1 with any noise management."""
    inp_noise: float = Field(default=0.0, ge=0.0)
    """Standard deviation of the Gaussian noise on every input line, after the converter."""
    inp_res: float = 1.0 / (2**7 - 2)
    """Step of the input converter as a fraction of its range; above 1 a number of steps; 0 or less: none."""
    inp_sto_round: bool = False
    """Round stochastically in the input converter."""
    inp_asymmetry: float = 0.0
    """Negative inputs are multiplied by ``1 - inp_asymmetry``."""
    out_bound: float = 12.0
    """Clipping value of the output converter, B; 0 or less: no clipping."""
    out_noise: float = Field(default=0.06, ge=0.0)
    r"""Standard deviation of the Gaussian noise on every output, before the converter, :math:`\sigma`."""
    out_noise_std: float = Field(default=0.0, ge=0.0)
    r"""Spread of that noise from output to output, :math:`\sigma_i = |\sigma (1 + \mathrm{out\_noise\_std}\, N)|`."""
    out_res: float = 1.0 / (2**9 - 2)
    """Step of the output converter as a fraction of its range; above 1 a number of steps; 0 or less: none."""
    out_sto_round: bool = False
    """Round stochastically in the output converter."""
    out_scale: float = 1.0
    """Digital factor on the output."""
    out_asymmetry: float = 0.0
    """Negative outputs are multiplied by ``1 - out_asymmetry`` before the converter (if positive)."""
    bound_management: BoundManagementType = BoundManagementType.ITERATIVE
    """What happens when an output clips (forward only): the product is repeated with less input."""
    noise_management: NoiseManagementType = NoiseManagementType.ABS_MAX
    """How the input is scaled to the range of the input converter."""
    w_noise: float = Field(default=0.0, ge=0.0)
    """Strength of the weight noise, referred to the output."""
    w_noise_type: WeightNoiseType = WeightNoiseType.NONE
    """How the weight noise of an output depends on inputs and weights."""
    ir_drop: float = Field(default=0.0, ge=0.0)
    """Strength of the drop of voltage along the wires; 1 is the drop of the given wire, 0: none."""
    ir_drop_g_ratio: float = Field(default=1.0 / 0.35 / 5e-6, gt=0.0)
    """Conductance of one segment of wire over the greatest of a cell: 0.35 ohm and 5 microsiemens by default."""
    out_nonlinearity: float = Field(default=0.0, ge=0.0)
    r"""Saturation of the outputs relative to B, :math:`y \leftarrow y / (1 + |n_i y|)` with :math:`n_i` about
    ``out_nonlinearity`` / B (B = 1 if there is no bound)."""
    out_nonlinearity_std: float = Field(default=0.0, ge=0.0)
    r"""Spread from output to output, :math:`n_i = |n (1 + \mathrm{out\_nonlinearity\_std}\, N)|`."""
    slope_calibration: float = Field(default=0.0, ge=0.0)
    """Share of B at which the outputs are amplified to make up for their saturation on average; 0: not at all."""
    v_offset_std: float = Field(default=0.0, ge=0.0)
    r"""Standard deviation of the voltage offset of an output, :math:`o_i = |\mathrm{v\_offset\_std}\, N|`, as a share
    of the read voltage."""
    v_offset_w_min: float = -1.0
    """Weight of the reference conductance, which an offset drives as well."""
    r_series: float = Field(default=0.0, ge=0.0)
    """Series resistance of an output: the share of the voltage that a current of 1 takes, R."""
    w_read_asymmetry_dtod: float = Field(default=0.0, ge=0.0)
    r"""Spread from cell to cell of what a negative input reads, :math:`W_{ij} (1 + \mathrm{w\_read\_asymmetry\_dtod}\,
    N)`; only where negative inputs have a product of their own."""
    max_bm_factor: int = Field(default=1000, ge=0)
    """Bound management stops once the input is reduced by more than this factor."""
    max_bm_res: float = 0.25
    """Bound management stops once the reduction exceeds this many input-converter steps per unit."""
    bm_test_negative_bound: bool = True
    """Whether clipping at the negative bound triggers bound management too."""
    nm_thres: float = 0.0
    """Upper limit of the noise-management scale; with CONSTANT, the scale itself. 0: none."""
