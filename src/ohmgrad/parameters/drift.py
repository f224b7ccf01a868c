"""Parameters of drift: how stored weights fade with time as a power law."""

from pydantic import Field

from ohmgrad.parameters.base import Config


class SimpleDriftParameter(Config):
    r"""Power-law drift :math:`w(t) = w(t_{ref})\, (t - t_{ref})^{-\nu}`, the same for every weight."""

    nu: float = Field(default=0.0, ge=0.0, allow_inf_nan=False)
    r"""Drift exponent :math:`\nu`; 0: no drift."""
    t_0: float = Field(default=1.0, gt=0.0)
    """Unit of time: a call of ``drift_weights(delta_t)`` lets ``delta_t / t_0`` units pass."""
    reset_tol: float = Field(default=1e-7, ge=0.0)
    """A weight that changed by more than this since the last drift starts to drift anew."""


class DriftParameter(SimpleDriftParameter):
    r"""Power-law drift with variation, noise and a dependence on the conductance.

    A weight is seen as a conductance :math:`g = (w - w_{offset}) / r + g_{offset}`. With t the time since the weight
    was last changed, :math:`q = \max(t, 1)^{-\nu'}` and
    :math:`a = g_{offset}\, r + w_{offset}`,

    .. math:: w(t) = w(t_{ref})\, q + a\, (q - 1) + \sigma_w \xi, \qquad
              \nu' = \nu_{ij} (1 + \sigma_\nu \xi) - k\, (\ln g - \ln g_0)
    """

    nu_dtod: float = Field(default=0.0, allow_inf_nan=False)
    """Variation of the exponent from cell to cell."""
    nu_std: float = Field(default=0.0, ge=0.0, allow_inf_nan=False)
    r"""Noise of the exponent from call to call, :math:`\sigma_\nu` (relative)."""
    wg_ratio: float = Field(default=1.0, gt=0.0, allow_inf_nan=False)
    """Weight units per unit of conductance, r."""
    g_offset: float = Field(default=0.0, allow_inf_nan=False)
    """Conductance of a weight at ``w_offset``."""
    w_offset: float = Field(default=0.0, allow_inf_nan=False)
    """Weight offset of the conductance."""
    nu_k: float = 0.0
    """Dependence of the exponent on the conductance, k."""
    log_g0: float = 0.0
    r"""Logarithm of the conductance at which the exponent is :math:`\nu`."""
    w_noise_std: float = Field(default=0.0, ge=0.0, allow_inf_nan=False)
    r"""Noise of the weight after a drift, :math:`\sigma_w` (absolute)."""
