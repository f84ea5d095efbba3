"""The table ``recordings``: what was said to Exchange and answered, redacted, while that was asked for."""

from __future__ import annotations

import json
import secrets
from datetime import UTC, datetime, timedelta

from shared.ews.recording import Record
from shared.state.storage import TRANSACTION_LIMIT, Storage, read_instant, write_instant

MOST = 1000
"""Records kept; of more the oldest go."""

KEPT_FOR = timedelta(days=1)

_PRUNED_EVERY = 50
_PARTITION = "ews"


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

    async def read(self, since: datetime | None = None, limit: int = 100) -> list[Record]:
        """Those of ``since`` and later, the oldest first."""
        wanted = f"PartitionKey eq '{_PARTITION}' and RowKey ge '{write_instant(since)}'"
        return [
            Record(
                read_instant(entity["RowKey"].rpartition("-")[0]) or datetime.min.replace(tzinfo=UTC),
                entity["seconds"],
                entity["place"],
                json.loads(entity["request_headers"]),
                entity["request"],
                entity["status"],
                json.loads(entity["answer_headers"]),
                entity["answer"],
                entity["error"],
            )
            async for entity in self._table.query(wanted, limit=limit)
        ]

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
        for first in range(0, len(rows), TRANSACTION_LIMIT):
            for row in rows[first : first + TRANSACTION_LIMIT]:
                await self._table.delete(_PARTITION, row)
