"""Layers with analog weights."""

from ohmgrad.nn.linear import AnalogLinear

__all__ = ["AnalogLinear"]
