"""Parameters of the analog matrix-vector product."""

from pydantic import Field

from ohmgrad.parameters.base import Config
from ohmgrad.parameters.enums import AnalogMVType, BoundManagementType, NoiseManagementType, WeightNoiseType


class IOParameters(Config):
    """Converters, noise and management of one direction (forward or backward) of the analog product.

    Inputs are scaled to the input bound, quantised, multiplied by the weights, disturbed, quantised again and
    scaled back. Values are in units of the scaled input (``inp_*``) and of the scaled output (``out_*``).
    """

    is_perfect: bool = False
    """Skip every non-ideality: ``y = out_scale * W x``."""
    mv_type: AnalogMVType = AnalogMVType.ONE_PASS
    """IDEAL is the same as ``is_perfect``."""
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
    """Clipping value of the output converter; 0 or less: no clipping."""
    out_noise: float = Field(default=0.06, ge=0.0)
    """Standard deviation of the Gaussian noise on every output, before the converter."""
    out_res: float = 1.0 / (2**9 - 2)
    """Step of the output converter as a fraction of its range; above 1 a number of steps; 0 or less: none."""
    out_sto_round: bool = False
    """Round stochastically in the output converter."""
    out_scale: float = 1.0
    """Digital factor on the output."""
    out_asymmetry: float = 0.0
    """Negative outputs are multiplied by ``1 - out_asymmetry`` before the converter (if positive)."""
    bound_management: BoundManagementType = BoundManagementType.ITERATIVE
    """ITERATIVE halves the input and repeats while an output clips (forward only)."""
    noise_management: NoiseManagementType = NoiseManagementType.ABS_MAX
    """How the input is scaled to the range of the input converter."""
    w_noise: float = Field(default=0.0, ge=0.0)
    """Strength of the weight noise, referred to the output."""
    w_noise_type: WeightNoiseType = WeightNoiseType.NONE
    """ADDITIVE_CONSTANT: Gaussian of standard deviation ``w_noise * |u|_2`` on every output."""
    max_bm_factor: int = Field(default=1000, ge=0)
    """Bound management stops once the input is reduced by more than this factor."""
    max_bm_res: float = 0.25
    """Bound management stops once the reduction exceeds this many input-converter steps per unit."""
    bm_test_negative_bound: bool = True
    """Whether clipping at the negative bound triggers bound management too."""
    nm_thres: float = 0.0
    """Upper limit of the noise-management scale; with CONSTANT, the scale itself. 0: none."""
