"""The storage account: its tables and queues, opened once for each event loop."""

from __future__ import annotations

import asyncio
import math
from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from azure.core import MatchConditions
from azure.core.credentials_async import AsyncTokenCredential
from azure.core.exceptions import (
    ResourceExistsError,
    ResourceModifiedError,
    ResourceNotFoundError,
)
from azure.data.tables import TableEntity, TableTransactionError, UpdateMode
from azure.data.tables.aio import TableClient, TableServiceClient
from azure.identity.aio import ManagedIdentityCredential
from azure.storage.queue import TextBase64DecodePolicy, TextBase64EncodePolicy
from azure.storage.queue.aio import QueueClient, QueueServiceClient

from shared.environment import Environment
from shared.errors import StateConflict
from shared.state.limits import TRANSACTION_LIMIT as TRANSACTION_LIMIT
from shared.state.limits import Entity, check_entity, check_transaction
from shared.state.service import LeanTables

TABLES = (
    "config",
    "users",
    "agendas",
    "outbox",
    "due",
    "leases",
    "budget",
    "health",
    "tokens",
    "recordings",
    "listing",
    "counters",
    "audit",
    "checks",
)
QUEUES = ("sync", "publish", "subscribe", "directory", "checks", "configure", "overdue")

CONTENTS = frozenset({*(f"table {name}" for name in TABLES), *(f"queue {name}" for name in QUEUES)})
"""What this version needs of the storage account."""

_FEW = 4
"""Records that are read one by one; more are looked for by a range of keys."""

_SPARSE = 8
"""A range is given up where fewer than one record in so many is wanted."""

_PAGE = 1000
"""Records that the service returns at most in one request."""

_REPEATED = frozenset({"GET", "PUT", "DELETE", "POST", "PATCH"})
"""Requests repeated when a connection is lost. The SDK leaves out the last two, as they may have had their
effect; here that shows as a conflict, after which everybody looks anew."""

_TRANSPORT: Mapping[str, Any] = {"use_env_settings": False}
"""Else each request reads ~/.netrc and looks for proxies, in threads: a quarter of its processor time."""

_SOON: Mapping[str, Any] = {"initial_backoff": -2, "increment_base": 2, "random_jitter_range": 0.5}
"""A queue's failed requests are repeated after 0, 2 and 6 s (-2 + 2^n), give or take the half of one. The SDK
by itself waits 15 to 21 s first, so that one lost connection would be that much of a presence's delay."""

_LONGEST_DELAY = 6 * 24 * 3600
"""Seconds a message may be hidden; it lives seven days."""

Operation = tuple[str, Entity] | tuple[str, Entity, Mapping[str, Any]]
"""One step of a transaction: *create*, *upsert*, *update* or *delete*, a record, conditions."""


class Table:
    """One table, with the few operations the stores need. Properties are strings, numbers and booleans.

    What the service would refuse for its size or its keys raises ValueError, also over the emulator.
    """

    def __init__(self, client: TableClient) -> None:
        self._client = client

    async def get(self, partition: str, row: str) -> TableEntity | None:
        """One record by its keys, or None."""
        try:
            return await self._client.get_entity(partition, row)
        except ResourceNotFoundError:
            return None

    async def insert(self, entity: Entity) -> str:
        """Add a record and return its ETag.

        Raises:
            StateConflict: there is one already.
        """
        check_entity(entity)
        try:
            answer = await self._client.create_entity(dict(entity), retry_on_methods=_REPEATED)
            return str(answer["etag"])
        except ResourceExistsError as error:
            raise StateConflict("The record exists already.") from error

    async def replace(self, entity: Entity, etag: str) -> str:
        """Replace the record that was read with ``etag`` and return the new ETag.

        Raises:
            StateConflict: it was changed or removed meanwhile.
        """
        check_entity(entity)
        try:
            answer = await self._client.update_entity(
                dict(entity),
                mode=UpdateMode.REPLACE,
                etag=etag,
                match_condition=MatchConditions.IfNotModified,
                retry_on_methods=_REPEATED,
            )
        except (ResourceModifiedError, ResourceNotFoundError) as error:
            raise StateConflict("The record was changed meanwhile.") from error
        return str(answer["etag"])

    async def put(self, entity: Entity) -> None:
        """Add the record, or set these properties of it."""
        check_entity(entity)
        await self._client.upsert_entity(dict(entity), mode=UpdateMode.MERGE, retry_on_methods=_REPEATED)

    async def merge(self, entity: Entity, etag: str = "") -> None:
        """Set these properties of a record that exists (and is still the one read with ``etag``).

        Raises:
            StateConflict: it was removed (or changed).
        """
        check_entity(entity)
        condition = MatchConditions.IfNotModified if etag else None
        try:
            await self._client.update_entity(
                dict(entity),
                mode=UpdateMode.MERGE,
                etag=etag or None,
                match_condition=condition,
                retry_on_methods=_REPEATED,
            )
        except (ResourceModifiedError, ResourceNotFoundError) as error:
            raise StateConflict("The record was changed or removed meanwhile.") from error

    async def delete(self, partition: str, row: str, etag: str = "") -> None:
        """Remove a record, if it is there (and still the one read with ``etag``).

        Raises:
            StateConflict: it was changed meanwhile.
        """
        condition = MatchConditions.IfNotModified if etag else None
        try:
            await self._client.delete_entity(partition, row, etag=etag or None, match_condition=condition)
        except ResourceNotFoundError:
            return
        except ResourceModifiedError as error:
            raise StateConflict("The record was changed meanwhile.") from error

    async def get_many(self, partition: str, rows: Collection[str]) -> dict[str, TableEntity]:
        """Those of these records that there are, by row key. Neighbours come together in one request."""
        wanted = sorted(rows)
        found: dict[str, TableEntity] = {}
        if len(wanted) > _FEW:
            between = f"RowKey ge '{wanted[0]}' and RowKey le '{wanted[-1]}'"
            stride = min(len(wanted) * _SPARSE, _PAGE)
            seen = 0
            async for entity in self.query(f"PartitionKey eq '{partition}' and {between}", page=stride):
                seen += 1
                row = entity["RowKey"]
                while wanted and wanted[0] <= row:
                    if wanted.pop(0) == row:
                        found[row] = entity
                if seen % stride == 0 and len(found) * _SPARSE < seen:
                    break
            else:
                return found
        entities = await asyncio.gather(*(self.get(partition, row) for row in wanted))
        return found | {row: entity for row, entity in zip(wanted, entities, strict=True) if entity}

    async def get_by_guid(self, guids: Collection[str]) -> dict[str, TableEntity]:
        """Those of these users' records that there are, by guid; the partitions side by side."""
        by_partition: dict[str, list[str]] = defaultdict(list)
        for guid in guids:
            by_partition[partition_of(guid)].append(guid)
        parts = await asyncio.gather(*(self.get_many(*part) for part in by_partition.items()))
        return {guid: entity for part in parts for guid, entity in part.items()}

    async def query(
        self, filter: str, *, select: list[str] | None = None, limit: int = 0, page: int = 0
    ) -> AsyncIterator[TableEntity]:
        """The records that match, in the order of their keys, at most ``limit`` where it is given.

        They come in pages of 1000, or of ``page`` for whoever may not want all of them.
        """
        found = 0
        size = page or limit
        async for entity in self._client.query_entities(
            filter, select=select, results_per_page=size if 0 < size < _PAGE else None
        ):
            yield entity
            found += 1
            if found == limit:
                return

    async def transact(self, operations: Sequence[Operation]) -> list[Mapping[str, Any]]:
        """Do all of it or nothing, within one partition, and return what each record became (``etag``).

        Raises:
            StateConflict: a record was changed, added or removed meanwhile.
        """
        check_transaction([operation[1] for operation in operations])
        try:
            return await self._client.submit_transaction(operations, retry_on_methods=_REPEATED)
        except TableTransactionError as error:
            if error.status_code in (404, 409, 412):
                raise StateConflict("A record was changed meanwhile.") from error
            raise


class Storage:
    """The storage account. Build one for each event loop; close it at the end."""

    def __init__(self, tables: TableServiceClient, queues: QueueServiceClient) -> None:
        self._tables = tables
        self._queues = queues
        self._clients: dict[str, QueueClient] = {}

    @classmethod
    def open(cls, environment: Environment) -> Self:
        """Open the account the app settings name: by connection string, else as the managed identity."""
        if environment.storage:
            return cls(
                LeanTables.from_connection_string(environment.storage, **_TRANSPORT),
                QueueServiceClient.from_connection_string(environment.storage, **_TRANSPORT, **_SOON),
            )
        credential: AsyncTokenCredential = ManagedIdentityCredential(client_id=environment.client_id or None)
        return cls(
            LeanTables(environment.table_uri, credential=credential, **_TRANSPORT),
            QueueServiceClient(environment.queue_uri, credential=credential, **_TRANSPORT, **_SOON),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections."""
        await asyncio.gather(*(client.close() for client in self._clients.values()))
        await self._tables.close()
        await self._queues.close()

    async def create(self) -> None:
        """Create the tables and queues that are missing."""
        await asyncio.gather(
            *(self._tables.create_table_if_not_exists(name, retry_on_methods=_REPEATED) for name in TABLES),
            *(self._create_queue(name) for name in QUEUES),
        )

    async def _create_queue(self, name: str) -> None:
        try:
            await self._queue(name).create_queue()
        except ResourceExistsError:
            return

    def table(self, name: str) -> Table:
        """One of `TABLES`."""
        return Table(self._tables.get_table_client(name))

    async def send(self, queue: str, text: str, *, delay: timedelta = timedelta()) -> None:
        """Put a message into one of `QUEUES`, to be seen after ``delay``, rounded up to whole seconds."""
        seconds = min(math.ceil(delay.total_seconds()), _LONGEST_DELAY)
        await self._queue(queue).send_message(text, visibility_timeout=seconds)

    async def waiting(self, queue: str) -> int:
        """About how many messages a queue holds, hidden ones included."""
        try:
            return (await self._queue(queue).get_queue_properties()).approximate_message_count or 0
        except ResourceNotFoundError:
            # The host creates a poison queue with its first message.
            return 0

    async def oldest(self, queue: str) -> tuple[datetime, str] | None:
        """When the first message was sent that could be worked on now, and its text; None without one."""
        messages = await self._queue(queue).peek_messages()
        sent = messages[0].inserted_on if messages else None
        return (sent, str(messages[0].content)) if sent else None

    def _queue(self, name: str) -> QueueClient:
        if name not in self._clients:
            self._clients[name] = self._queues.get_queue_client(
                name,
                message_encode_policy=TextBase64EncodePolicy(),
                message_decode_policy=TextBase64DecodePolicy(),
            )
        return self._clients[name]


def partition_of(guid: str) -> str:
    """The partition of a user's records."""
    return guid[0]


def write_instant(instant: datetime | None) -> str:
    """An instant as text in UTC with microseconds, or an empty string."""
    return instant.astimezone(UTC).isoformat(timespec="microseconds") if instant else ""


def read_instant(text: str | None) -> datetime | None:
    """The instant that `write_instant` wrote."""
    return datetime.fromisoformat(text) if text else None
