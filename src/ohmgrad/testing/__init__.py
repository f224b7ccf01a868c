"""Test cases that a device or a learning rule of your own inherits.

Write a class whose name begins with ``Test``, inherit from :class:`DeviceTestCase` or :class:`RuleTestCase`, and give
the two functions that it asks for: one that makes what is tested, and one that says by hand what it must do. pytest
collects the rest. pytest itself is needed only to collect and run them; :func:`check` does without.

All random numbers have fixed seeds: a test that passed once passes always.
"""

from ohmgrad.testing.common import check
from ohmgrad.testing.devices import DeviceTestCase
from ohmgrad.testing.rules import RuleTestCase

__all__ = ["DeviceTestCase", "RuleTestCase", "check"]
