"""The table ``due``: whose presence changes by itself, by the minute in which it does.

A record is a hint: one that is out of date costs a look at the agenda and nothing else.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from itertools import batched

from shared.errors import StateConflict
from shared.state.storage import TRANSACTION_LIMIT, Operation, Storage
from shared.sync.interfaces import Due

_MINUTE = timedelta(minutes=1)


class DueIndex:
    """Who is due when."""

    def __init__(self, storage: Storage) -> None:
        self._table = storage.table("due")

    async def schedule(self, guid: str, at: datetime) -> None:
        """Have a user's presence computed at the first whole minute not before ``at``."""
        await self._table.put({"PartitionKey": _minute(at), "RowKey": guid})

    async def schedule_all(self, moments: Iterable[tuple[str, datetime]]) -> None:
        """The same for many users, each of them once."""
        by_minute: dict[str, list[str]] = defaultdict(list)
        for guid, at in moments:
            by_minute[_minute(at)].append(guid)
        await asyncio.gather(
            *(
                self._table.transact([("upsert", {"PartitionKey": minute, "RowKey": guid}) for guid in chunk])
                for minute, guids in by_minute.items()
                for chunk in batched(guids, TRANSACTION_LIMIT, strict=False)
            )
        )

    async def due(self, now: datetime, limit: int) -> list[Due]:
        """Up to ``limit`` users whose minute has come, the longest overdue first."""
        last = now.astimezone(UTC).strftime("%Y%m%dT%H%M")
        return [
            Due(entity["PartitionKey"], entity["RowKey"])
            async for entity in self._table.query(f"PartitionKey le '{last}'", limit=limit)
        ]

    async def done(self, handled: Iterable[Due]) -> None:
        """Remove these records."""
        by_minute: dict[str, list[Due]] = defaultdict(list)
        for due in handled:
            by_minute[due.minute].append(due)
        await asyncio.gather(
            *(
                self._remove(chunk)
                for part in by_minute.values()
                for chunk in batched(part, TRANSACTION_LIMIT, strict=False)
            )
        )

    async def _remove(self, handled: tuple[Due, ...]) -> None:
        steps: list[Operation] = [
            ("delete", {"PartitionKey": due.minute, "RowKey": due.guid}) for due in handled
        ]
        try:
            await self._table.transact(steps)
        except StateConflict:
            # Another tick has removed one of them.
            await asyncio.gather(*(self._table.delete(due.minute, due.guid) for due in handled))


def _minute(at: datetime) -> str:
    at = at.astimezone(UTC)
    whole = at.replace(second=0, microsecond=0)
    return (whole if whole == at else whole + _MINUTE).strftime("%Y%m%dT%H%M")
