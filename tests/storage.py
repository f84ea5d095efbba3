"""The fixture ``storage``: the project's own way to the emulator, with nothing in it."""

from collections.abc import AsyncIterator

import pytest
from azure.data.tables.aio import TableServiceClient
from azure.storage.queue.aio import QueueServiceClient
from cryptography.fernet import Fernet

from shared.settings import Environment
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


async def empty(connection: str) -> None:
    """Remove every record and message, whoever left them."""
    async with (
        TableServiceClient.from_connection_string(connection) as tables,
        QueueServiceClient.from_connection_string(connection) as queues,
    ):
        for name in TABLES:
            table = tables.get_table_client(name)
            async for entity in table.list_entities(select=["PartitionKey", "RowKey"]):
                await table.delete_entity(entity["PartitionKey"], entity["RowKey"])
        for name in QUEUES:
            await queues.get_queue_client(name).clear_messages()


@pytest.fixture
async def storage(azurite: str) -> AsyncIterator[Storage]:
    """Tables and queues, all empty."""
    async with Storage.open(environment_of(azurite)) as storage:
        await storage.create()
        await empty(azurite)
        yield storage
