"""Parameters of how weights are disturbed in training, so that a model bears the errors of a chip."""

from typing import Annotated

from pydantic import Field, field_validator

from ohmgrad.parameters.base import Config
from ohmgrad.parameters.enums import WeightModifierType

NotNegative = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]
Coefficient = Annotated[float, Field(allow_inf_nan=False)]


class WeightModifierParameter(Config):
    r"""Products in training see disturbed weights :math:`\tilde W`, and the update acts on W itself.

    They are drawn once for each step of the optimizer, for the forward and the backward product alike. In the formulas
    w is a weight, :math:`A = \max |W|` over the tile, N a standard normal number for each weight, and
    :math:`Q_r(v) = r\, \mathrm{round}(v / r)` with halves rounded away from 0.

    M. J. Rasch et al., Nat. Commun. 14, 5282 (2023); V. Joshi et al., Nat. Commun. 11, 2473 (2020).
    """

    type: WeightModifierType = WeightModifierType.NONE
    """What is done to the weights."""
    std_dev: NotNegative = 0.0
    r"""Strength of the noise, :math:`\sigma` (as a share of A; PROG_NOISE divides it by ``g_max``)."""
    res: Annotated[float, Field(allow_inf_nan=False)] = 0.0
    """Step r of the discrete weights (as a share of A; of DOREFA absolute); above 1 a number of steps, 1 / r; 0 or
    less: they are not rounded."""
    sto_round: bool = False
    """Round to the steps by chance, so that weights are right on average."""
    dorefa_clip: Positive = 0.6
    """The largest weight of DOREFA, c (absolute; S. Zhou et al., arXiv:1606.06160, map to 1)."""
    pdrop: Annotated[float, Field(ge=0.0, le=1.0)] = 0.0
    """Probability with which a weight is 0, after all else, whatever the type (L. Wan et al., ICML 2013)."""
    enable_during_test: bool = False
    """Products see the disturbed weights in evaluation too."""
    rel_to_actual_wmax: bool = True
    """A is the largest weight that there is; else ``assumed_wmax``."""
    assumed_wmax: Positive = 1.0
    """What A is if it does not follow the weights."""
    copy_last_column: bool = False
    """The last column, which an analog bias is, stays as it is."""
    coeffs: list[Coefficient] = [0.0105392, 0.0768, -0.046925]  # noqa: RUF012 (pydantic copies it)
    r"""Coefficients :math:`c_0, c_1, ...` of the polynomial that says how noisy a weight is (relative to the largest;
    by default errors of programming of phase-change memory, S. R. Nandakumar et al. 2020, divided by 25)."""
    g_max: Positive = 25.0
    r"""The largest conductance, :math:`g_{max}`, in whose units PROG_NOISE has its strength (microsiemens)."""
    per_batch_sample: bool = False
    """Weights of their own for every sample of a batch: not available, so only False is accepted."""

    @field_validator("type")
    @classmethod
    def _has_a_law(cls, value: WeightModifierType) -> WeightModifierType:
        if value is WeightModifierType.PCM_NOISE:
            raise ValueError("there is no law for it. Take PROG_NOISE, the errors of programming such a memory")
        return value

    @field_validator("per_batch_sample")
    @classmethod
    def _is_one_for_all(cls, value: bool) -> bool:
        if value:
            raise ValueError("all samples of a step see the same weights. Set it to False")
        return value

    @property
    def is_active(self) -> bool:
        """Whether weights are disturbed at all."""
        return self.type is not WeightModifierType.NONE or self.pdrop > 0.0
