"""The fixture ``world``."""

import pytest

from shared.state.storage import Storage
from shared.sync import publishing
from tests.integration.sync.world import World


@pytest.fixture
def world(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> World:
    """A service without users at ten o'clock. It does not wait before it connects to the PBX anew."""
    monkeypatch.setattr(publishing, "_RECONNECTIONS", (0.0, 0.0, 0.0))
    return World(storage)
