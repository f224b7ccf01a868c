"""Layers with analog weights, and the conversion of models to them."""

from ohmgrad.nn.conv import AnalogConv1d, AnalogConv2d, AnalogConv3d
from ohmgrad.nn.conversion import convert_to_analog, convert_to_digital
from ohmgrad.nn.linear import AnalogLinear

__all__ = ["AnalogConv1d", "AnalogConv2d", "AnalogConv3d", "AnalogLinear", "convert_to_analog", "convert_to_digital"]
