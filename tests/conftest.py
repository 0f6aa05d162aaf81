"""What holds for every test."""

from __future__ import annotations

from hypothesis import settings

# The same examples each time, and no limit by the clock: a busy machine breaks no promise.
settings.register_profile("tests", derandomize=True, deadline=None, database=None)
settings.load_profile("tests")
