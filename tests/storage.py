"""The fixture ``storage``: the project's own way to the emulator, with nothing in it."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from itertools import batched
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet

from shared.environment import Environment
from shared.errors import StateConflict
from shared.state.limits import Entity
from shared.state.storage import QUEUES, TABLES, TRANSACTION_LIMIT, Operation, Storage, Table


def environment_of(connection: str) -> Environment:
    """App settings that lead to a storage account."""
    return Environment.read(
        {
            "AzureWebJobsStorage": connection,
            "CALENDAR_ENCRYPTION_KEYS": Fernet.generate_key().decode(),
            "CALENDAR_CALLBACK_URL": "https://calendar.example.com",
        }
    )


async def empty(storage: Storage, names: Collection[str] = (*TABLES, *QUEUES)) -> None:
    """Remove every record and message of these tables and queues, whoever left them."""

    async def empty_table(name: str) -> None:
        table = storage.table(name)
        left: dict[str, list[Operation]] = defaultdict(list)
        async for entity in table.query("PartitionKey ne ''", select=["PartitionKey", "RowKey"]):
            left[entity["PartitionKey"]].append(("delete", dict(entity)))
        for operations in left.values():
            for some in batched(operations, TRANSACTION_LIMIT, strict=False):
                try:
                    await table.transact(some)
                except StateConflict:
                    # A host that still runs has removed one of them.
                    await asyncio.gather(
                        *(table.delete(key["PartitionKey"], key["RowKey"]) for _, key, *_ in some)
                    )

    await asyncio.gather(
        *(empty_table(name) for name in TABLES if name in names),
        *(storage._queue(name).clear_messages() for name in QUEUES if name in names),
    )


_left = {*TABLES, *QUEUES}
"""Tables and queues that may hold something, in this test process."""

_shared: set[Path] = set()
"""Files whose tests know the emulator's address: with it others write, too, also between their tests."""


class WatchedTable(Table):
    """A table that is to be emptied once something was added."""

    def __init__(self, table: Table, name: str) -> None:
        super().__init__(table._client)
        self._name = name

    async def insert(self, entity: Entity) -> str:
        _left.add(self._name)
        return await super().insert(entity)

    async def put(self, entity: Entity) -> None:
        _left.add(self._name)
        await super().put(entity)

    async def transact(self, operations: Sequence[Operation]) -> list[Mapping[str, Any]]:
        _left.add(self._name)
        return await super().transact(operations)


class WatchedStorage(Storage):
    """Knows what was added. Only these operations do that."""

    def table(self, name: str) -> Table:
        return WatchedTable(super().table(name), name)

    async def send(self, queue: str, text: str, *, delay: timedelta = timedelta()) -> None:
        _left.add(queue)
        await super().send(queue, text, delay=delay)


def pytest_addoption(parser: pytest.Parser) -> None:
    told = "tests/integration/sync over Azurite, too, instead of storage in memory"
    parser.addoption("--emulator", action="store_true", help=told)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    _shared.update(item.path for item in items if "azurite" in getattr(item, "fixturenames", ()))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.path in _shared:
        _left.update(TABLES, QUEUES)


_created: set[str] = set()


@asynccontextmanager
async def open_emulated(emulator: str, tests: Path) -> AsyncIterator[Storage]:
    """The emulator's tables and queues, all empty, for a test of this file."""
    async with WatchedStorage.open(environment_of(emulator)) as storage:
        if emulator not in _created:
            await storage.create()
            _created.add(emulator)
        await empty(storage, _left)
        if tests not in _shared:
            _left.clear()
        yield storage


@pytest.fixture
async def storage(emulator: str, request: pytest.FixtureRequest) -> AsyncIterator[Storage]:
    """Tables and queues, all empty."""
    async with open_emulated(emulator, request.path) as storage:
        yield storage
