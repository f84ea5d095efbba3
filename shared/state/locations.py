"""In the table ``health``: where Exchange was found, and the steps of the search."""

from __future__ import annotations

import json
from dataclasses import asdict, astuple, replace
from datetime import UTC, datetime

from shared.errors import StateConflict
from shared.ews.discovery import Kind, Step
from shared.ews.location import Kept, Location
from shared.state.storage import Storage, read_instant, write_instant

_LONGEST = 32 * 1024
"""Characters in one property of a record: the service's limit."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class LocationStore:
    """The one record of the last search."""

    def __init__(self, storage: Storage) -> None:
        self._table = storage.table("health")

    async def get(self) -> Kept | None:
        """The record, or None where nobody has searched yet."""
        entity = await self._table.get("discovery", "exchange")
        if entity is None:
            return None
        location = json.loads(entity["location"])
        steps = (
            Step(Kind(kind), url, outcome, then) for kind, url, outcome, then in json.loads(entity["steps"])
        )
        return Kept(
            entity["address"],
            entity["internal"],
            Location(**location) if location else None,
            read_instant(entity["at"]) or _EPOCH,
            read_instant(entity["not_before"]) or _EPOCH,
            tuple(steps),
            entity["code"],
            entity["text"],
            entity.metadata["etag"] or "",
        )

    async def end_pause(self, now: datetime) -> None:
        """Have a search that failed repeated at once."""
        while (kept := await self.get()) is not None and kept.not_before > now:
            if await self.put(replace(kept, not_before=now)):
                return

    async def put(self, kept: Kept) -> Kept | None:
        """Replace the record that was read with this etag; None where it was changed meanwhile."""
        steps = [astuple(step) for step in kept.steps]
        while len(text := json.dumps(steps)) > _LONGEST:
            del steps[0]
        entity = {
            "PartitionKey": "discovery",
            "RowKey": "exchange",
            "address": kept.address,
            "internal": kept.internal,
            "location": json.dumps(asdict(kept.location) if kept.location else None),
            "at": write_instant(kept.at),
            "not_before": write_instant(kept.not_before),
            "steps": text,
            "code": kept.code,
            "text": kept.text,
        }
        try:
            if kept.etag:
                etag = await self._table.replace(entity, kept.etag)
            else:
                etag = await self._table.insert(entity)
        except StateConflict:
            return None
        return replace(kept, etag=etag)
