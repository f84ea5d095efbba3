"""The fixture ``storage``: the project's own way to the emulator, with nothing in it."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from cryptography.fernet import Fernet

from shared.environment import Environment
from shared.state.storage import QUEUES, TABLES, Storage


def environment_of(connection: str) -> Environment:
    """App settings that lead to a storage account."""
    return Environment.read(
        {
            "AzureWebJobsStorage": connection,
            "CALENDAR_ENCRYPTION_KEYS": Fernet.generate_key().decode(),
            "CALENDAR_CALLBACK_URL": "https://calendar.example.com",
        }
    )


async def empty(storage: Storage) -> None:
    """Remove every record and message, whoever left them."""

    async def empty_table(name: str) -> None:
        table = storage.table(name)
        keys = ["PartitionKey", "RowKey"]
        left = [entity async for entity in table.query("PartitionKey ne ''", select=keys)]
        await asyncio.gather(*(table.delete(*(entity[key] for key in keys)) for entity in left))

    await asyncio.gather(*map(empty_table, TABLES))
    await asyncio.gather(*(storage._queue(name).clear_messages() for name in QUEUES))


_created: set[str] = set()


@pytest.fixture
async def storage(azurite: str) -> AsyncIterator[Storage]:
    """Tables and queues, all empty."""
    async with Storage.open(environment_of(azurite)) as storage:
        if azurite not in _created:
            await storage.create()
            _created.add(azurite)
        await empty(storage)
        yield storage
