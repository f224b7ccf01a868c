"""Scripts written for aihwkit, run unchanged on ohmgrad.

``python -m ohmgrad.compat script.py``, or ``import ohmgrad.compat.aihwkit`` before the first import of aihwkit, lets
``aihwkit`` and its modules be found here.
"""

from ohmgrad.compat.finder import install

__all__ = ["install"]
