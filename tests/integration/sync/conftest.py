"""The fixtures ``storage`` and ``world``."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from shared.state.storage import Storage
from shared.sync import publishing
from tests.faults.memory import MemoryQueues, MemoryTables
from tests.integration.sync.world import World
from tests.storage import open_emulated


@pytest.fixture
async def storage(request: pytest.FixtureRequest) -> AsyncIterator[Storage]:
    """Tables and queues, all empty: in memory, or with ``--emulator`` in Azurite."""
    if request.config.getoption("emulator"):
        async with open_emulated(request.getfixturevalue("emulator"), request.path) as storage:
            yield storage
        return
    tables, queues = MemoryTables(), MemoryQueues(asyncio.get_running_loop().time)
    async with Storage(tables, queues) as storage:  # type: ignore[arg-type]
        await storage.create()
        yield storage


@pytest.fixture
def world(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> World:
    """A service without users at ten o'clock. It does not wait before it connects to the PBX anew."""
    monkeypatch.setattr(publishing, "_RECONNECTIONS", (0.0, 0.0, 0.0))
    return World(storage)
