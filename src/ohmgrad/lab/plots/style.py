"""Colours and dashes of the learning rules in pictures."""

from __future__ import annotations

LINES: dict[str, tuple[str, str]] = {
    "fp": ("#222222", "-"),
    "sgd": ("#d1421c", "-"),
    "ttv1": ("#0072b2", "-"),
    "rl": ("#0072b2", "--"),
    "ttv2": ("#1a9870", "-"),
    "ttv3": ("#8e4fa8", "-"),
    "rttv3": ("#8e4fa8", "--"),
    "ttv4": ("#e08e00", "-"),
    "rlv2": ("#1a9870", "--"),
    "mrl": ("#d45d9e", "-"),
    "rider": ("#7a4b1e", "--"),
    "e-rider": ("#7a4b1e", "-"),
    "lrtt": ("#777777", "--"),
    "mp": ("#777777", "-"),
}
"""Colour and dash of every algorithm. A colour is that of a family of two at most, of which one is dashed: a residual
rule beside the rule that it extends, and RIDER without choppers."""
