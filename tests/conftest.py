"""Fixtures for all tests."""

from hypothesis import HealthCheck, settings

# A machine that is busy with other tests must not fail a property.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")

pytest_plugins = ["tests.azurite", "tests.storage"]
