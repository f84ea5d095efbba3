"""Fixtures for all tests."""

pytest_plugins = ["tests.azurite", "tests.storage"]
