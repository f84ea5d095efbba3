"""The table ``counters``: the totals of each hour (partition) and process (row)."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from itertools import batched

from shared.errors import StateConflict
from shared.metrics import COUNTERS, DURATIONS, Duration, Hour, Tally
from shared.state.storage import TRANSACTION_LIMIT, Operation, Storage

KEPT_FOR = timedelta(days=8)

_DAY = 24


class CounterStore:
    """Totals by the hour, kept for eight days."""

    def __init__(self, storage: Storage) -> None:
        self._table = storage.table("counters")

    async def put(self, hour: datetime, process: str, tally: Tally) -> None:
        """Keep the totals of a process in an hour, in place of those that were kept."""
        values: dict[str, float] = {}
        for name, duration in tally.durations.items():
            values[f"{name}_runs"] = duration.runs
            values[f"{name}_seconds"] = duration.seconds
            values[f"{name}_longest"] = duration.longest
        await self._table.put({"PartitionKey": _key(hour), "RowKey": process} | tally.counts | values)

    async def last_day(self, now: datetime) -> list[Hour]:
        """The last 24 hours, the oldest first and the present one last, those without a count included."""
        present = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
        hours = [present - timedelta(hours=back) for back in reversed(range(_DAY))]
        totals: dict[str, Tally] = defaultdict(Tally)
        span = f"PartitionKey ge '{_key(hours[0])}' and PartitionKey le '{_key(present)}'"
        async for entity in self._table.query(span):
            totals[entity["PartitionKey"]] += _read(entity)
        return [
            Hour(hour, dict(totals[_key(hour)].counts), dict(totals[_key(hour)].durations)) for hour in hours
        ]

    async def prune(self, now: datetime) -> None:
        """Remove what is older than `KEPT_FOR`."""
        by_hour: dict[str, list[str]] = defaultdict(list)
        old = f"PartitionKey lt '{_key(now - KEPT_FOR)}'"
        async for entity in self._table.query(old, select=["PartitionKey", "RowKey"]):
            by_hour[entity["PartitionKey"]].append(entity["RowKey"])
        await asyncio.gather(
            *(
                self._remove(hour, chunk)
                for hour, rows in by_hour.items()
                for chunk in batched(rows, TRANSACTION_LIMIT, strict=False)
            )
        )

    async def _remove(self, hour: str, rows: tuple[str, ...]) -> None:
        steps: list[Operation] = [("delete", {"PartitionKey": hour, "RowKey": row}) for row in rows]
        try:
            await self._table.transact(steps)
        except StateConflict:
            # Another run removes them too.
            return


def _key(hour: datetime) -> str:
    return hour.astimezone(UTC).strftime("%Y%m%dT%H")


def _read(entity: Mapping[str, float]) -> Tally:
    """The totals of a record; names of another version are left out."""
    tally = Tally()
    for name in COUNTERS:
        if name in entity:
            tally.counts[name] = int(entity[name])
    for name in DURATIONS:
        if f"{name}_runs" in entity:
            tally.durations[name] = Duration(
                int(entity[f"{name}_runs"]), entity[f"{name}_seconds"], entity[f"{name}_longest"]
            )
    return tally
