"""What all tests share."""

from hypothesis import settings

# The same examples every time, however slow the machine is: a failure can always be repeated.
settings.register_profile("deterministic", derandomize=True, deadline=None)
settings.load_profile("deterministic")
