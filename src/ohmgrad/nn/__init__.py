"""Layers with analog weights, and the conversion of models to them."""

from ohmgrad.nn.base import AnalogSequential, named_analog_layers, named_analog_tiles
from ohmgrad.nn.conv import AnalogConv1d, AnalogConv2d, AnalogConv3d
from ohmgrad.nn.conversion import convert_to_analog, convert_to_digital
from ohmgrad.nn.linear import AnalogLinear
from ohmgrad.nn.recompute import same_noise
from ohmgrad.nn.recurrent import AnalogRNN
from ohmgrad.nn.recurrent_cells import (
    AnalogGRUCell,
    AnalogLSTMCell,
    AnalogLSTMCellCombinedWeight,
    AnalogReLURNNCell,
    AnalogVanillaRNNCell,
)
from ohmgrad.nn.recurrent_twin import AnalogRecurrent
from ohmgrad.nn.summary import Summary, analog_summary

__all__ = [
    "AnalogConv1d",
    "AnalogConv2d",
    "AnalogConv3d",
    "AnalogGRUCell",
    "AnalogLSTMCell",
    "AnalogLSTMCellCombinedWeight",
    "AnalogLinear",
    "AnalogRNN",
    "AnalogReLURNNCell",
    "AnalogRecurrent",
    "AnalogSequential",
    "AnalogVanillaRNNCell",
    "Summary",
    "analog_summary",
    "convert_to_analog",
    "convert_to_digital",
    "named_analog_layers",
    "named_analog_tiles",
    "same_noise",
]
