"""Parameters of the pulsed update."""

from pydantic import Field

from ohmgrad.parameters.base import Config
from ohmgrad.parameters.enums import PulseType


class UpdateParameters(Config):
    r"""How a rank-1 update :math:`-\lambda\, d\, x^T` is turned into pulses.

    With :math:`g` the weight granularity, :math:`X = \max_j |x_j|`, :math:`D = \max_i |d_i|` and
    :math:`k = \lambda X\, \alpha_{um} D / g` the number of pulses the strongest cross point asks for,
    a line fires in each of BL slots with probability :math:`B |x_j|` or :math:`A |d_i|`.
    (Gokmen and Vlasov 2016; update management: Gokmen, Onen and Haensch 2017.)
    """

    desired_bl: int = Field(default=31, ge=1, le=1_000_000)
    """Length of the pulse trains; their greatest length with update BL management."""
    fixed_bl: bool = True
    """Without update BL management: always use ``desired_bl``. If False, lengthen the trains when the learning rate
    is above ``g * desired_bl``."""
    pulse_type: PulseType = PulseType.STOCHASTIC_COMPRESSED
    """How the pulses are made."""
    res: float = 0.0
    """Bin width of the pulse probabilities, for all types but DETERMINISTIC_IMPLICIT; above 1 it is a number of steps
    (1 / width); 0 or less: continuous."""
    x_res_implicit: float = 0.0
    """The bin width of the x lines for DETERMINISTIC_IMPLICIT, given like ``res``."""
    d_res_implicit: float = 0.0
    """The bin width of the d lines for DETERMINISTIC_IMPLICIT, given like ``res``."""
    d_sparsity: bool = False
    """Keep a running average of the share of zeros in d, over the vectors that have any (chopped rules show it as
    ``d_sparsity``)."""
    sto_round: bool = False
    """Round stochastically to the bins (only where there are bins)."""
    update_bl_management: bool = True
    """Choose the train length of every sample: ``BL = min(ceil(k), desired_bl)``. Implies update management."""
    update_management: bool = True
    """Balance the probabilities of the x and d lines of every sample."""
    um_grad_scale: float = Field(default=1.0, gt=0.0)
    r"""Factor :math:`\alpha_{um}` on the largest gradient: below 1 the largest gradients are clipped."""
