"""The storage account in memory, behind the clients' own methods, as strict as the service.

`tests/faults/test_memory.py` holds it against the emulator.
"""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

from azure.core import MatchConditions
from azure.core.exceptions import (
    HttpResponseError,
    ResourceExistsError,
    ResourceModifiedError,
    ResourceNotFoundError,
)
from azure.data.tables import TableEntity, TableTransactionError, UpdateMode

from shared.state.storage import TRANSACTION_LIMIT
from tests.faults.filters import parse_filter

type Records = dict[tuple[str, str], tuple[dict[str, Any], str]]

_PAGE = 1000
_EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


class MemoryTables:
    """The table service. ``page`` is how many records a page of a query holds at most."""

    def __init__(self, page: Callable[[], int] = lambda: _PAGE) -> None:
        self.tables: dict[str, Records] = {}
        self.etags = (f'W/"memory {number}"' for number in itertools.count(1))
        self.page = page

    async def create_table_if_not_exists(self, table_name: str, **_transport: object) -> None:
        """Create a table unless it is there."""
        self.tables.setdefault(table_name, {})

    def get_table_client(self, table_name: str) -> MemoryTable:
        """One table, which need not exist."""
        return MemoryTable(self, table_name)

    async def close(self) -> None:
        """Nothing is open."""


class MemoryTable:
    """One table."""

    def __init__(self, service: MemoryTables, name: str) -> None:
        self._service = service
        self.table_name = name

    async def get_entity(self, partition_key: str, row_key: str, **_transport: object) -> TableEntity:
        """One record, or ResourceNotFoundError."""
        found = self._records().get((partition_key, row_key))
        if found is None:
            raise ResourceNotFoundError("ResourceNotFound")
        return _entity(*found)

    async def create_entity(self, entity: Mapping[str, Any], **_transport: object) -> dict[str, Any]:
        """Add a record, or ResourceExistsError."""
        return self._apply("create", entity)

    async def upsert_entity(
        self, entity: Mapping[str, Any], mode: UpdateMode = UpdateMode.MERGE, **_transport: object
    ) -> dict[str, Any]:
        """Add a record or change the one there is."""
        return self._apply("upsert", entity, mode=mode)

    async def update_entity(
        self,
        entity: Mapping[str, Any],
        mode: UpdateMode = UpdateMode.MERGE,
        *,
        etag: str | None = None,
        match_condition: MatchConditions | None = None,
        **_transport: object,
    ) -> dict[str, Any]:
        """Change a record, or ResourceNotFoundError, or ResourceModifiedError."""
        return self._apply("update", entity, mode=mode, etag=etag, match_condition=match_condition)

    async def delete_entity(
        self,
        partition_key: str,
        row_key: str,
        *,
        etag: str | None = None,
        match_condition: MatchConditions | None = None,
        **_transport: object,
    ) -> None:
        """Remove a record if it is there, or ResourceModifiedError."""
        keys = {"PartitionKey": partition_key, "RowKey": row_key}
        try:
            self._apply("delete", keys, etag=etag, match_condition=match_condition)
        except ResourceNotFoundError:
            return

    def query_entities(
        self,
        query_filter: str,
        *,
        select: list[str] | None = None,
        results_per_page: int | None = None,
        **_transport: object,
    ) -> Pages:
        """The records that match, in the order of their keys, page by page as they are when it is read."""
        return Pages(self, query_filter, select, min(results_per_page or _PAGE, _PAGE))

    async def submit_transaction(
        self, operations: Iterable[tuple[Any, ...]], **_transport: object
    ) -> list[Mapping[str, Any]]:
        """All operations or none, or TableTransactionError."""
        steps = [(str(step[0]), step[1], step[2] if len(step) > 2 else {}) for step in operations]
        if not steps:
            return []
        keys = [(step[1]["PartitionKey"], step[1]["RowKey"]) for step in steps]
        if len({partition for partition, _ in keys}) > 1:
            raise ValueError("Partition Keys must all be the same")
        if len(set(keys)) < len(keys) or len(steps) > TRANSACTION_LIMIT:
            raise _refused(0, HttpResponseError("InvalidInput"), 400)
        records = self._records()
        before = {key: records.get(key) for key in keys}
        answers: list[Mapping[str, Any]] = []
        for number, (name, entity, conditions) in enumerate(steps):
            try:
                answers.append(self._apply(name, entity, **conditions))
            except HttpResponseError as error:
                for key, held in before.items():
                    records.pop(key, None)
                    if held is not None:
                        records[key] = held
                status = {ResourceExistsError: 409, ResourceNotFoundError: 404}.get(type(error), 412)
                raise _refused(number, error, status) from error
        return answers

    def read_page(self, matches: str, after: tuple[str, str], limit: int) -> list[TableEntity]:
        """The first records that match behind a key."""
        found = parse_filter(matches)
        records = self._records()
        page: list[TableEntity] = []
        for key in sorted(key for key in records if key > after):
            record, etag = records[key]
            if found(record):
                page.append(_entity(record, etag))
                if len(page) == limit:
                    break
        return page

    @property
    def page_length(self) -> int:
        """How many records the next page holds at most."""
        return self._service.page()

    def _records(self) -> Records:
        try:
            return self._service.tables[self.table_name]
        except KeyError:
            raise ResourceNotFoundError("TableNotFound") from None

    def _apply(
        self,
        operation: str,
        entity: Mapping[str, Any],
        mode: UpdateMode = UpdateMode.MERGE,
        etag: str | None = None,
        match_condition: MatchConditions | None = None,
    ) -> dict[str, Any]:
        records = self._records()
        key = (entity["PartitionKey"], entity["RowKey"])
        held = records.get(key)
        if operation == "create" and held is not None:
            raise ResourceExistsError("EntityAlreadyExists")
        if operation in ("update", "delete"):
            if held is None:
                raise ResourceNotFoundError("ResourceNotFound")
            if match_condition is MatchConditions.IfNotModified and etag != held[1]:
                raise ResourceModifiedError("UpdateConditionNotSatisfied")
        if operation == "delete":
            del records[key]
            return {}
        fresh = {name: _checked(value) for name, value in entity.items() if value is not None}
        if held is not None and mode is UpdateMode.MERGE:
            fresh = held[0] | fresh
        new = next(self._service.etags)
        records[key] = (fresh, new)
        return {"etag": new}


class Pages:
    """The answer to a query."""

    def __init__(self, table: MemoryTable, matches: str, select: list[str] | None, limit: int) -> None:
        self._table = table
        self._matches = matches
        self._select = select
        self._limit = limit

    async def __aiter__(self) -> AsyncIterator[TableEntity]:
        async for page in self.by_page():
            async for entity in page:
                yield entity

    async def by_page(self) -> AsyncIterator[AsyncIterator[TableEntity]]:
        """Page by page."""
        after = ("", "")
        while True:
            limit = min(self._limit, self._table.page_length)
            page = self._table.read_page(self._matches, after, limit)
            if page:
                after = (page[-1]["PartitionKey"], page[-1]["RowKey"])
            yield _each([_selected(entity, self._select) for entity in page])
            if len(page) < limit:
                return


async def _each(page: list[TableEntity]) -> AsyncIterator[TableEntity]:
    for entity in page:
        yield entity


def _selected(entity: TableEntity, select: list[str] | None) -> TableEntity:
    if select is None:
        return entity
    chosen = TableEntity({name: entity[name] for name in select if name in entity})
    chosen._metadata = entity._metadata
    return chosen


def _entity(record: Mapping[str, Any], etag: str) -> TableEntity:
    entity = TableEntity(record)
    entity._metadata = {"etag": etag, "timestamp": None}
    return entity


def _checked(value: object) -> object:
    if isinstance(value, str) and len(value.encode("utf-16-le")) > 64 * 1024:
        raise HttpResponseError("PropertyValueTooLarge")
    if not isinstance(value, str | int | float | bool):
        raise TypeError(f"{type(value).__name__} is no property of a record here")
    return value


def _refused(number: int, error: HttpResponseError, status: int) -> TableTransactionError:
    refusal = TableTransactionError(message=f"{number}:{error.message}")
    refusal.status_code = status
    return refusal


@dataclass(slots=True)
class Message:
    """A message of a queue, hidden until ``visible_at``."""

    id: str
    content: str
    sent_at: float
    visible_at: float
    dequeue_count: int = 0
    pop_receipt: str = ""


@dataclass
class MemoryQueue:
    """One queue; ``time`` gives seconds. ``on_send`` is told of each message and may add others."""

    name: str
    time: Callable[[], float]
    numbers: Iterable[int]
    exists: bool = False
    messages: list[Message] = field(default_factory=list)
    on_send: Callable[[MemoryQueue, Message], None] = lambda queue, message: None

    async def create_queue(self) -> None:
        """Create it, or ResourceExistsError."""
        if self.exists:
            raise ResourceExistsError("QueueAlreadyExists")
        self.exists = True

    async def send_message(self, content: str, *, visibility_timeout: int = 0, **_transport: object) -> None:
        """Add a message that is seen after so many seconds."""
        self._check()
        self.on_send(self, self.add(content, visibility_timeout))

    def add(self, content: str, delay: float) -> Message:
        """Add a message without telling anybody."""
        message = Message(f"m{self._number()}", content, self.time(), self.time() + delay)
        self.messages.append(message)
        return message

    async def receive(self, limit: int, visibility_timeout: float) -> list[Message]:
        """Take messages that can be seen; they are hidden for so many seconds."""
        self._check()
        found = [message for message in self.messages if message.visible_at <= self.time()][:limit]
        for message in found:
            self.take(message, visibility_timeout)
        return found

    def take(self, message: Message, visibility_timeout: float) -> None:
        """Receive this message."""
        self._hide(message, visibility_timeout)
        message.dequeue_count += 1

    async def delete_message(self, message_id: str, pop_receipt: str) -> None:
        """Remove a message as long as nobody else has received it meanwhile."""
        self.messages.remove(self._find(message_id, pop_receipt))

    async def update_message(self, message_id: str, pop_receipt: str, visibility_timeout: float) -> None:
        """Hide a message for so many seconds from now on, under the same condition."""
        self._hide(self._find(message_id, pop_receipt), visibility_timeout)

    async def peek_messages(self, max_messages: int = 1) -> list[SimpleNamespace]:
        """The first messages that can be seen; they stay."""
        self._check()
        seen = [message for message in self.messages if message.visible_at <= self.time()]
        return [
            SimpleNamespace(inserted_on=_EPOCH + timedelta(seconds=m.sent_at), content=m.content)
            for m in seen[:max_messages]
        ]

    async def get_queue_properties(self) -> SimpleNamespace:
        """How many messages there are, hidden ones included."""
        self._check()
        return SimpleNamespace(approximate_message_count=len(self.messages))

    async def clear_messages(self) -> None:
        """Remove all messages."""
        self.messages.clear()

    async def close(self) -> None:
        """Nothing is open."""

    def _check(self) -> None:
        if not self.exists:
            raise ResourceNotFoundError("QueueNotFound")

    def _find(self, message_id: str, pop_receipt: str) -> Message:
        for message in self.messages:
            if message.id == message_id:
                if message.pop_receipt != pop_receipt:
                    raise HttpResponseError("PopReceiptMismatch")
                return message
        raise ResourceNotFoundError("MessageNotFound")

    def _hide(self, message: Message, seconds: float) -> None:
        message.visible_at = self.time() + seconds
        message.pop_receipt = f"p{self._number()}"

    def _number(self) -> int:
        return next(iter(self.numbers))


class MemoryQueues:
    """The queue service."""

    def __init__(self, time: Callable[[], float]) -> None:
        self._time = time
        self._numbers = itertools.count(1)
        self.queues: dict[str, MemoryQueue] = {}
        self.on_send: Callable[[MemoryQueue, Message], None] = lambda queue, message: None

    def get_queue_client(self, queue: str, **_policies: object) -> MemoryQueue:
        """One queue, which need not exist. Messages are kept as text."""
        if queue not in self.queues:
            self.queues[queue] = MemoryQueue(
                queue, self._time, self._numbers, on_send=lambda *sent: self.on_send(*sent)
            )
        return self.queues[queue]

    async def close(self) -> None:
        """Nothing is open."""
