"""A short profile for mutation testing, where every property runs a thousand times."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("mutation", max_examples=25, derandomize=True, database=None)
