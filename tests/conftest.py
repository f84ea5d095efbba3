"""Fixtures for all tests."""

from hypothesis import HealthCheck, settings

# A machine that is busy with other tests must not fail a property.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")

# ``make test`` tries the same examples in every run; without it pytest tries more, and other ones each time.
settings.register_profile("steady", settings.get_profile("busy"), max_examples=40, derandomize=True)

pytest_plugins = ["tests.azurite", "tests.storage"]
