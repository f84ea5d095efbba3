"""The table ``counters``: the totals of each hour (partition) and process (row)."""

from __future__ import annotations

import asyncio
import json
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import astuple
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
        # As JSON: a day of many processes is read in an instant, which single properties would not be.
        durations = {name: astuple(duration) for name, duration in tally.durations.items()}
        totals = {"counts": json.dumps(tally.counts), "durations": json.dumps(durations)}
        await self._table.put({"PartitionKey": _key(hour), "RowKey": process} | totals)

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


def _read(entity: Mapping[str, str]) -> Tally:
    """The totals of a record; names of another version are left out."""
    counts, durations = json.loads(entity["counts"]), json.loads(entity["durations"])
    return Tally(
        Counter({name: n for name, n in counts.items() if name in COUNTERS}),
        {name: Duration(*values) for name, values in durations.items() if name in DURATIONS},
    )
