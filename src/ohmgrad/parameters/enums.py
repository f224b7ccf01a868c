"""The choices that configurations offer by name."""

from enum import Enum


class PulseType(Enum):
    """How a gradient reaches the cells."""

    STOCHASTIC_COMPRESSED = "StochasticCompressed"
    """Stochastic trains; positive and negative pulses in one phase."""
    STOCHASTIC = "Stochastic"
    """Stochastic trains in two phases; the pulses of every cell are those of STOCHASTIC_COMPRESSED."""
    MEAN_COUNT = "MeanCount"
    """No trains: every line counts its mean number of pulses, and a cell gets the rounded product of two counts."""
    DETERMINISTIC_IMPLICIT = "DeterministicImplicit"
    """No trains: a cell gets the rounded product of the quantised values of its lines."""
    NONE = "None"
    """Floating-point update; the device model is not used at all."""
    NONE_WITH_DEVICE = "NoneWithDevice"
    """Floating-point update of the device's weights, within its bounds."""
    MEAN_FIELD = "MeanField"
    r"""The limit of infinitely fine pulses: a change :math:`\Delta` moves a cell by
    :math:`\Delta F(w) - |\Delta| G(w)`, with the responses of its law and without noise, within its bounds."""


class NoiseManagementType(Enum):
    """How the input of an analog product is scaled before the digital-to-analog converter."""

    NONE = "None"
    ABS_MAX = "AbsMax"
    ABS_MAX_NP_SUM = "AbsMaxNPSum"
    MAX = "Max"
    CONSTANT = "Constant"
    AVERAGE_ABS_MAX = "AverageAbsMax"


class BoundManagementType(Enum):
    """What happens when an output clips at the analog-to-digital converter."""

    NONE = "None"
    ITERATIVE = "Iterative"
    """Halve the input and repeat, until nothing clips or a limit is reached."""
    ITERATIVE_WORST_CASE = "IterativeWorstCase"
    """The second try scales the input as ABS_MAX_NP_SUM does; later ones halve it."""


class WeightNoiseType(Enum):
    """The kind of noise that reading the weights adds."""

    NONE = "None"
    ADDITIVE_CONSTANT = "AdditiveConstant"
    r"""Every weight is equally noisy: :math:`w_{noise} |u|_2` at every output."""
    PCM_READ = "PCMRead"
    r"""Noise that grows with the root of the weight: :math:`w_{noise} \sqrt{\sum_j |W_{ij}| u_j^2}` at output i."""


class AnalogMVType(Enum):
    """How positive and negative inputs of an analog product are handled."""

    IDEAL = "Ideal"
    """No imperfections at all."""
    ONE_PASS = "OnePass"
    """Both at once."""
    POS_NEG_SEPARATE = "PosNegSeparate"
    """Two products, one of the positive and one of the negative inputs, added before the output converter."""
    POS_NEG_SEPARATE_DIGITAL_SUM = "PosNegSeparateDigitalSum"
    """Two products, each converted by itself, added after the output converter."""


class VectorUnitCellUpdatePolicy(Enum):
    """Which devices of a vector cell receive the pulses of a sample."""

    ALL = "All"
    """All of them, from the same trains."""
    SINGLE_FIXED = "SingleFixed"
    """One device, always the same until another is chosen."""
    SINGLE_SEQUENTIAL = "SingleSequential"
    """One after the other, a new one for every sample."""
    SINGLE_RANDOM = "SingleRandom"
    """One that is drawn anew for every sample."""


class WeightModifierType(Enum):
    r"""How weights are disturbed in training, :math:`w \to \tilde w`.

    The symbols are those of :class:`~ohmgrad.parameters.modifier.WeightModifierParameter`.
    """

    NONE = "None"
    """Not at all."""
    COPY = "Copy"
    """They stay as they are; only ``pdrop`` acts."""
    DISCRETIZE = "Discretize"
    r""":math:`A\, Q_r(w / A)`: a few values, evenly spaced."""
    ADD_NORMAL = "AddNormal"
    r""":math:`w + \sigma A N`: all weights are equally noisy."""
    MULT_NORMAL = "MultNormal"
    r""":math:`w\, (1 + \sigma A N)`: the noise grows with the weight."""
    DISCRETIZE_ADD_NORMAL = "DiscretizeAddNormal"
    r""":math:`A\, Q_r(w / A) + \sigma A N`."""
    DOREFA = "DoReFa"
    r""":math:`Q_r(c \tanh w / \tanh A)`: a few values, closer for large weights."""
    POLY = "Poly"
    r""":math:`w + \sigma A N \sum_k c_k (|w| / A)^k`."""
    PROG_NOISE = "ProgNoise"
    r""":math:`\mathrm{sign}(w)\, |w + (\sigma / g_{max}) A N \sum_k c_k (|w| / A)^k|`: no weight changes its sign."""
    DROP_CONNECT = "DropConnect"
    """As COPY."""
    PCM_NOISE = "PCMNoise"
    """Refused: there is no law for it."""


class WeightClipType(Enum):
    """How the bound is found to which weights are clipped."""

    NONE = "None"
    """Weights are not clipped."""
    FIXED_VALUE = "FixedValue"
    """It is given."""
    LAYER_GAUSSIAN = "LayerGaussian"
    """A number of standard deviations of the weights of the tile."""
    AVERAGE_CHANNEL_MAX = "AverageChannelMax"
    """The mean over outputs of the largest weight of each."""


class WeightRemapType(Enum):
    """For what the largest weight is brought to the end of the range."""

    NONE = "None"
    """For nothing."""
    LAYERWISE_SYMMETRIC = "LayerwiseSymmetric"
    """For each tile."""
    CHANNELWISE_SYMMETRIC = "ChannelwiseSymmetric"
    """For each output."""
