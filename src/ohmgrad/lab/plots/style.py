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
    "mrl": ("#0072b2", ":"),
    "rider": ("#e08e00", ":"),
    "e-rider": ("#e08e00", "--"),
    "lrtt": ("#777777", "--"),
    "mp": ("#777777", "-"),
}
"""Colour and dash of every algorithm; a residual rule has the colour of the rule that it extends, and another dash. The
colours stay apart for colour-blind eyes."""
