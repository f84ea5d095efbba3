"""The table ``recordings``: what was said to Exchange and answered, redacted, while that was asked for."""

from __future__ import annotations

import asyncio
import json
import re
import secrets
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import batched
from typing import Any

from azure.data.tables import TableEntity

from shared.errors import StateConflict
from shared.ews.recording import Record
from shared.state.storage import TRANSACTION_LIMIT, Operation, Storage, read_instant, write_instant

MOST = 1000
"""Records kept; of more the oldest go."""

KEPT_FOR = timedelta(days=1)

_PAGE = 100
"""Records that are read at once: one may have 100 KB."""

_PRUNED_EVERY = 50
_PARTITION = "ews"
_ID = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})T([0-9]{2})([0-9]{2})([0-9]{2})([0-9]{6})([0-9a-f]{8})")
_HEADING = ["RowKey", "seconds", "request_headers", "status", "error"]


@dataclass(frozen=True, slots=True)
class Heading:
    """A record without what was said: its ``id``, when, what was asked for, how that went."""

    id: str
    at: datetime
    seconds: float
    operation: str
    status: int
    error: str


class RecordingStore:
    """Records in the order of their time."""

    def __init__(self, storage: Storage, *, most: int = MOST) -> None:
        self._table = storage.table("recordings")
        self._most = most
        self._added = 0

    async def add(self, record: Record) -> None:
        """Keep one more; now and then the old and surplus ones are removed."""
        await self._table.put(
            {
                "PartitionKey": _PARTITION,
                "RowKey": f"{write_instant(record.at)}-{secrets.token_hex(4)}",
                "seconds": record.seconds,
                "place": record.place,
                "request_headers": json.dumps(dict(record.request_headers)),
                "request": record.request,
                "status": record.status,
                "answer_headers": json.dumps(dict(record.answer_headers)),
                "answer": record.answer,
                "error": record.error,
            }
        )
        self._added += 1
        if self._added % min(_PRUNED_EVERY, self._most) == 0:
            await self.prune(record.at)

    async def read(self) -> AsyncIterator[Record]:
        """All of them, the oldest first."""
        async for entity in self._table.query(f"PartitionKey eq '{_PARTITION}'", page=_PAGE):
            yield _read(entity)

    async def headings(self, limit: int, before: str = "") -> Sequence[Heading]:
        """At most ``limit`` headings, the latest first, from behind the one with the id ``before``.

        Raises:
            ValueError: no record has such an id.
        """
        wanted = f"PartitionKey eq '{_PARTITION}'" + (f" and RowKey lt '{_row_of(before)}'" if before else "")
        found = [_read_heading(entity) async for entity in self._table.query(wanted, select=_HEADING)]
        return found[::-1][:limit]

    async def find(self, identity: str) -> Record | None:
        """The record with this id, or None. Raises ValueError where no record has such an id."""
        entity = await self._table.get(_PARTITION, _row_of(identity))
        return _read(entity) if entity else None

    async def prune(self, now: datetime) -> None:
        """Remove what is older than `KEPT_FOR`, and the oldest beyond the number that is kept."""
        rows = [
            entity["RowKey"]
            async for entity in self._table.query(f"PartitionKey eq '{_PARTITION}'", select=["RowKey"])
        ]
        oldest = write_instant(now - KEPT_FOR)
        surplus = set(rows[: -self._most])
        await self._remove([row for row in rows if row < oldest or row in surplus])

    async def clear(self) -> None:
        """Remove all."""
        await self.prune(datetime.max.replace(tzinfo=UTC))

    async def _remove(self, rows: list[str]) -> None:
        await asyncio.gather(
            *(self._remove_some(some) for some in batched(rows, TRANSACTION_LIMIT, strict=False))
        )

    async def _remove_some(self, rows: tuple[str, ...]) -> None:
        steps: list[Operation] = [("delete", {"PartitionKey": _PARTITION, "RowKey": row}) for row in rows]
        try:
            await self._table.transact(steps)
        except StateConflict:
            # Somebody else removes some of them too.
            await asyncio.gather(*(self._table.delete(_PARTITION, row) for row in rows))


def _read(entity: TableEntity) -> Record:
    return Record(
        _instant_of(entity),
        entity["seconds"],
        entity["place"],
        json.loads(entity["request_headers"]),
        entity["request"],
        entity["status"],
        json.loads(entity["answer_headers"]),
        entity["answer"],
        entity["error"],
    )


def _read_heading(entity: TableEntity) -> Heading:
    headers: dict[str, Any] = json.loads(entity["request_headers"])
    operation = re.search(r"(\w+)\W*$", headers.get("soapaction", ""))
    return Heading(
        re.sub(r"[-:.]|\+00:00", "", entity["RowKey"]),
        _instant_of(entity),
        entity["seconds"],
        operation[1] if operation else "",
        entity["status"],
        entity["error"],
    )


def _instant_of(entity: TableEntity) -> datetime:
    return read_instant(entity["RowKey"].rpartition("-")[0]) or datetime.min.replace(tzinfo=UTC)


def _row_of(identity: str) -> str:
    """The key of the record with this id, which is the key without what is troublesome in an address."""
    parts = _ID.fullmatch(identity)
    if parts is None:
        raise ValueError(f"{identity!r} is no record's id")
    year, month, day, hour, minute, second, fraction, rest = parts.groups()
    return f"{year}-{month}-{day}T{hour}:{minute}:{second}.{fraction}+00:00-{rest}"
