"""The fixture ``azurite``: one storage emulator for a test process."""

from collections.abc import Iterator

import pytest

from dev.azurite import Azurite


@pytest.fixture(scope="session")
def emulator() -> Iterator[str]:
    """The connection string of a running Azurite. Each pytest-xdist worker has one of its own."""
    with Azurite() as emulator:
        yield emulator.connection_string


@pytest.fixture(scope="session")
def azurite(emulator: str) -> str:
    """The same, for tests where others than the fixture ``storage`` write there."""
    return emulator
