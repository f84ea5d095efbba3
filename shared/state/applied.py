"""In the table ``config``: which configuration has been applied, and how far the present one has come."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

from shared.state.storage import Storage
from shared.sync.applying import Applied
from shared.sync.changes import Effect, Fingerprint


class AppliedStore:
    """The one record, replaced under its ETag."""

    def __init__(self, storage: Storage) -> None:
        self._table = storage.table("config")

    async def get(self) -> Applied | None:
        """The record, or None where nothing was applied yet."""
        entity = await self._table.get("applied", "configuration")
        if entity is None:
            return None
        return Applied(
            Fingerprint.of(json.loads(entity["base"])),
            Fingerprint.of(json.loads(entity["target"])) if entity["target"] else None,
            frozenset(Effect(effect) for effect in json.loads(entity["extra"])),
            entity["done"],
            entity.metadata["etag"] or "",
        )

    async def put(self, applied: Applied) -> Applied:
        """Store it in place of the one that was read; raises StateConflict."""
        record = {
            "PartitionKey": "applied",
            "RowKey": "configuration",
            "base": json.dumps(asdict(applied.base)),
            "target": json.dumps(asdict(applied.target)) if applied.target else "",
            "extra": json.dumps(sorted(applied.extra)),
            "done": applied.done,
        }
        if applied.etag:
            return replace(applied, etag=await self._table.replace(record, applied.etag))
        return replace(applied, etag=await self._table.insert(record))
